"""Parents, turns and conversations survive tasks, threads, executors and a user's own provider."""

import asyncio
import gc
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import auditlog


@auditlog.tool
def step(n=0):
    """Give back what it got."""
    return n


def test_an_executor_loses_the_turn_and_propagate_keeps_it(recording):
    """A pool's thread knows nothing of the turn unless the executor propagates."""

    @auditlog.agent("bot")
    def answer(question):
        with ThreadPoolExecutor(1) as bare, auditlog.propagate(ThreadPoolExecutor(1)) as carried:
            bare.submit(step, 1).result()
            carried.submit(step, 2).result()

    answer("hi")
    lost, kept = (row for row in recording.rows if row["name"] == "step")
    turn = recording.named("bot")["span_id"]
    assert (None, turn) == (lost["turn_id"], kept["turn_id"])


def test_concurrent_turns_do_not_mix(recording):
    """Two agents under way in one loop each keep their own calls."""

    @auditlog.tool
    async def look(n):
        await asyncio.sleep(0)
        return n

    @auditlog.agent
    async def bot(question):
        await asyncio.gather(*(look(question) for _ in range(3)))

    async def both():
        with auditlog.conversation("a"):
            first = asyncio.create_task(bot("a"))
        with auditlog.conversation("b"):
            second = asyncio.create_task(bot("b"))
        await asyncio.gather(first, second)

    asyncio.run(both())
    looks = [row for row in recording.rows if row["name"] == "look"]
    assert {("a", b'{"n":"a"}'), ("b", b'{"n":"b"}')} == {
        (row["conversation_id"], row["input"]) for row in looks
    }


def test_a_nested_agent_belongs_to_the_outer_turn(recording):
    """Only the outermost agent call begins a turn; a sub-agent's escalation marks the turn."""

    @auditlog.agent
    def inner(task):
        auditlog.escalate("needs a person")

    @auditlog.agent
    def outer(question):
        inner("x")

    outer("hi")
    assert recording.named("outer")["span_id"] == recording.named("inner")["turn_id"]
    assert "needs a person" == recording.named("outer")["escalation_reason"]


def test_a_bare_thread_starts_its_own_trace(recording):
    """A call on a thread of its own is recorded, not lost."""
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert "ok" == recording.named("step")["status"]


@pytest.fixture
def provider(monkeypatch):
    """Run a real OpenTelemetry provider that keeps its spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    provider.exporter = exporter
    return provider


def test_a_users_provider_gets_spans_with_our_ids(recording, provider):
    """With a provider, each call is an OpenTelemetry span too, in the same tree, with GenAI names and no content."""

    @auditlog.agent("bot")
    def answer(question):
        with provider.get_tracer("app").start_as_current_span("between"):
            step(3)

    with provider.get_tracer("app").start_as_current_span("request") as request:
        answer("a secret")
    spans = {span.name: span for span in provider.exporter.get_finished_spans()}
    bot = spans["invoke_agent bot"]
    assert request.get_span_context().span_id == bot.parent.span_id
    assert "invoke_agent" == bot.attributes["gen_ai.operation.name"]
    assert "a secret" not in str([dict(span.attributes) for span in spans.values()])
    row = recording.named("bot")
    assert (f"{bot.context.trace_id:032x}", f"{bot.context.span_id:016x}") == (
        row["trace_id"],
        row["span_id"],
    )
    tool = recording.named("step")
    assert f"{spans['between'].context.span_id:016x}" == tool["parent_span_id"]
    assert row["span_id"] == tool["turn_id"]


def test_an_unsampled_provider_loses_nothing(recording, monkeypatch):
    """Sampling decides what the user's backend sees, and never what is recorded."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    @auditlog.agent("bot")
    def answer(question):
        return step(1)

    answer("hi")
    assert ["bot", "step"] == [row["name"] for row in recording.rows]
    assert 1 == len({row["trace_id"] for row in recording.rows})


@pytest.mark.parametrize("around", [False, True])
def test_a_disabled_sdk_changes_nothing(recording, monkeypatch, around):
    """With `OTEL_SDK_DISABLED`, calls keep their own ids, parents and trace, also inside of somebody's span."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())

    @auditlog.tool
    def inner():
        return 1

    @auditlog.agent
    def outer():
        return inner() + inner()

    theirs = trace.NonRecordingSpan(trace.SpanContext(0xA, 0xB, is_remote=True))
    with trace.use_span(theirs if around else trace.INVALID_SPAN):
        outer()
    agent, first, second = recording.rows
    assert [agent["span_id"]] * 2 == [first["parent_span_id"], second["parent_span_id"]]
    assert 1 == len({row["trace_id"] for row in recording.rows})
    assert 3 == len({row["span_id"] for row in recording.rows})
    assert (f"{0xB:016x}" if around else None) == agent["parent_span_id"]


@pytest.mark.parametrize("odd", ["\ud800", "c" * 70_000], ids=["surrogate", "long"])
def test_an_odd_conversation_id_costs_no_record(recording, odd):
    """An id that no entry can hold is escaped or cut, and the call belongs to what is left of it."""
    with auditlog.conversation(odd, user="u\ud800", tags={"k": "v\ud800"}):
        step(1)
    record, _ = recording.records
    (row,) = recording.rows
    assert "ok" == row["status"]
    assert row["conversation_id"][:1] == odd.encode("utf-8", "backslashreplace").decode()[:1]
    assert record.entry["conversation"] == row["conversation_id"]


def test_a_call_that_cannot_be_recorded_leaves_no_span_open(recording, provider, monkeypatch):
    """Where the beginning of a call fails to be recorded, the user's backend still gets a whole span, and the call goes on."""

    def fail(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("auditlog.call.attributes_text", fail)
    assert 4 == step(4)
    assert ["execute_tool step"] == [span.name for span in provider.exporter.get_finished_spans()]


def test_a_stream_that_is_left_as_the_loop_ends_was_abandoned(recording):
    """A consumer that breaks off, alone or inside another stream, and a loop that then ends, make no error of the stream."""

    @auditlog.tool
    async def words():
        for word in ("a", "b"):
            yield word

    @auditlog.tool
    async def passed_on():
        async for word in words():
            yield word

    async def leave():
        async for _ in words():
            break
        stream = passed_on()
        await anext(stream)
        await stream.aclose()

    asyncio.run(leave())
    gc.collect()
    assert [("words", "ok"), ("passed_on", "ok"), ("words", "ok")] == [
        (row["name"], row["status"]) for row in recording.rows
    ]
    told = [json.loads(row["attributes"]) for row in recording.rows]
    assert [True] * 3 == [found.get("auditlog.stream.abandoned") for found in told]
