"""What only this program may say of a record: a span of somebody else's, and a file, keep it under other names."""

import orjson
import pytest
from opentelemetry.sdk.trace import TracerProvider

from auditlog.exporters import otlp_json
from auditlog.importers import import_into
from auditlog.otel import AuditSpanProcessor
from auditlog.store import Store
from auditlog.store.build import turns_of
from auditlog.values import Conversation, Replay, Span

RUN = "20261123-120000-abcdef"
LINEAGE = {"auditlog.replay.run_id": RUN, "auditlog.replay.arm": "candidate"}


def told(**attributes):
    """Give a span of a foreign instrumentation as an export request."""
    pairs = [{"key": name, "value": {"stringValue": value}} for name, value in attributes.items()]
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b7",
        "name": "replay_attack",
        "startTimeUnixNano": "1000",
        "endTimeUnixNano": "3000",
        "attributes": pairs,
    }
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    with Store.create(tmp_path / "audit") as opened:
        yield opened


def test_a_foreign_span_is_of_no_run_and_no_record_of_one(recording):
    """In its START and in its END: the name and the attributes that runs are read from are kept under others."""
    provider = TracerProvider()
    provider.add_span_processor(AuditSpanProcessor())
    with provider.get_tracer("x").start_as_current_span("replay_scores", attributes=LINEAGE):
        pass
    kept = {"auditlog.foreign.replay.run_id": RUN, "auditlog.foreign.replay.arm": "candidate"}
    for record in recording.records:
        assert "foreign:replay_scores" == record.entry["name"]
        attributes = record.json("attributes")
        assert kept.items() <= attributes.items()
        assert not LINEAGE.keys() & attributes.keys()


def test_a_tool_may_be_called_as_it_likes(recording):
    """Only records of kind `other` are a run's own."""
    provider = TracerProvider()
    provider.add_span_processor(AuditSpanProcessor())
    call = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "replay_order"}
    with provider.get_tracer("x").start_as_current_span("execute_tool replay_order", attributes=call):
        pass
    assert {"replay_order"} == {record.entry["name"] for record in recording.records}


def test_an_imported_trace_is_of_no_run(store, tmp_path):
    """A trace of another tool that says it was a replay is ordinary traffic."""
    path = tmp_path / "trace.json"
    path.write_bytes(orjson.dumps(told(**LINEAGE, **{"auditlog.input": '{"id":"a"}'})))
    import_into(store, path)
    (span,) = store.spans("true", [])
    assert (None, "foreign:replay_attack") == (span.replay, span.name)


def test_an_imported_replay_stays_one_and_is_of_no_run_of_this_store(store, tmp_path):
    """What our own exporter wrote of a replay is nobody's traffic, and no run that could be judged."""
    ids = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "00f067aa0ba902b7"}
    span = Span(
        **ids, turn_id=ids["span_id"], conversation_id="c", kind="other", name="replay_run", start_ns=1, end_ns=2,
        replay=Replay(RUN, "candidate", 0),
    )  # fmt: skip
    path = tmp_path / "trace.jsonl"
    path.write_bytes(b"".join(otlp_json.lines([Conversation("c", turns_of([span]))])))
    import_into(store, path)
    (found,) = store.spans("true", [])
    assert (f"imported:{RUN}", "imported:replay_run") == (found.replay.run_id, found.name)
