"""What is served, in which order, and how a miss explains itself."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from auditlog.values import Fault, Span, Turn
from replay.canonical import match_key
from replay.diff.model import PathChange
from replay.matching.cassette import Cassette, Hit, Miss, describe
from replay.matching.recorded import Handoff, Recorded, from_json, recorded_calls, to_json


def call(
    name="look", arguments=None, output=None, *, kind="tool", effect="read", epoch=0, span_id="", **more
):
    arguments = {"id": "A1"} if arguments is None else arguments
    return Recorded(
        span_id or f"{name}{output}", kind, name, arguments, match_key(kind, name, arguments), effect,
        output=output, epoch=epoch, **more,
    )  # fmt: skip


def taken(cassette, name="look", arguments=None, *, kind="tool", effect="read"):
    return cassette.take(kind, name, {"id": "A1"} if arguments is None else arguments, effect=effect)


def outputs(*hits):
    return [(hit.recorded.output, hit.tier) if isinstance(hit, Hit) else hit.rule for hit in hits]


def test_equal_reads_are_served_in_order_and_then_the_last_again():
    """Reads come in the order of the recording; when they are used up the latest is served again."""
    cassette = Cassette([call(output="first"), call(output="second")])
    served = [taken(cassette) for _ in range(4)]
    assert [("first", "exact"), ("second", "exact"), ("second", "reuse"), ("second", "reuse")] == outputs(
        *served
    )


def test_a_write_is_served_once():
    """A refund that was recorded once is answered once; the second is a miss that says so."""
    cassette = Cassette([call("refund", output="paid", effect="write")])
    first, second = taken(cassette, "refund", effect="write"), taken(cassette, "refund", effect="write")
    assert [("paid", "exact"), "used up"] == outputs(first, second)
    assert (
        second.explain("tool", "refund")
        == "the recorded call of tool refund was used already, and is served once"
    )


def test_an_undeclared_tool_and_a_handoff_are_served_once():
    """What nobody declared is a write, and a person is called once for each recorded time."""
    for effect in (None, "control"):
        cassette = Cassette([call("do", output="done", effect=effect)])
        assert [("done", "exact"), "used up"] == outputs(
            *(taken(cassette, "do", effect=effect) for _ in range(2))
        )


def test_a_read_after_a_write_gets_what_was_recorded_after_it():
    """Among equal reads those with as many writes before them come first, and are served again before older ones."""
    cassette = Cassette(
        [
            call(output="unpaid", epoch=0),
            call("refund", output="ok", effect="write", epoch=0),
            call(output="paid", epoch=1),
        ]
    )
    asked = taken(cassette, "refund", effect="write"), taken(cassette), taken(cassette)
    assert [("ok", "exact"), ("paid", "exact"), ("paid", "reuse")] == outputs(*asked)
    assert not any(hit.other_epoch for hit in asked)


def test_a_read_without_a_recording_of_its_epoch_says_so():
    """A read that was recorded before the write only is served from there, and is marked."""
    cassette = Cassette([call(output="unpaid"), call("refund", output="ok", effect="write")])
    taken(cassette, "refund", effect="write")
    assert taken(cassette).other_epoch


def test_a_miss_names_the_nearest_call_and_what_differs():
    """The nearest recorded call of the same tool explains a miss, and never answers it."""
    cassette = Cassette(
        [
            call("refund", {"id": "A1", "amount": 40, "why": "late"}, "x", span_id="near"),
            call("refund", {"id": "B2", "amount": 7, "why": "lost"}, "y", span_id="far"),
        ]
    )
    miss = taken(cassette, "refund", {"id": "A1", "amount": 400, "why": "late"})
    assert isinstance(miss, Miss)
    assert (miss.rule, miss.nearest.span_id) == ("arguments differ", "near")
    assert (
        miss.explain("tool", "refund") == "the nearest recorded call of tool refund differs: /amount 40 → 400"
    )


def test_a_tool_that_was_never_recorded_is_said_to_be():
    """A call without any counterpart says that there is none."""
    miss = taken(Cassette([call()]), "refund")
    assert (miss.rule, miss.nearest) == ("not recorded", None)
    assert miss.explain("tool", "refund") == "the recording holds no call of tool refund; it holds look"
    assert (
        taken(Cassette([]), "refund").explain("tool", "refund")
        == "the recording holds no call of tool refund"
    )


def test_arguments_that_were_lost_match_nothing():
    """An object without a JSON form equals nothing, not even the mark of another."""
    mark = {"id": {"$auditlog": "object", "type": "x.Y"}}
    assert taken(Cassette([call(arguments=mark)]), arguments=mark).rule == "arguments lost"


def test_a_changed_definition_is_told_and_still_matches():
    """A reworded docstring is no miss; that it changed is recorded."""
    cassette = Cassette([call(digest="old"), call(digest="old")])
    changed = cassette.take("tool", "look", {"id": "A1"}, effect="read", digest="new")
    same = cassette.take("tool", "look", {"id": "A1"}, effect="read", digest="old")
    assert [True, False] == [changed.definition_changed, same.definition_changed]


def test_changes_are_said_in_a_few_words():
    """A long list of differences is cut, and says how many there are more."""
    changes = [
        PathChange("/a", "replace", 1, 2),
        PathChange("/b", "add", after="x"),
        PathChange("", "remove", before=[1]),
        PathChange("/c", "remove", before=1),
    ]
    assert describe(changes) == '/a 1 → 2, /b added "x", / lacks [1], and 1 more'


NAMES = st.sampled_from(["a", "b"])
IDS = st.integers(0, 2)
CALLS = st.lists(st.tuples(NAMES, IDS, st.sampled_from(["read", "write"])), max_size=8)


@given(CALLS, st.lists(st.tuples(NAMES, IDS, st.sampled_from(["read", "write"])), max_size=12))
def test_only_equal_calls_are_served_and_writes_never_twice(recorded, asked):
    """Whatever is asked in whatever order: a hit has the very arguments, and no write answers twice."""
    cassette = Cassette(
        [call(n, {"id": i}, f"{p}", effect=e, span_id=str(p)) for p, (n, i, e) in enumerate(recorded)]
    )
    answered_writes = []
    for name, number, effect in asked:
        found = taken(cassette, name, {"id": number}, effect=effect)
        equal = [p for p, (n, i, _) in enumerate(recorded) if (n, i) == (name, number)]
        if isinstance(found, Hit):
            assert (found.recorded.name, found.recorded.arguments) == (name, {"id": number})
            if effect == "write":
                answered_writes.append(found.recorded.span_id)
        else:
            assert effect == "write" or not equal
    assert len(answered_writes) == len(set(answered_writes))


@given(CALLS)
def test_the_recording_itself_is_served_whole_and_in_order(recorded):
    """An agent that makes the recorded calls again gets the recorded answers, each its own."""
    epoch, calls = 0, []
    for position, (name, number, effect) in enumerate(recorded):
        calls.append(call(name, {"id": number}, position, effect=effect, epoch=epoch, span_id=str(position)))
        epoch += effect == "write"
    cassette = Cassette(calls)
    served = [taken(cassette, name, {"id": number}, effect=effect) for name, number, effect in recorded]
    assert [(position, "exact") for position in range(len(recorded))] == outputs(*served)
    assert not any(hit.other_epoch for hit in served)


def span(name, kind, start, parent="agent", **more):
    return Span(
        trace_id="t", span_id=name, parent_span_id=parent, kind=kind, name=name, start_ns=start, **more
    )


def test_a_turns_calls_are_read_with_their_epochs_and_handoffs():
    """Writes before a call are counted, inner ones not; a hand-off inside a tool belongs to the tool."""
    agent = span("agent", "agent", 0, None, input={}, output="bye")
    turn = Turn(
        agent,
        (
            agent,
            span("pay", "tool", 1, input={}, output=1, effect="write"),
            span("inner", "tool", 2, "pay", input={}, output=1),
            span("call_person", "tool", 3, input={}, output=1, effect="control"),
            span("desk", "handoff", 4, "call_person", escalation_reason="angry", escalation_to="desk"),
            span("think", "model", 5, input={}, output="x"),
            span("find", "retriever", 6, input={}, output=[]),
        ),
    )
    assert [("pay", 0), ("inner", 1), ("call_person", 1), ("find", 1)] == [
        (recorded.name, recorded.epoch) for recorded in recorded_calls(turn)
    ]
    assert recorded_calls(turn)[2].handoffs == (Handoff("desk", "angry", "desk"),)
    assert "think" in {recorded.name for recorded in recorded_calls(turn, models=True)}


def test_recorded_calls_survive_the_way_to_a_worker():
    """What goes to a worker as JSON is what arrives."""
    calls = (
        call(fault=Fault("KeyError", "'x'"), facts={"auditlog.cost_usd": 0.1}, handoffs=(Handoff("d", "r"),)),
        call("m", output={"x": [1]}, kind="model", effect=None, lossy=True, ended=False),
    )
    assert calls == from_json(to_json(calls))


def test_why_a_result_cannot_be_served_is_known():
    """A call without an end, and a result that was not kept, answer nothing; a model's object does."""
    assert call(ended=False).unservable == "its end was never recorded"
    assert "could not be recorded" in call(lossy=True).unservable
    assert call(lossy=True, kind="model", output={"id": 1}).unservable is None
    assert replace(call(lossy=True), fault=Fault("E")).unservable is None
