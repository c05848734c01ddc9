"""Which turns are cases, which are sampled, and what cannot be replayed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from auditlog.values import Span, Turn
from replay.running.cases import case_key, freeze, select, unreplayable

TURNS = st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=60).map(
    lambda numbers: [
        {
            "conversation_id": f"c{n}",
            "trace_id": f"{n:032x}",
            "span_id": f"{n:016x}",
            "turn_index": 0,
            "agent_name": "a",
        }
        for n in numbers
    ]
)


@given(TURNS, st.floats(0, 1))
def test_the_sample_is_at_least_its_share_and_does_not_depend_on_order(turns, share):
    """The second baseline runs the asked share of the cases, rounded up, and the same ones in any order."""
    cases = freeze(turns, "config", share)
    assert [turn["span_id"] for turn in turns] == [case.span_id for case in cases]
    assert math.ceil(share * len(turns)) == sum(case.sampled for case in cases)
    again = freeze(turns[::-1], "other config", share)
    assert {case.span_id for case in cases if case.sampled} == {
        case.span_id for case in again if case.sampled
    }


@given(
    st.sets(
        st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3), st.integers(0, 2)),
        max_size=8,
    )
)
def test_a_case_key_tells_executions_apart(executions):
    """Configuration, trace, turn, arm and repeat each make another execution."""
    keys = {case_key("config", *execution) for execution in executions}
    assert len(executions) == len(keys)
    assert case_key("other", "t", "s") != case_key("config", "t", "s")


def turn(**agent):
    """Make a recorded turn of an agent span."""
    fields = {"trace_id": "t", "span_id": "s", "kind": "agent", "input": {"q": "x"}, **agent}
    span = Span(**fields)
    return Turn(span, (span,))


def test_what_cannot_be_replayed_says_why():
    """A turn that is gone, erased, never ended, or without its arguments is unreplayable; a lossy answer is not."""
    assert unreplayable(turn()) is None
    assert "not in the store any more" in unreplayable(None)
    assert "never ended" in unreplayable(turn(status="incomplete"))
    assert "does not hold the arguments" in unreplayable(turn(input=None))
    assert "erased" in unreplayable(turn(erased=True))
    assert "lossy" in unreplayable(turn(lossy=True))
    assert "lossy" in unreplayable(turn(lossy=True, attributes={"auditlog.lossy_input": True}))
    assert unreplayable(turn(lossy=True, attributes={"auditlog.lossy_output": True})) is None


def test_only_the_outermost_agent_call_of_a_turn_is_a_case(script, store):
    """Each turn of a chosen conversation is one case, the oldest first, up to the limit."""
    for question in ("one", "two", "three"):
        script.turn("case-1", user=question)
    script.turn("case-2", user="four")
    store.refresh()
    chosen = select(store, "support-bot", where="conversation:case-1")
    assert [("case-1", 0), ("case-1", 1), ("case-1", 2)] == [
        (t["conversation_id"], t["turn_index"]) for t in chosen.turns
    ]
    assert 2 == len(select(store, "support-bot", limit=2).turns)


def test_a_renamed_agent_is_still_the_only_one(script, store):
    """Where all recorded turns are of one agent, they are replayed whatever the candidate is called."""
    script.turn("case-1", agent="old-name")
    store.refresh()
    assert 1 == len(select(store, "new-name").turns)
