"""The span processor records what any instrumentation does, and is never in its way."""

import subprocess
import sys
import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState

import auditlog
from auditlog import config
from auditlog.journal import JournalWriter
from auditlog.otel import AuditSpanProcessor
from auditlog.record import decode_record
from auditlog.recorder import ListSink, Recorder
from auditlog.store import Store

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt"}


@pytest.fixture
def processor(recording):
    """Give a processor that writes into the recording."""
    return AuditSpanProcessor()


@pytest.fixture
def tracer(processor):
    """Give a tracer of a provider that has the processor."""
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(processor)
    return provider.get_tracer("some.library", "1.2")


def parts(record):
    """Decode a record's parts."""
    return {name: record.json(name) for name in record.parts}


def test_a_span_is_two_records_with_everything_it_said(recording, tracer):
    """START holds ids, name and short attributes; END holds content as parts, resource and scope."""
    with tracer.start_as_current_span("chat gpt", kind=SpanKind.CLIENT, attributes=CHAT) as span:
        (start,) = recording.records
        span.set_attribute(
            "gen_ai.input.messages", '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'
        )
        span.set_attribute("gen_ai.usage.input_tokens", 3)
        span.add_event("note", {"k": ("a", "b")})
    start, end = recording.records
    ids = span.get_span_context()
    assert ("start", "otel", "model", "gpt", f"{ids.trace_id:032x}", f"{ids.span_id:016x}") == tuple(
        start.entry[name] for name in ("type", "source", "kind", "name", "trace", "span")
    )
    assert {"attributes": CHAT} == parts(start)
    told = parts(end)
    assert [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}] == told["input_messages"]
    assert ("note", {"k": ["a", "b"]}) == (told["events"][0]["name"], told["events"][0]["attributes"])
    assert "shop" == told["resource"]["service.name"]
    assert {"name": "some.library", "version": "1.2"} == told["scope"]
    assert {"otel.span.name": "chat gpt", "otel.span.kind": "CLIENT"}.items() <= told["attributes"].items()
    (row,) = recording.rows
    assert ("model", "gpt", "ok", 3) == (row["kind"], row["name"], row["status"], row["input_tokens"])
    assert (span.start_time, span.end_time) == (row["start_ns"], row["end_ns"])


def test_what_is_known_only_at_the_end_counts(recording, tracer):
    """A span that is named, and says what it does, after it started has that kind and name."""
    with tracer.start_as_current_span("request") as span:
        span.set_attributes({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund"})
    (row,) = recording.rows
    assert ("tool", "refund") == (row["kind"], row["name"])


def test_a_span_that_never_ends_is_there(recording, tracer):
    """A call during which the process dies is left as an incomplete span that says what it was."""
    tracer.start_span("chat gpt", attributes=CHAT)
    (row,) = recording.rows
    assert ("model", "gpt", "incomplete", None) == (row["kind"], row["name"], row["status"], row["end_ns"])


def test_an_exception_is_the_spans_fault(recording, tracer):
    """The exception event that the SDK records becomes the error; it still reaches the caller."""
    with pytest.raises(ValueError, match="too much"), tracer.start_as_current_span("work"):
        raise ValueError("too much")
    end = recording.records[-1]
    error = end.json("error")
    assert ("error", "ValueError", "too much") == (end.entry["status"], error["type"], error["message"])
    assert "Traceback" in error["stack"]
    assert "ValueError: too much" == end.json("attributes")["otel.status_description"]


def test_conversation_customer_and_tags_come_from_the_context(recording, tracer):
    """A span inside a conversation belongs to it, and the user's span is not changed."""
    with (
        auditlog.conversation("c-1", user="u-1", tags={"arm": "base"}),
        tracer.start_as_current_span("chat gpt", attributes=CHAT) as span,
    ):
        pass
    (row,) = recording.rows
    assert ("c-1", "u-1", '{"arm":"base"}') == (row["conversation_id"], row["user_id"], row["tags"])
    assert CHAT == dict(span.attributes)


def test_spans_inside_a_decorated_turn_belong_to_it(recording, tracer):
    """An instrumented client's span is a child of the tool that called it, and in the agent's turn.

    The provider is not the process's own, so that our decorators open no span: its sampler decides as it would alone.
    """

    @auditlog.tool
    def refund():
        with tracer.start_as_current_span("POST"):
            pass

    @auditlog.agent
    def bot():
        refund()

    with auditlog.conversation("c-1"):
        bot()
    agent, tool, client = (recording.named(name) for name in ("bot", "refund", "POST"))
    assert (tool["span_id"], agent["span_id"], "c-1") == (
        client["parent_span_id"],
        client["turn_id"],
        client["conversation_id"],
    )


def test_the_decorators_own_spans_are_recorded_once(recording, processor, monkeypatch):
    """With our decorators on the same provider, each call has one START and one END."""
    provider = TracerProvider()
    provider.add_span_processor(processor)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    @auditlog.agent
    def bot():
        with trace.get_tracer("theirs").start_as_current_span("inner"):
            return "Hello"

    bot()
    assert ["start bot", "start inner", "end inner", "end"] == [
        f"{record.type} {record.entry.get('name', '')}".strip() for record in recording.records
    ]
    agent, inner = recording.rows
    assert (agent["span_id"], agent["turn_id"]) == (inner["parent_span_id"], inner["turn_id"])


def test_values_that_json_has_no_word_for_are_marked(recording, tracer):
    """Bytes and what is no number are kept, as in any other recorded value."""
    with tracer.start_as_current_span(
        "work", attributes={"raw": b"\x00\xff", "share": float("nan"), "list": [1, 2]}
    ):
        pass
    attributes = recording.records[-1].json("attributes")
    assert {
        "raw": {"$auditlog": "bytes", "base64": "AP8="},
        "share": {"$auditlog": "float", "value": "nan"},
        "list": [1, 2],
    }.items() <= attributes.items()


def test_long_attributes_wait_for_the_end(recording, tracer):
    """START stays small; what was left out of it stands in END."""
    long = "x" * 5000
    with tracer.start_as_current_span("work", attributes={"long": long, "many": ["a"] * 9, "short": "s"}):
        pass
    start, end = recording.records
    assert {"short": "s"} == start.json("attributes")
    assert {"long": long, "many": ["a"] * 9, "short": "s"}.items() <= end.json("attributes").items()


def test_links_state_and_dropped_counts_are_kept(recording, processor):
    """What the SDK threw away is counted, and a span that lost attributes is lossy."""
    provider = TracerProvider(span_limits=SpanLimits(max_span_attributes=2, max_events=1))
    provider.add_span_processor(processor)
    ids = SpanContext(0xA, 0xB, True, TraceFlags(TraceFlags.SAMPLED), TraceState([("vendor", "x")]))
    context = trace.set_span_in_context(trace.NonRecordingSpan(ids))
    span = provider.get_tracer("lib").start_span("work", context, links=[Link(ids, {"why": "retry"})])
    span.set_attributes({"a": 1, "b": 2, "c": 3})
    span.add_event("one")
    span.add_event("two")
    span.end()
    (row,) = recording.rows
    assert {
        "otel.dropped_attributes_count": 1,
        "otel.dropped_events_count": 1,
        "otel.trace_state": "vendor=x",
        "otel.links": [{"trace": f"{0xA:032x}", "span": f"{0xB:016x}", "attributes": {"why": "retry"}}],
    }.items() <= recording.records[-1].json("attributes").items()
    assert (True, f"{0xB:016x}") == (row["lossy"], row["parent_span_id"])


class BrokenSink(ListSink):
    """Cannot keep anything."""

    def append(self, payload, *, opens=None, closes=None):
        """Fail as a full disk does."""
        raise OSError("no space")


def test_a_broken_recorder_never_reaches_the_instrumented_code(recording):
    """Whatever fails is counted, and the work goes on."""
    recorder = Recorder(BrokenSink())
    provider = TracerProvider()
    processor = AuditSpanProcessor(recorder)
    provider.add_span_processor(processor)
    with provider.get_tracer("lib").start_as_current_span("work"):
        pass
    assert 2 == recorder.faults


def test_a_broken_span_is_counted(recording, processor):
    """A span object that is not what the SDK promises does not raise either."""
    processor.on_start(object())
    processor.on_end(object())
    assert 2 == processor.faults


def test_a_span_whose_start_was_not_kept_is_written_whole(tracer, processor):
    """When recording begins in the middle of a span, or its START was lost, its end says everything."""
    config.use(None)
    early = tracer.start_span("early")
    sink = ListSink()
    config.use(Recorder(sink))
    with auditlog.conversation("elsewhere"):
        early.end()
    (payload,) = sink.payloads
    record = decode_record(payload)
    assert ("span", early.start_time, early.end_time) == (
        record.type,
        record.entry["time"],
        record.entry["end"],
    )
    assert "conversation" not in record.entry
    config.use(None)


def test_what_is_remembered_is_bounded(recording):
    """With more open spans than are remembered, the oldest is written whole at its end, and nothing is lost."""
    processor = AuditSpanProcessor(max_open=2)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    spans = [provider.get_tracer("lib").start_span(f"work {number}") for number in range(4)]
    for span in spans:
        span.end()
    assert (2, 0) == (processor.forgotten, len(processor._open))
    assert ["span", "span", "end", "end"] == [record.type for record in recording.records[4:]]


def test_a_span_that_the_user_does_not_sample_is_not_there(recording, processor):
    """The SDK tells a processor nothing of spans that the user's sampler drops."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(processor)
    with provider.get_tracer("lib").start_as_current_span("work"):
        pass
    assert [] == recording.records


def test_unconfigured_it_does_nothing(tracer):
    """Without a store, spans go on as if the processor were not there."""
    config.use(None)
    with tracer.start_as_current_span("work"):
        pass


def test_a_burst_from_many_threads_loses_nothing(tmp_path):
    """Every span of a burst is in the store, however many threads make them."""
    with Store.create(tmp_path / "store") as store:
        recorder = Recorder(JournalWriter(tmp_path / "store" / "journal"))
        processor = AuditSpanProcessor(recorder)
        provider = TracerProvider()
        provider.add_span_processor(processor)
        tracer = provider.get_tracer("lib")

        def work():
            for _ in range(250):
                tracer.start_span("work").end()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert provider.force_flush()
        provider.shutdown()
        recorder.sink.close()
        store.refresh()
        (counted,) = store.query("SELECT count(*), count(end_ns) FROM spans").to_pylist()
        assert [2000, 2000] == list(counted.values())
        assert (0, 0, 0) == (processor.faults, recorder.faults, len(processor._open))


def test_importing_auditlog_does_not_import_the_sdk():
    """The SDK is loaded with the processor, and not before."""
    code = "import sys, auditlog; print('opentelemetry.sdk' in sys.modules); auditlog.AuditSpanProcessor"
    code += "; print('opentelemetry.sdk' in sys.modules, 'duckdb' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ["False", "True False False"] == done.stdout.splitlines()
