"""What a run says was not held still: counted while it runs, and from its records; shown, and in its last record."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import replay
from replay.cli import replay as command
from replay.pinned.not_pinned import counted, from_json, not_pinned, to_json
from replay.running.runs import ends, load_manifest

AGENTS = Path(__file__).parent.parent / "agents"
MANIFEST = {"pinning": {"seed": "0", "freeze_time": False}}


def said(counts, manifest=MANIFEST):
    """Give what is said, by kind."""
    return {found.kind: found for found in not_pinned(manifest, Counter(counts))}


def test_a_run_says_what_was_not_pinned_in_its_last_record_and_when_it_is_shown(
    agents, store_of, model_server, tmp_path
):
    """Live models without a seed, a fingerprint that changed, places that read the environment: all of it, once each."""
    store = store_of(agents.served, url=model_server.url)
    model_server.fingerprint = "fp_2"
    plan = replay.plan(store, "pinned_agents:served", path=AGENTS, workers=1, hosts=[model_server.host])
    replay.run(store, plan)
    report = replay.load_report(store, plan.run_id)
    found = {(one.kind, one.what): one for one in report.not_pinned}
    assert 3 == found["model", "small"].count
    assert "fp_1 in the recording; fp_2 in the candidate" in found["fingerprint", "small"].text
    assert "was served by small-0611" in found["alias", "small"].text
    assert ("network", "httpx.AsyncClient") in found
    assert ("clock", "time.time") in found
    assert not [kind for kind, _ in found if kind in ("random", "value")]
    assert report.not_pinned == from_json(ends(store)[plan.run_id]["not_pinned"])
    manifest = load_manifest(store, plan.run_id)
    assert {"model"} == {key[0] for key in counted(store, plan.run_id)}
    shown = CliRunner().invoke(command, ["show", plan.run_id, "--store", str(tmp_path / "audit")])
    assert "small was asked 3 times without temperature 0 and without a seed" in " ".join(
        shown.stdout.split()
    )
    told = CliRunner().invoke(
        command, ["show", plan.run_id, "--store", str(tmp_path / "audit"), "--format", "json"]
    )
    assert json.loads(told.stdout)["not_pinned"] == json.loads(json.dumps(to_json(report.not_pinned)))
    assert manifest["pinning"]["candidate_reads"]


def test_a_frozen_clock_is_not_said_to_be_read():
    """What the run pins is left out; what it leaves alone is not."""
    reads = ["clock a.py:1 time.time", "random a.py:2 random.random", "secret a.py:3 secrets.token_hex"]
    pinned = {"pinning": {"seed": "0", "freeze_time": True, "candidate_reads": reads}}
    assert ["secret"] == list(said({}, pinned))
    loose = {
        "pinning": {
            "seed": "none",
            "freeze_time": False,
            "candidate_reads": reads,
            "baseline_reads": reads[:1],
        }
    }
    found = said({}, loose)
    assert ["clock", "random", "secret"] == list(found)
    assert (("baseline", "candidate"), 1) == (found["clock"].arms, found["clock"].count)


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ({"recording": "m-1", "candidate": "m-2"}, "m-1 in the recording; m-2 in the candidate"),
        ({"baseline": "m-1", "candidate": "m-2"}, "m-1 in the baseline; m-2 in the candidate"),
        ({"recording": "m-1", "candidate": "m-1"}, None),
        ({"candidate": ""}, None),
    ],
)
def test_another_model_behind_the_same_name_is_said(served, expected):
    """Between the arms, and between the recording and now."""
    found = said({("model", arm, "m", by, "", "fixed"): 1 for arm, by in served.items()})
    assert expected is None or expected in found["served model"].text
    assert ("served model" in found) == (expected is not None)


@pytest.mark.parametrize(
    ("name", "is_alias"),
    [
        ("gpt-4o", True),
        ("gpt-4o-2024-08-06", False),
        ("claude-sonnet-4-20250514", False),
        ("gpt-4-0613", False),
        ("", True),
    ],
)
def test_a_name_without_a_date_is_said_to_be_one(name, is_alias):
    """A name with a date is served by one model; one without by whichever there is."""
    assert is_alias == ("alias" in said({("model", "candidate", name, "", "", "fixed"): 1}))


def test_what_cases_asked_for_beyond_the_recording_is_counted_by_executions():
    """Fresh values, and those that stand in no turn, each with a sentence."""
    counts = {
        ("value", "candidate", "now"): 2,
        ("value", "candidate", "outside"): 1,
        ("value", "baseline", "random"): 3,
        ("tool", "candidate", "weather"): 4,
        ("model", "candidate", "m-2024-01-01", "", "", "fixed"): 9,
    }
    texts = [found.text for found in not_pinned(MANIFEST, counts)]
    assert [
        "The tool weather ran for real, 4 times: what it gave was the world's at that moment.",
        "More times were asked for than were recorded, in 2 executions: those were fresh.",
        "Times, ids or generators were asked for outside of the turn's context, in 1 execution: they were fresh.",
        "`random` was used, and not seeded, in 3 executions.",
    ] == texts


def test_a_last_record_of_another_form_says_nothing():
    """An older run's, or one that somebody wrote by hand."""
    assert () == from_json(None) == from_json([1, {"kind": "x"}, {"kind": "model", "what": 1}])
    assert () == not_pinned({}, {})
