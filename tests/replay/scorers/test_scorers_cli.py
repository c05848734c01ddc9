"""`auditlog replay score`, `scorers` and `calibrate`, as a user types them."""

import json

import pytest
from click.testing import CliRunner

from auditlog.cli.exits import Exit
from auditlog.cli.main import main
from auditlog.store.access import accesses
from replay.cli.scoring import read_specs
from replay.errors import ScorerError
from replay.scorers.specs import ScorerSpec


@pytest.fixture
def run(run_store):
    """Run a command on the store with the finished run."""

    def invoke(*words):
        return CliRunner().invoke(main, [*map(str, words), "--store", str(run_store.path)])

    return invoke


def test_options_belong_to_the_scorer_that_they_name():
    """The longest name that fits is meant; JSON is read as JSON, anything else as a text."""
    found = read_specs(
        ["a.b:mine", "rate=call_rate"],
        ["a.b:mine.words=30", "rate.tool=look_up", "rate.most=2", "a.b:mine.list=[1, 2]"],
    )
    assert [
        ScorerSpec("a.b:mine", {"words": 30, "list": [1, 2]}),
        ScorerSpec("call_rate", {"tool": "look_up", "most": 2}, "rate"),
    ] == found
    with pytest.raises(ScorerError, match=r"SCORER\.KEY=VALUE"):
        read_specs(["completed"], ["other.x=1"])


def test_a_run_is_scored_shown_and_recorded(run, run_store):
    """The summary has a line a scorer; show, diff and JSON have the scores; the ledger knows who looked."""
    done = run(
        "replay",
        "score",
        "last",
        "--scorer",
        "no_forbidden_write",
        "--scorer",
        "completed",
        "--concurrency",
        1,
    )
    assert Exit.OK == done.exit_code, done.output
    first, second = done.stdout.splitlines()[:2]
    assert first.startswith("hard      no_forbidden_write: baseline 1.000 of 6")
    assert "candidate 0.833 of 6" in first
    assert second.startswith("primary   completed")
    assert "replay score" == list(accesses(run_store.layout))[-1].action
    assert first in run("replay", "show", "last").stdout
    report = json.loads(run("replay", "show", "last", "--format", "json").stdout)
    assert ["no_forbidden_write", "completed"] == [one["scorer"] for one in report["scores"]]
    bad = [
        (case["case_id"], score)
        for case in report["cases"]
        for score in case["scores"]
        if score["scorer"] == "no_forbidden_write" and score["value"] == 0
    ]
    ((case_id, score),) = bad
    assert "candidate" == score["arm"]
    shown = run("replay", "diff", "last", "--case", case_id).stdout
    assert "score! no_forbidden_write (hard)" in shown
    assert "candidate 0" in shown


def test_a_scorer_that_does_not_load_is_a_1(run):
    """The others are scored, the sentence says why, and the exit code tells a script."""
    done = run("replay", "score", "last", "--scorer", "completed", "--scorer", "completd", "--concurrency", 1)
    assert Exit.NO == done.exit_code
    assert "! completd: There is no scorer 'completd'. The nearest is 'completed'." in done.stdout
    assert "primary   completed" in done.stdout


def test_the_list_of_scorers_needs_no_store():
    """Ours are listed with level, options and what is good."""
    rows = json.loads(CliRunner().invoke(main, ["replay", "scorers", "--format", "json"]).stdout)
    by_name = {row["name"]: row for row in rows}
    assert "hard" == by_name["no_forbidden_write"]["level"]
    assert "required" == by_name["judge"]["options"]["rubric"]


def test_calibrating_needs_labels_or_a_sheet(run, tmp_path):
    """One of the two; a sheet is written, and the labels in it are compared."""
    assert 2 == run("replay", "calibrate", "last", "--scorer", "completed").exit_code
    run("replay", "score", "last", "--scorer", "completed", "--concurrency", 1)
    sheet = tmp_path / "labels.csv"
    done = run("replay", "calibrate", "last", "--scorer", "completed", "--sheet", sheet)
    assert Exit.OK == done.exit_code, done.output
    header, *rows = sheet.read_text().splitlines()
    assert "case_id,arm,repeat,label,customer,answer" == header
    filled = [row.replace(",0,,", ",0,yes,", 1) for row in rows]
    sheet.write_text("\n".join([header, *filled]) + "\n")
    done = run("replay", "calibrate", "last", sheet, "--scorer", "completed")
    assert Exit.NO == done.exit_code
    assert "The judge is secondary: calibrated on" in done.stdout
