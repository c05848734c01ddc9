"""How a replay matched a call, and why it missed, as the diff and the screen of a case show it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from auditlog.values import Replay
from replay.diff import compare
from replay.matching.rules import parse_rules
from replay.render.json import report_object
from replay.render.text import case_text
from tui.render.diff import Arms, blocks

MISSED = {
    "auditlog.replay.miss_rule": "arguments differ",
    "auditlog.replay.miss_hint": "it differs only in case at /name: a normaliser would serve it (lower)",
    "auditlog.replay.nearest_span_id": "00000000000000aa",
    "auditlog.replay.difference": [
        {"op": "replace", "path": "/name", "value": "ADA"},
        {"op": "remove", "path": "/x"},
    ],
    "auditlog.replay.difference_size": 7,
}
SHOWN = [
    "miss: arguments differ; nearest is the recorded call 00000000000000aa",
    '· replace /name "ADA"',
    "· remove /x",
    "· … and 5 more",
    "it differs only in case at /name: a normaliser would serve it (lower)",
]


def matched(turn, tier, attributes):
    """Give a turn whose first tool call was matched in a certain way."""
    agent, call, *more = turn.spans
    replayed = replace(call, replay=Replay("run", "candidate", match_tier=tier), attributes=attributes)
    return replace(turn, spans=(agent, replayed, *more))


@pytest.fixture
def missed_case(make):
    """Give a case whose candidate asked for a name in capitals."""
    before = make.turn(("find", {"name": "Ada"}))
    after = matched(make.turn(("find", {"name": "ADA"}), answer=""), "miss", MISSED)
    return make.case(1, before, after, "diverged", why="find was not served")


def test_a_miss_is_explained_below_its_step(missed_case):
    """A case that is shown in full names the rule, the nearest recorded call, the patch and what would serve."""
    lines = [line.strip() for line in case_text(missed_case, width=120).splitlines()]
    at = lines.index(SHOWN[0])
    assert SHOWN == lines[at : at + len(SHOWN)]


@pytest.mark.parametrize("side", [False, True])
def test_the_screen_of_a_case_explains_a_miss(missed_case, side):
    """The terminal UI shows the same words, in one column and side by side."""
    drawn = [
        line.text
        for block in blocks(missed_case.diff, Arms("baseline", "candidate"), folded=False, side=side)
        for line in block.draw(200)
    ]
    shown = " ".join(" ".join(drawn).split())
    for said in SHOWN:
        assert said in shown


def test_the_json_of_a_case_holds_the_match(make, missed_case):
    """A program reads the patch as it was stored."""
    found = json.loads(json.dumps(report_object(make.report(missed_case))))
    step = found["cases"][0]["steps"][0]["after"]
    assert MISSED["auditlog.replay.difference"] == step["match"]["patch"]
    assert "arguments differ" == step["match"]["miss"]


def test_hostile_content_of_a_match_acts_on_no_terminal(make):
    """Whatever a foreign store says of a match is clipped to one line and made safe."""
    facts = {
        **MISSED,
        "auditlog.replay.miss_hint": make.hostile,
        "auditlog.replay.match_rules": [make.hostile],
    }
    after = matched(make.turn(("find", {"name": "ADA"})), "normalised", facts)
    text = case_text(make.case(1, make.turn(("find", {"name": "Ada"})), after), width=80)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_is_declared_to_be_no_difference_is_none_in_the_diff(make):
    """Under the rules of the run two calls are the same step; it shows what each arm said, and the rule that served it."""
    rules = parse_rules('[match.find]\nlower = ["/name"]')
    before = make.turn(("find", {"name": "Ada"}))
    facts = {"auditlog.replay.match_rules": ["lower /name"]}
    after = matched(make.turn(("find", {"name": "ADA"})), "normalised", facts)
    assert "arguments" == compare([before], [after]).case_class
    diff = compare([before], [after], "complete", rules.compared)
    step = diff.steps[0]
    assert ("identical", "same", ()) == (diff.case_class, step.op, step.changes)
    assert ({"name": "Ada"}, {"name": "ADA"}) == (step.before.arguments, step.after.arguments)
    assert "served under lower /name" in case_text(replace(make.case(1, before, after), diff=diff))
