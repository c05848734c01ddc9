"""A report as JSON."""

import json as reader
from dataclasses import replace

from auditlog.values import Conversation, Evaluation, Turn
from replay.render.json import json


def test_the_object_names_its_format_and_counts(mixed):
    """Version, counts, noise and groups are at the top."""
    found = reader.loads(json(mixed))
    assert (found["format"], found["version"]) == ("auditlog-replay-report", 1)
    assert found["counts"] == {
        "cases": 8,
        "different": 4,
        "unstable": 1,
        "not_compared": 1,
        "same": 2,
        "not_done": 0,
    }
    assert (found["noise"]["sampled"], found["noise"]["noise_differently"]) == (3, 1)
    assert {"group": "arguments refund /amount", "cases": ["c4", "c5"]} in found["groups"]


def test_every_case_has_its_steps_and_changes(mixed):
    """What a screen shows can be read from the object."""
    case = reader.loads(json(mixed))["cases"][3]
    assert (case["case_id"], case["case_class"], case["differs"]) == ("c4", "arguments", True)
    assert case["steps"][0]["changes"] == [{"path": "/amount", "op": "replace", "before": 40, "after": 400}]
    assert case["findings"][0]["kind"] == "changed money"


def test_an_evaluation_says_improved_and_regressed(make):
    """Those names are the format's."""

    def side(name, rewards):
        for number, reward in enumerate(rewards):
            agent = replace(
                make.turn().agent, evaluations=(Evaluation("reward", reward),), tags={"task_id": str(number)}
            )
            yield Conversation(f"{name}-{number}", (Turn(agent, (agent,)),))

    compared = make.compare(side("base", [0, 1, 1]), side("cand", [1, 0, 1]))
    report = make.report(kind="compare", evaluations=compared.evaluations, totals=compared.totals)
    [row] = reader.loads(json(report))["evaluations"]
    assert (row["name"], row["improved"], row["regressed"], row["unchanged"]) == ("reward", 1, 1, 1)
    assert row["baseline_mean"] == row["candidate_mean"] == 2 / 3


def test_hostile_text_is_ascii_and_comes_back(hostile, make):
    """Every character is an escape in the text, and itself again for who parses it."""
    written = json(hostile)
    assert written.isascii()
    assert "\x1b" not in written
    assert reader.loads(written)["run"]["candidate"] == make.hostile


def test_what_json_does_not_have_is_null_and_what_is_too_deep_says_so(make):
    """NaN, and nesting without end."""
    deep = 1
    for _ in range(5000):
        deep = [deep]
    report = make.report(
        make.case(1, make.turn(("a", {"x": 1})), make.turn(("a", {"x": float("nan"), "y": deep})))
    )
    found = reader.loads(json(report), parse_constant=lambda name: 1 / 0)
    assert found["cases"][0]["steps"][0]["after"]["arguments"]["x"] is None
    assert "nested deeper" in json(report)
