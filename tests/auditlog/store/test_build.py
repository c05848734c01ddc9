"""Hostile and odd content becomes values without an error."""

import pytest

from auditlog.values import Document, Evaluation, Fault

ODD = [
    b"{not json",
    b"\xff\xfe\x00",
    b"[" * 3000,
    b"1" * 5000,
    b"1e400",
    b'{"a": 1, "a": 2}',
    b'"\\ud800"',
    b"null",
    b'"\x1b]52;c;AAAA\x07"'.replace(b"\x1b", b"\\u001b").replace(b"\x07", b"\\u0007"),
    b'"[@click=app.quit]"',
    b"",
]
PARTS = (
    "input",
    "output",
    "system_instructions",
    "input_messages",
    "output_messages",
    "tool_definitions",
    "documents",
    "error",
    "evaluations",
    "events",
    "resource",
    "scope",
    "attributes",
)


@pytest.mark.parametrize("content", ODD, ids=lambda content: repr(content[:12]))
@pytest.mark.parametrize("sealed", [False, True])
def test_content_that_is_no_json_is_kept_as_text(store, script, content, sealed):
    """Whatever bytes a part holds, the span shows, its parts keep their bytes, and queries over text do not fail."""
    trace, span = script.new_id(32), script.new_id()
    script.start(
        trace=trace,
        span=span,
        kind="agent",
        name="a",
        conversation="c",
        parts=dict.fromkeys(PARTS[:4], content),
    )
    script.end(trace=trace, span=span, parts=dict.fromkeys(PARTS[1:], content))
    script.writer.close()
    store.refresh()
    if sealed:
        assert store.seal().spans == 1
    (found,) = store.conversation("c").spans
    assert found.status == "ok"
    assert store.summaries()[0].conversation_id == "c"
    assert store.query("SELECT output FROM all_spans")["output"][0].as_py() == content
    assert store.query("SELECT count(*) AS n FROM spans WHERE output ILIKE '%x%'").num_rows == 1
    assert store.select("SELECT * FROM spans").num_rows == 1
    assert store.count("text:nothing") == 0


def test_unknown_and_impossible_fields_do_not_stop_reading(store, script):
    """An entry with fields of the wrong type still makes a span."""
    trace, span = script.new_id(32), script.new_id()
    huge = {"gen_ai.usage.input_tokens": 2**63, "auditlog.cost_usd": "free", "gen_ai.agent.name": ["x"]}
    script.start(
        trace=trace,
        span=span,
        kind="party",
        name=7,
        conversation=["c"],
        turn={},
        parent=5,
        attributes=huge,
        at=2**62,
    )
    script.end(trace=trace, span=span, status=3, at=2**63)
    store.refresh()
    (found,) = store.conversation(trace).spans
    assert (found.kind, found.parent_span_id, found.usage.input_tokens, found.cost_usd) == (
        "other",
        None,
        None,
        None,
    )
    assert found.attributes["gen_ai.usage.input_tokens"] == 2**63
    script.writer.close()
    assert store.seal().spans == 1
    assert store.count() == 1


def test_shapes_of_documents_errors_and_evaluations(store, script):
    """Documents, errors and evaluations of odd shapes become values."""
    trace, span = script.new_id(32), script.new_id()
    script.span(
        trace=trace,
        span=span,
        kind="retriever",
        conversation="c",
        parts={
            "documents": [{"id": 1, "page_content": {"a": 1}, "source": ["kb"], "score": True}, 5],
            "error": "it broke",
            "evaluations": [
                {"name": "a", "value": "good", "label": 3},
                {"value": 1},
                {"name": "b", "value": 0.5},
                "c",
            ],
        },
    )
    store.refresh()
    (found,) = store.conversation("c").spans
    assert found.documents == (Document("1", '{"a":1}', None, '["kb"]'), Document(None, "5"))
    assert found.fault == Fault("", "it broke")
    assert found.evaluations == (Evaluation("a", None, "3"), Evaluation("b", 0.5))
