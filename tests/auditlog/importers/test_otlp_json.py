"""OpenTelemetry traces become conversations, turns and calls, with everything kept that has no column."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from auditlog.exporters.otlp_json import any_value as any_value_of
from auditlog.importers import import_into
from auditlog.importers.otlp_json import any_value, attributes_of, spans
from auditlog.joined import joined
from auditlog.normalise import mapping, row
from auditlog.record import decode_record

FIXTURES = Path(__file__).parents[2] / "fixtures"

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "00f067aa0ba902b7"


def document(*raw, resource=None, scope=None):
    """Give an export request with some spans."""
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": list(raw)}]}]}


def raw_span(**more):
    """Give a span as OTLP-JSON."""
    times = {"startTimeUnixNano": "1000", "endTimeUnixNano": "3000"}
    return {"traceId": TRACE, "spanId": SPAN, "name": "chat gpt", **times, **more}


def pairs(**attributes):
    """Give text attributes as OTLP-JSON; `__` stands for a dot."""
    return [{"key": k.replace("__", "."), "value": {"stringValue": v}} for k, v in attributes.items()]


def only(*raw, tags=None, **around):
    """Import one span."""
    (found,) = spans([document(*raw, **around)], tags)
    return found


def conversations(store, path):
    """Import a file, and give what it held, outermost calls first."""
    report = import_into(store, path)
    assert () == report.skipped
    return [
        [
            (turn.agent.kind, turn.agent.name, [(s.kind, s.name, s.status) for s in turn.spans])
            for turn in found.turns
        ]
        for found in store.conversations()
    ]


def test_an_agents_turn_of_the_current_conventions(store, fixtures):
    """A workflow with an agent, its model calls, tools and retriever is one turn of one conversation."""
    assert snapshot(
        [
            [
                (
                    "agent",
                    "invoke_workflow support_pipeline",
                    [
                        ("agent", "invoke_workflow support_pipeline", "ok"),
                        ("agent", "weather-agent", "ok"),
                        ("retriever", "kb-weather", "ok"),
                        ("model", "fake-model", "ok"),
                        ("tool", "get_weather", "ok"),
                        ("tool", "get_weather", "error"),
                        ("model", "fake-model", "ok"),
                        ("model", "fake-model", "ok"),
                    ],
                )
            ]
        ]
    ) == conversations(store, fixtures / "otel" / "genai-util.agent.traces.json")
    found = store.conversation("conv-001")
    retriever, good, bad = found.turns[0].of_kind("retriever", "tool")
    assert [("doc-1", 0.91), ("doc-2", 0.42)] == [(d.id, d.score) for d in retriever.documents]
    assert ({"city": "Lisbon"}, {"temp_c": 21, "sky": "sunny"}) == (good.input, good.output)
    assert ({"city": "Nowhere"}, "ValueError", "unknown city") == (
        bad.input,
        bad.fault.type,
        bad.fault.message,
    )
    assert ("weather-prompt", "v3") == next(
        (s.prompt_name, s.prompt_version) for s in found.spans if s.prompt_name is not None
    )
    model = next(span for span in found.spans if span.usage.reasoning_tokens)
    assert (42, 17, 8, 5) == (
        model.usage.input_tokens,
        model.usage.output_tokens,
        model.usage.cache_read_tokens,
        model.usage.reasoning_tokens,
    )
    assert "What is the weather in Lisbon?" == model.input_messages[-1].text
    assert {"city": "Lisbon"} == model.output_messages[0].parts[0].arguments


def test_a_handoff_between_agents_is_one_turn(store, fixtures):
    """Two agents below one workflow are one turn."""
    assert snapshot(
        [
            [
                (
                    "agent",
                    "invoke_workflow support",
                    [
                        ("agent", "invoke_workflow support", "ok"),
                        ("agent", "triage-agent", "ok"),
                        ("agent", "weather-agent", "ok"),
                    ],
                )
            ]
        ]
    ) == conversations(store, fixtures / "otel" / "genai-openai-agents.handoff.traces.json")


def test_another_framework_with_the_same_names(store, fixtures):
    """Three runs of an agent framework are three conversations, one of them with a tool that failed."""
    assert snapshot(
        [
            [
                (
                    "agent",
                    "weather-agent",
                    [
                        ("agent", "weather-agent", "ok"),
                        ("model", "fake-model", "ok"),
                        ("tool", "get_weather", "ok"),
                        ("model", "fake-model", "ok"),
                    ],
                )
            ],
            [
                (
                    "agent",
                    "failing-agent",
                    [
                        ("agent", "failing-agent", "error"),
                        ("model", "fake-model", "ok"),
                        ("tool", "boom", "error"),
                    ],
                )
            ],
            [
                (
                    "agent",
                    "weather-agent",
                    [
                        ("agent", "weather-agent", "ok"),
                        ("model", "fake-model", "ok"),
                        ("tool", "get_weather", "ok"),
                        ("model", "fake-model", "ok"),
                    ],
                )
            ],
        ]
    ) == conversations(store, fixtures / "otel" / "pydantic-ai.v6.traces.json")
    (failed,) = (
        span for c in store.conversations() for span in c.spans if span.kind == "tool" and span.fault
    )
    assert ("RuntimeError", "tool exploded") == (failed.fault.type.split(".")[-1], failed.fault.message)
    streamed = [span for c in store.conversations() for span in c.spans if span.ttft_ms]
    assert [26, 15] == [int(span.ttft_ms) for span in streamed]


def test_tool_calls_over_a_protocol(store, fixtures):
    """A tool call that another process served is a tool span, by its GenAI names."""
    assert snapshot(
        [
            [
                (
                    "other",
                    "fixture-run",
                    [
                        ("other", "fixture-run", "ok"),
                        ("other", "server/discover", "ok"),
                        ("tool", "get_weather", "ok"),
                        ("other", "tools/list", "ok"),
                        ("tool", "get_weather", "error"),
                        ("other", "resources/read", "ok"),
                        ("other", "prompts/get ask", "ok"),
                    ],
                )
            ]
        ]
    ) == conversations(store, fixtures / "otel" / "mcp-python-sdk.inproc.traces.json")


def test_a_provider_instrumentation(store, fixtures):
    """Model calls with and without errors, streams and embeddings are told apart."""
    assert snapshot(
        [
            [
                (
                    "other",
                    "fixture-run",
                    [
                        ("other", "fixture-run", "ok"),
                        ("model", "fake-model", "ok"),
                        ("model", "fake-model", "ok"),
                        ("model", "fake-model", "ok"),
                        ("model", "fake-model", "ok"),
                        ("embedding", "embeddings fake-embed", "ok"),
                        ("model", "fake-model", "ok"),
                        ("model", "does-not-exist", "error"),
                    ],
                )
            ]
        ]
    ) == conversations(store, fixtures / "otel" / "genai-openai.span_only.traces.json")


@pytest.mark.parametrize("name", ["openllmetry-sdk.agent", "openinference-manual.agent", "edge.sdk"])
def test_conventions_without_columns_keep_their_attributes(store, fixtures, name):
    """Spans of a convention that has no columns are imported whole, as they are."""
    path = fixtures / "otel" / f"{name}.traces.json"
    import_into(store, path)
    kept = {span.span_id: span.attributes for c in store.conversations() for span in c.spans}
    content = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}
    for scope in (s for r in json.loads(path.read_bytes())["resourceSpans"] for s in r["scopeSpans"]):
        for raw in scope["spans"]:
            expected = attributes_of(raw.get("attributes"))
            assert {k: v for k, v in expected.items() if k not in content}.items() <= kept[
                raw["spanId"]
            ].items()


def test_the_collectors_lines(store, fixtures):
    """A file with a request on each line is imported wholly."""
    report = import_into(store, fixtures / "otel" / "edge.file_exporter.traces.jsonl")
    assert ("otlp-json", 5, 5) == (report.format, report.conversations, report.spans)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"stringValue": ""}, ""),
        ({"boolValue": False}, False),
        ({"intValue": "-9223372036854775808"}, -(1 << 63)),
        ({"intValue": 5}, 5),
        ({"intValue": "five"}, None),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "NaN"}, {"$auditlog": "float", "value": "nan"}),
        ({"doubleValue": "-Infinity"}, {"$auditlog": "float", "value": "-inf"}),
        ({"bytesValue": "AP8Q"}, {"$auditlog": "bytes", "base64": "AP8Q"}),
        ({"arrayValue": {}}, []),
        ({"arrayValue": {"values": [{"intValue": "1"}, {}]}}, [1, None]),
        (
            {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}, {"value": {}}]}},
            {"a": True},
        ),
        ({}, None),
        (None, None),
        ("text", None),
    ],
)
def test_values_are_decoded_as_otlp_json_has_them(value, expected):
    """Each kind of AnyValue, and what is none, gives its JSON value."""
    found = any_value(value)
    assert (expected, type(expected)) == (found, type(found))


def test_ids_are_hexadecimal_or_base64():
    """Ids in upper case and ids as protobuf's own JSON has them are the same ids."""
    ids = {"traceId": base64.b64encode(bytes.fromhex(TRACE)).decode(), "spanId": SPAN.upper()}
    found = only(raw_span(**ids))
    assert (TRACE, SPAN) == (found.trace_id, found.span_id)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"traceId": "0" * 32}, "span 1 has no valid trace and span id"),
        ({"spanId": "xyz"}, "span 1 has no valid trace and span id"),
        ({"spanId": None}, "span 1 has no valid trace and span id"),
        ({"startTimeUnixNano": "soon"}, "span 1 has no start time"),
        ({"startTimeUnixNano": "99999999999999999999"}, "span 1 has no start time"),
    ],
)
def test_a_span_without_ids_or_start_is_skipped_with_a_reason(more, reason):
    """What cannot be placed is said, and the next span is imported."""
    skipped = []
    found = list(spans([document(raw_span(**more), raw_span())], skip=skipped.append))
    assert ([reason], 1) == (skipped, len(found))


def test_a_span_without_an_end_is_incomplete():
    """It is written as a START record, as a call whose end was never seen."""
    record = decode_record(only(raw_span(endTimeUnixNano="0")).payload())
    assert ("start", 1000) == (record.type, record.entry["time"])


def test_status_two_is_an_error_and_its_exception_the_fault():
    """The last exception event says what failed; the description is kept."""
    exception = pairs(exception__type="KeyError", exception__message="'a'", exception__stacktrace="Traceback")
    found = only(
        raw_span(
            status={"code": 2, "message": "broken"},
            events=[
                {"timeUnixNano": "2000", "name": "exception", "attributes": pairs(exception__type="First")},
                {"timeUnixNano": "2500", "name": "exception", "attributes": exception},
                {"timeUnixNano": "2600", "name": "later"},
            ],
        )
    )
    assert "error" == found.status
    assert {"type": "KeyError", "message": "'a'", "stack": "Traceback"} == found.content["error"]
    assert "broken" == found.attributes["otel.status_description"]
    assert ["exception", "exception", "later"] == [event["name"] for event in found.content["events"]]


@pytest.mark.parametrize(
    ("attributes", "status", "expected"),
    [
        (pairs(error__type="timeout"), {"code": "STATUS_CODE_ERROR"}, {"type": "timeout", "message": ""}),
        ([], {"code": 2, "message": "no"}, {"type": "Error", "message": "no"}),
        ([], {"code": 2}, None),
        (pairs(error__type="timeout"), {"code": 1}, None),
    ],
)
def test_an_error_without_an_exception_is_its_type_and_description(attributes, status, expected):
    """A failed span says what it can; one that did not fail has no fault."""
    found = only(raw_span(attributes=attributes, status=status))
    assert expected == found.content.get("error")


def test_what_is_no_attribute_is_kept_beside_them():
    """Span kind, name, links, state and dropped counts stay; dropped attributes make the span lossy."""
    found = only(
        raw_span(
            kind=3,
            traceState="a=b",
            droppedAttributesCount=2,
            attributes=pairs(gen_ai__operation__name="chat", gen_ai__request__model="gpt"),
            links=[{"traceId": TRACE, "spanId": SPAN, "attributes": pairs(why="retry")}],
        ),
        resource={"attributes": pairs(service__name="shop")},
        scope={"name": "lib", "version": "1", "attributes": pairs(x="y")},
    )
    assert ("model", "gpt") == (found.kind, found.name)
    assert {
        "otel.span.name": "chat gpt",
        "otel.span.kind": "CLIENT",
        "otel.trace_state": "a=b",
        "otel.dropped_attributes_count": 2,
        "auditlog.lossy": True,
        "otel.links": [{"trace": TRACE, "span": SPAN, "attributes": {"why": "retry"}}],
    }.items() <= found.attributes.items()
    assert {"service.name": "shop"} == found.content["resource"]
    assert {"name": "lib", "version": "1", "attributes": {"x": "y"}} == found.content["scope"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ("[1]", [1]),
        ("12", "12"),
        ("null", "null"),
        ("{broken", "{broken"),
        ("Grüße", "Grüße"),
    ],
)
def test_a_tools_result_is_decoded_only_where_it_is_an_object_or_array(text, expected):
    """A plain answer that happens to look like a number stays the text that it was."""
    assert expected == only(raw_span(attributes=pairs(gen_ai__tool__call__result=text))).content["output"]


def test_tags_stand_on_every_span():
    """The caller's tags mark what was imported."""
    assert "base" == only(raw_span(), tags={"arm": "base"}).attributes["auditlog.tag.arm"]


def test_endless_names_are_bounded():
    """A span name or conversation id of a megabyte makes a record that can be read, and stays distinct."""
    long = "x" * 1_000_000
    ids = pairs(gen_ai__conversation__id=long)
    entry = decode_record(only(raw_span(name=long, attributes=ids)).payload()).entry
    other = decode_record(only(raw_span(name=long + "y")).payload()).entry
    assert 400 == len(entry["name"]) == len(entry["conversation"])
    assert entry["name"] != other["name"]


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceSpans": 7},
        {"resourceSpans": [7, {"scopeSpans": None}, {"scopeSpans": [{"spans": "x"}]}]},
        document(7, None),
        document(
            raw_span(attributes=7, events=[7], links="x", status="bad", name=None, kind="?", traceState=[])
        ),
        document(raw_span(attributes=[{"key": 7}, {"key": "a", "value": 7}, 7])),
        document(raw_span(attributes=pairs(auditlog__export='{"format": 1, "kind": "root", "name": "x"}'))),
        document(raw_span(attributes=pairs(auditlog__export="{"))),
    ],
)
def test_what_is_no_otlp_inside_is_left_out(broken):
    """Values of another type than the format has do not break the import."""
    assert all(decode_record(found.payload()) for found in spans([broken]))


def test_a_newer_export_is_skipped_with_what_to_do():
    """A span that a later version exported is not half understood."""
    skipped = []
    newer = raw_span(attributes=pairs(auditlog__export='{"format": 2}'))
    assert [] == list(spans([document(newer)], skip=skipped.append))
    assert "upgrade auditlog-replay" in skipped[0]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(-9, 9)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["key", "value", "stringValue", "arrayValue", "values"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)
WHOLE = json.loads((FIXTURES / "otel" / "genai-util.agent.traces.json").read_bytes())


def places(value, path=()):
    """Give the path of every value inside a JSON document."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


PLACES = [path for path in places(WHOLE) if path]


@given(place=st.sampled_from(PLACES), junk=JUNK)
def test_a_damaged_document_gives_readable_records(place, junk):
    """Whatever stands in the place of any value, each record can be read back and nothing raises."""
    damaged = inner = json.loads(json.dumps(WHOLE))
    *holder, last = place
    for key in holder:
        inner = inner[key]
    inner[last] = junk
    for found in spans([damaged]):
        record = decode_record(found.payload())
        row(*joined(None if record.type == "span" else record, record if record.type == "span" else None))


@given(name=st.sampled_from(sorted({n for names in mapping()["columns"].values() for n in names})), junk=JUNK)
def test_an_attribute_of_any_type_is_kept(name, junk):
    """An attribute that has a column and is of another type is kept raw, and breaks nothing."""
    found = only(raw_span(attributes=[{"key": name, "value": any_value_of(junk)}]))
    record = decode_record(found.payload())
    # What only this program says of a span is kept under another name.
    assert junk == found.attributes[name.replace("auditlog.replay.", "auditlog.foreign.replay.")]
    row(*joined(None, record))
