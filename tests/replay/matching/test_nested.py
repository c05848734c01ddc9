"""Calls inside of calls: what was written inside is written once, and what was read before it is told from what came after."""

from __future__ import annotations

import pytest

from auditlog.values import Span, Turn
from replay.matching.cassette import Cassette, Hit, Miss
from replay.matching.recorded import from_json, recorded_calls, to_json
from replay.sandbox.fork import first_calls, split


def span(name, kind, start, parent="agent", span_id="", **more):
    return Span(
        trace_id="t", span_id=span_id or name, parent_span_id=parent, kind=kind, name=name, start_ns=start,
        end_ns=start, input={}, **more,
    )  # fmt: skip


def look(start, output):
    return span("look", "tool", start, span_id=f"look{start}", output=output, effect="read")


def turn(*spans):
    agent = span("agent", "agent", 0, None)
    return Turn(agent, (agent, *spans))


def settled(outer="tool", effect="write"):
    """Record a look, a call that refunds inside of it, and a look."""
    return turn(
        look(1, "before"),
        span("settle", outer, 2, effect=effect if outer == "tool" else None, output="done"),
        span("billing", "agent", 3, "settle"),
        span("refund", "tool", 4, "billing", output="paid", effect="write"),
        look(5, "after"),
    )


def cassette(recorded):
    return Cassette(from_json(to_json(recorded)))


def take(found, name, effect="write", kind="tool", **more):
    return found.take(kind, name, {}, effect=effect, **more)


@pytest.mark.parametrize("effect", ["write", "control"])
def test_what_was_written_inside_a_served_call_is_used_up_with_it(effect):
    """Whoever has the outer call answered has made the refund, and a second one is none that was recorded."""
    found = cassette(recorded_calls(settled(effect=effect)))
    assert isinstance(take(found, "settle", effect), Hit)
    refund = take(found, "refund")
    assert isinstance(refund, Miss)
    assert "used up" == refund.rule


def test_a_call_is_not_served_once_what_it_wrote_was_made_by_itself():
    """An agent that refunds directly may; the outer call would refund again."""
    found = cassette(recorded_calls(settled()))
    assert isinstance(take(found, "refund"), Hit)
    assert isinstance(take(found, "settle"), Miss)


def test_a_call_that_is_entered_makes_its_own_calls():
    """Where the outer body runs for real, what it calls is served."""
    found = cassette(recorded_calls(settled()))
    assert isinstance(take(found, "settle", entered=True), Hit)
    assert isinstance(take(found, "refund"), Hit)


@pytest.mark.parametrize(
    ("kind", "effect"), [("tool", "write"), ("tool", "control"), ("tool", "read"), ("model", None)]
)
def test_a_read_after_a_call_that_wrote_inside_gets_what_was_read_after_it(kind, effect):
    """Whatever the outer call is declared, what was read before it is not what is read after it."""
    found = cassette(recorded_calls(settled(kind, effect), models=True))
    assert isinstance(take(found, "settle", effect, kind), Hit)
    after = take(found, "look", "read")
    assert ("after", False) == (after.recorded.output, after.other_epoch)


def test_after_a_fork_what_was_read_before_a_write_of_before_it_says_so():
    """A candidate that asks after the fork what was asked before the write is served that, and it is marked."""
    recorded = turn(look(1, "before"), span("refund", "tool", 2, output="paid", effect="write"))
    _, after = split(recorded_calls(recorded), first_calls(recorded, 2))
    served = take(Cassette(after), "look", "read")
    assert ("before", True) == (served.recorded.output, served.other_epoch)


def test_after_a_fork_what_was_written_inside_a_call_of_before_it_is_used_up():
    """A refund that a call of before the fork made is not served after it."""
    recorded = settled()
    _, after = split(recorded_calls(recorded), first_calls(recorded, 2))
    found = Cassette(after)
    assert isinstance(take(found, "refund"), Miss)
    looked = take(found, "look", "read")
    assert ("after", False) == (looked.recorded.output, looked.other_epoch)
