"""A case that runs several times in each arm."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import replay
from replay.render.text import text
from replay.results.trials import case_trials
from replay.running.run_plan import from_manifest
from replay.running.runs import load_manifest

AGENTS = Path(__file__).parent.parent / "agents"


def plan(store, **options):
    """Plan a run of two cases with a baseline."""
    return replay.plan(
        store,
        "shop_agents:v1",
        baseline="shop_agents:v1",
        path=AGENTS,
        workers=1,
        limit=2,
        sample=0.5,
        **options,
    )


def test_each_case_runs_so_often_in_each_arm(recorded):
    """Every repeat is an execution with a key and a conversation of its own, and the report shows the first."""
    planned = plan(recorded, repeats=3)
    assert planned.executions == 3 * 5
    ticks = []
    summary = replay.run(recorded, planned, progress=ticks.append)
    assert (summary.done, summary.repeats, ticks[-1].done, ticks[-1].total) == (2, 3, 15, 15)
    tried = list(case_trials(recorded, planned.manifest()))
    assert {("baseline", 3): 2, ("candidate", 3): 2, ("baseline_2", 3): 1} == Counter(
        (arm, len(case.of(arm)))
        for case in tried
        for arm in ("baseline", "candidate", "baseline_2")
        if case.of(arm)
    )
    assert {0, 1, 2} == {trial.repeat for trial in tried[0].trials}
    report = replay.load_report(recorded, summary.run_id)
    assert [0, 0] == [case.candidate[0].agent.replay.repeat for case in report.cases]
    assert "Each case runs 3 times in each arm" in text(report)


def test_a_case_is_done_when_all_its_repeats_are(recorded):
    """A run that was stopped between the repeats of its cases has none of them done."""
    planned = plan(recorded, repeats=2)

    def stop(progress):
        if progress.done >= 5:
            raise LookupError

    with pytest.raises(LookupError):
        replay.run(recorded, planned, progress=stop)
    recorded.refresh()
    (summary,) = replay.load_runs(recorded)
    assert (summary.status, summary.done < 2) == ("interrupted", True)
    resumed = plan(recorded, repeats=2)
    assert (resumed.run_id, resumed.repeats) == (planned.run_id, 2)
    assert replay.run(recorded, resumed).done == 2


def test_a_manifest_from_before_repeats_is_of_one(recorded):
    """A run that was written before there were repeats is read as one with one."""
    planned = plan(recorded)
    replay.run(recorded, planned)
    manifest = dict(load_manifest(recorded, planned.run_id))
    del manifest["repeats"]
    assert from_manifest(manifest).repeats == 1
    assert plan(recorded, fresh=True).config_digest == plan(recorded, repeats=1, fresh=True).config_digest
    assert plan(recorded, repeats=2).config_digest != planned.config_digest
