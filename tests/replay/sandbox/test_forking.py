"""A fork serves what came before it exactly, and goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditlog.errors import NotFoundError
from replay.errors import RunError
from replay.running.fork_source import source_of
from replay.sandbox.modes import Modes

AGENTS = Path(__file__).parent.parent / "agents"
TALK = "say one; stock A; say two; stock C; say three"


def fork(store, run_desk, agent, at, **options):
    """Fork every turn of the first conversation; give its report."""
    source = source_of(store, "d0", turn=None, at=at)
    return run_desk(
        store,
        agent,
        Modes(prefix=at),
        kind="fork",
        turns=source.turns,
        where=source.where,
        fresh=True,
        **options,
    )


def steps(report):
    """Give the tiers of a lone case's calls, and whether each came before the fork."""
    (turn,) = report.cases[0].candidate
    calls = [span for span in turn.spans if span is not turn.agent]
    return [(s.replay.match_tier, s.attributes.get("auditlog.replay.before_fork", False)) for s in calls]


@pytest.mark.parametrize("at", [0, 1, 3, 5])
def test_the_first_calls_are_served_and_the_models_after_them_are_live(at, recorded_desk, run_desk):
    """Before the fork models say what they said then; after it they are asked."""
    report = fork(recorded_desk([TALK]), run_desk, "desk", at)
    (turn,) = report.cases[0].candidate
    said = [span.output for span in turn.of_kind("model")]
    live = ["one (recorded)", "two (recorded)", "three (recorded)"]
    for position, number in enumerate((0, 2, 4)):
        if number >= at:
            live[position] = live[position].replace("recorded", "live")
    assert ("complete", live) == (report.cases[0].status, said)
    assert [True] * at + [False] * (5 - at) == [before for _, before in steps(report)]


def test_another_prompt_is_tried_from_the_fork_on(recorded_desk, run_desk):
    """A model that is asked otherwise says before the fork what it said then, and is marked for it."""
    report = fork(recorded_desk([TALK]), run_desk, "prompted", 3)
    assert [("forked", True), ("exact", True), ("forked", True), ("exact", False), (None, False)] == steps(
        report
    )
    assert "complete" == report.cases[0].status


def test_straying_before_the_fork_ends_the_case(recorded_desk, run_desk):
    """A candidate that asks a tool for something else before the fork has no what-if."""
    report = fork(recorded_desk([TALK]), run_desk, "mistaken", 3)
    assert ("diverged", True) == (report.cases[0].status, "stock was not served" in report.cases[0].why)


def test_ending_before_the_fork_is_no_what_if(recorded_desk, run_desk):
    """A candidate that ends before the fork is diverged, and it is said how far it came."""
    report = fork(recorded_desk([TALK]), run_desk, "hurried", 3)
    assert ("diverged", "it ended before the fork, after 1 of the 3 calls that come before it") == (
        report.cases[0].status,
        report.cases[0].why,
    )


def test_a_write_before_the_fork_is_used_up(recorded_desk, run_desk):
    """What was written before the fork is not served a second time after it."""
    report = fork(recorded_desk(["order A; order A"]), run_desk, "desk", 1)
    assert [("exact", True), ("exact", False)] == steps(report)
    assert ["complete"] == [case.status for case in report.cases]


def test_a_turn_that_is_shorter_than_the_fork_is_unreplayable(recorded_desk, run_desk):
    """Of several turns those that have no such call are counted, and say so."""
    report = fork(recorded_desk([TALK, "say one"]), run_desk, "desk", 3)
    assert ["complete", "unreplayable"] == [case.status for case in report.cases]
    assert "the recorded turn holds 1 calls, and the fork comes after 3" == report.cases[1].why


def test_a_run_is_forked_with_its_own_cases_and_candidate(recorded_desk, run_desk):
    """Of a run the fork takes the cases and the agent that it tried."""
    store = recorded_desk([TALK], ["stock A"])
    run_desk(store, "desk", Modes(), where="conversation:d0")
    source = source_of(store, "last", turn=None, at=2, path=AGENTS)
    assert ("desk_agents:desk", 1) == (source.candidate.rpartition("/")[2], len(source.turns))


def test_what_is_no_source_is_said(recorded_desk):
    """A name that is neither, a turn that is not there and a call that is not there are errors that say what there is."""
    store = recorded_desk([TALK])
    with pytest.raises(NotFoundError, match="neither a run nor a conversation 'd9'"):
        source_of(store, "d9", turn=None, at=1)
    with pytest.raises(RunError, match="d0 has 1 turn, and no turn 2"):
        source_of(store, "d0", turn=2, at=1)
    with pytest.raises(RunError, match="There is no call 6 to go on after in d0: turn 1 holds 5"):
        source_of(store, "d0", turn=1, at=6)
