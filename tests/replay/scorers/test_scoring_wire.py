"""What travels between a scoring process and its workers."""

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from auditlog.values import Document, Evaluation, Fault, Message, Part, Replay, Span, Turn, Usage
from replay.running.cases import Case
from replay.scorers import wire
from replay.scorers.model import Subject

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(values, st.text(max_size=20), st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_an_execution_comes_out_as_it_went_in(value, text, whole):
    """Every field of a turn and its spans survives the way to the worker, numbers beyond 64 bits and lone surrogates too."""
    text += "\ud800"
    message = Message("user", (Part("text", text), Part("tool_call", arguments=value)), "stop")
    extras = {
        "usage": Usage(1, 2),
        "finish_reasons": ("stop",),
        "input_messages": (message,),
        "documents": (Document("d", text, 0.5),),
        "fault": Fault("E", text),
        "evaluations": (Evaluation("reward", 1.0),),
        "replay": Replay("run", "candidate", match_tier="exact"),
        "tags": {"a": "b"},
        "attributes": {"x": value},
    }
    agent = Span(trace_id="a" * 32, span_id="b" * 16, kind="agent", input=value, output=text)
    other = Span(trace_id="a" * 32, span_id="c" * 16, kind="tool", **(extras if whole else {}))
    turn = Turn(agent, (agent, other), 3)
    subject = Subject(
        Case("c", "talk", "t", "s", 0), turn, reference=turn, history=(turn,), expected={"answer": value}
    )
    framed = wire.framed({"subject": wire.subject_json(subject)})
    (length,) = wire.LENGTH.unpack(framed[: wire.LENGTH.size])
    assert length == len(framed) - wire.LENGTH.size
    assert subject == wire.subject_of(wire.loaded(framed[wire.LENGTH.size :])["subject"])


def test_what_is_no_message_is_none():
    """Garbage, an array and deep nesting are no message."""
    for body in (b"", b"\xff", b"[]", b"[" * 100_000):
        assert wire.loaded(body) is None
