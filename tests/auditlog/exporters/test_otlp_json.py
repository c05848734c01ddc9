"""What is exported is valid OTLP-JSON, and importing it gives equal conversations."""

import dataclasses
import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import auditlog
from auditlog import config
from auditlog.exporters import otlp_json
from auditlog.importers import import_into
from auditlog.importers import otlp_json as importer
from auditlog.importers.spans import ImportedSpan
from auditlog.joined import joined
from auditlog.journal import JournalWriter
from auditlog.normalise import row
from auditlog.record import decode_record
from auditlog.recorder import Recorder
from auditlog.store import Store
from auditlog.store.build import span_of, turns_of
from auditlog.values import (
    KINDS,
    Conversation,
    Document,
    Evaluation,
    Fault,
    Message,
    Part,
    Replay,
    Span,
    Usage,
)

FIXTURES = Path(__file__).parents[2] / "fixtures"
SAMPLES = Path(__file__).parents[3] / "sample_traces"


def elsewhere(span):
    """Give a span without what depends on the store that it is in."""
    return dataclasses.replace(span, source="", segment=None)


def comparable(conversations):
    """Give conversations by id, without what depends on the store that they are in."""
    return {
        c.conversation_id: Conversation(c.conversation_id, turns_of(elsewhere(s) for s in c.spans))
        for c in conversations
    }


def read_back(line):
    """Import a line, and give its spans as a reader would."""
    return [span_from(payload) for payload in importer.records([orjson.loads(line)])]


def span_from(payload):
    """Give the span of one record."""
    record = decode_record(payload)
    whole = record.type == "span"
    entry, parts = joined(None if whole else record, record if whole else None)
    return elsewhere(span_of(row(entry, parts) | {"segment": None}))


# -- a strict reader of the format, after opentelemetry-proto's trace.proto and common.proto -------------------------

_HEX = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_FIELDS = {
    "span": {
        "traceId", "spanId", "traceState", "parentSpanId", "flags", "name", "kind", "startTimeUnixNano",
        "endTimeUnixNano", "attributes", "droppedAttributesCount", "events", "droppedEventsCount", "links",
        "droppedLinksCount", "status",
    },
    "event": {"timeUnixNano", "name", "attributes", "droppedAttributesCount"},
    "link": {"traceId", "spanId", "traceState", "attributes", "droppedAttributesCount", "flags"},
}  # fmt: skip


def check_request(request):
    """Fail unless an object is an ExportTraceServiceRequest."""
    assert {"resourceSpans"} == set(request)
    for resource_spans in request["resourceSpans"]:
        assert set(resource_spans) <= {"resource", "scopeSpans", "schemaUrl"}
        check_attributes(resource_spans["resource"]["attributes"])
        for scope_spans in resource_spans["scopeSpans"]:
            assert set(scope_spans) <= {"scope", "spans", "schemaUrl"}
            assert set(scope_spans["scope"]) <= {"name", "version", "attributes", "droppedAttributesCount"}
            for span in scope_spans["spans"]:
                check_span(span)


def check_span(span):
    """Fail unless an object is a Span."""
    check_fields("span", span)
    assert 0 <= span["kind"] <= 5
    assert set(span["status"]) <= {"code", "message"}
    assert span["status"].get("code", 0) in (0, 1, 2)
    for event in span.get("events", ()):
        check_fields("event", event)
    for link in span.get("links", ()):
        check_fields("link", link)


def check_fields(kind, found):
    """Fail unless an object has a kind's fields, of their types."""
    assert set(found) <= _FIELDS[kind]
    for name, value in found.items():
        if name in _HEX:
            assert re.fullmatch(f"[0-9a-f]{{{_HEX[name]}}}", value)
        elif name.endswith("UnixNano"):
            assert 0 < int(value) < 1 << 64
            assert isinstance(value, str)
        elif name.endswith("Count"):
            assert 0 <= value < 1 << 32
        elif name in ("name", "traceState"):
            assert isinstance(value, str)
    check_attributes(found.get("attributes", []))


def check_attributes(pairs):
    """Fail unless a list is one of KeyValue, without a key twice."""
    assert len(pairs) == len({pair["key"] for pair in pairs})
    for pair in pairs:
        assert {"key", "value"} == set(pair)
        check_value(pair["value"])


def check_value(value):
    """Fail unless an object is an AnyValue."""
    match value:
        case {"stringValue": str()} | {"boolValue": bool()} | {"doubleValue": float()} if len(value) == 1:
            pass
        case {"intValue": str(digits)}:
            assert -(1 << 63) <= int(digits) < 1 << 63
        case {"doubleValue": word}:
            assert word in ("NaN", "Infinity", "-Infinity")
        case {"bytesValue": str()}:
            pass
        case {"arrayValue": {"values": items}}:
            for item in items:
                check_value(item)
        case {"kvlistValue": {"values": pairs}}:
            check_attributes(pairs)
        case _:
            assert {} == value


# -- generated spans -------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(['{"a": 1}', '"quoted"', "[1]", "12", "null"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
MARKED = st.sampled_from(
    [
        {"$auditlog": "bytes", "base64": "AP8Q"},
        {"$auditlog": "bytes", "base64": "not base64"},
        {"$auditlog": "float", "value": "nan"},
        {"$auditlog": "float", "value": "-inf"},
    ]
)
NAMES = [
    "gen_ai.operation.name", "gen_ai.agent.name", "gen_ai.request.model", "gen_ai.request.temperature",
    "gen_ai.response.finish_reasons", "gen_ai.usage.input_tokens", "gen_ai.conversation.id", "gen_ai.tool.name",
    "gen_ai.response.time_to_first_chunk", "auditlog.tag.arm", "auditlog.cost_usd", "auditlog.lossy",
    "auditlog.kind",
    "auditlog.replay.run_id", "auditlog.replay.arm", "auditlog.tool.effect", "auditlog.export", "error.type", "user.id",
    "otel.span.name", "otel.span.kind", "otel.links", "otel.status_description", "otel.dropped_events_count",
]  # fmt: skip
ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES) | TEXT, JSON | MARKED, max_size=8)
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "reasoning", "tool_call", "tool_call_response", "blob"])},
    optional={"content": TEXT, "id": TEXT, "name": TEXT, "arguments": JSON, "response": JSON, "result": JSON},
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": TEXT, "parts": st.lists(PARTS, max_size=3)}, optional={"finish_reason": TEXT}
    )
    | st.fixed_dictionaries({"role": st.sampled_from(["user", "tool"]), "content": TEXT})
    | JSON,
    max_size=3,
)
CONTENT = st.fixed_dictionaries(
    {},
    optional={
        "input": JSON,
        "output": JSON,
        "system_instructions": TEXT | st.lists(PARTS, max_size=2),
        "input_messages": MESSAGES | JSON,
        "output_messages": MESSAGES,
        "tool_definitions": JSON,
        "documents": st.lists(
            st.fixed_dictionaries({}, optional={"id": JSON, "content": JSON, "score": JSON, "source": JSON})
            | JSON,
            max_size=2,
        ),
        "error": st.fixed_dictionaries({"type": TEXT}, optional={"message": TEXT, "stack": TEXT}) | JSON,
        "evaluations": st.lists(
            st.fixed_dictionaries({"name": TEXT}, optional={"value": JSON, "label": TEXT}) | JSON, max_size=2
        ),
    },
)
IMPORTED = st.builds(
    ImportedSpan,
    trace_id=st.just("0af7651916cd43dd8448eb211c80319c"),
    span_id=st.just("00f067aa0ba902b7"),
    parent_span_id=st.none() | st.just("b7ad6b7169203331"),
    turn_id=st.just("b7ad6b7169203331"),
    conversation_id=TEXT.filter(bool),
    kind=st.sampled_from(KINDS),
    name=TEXT,
    status=st.sampled_from(["ok", "error"]),
    start_ns=st.integers(1, (1 << 62)),
    end_ns=st.none() | st.integers(1, (1 << 62)),
    attributes=ATTRIBUTES,
    content=CONTENT,
)


@given(imported=IMPORTED)
def test_any_span_comes_back_equal(imported):
    """Export and import give an equal span, whatever its content, and what lies between is valid OTLP."""
    span = span_from(imported.payload())
    (line,) = otlp_json.lines([Conversation(span.conversation_id, turns_of([span]))])
    check_request(orjson.loads(line))
    # An attribute of the exporter's own name cannot have been recorded by anybody else.
    expected = {name: value for name, value in span.attributes.items() if name != "auditlog.export"}
    assert [dataclasses.replace(span, attributes=expected)] == read_back(line)


def test_a_span_that_was_made_by_hand_keeps_its_fields():
    """Fields that no attribute says are written under their names."""
    span = Span(
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="00f067aa0ba902b7",
        turn_id="00f067aa0ba902b7",
        conversation_id="c-1",
        kind="model",
        name="gpt",
        status="error",
        start_ns=1,
        end_ns=2,
        agent_name="bot",
        agent_version="v2",
        user_id="u",
        model_requested="gpt",
        model_served="gpt-1",
        provider="openai",
        parameters={"temperature": 0.5},
        finish_reasons=("stop",),
        usage=Usage(1, 2, 3, 4, 5),
        cost_usd=0.5,
        ttft_ms=3.0,
        prompt_name="p",
        prompt_version="7",
        effect="write",
        tool_call_id="t",
        tool_digest="d",
        escalation_reason="angry",
        escalation_to="desk",
        lossy=True,
        stream=True,
        input={"question": "Hi"},
        output="Hello",
        system_instructions="Be kind.",
        input_messages=(Message("user", (Part("text", "Hi"),)),),
        output_messages=(
            Message("assistant", (Part("tool_call", id="t", name="n", arguments="[]"),), "stop"),
        ),
        tool_definitions=[{"name": "n"}],
        documents=(Document("d", "text", 0.5, "kb"),),
        fault=Fault("ValueError", "no", "Traceback"),
        evaluations=(Evaluation("reward", 1.0, "good", "because"),),
        tags={"arm": "base"},
        replay=Replay("run", "candidate", 2, "t", "s", "d", "tools", "exact", "complete"),
    )
    (line,) = otlp_json.lines([Conversation("c-1", turns_of([span]))])
    check_request(orjson.loads(line))
    (found,) = read_back(line)
    # A replay of another store is of no run of this one.
    replay = dataclasses.replace(span.replay, run_id="imported:run")
    assert dataclasses.replace(elsewhere(span), attributes=found.attributes, replay=replay) == found


def test_other_readers_find_genai_names_a_status_and_events():
    """A backend without our importer sees operation, conversation, error and evaluation where it looks for them."""
    span = Span(
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="00f067aa0ba902b7",
        conversation_id="c-1",
        kind="tool",
        name="refund",
        status="error",
        start_ns=1,
        end_ns=2,
        input={"order": 7},
        fault=Fault("ValueError", "too much"),
        evaluations=(Evaluation("reward", 0.0),),
    )
    found = otlp_json.span_object(span)
    attributes = importer.attributes_of(found["attributes"])
    assert ("execute_tool refund", 1, {"code": 2, "message": "too much"}) == (
        found["name"],
        found["kind"],
        found["status"],
    )
    assert {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "refund",
        "gen_ai.conversation.id": "c-1",
        "gen_ai.tool.call.arguments": '{"order":7}',
        "error.type": "ValueError",
    }.items() <= attributes.items()
    assert ["exception", "gen_ai.evaluation.result"] == [event["name"] for event in found["events"]]


@pytest.mark.parametrize(
    "name",
    [
        "otel/pydantic-ai.v6.traces.json",
        "otel/genai-util.agent.traces.json",
        "otel/edge.sdk.traces.json",
        "otel/openinference-manual.agent.traces.json",
        SAMPLES / "support_bot.v2.otlp.jsonl.gz",
    ],
    ids=str,
)
def test_imported_files_come_back_equal(tmp_path, name):
    """What one store exports, another imports as equal conversations."""
    assert_comes_back_equal(tmp_path, FIXTURES / name)


def test_imported_results_come_back_equal(tmp_path, shared_data):
    """Conversations of a benchmark survive export and import."""
    assert_comes_back_equal(tmp_path, shared_data / "tau2-bench" / "results" / "retail.baseline.gpt-4.1.json")


def assert_comes_back_equal(tmp_path, path):
    """Import a file, export what it brought, import that into another store, and compare."""
    with Store.create(tmp_path / "one") as one, Store.create(tmp_path / "two") as two:
        import_into(one, path, tags={"arm": "base"})
        exported = tmp_path / "exported.jsonl"
        exported.write_bytes(b"".join(otlp_json.lines(one.conversations())))
        for line in exported.read_bytes().splitlines():
            check_request(orjson.loads(line))
        import_into(two, exported)
        assert comparable(one.conversations()) == comparable(two.conversations())


def test_recorded_traffic_comes_back_equal(tmp_path):
    """Decorated calls of every kind, with errors, streams and hand-offs, survive export and import."""

    @auditlog.tool(effect="write")
    def refund(order: str, amount: int) -> dict:
        if amount > 100:
            raise ValueError(order)
        return {"refunded": amount}

    @auditlog.retriever
    def search(question: str) -> list:
        return [{"id": "kb-1", "content": "Refunds take a week.", "score": 0.5, "source": "help"}]

    @auditlog.model("words", provider="toy")
    def words(messages: list, model: str, temperature: float):
        yield "Hello "
        yield "there."

    @auditlog.agent("bot", version="v1")
    def answer(question: str) -> str:
        search(question)
        refund("o-1", 5)
        try:
            refund("o-2", 500)
        except ValueError:
            auditlog.escalate("refund above the limit", to="desk")
        auditlog.annotate(prompt_name="main", prompt_version="3")
        auditlog.evaluate("tone", 0.75, label="kind")
        return "".join(
            words(messages=[{"role": "user", "content": question}], model="toy-1", temperature=0.0)
        )

    with Store.create(tmp_path / "one") as one, Store.create(tmp_path / "two") as two:
        config.use(Recorder(JournalWriter(tmp_path / "one" / "journal"), agent_version="v1"))
        try:
            with auditlog.conversation("c-1", user="u-1", tags={"channel": "chat"}):
                answer("I was charged twice")
                answer("And again")
        finally:
            config.use(None)
        one.refresh()
        exported = tmp_path / "exported.jsonl"
        exported.write_bytes(b"".join(otlp_json.lines(one.conversations())))
        check_request(orjson.loads(exported.read_bytes()))
        import_into(two, exported)
        before, after = comparable(one.conversations()), comparable(two.conversations())
        assert before == after
        assert {"agent", "model", "tool", "retriever", "handoff"} == {s.kind for s in before["c-1"].spans}


def test_an_incomplete_span_has_no_end():
    """A call whose end was never recorded is exported without one, and is incomplete again."""
    span = Span(
        trace_id="0af7651916cd43dd8448eb211c80319c",
        span_id="00f067aa0ba902b7",
        kind="tool",
        name="refund",
        status="incomplete",
        start_ns=1,
    )
    (line,) = otlp_json.lines([Conversation("c-1", turns_of([span]))])
    assert b"endTimeUnixNano" not in line
    assert "incomplete" == read_back(line)[0].status
