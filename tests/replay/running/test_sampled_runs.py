"""Runs of a sample: what is frozen, what is gone on with, and what is said before it starts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import replay
from replay.cli.outlook import outlook
from replay.errors import RunError
from replay.running.cases import Case, cases_digest
from replay.running.run_plan import from_manifest
from replay.running.runs import load_manifest
from replay.running.sampling import EVERY_TURN, Sampling

AGENTS = Path(__file__).parent.parent / "agents"


def planned(store, **options):
    """Plan a run of `v1` against itself."""
    return replay.plan(
        store, "shop_agents:v1", baseline="shop_agents:v1", path=AGENTS, workers=1, sample=0.0, **options
    )


def test_a_sampled_run_keeps_its_cases_their_strata_and_their_weights(recorded):
    """The manifest holds the list with its digest, the run is of these cases alone, and it is read back as it was."""
    plan = planned(recorded, sampling=Sampling(4, ("tag.shop",)))
    manifest = json.loads(json.dumps(plan.manifest()))
    assert plan.cases == from_manifest(manifest).cases
    assert plan.sampling == from_manifest(manifest).sampling
    assert manifest["cases_digest"] == cases_digest(manifest["cases"])
    assert 6 == pytest.approx(sum(case.weight for case in plan.cases))
    assert {"tag.shop=yes"} == {case.stratum for case in plan.cases}
    # The turn that handed over and the one that crashed are in any sample.
    assert {1.0} < {case.weight for case in plan.cases}
    summary = replay.run(recorded, plan)
    assert ("complete", 4) == (summary.status, summary.cases)
    assert 6 == load_manifest(recorded, summary.run_id)["sampling"]["turns"]


def test_another_sample_is_another_run(recorded):
    """The size is part of what a run is: a sample goes on with no run of everything, nor of other strata."""
    digests = {
        planned(recorded, sampling=sampling).config_digest
        for sampling in (EVERY_TURN, Sampling(4), Sampling(4, ("had_write",)))
    }
    assert 3 == len(digests)


def test_a_sample_without_meaning_is_refused_before_a_worker_starts(recorded):
    """A size of none, and a key that no turn has, are no run."""
    with pytest.raises(RunError, match="at least one case"):
        planned(recorded, sampling=Sampling(0))
    with pytest.raises(RunError, match="None of the chosen turns has tag.tier"):
        planned(recorded, sampling=Sampling(3, ("tag.tier",)))


def plan_of(recorded, cases, **sampling):
    """Give a plan of that many cases of one conversation each, without running it."""
    made = tuple(Case(f"{i:016x}", f"c{i}", "t", f"{i:016x}", 0) for i in range(cases))
    return replace(planned(recorded), cases=made, sampling=Sampling(turns=cases, **sampling))


def test_before_a_run_its_power_and_costs_are_said(recorded):
    """The smallest change, the cases for three points in executions, and dollars; what is not known is not said."""
    plan = plan_of(recorded, 342, cost_usd=0.01)
    power, gate, cost = outlook(plan)
    assert (
        "342 cases at best find a change of 3 points four times in five if 5% of the cases flip by chance, "
        "of 5.48 points if 16.7% do; 3 points take 342 or 1,146 cases (684 or 2,292 executions)."
    ) == power
    assert (
        "At what a turn cost when it was recorded ($0.0100), this run costs about $6.84, and 3 points $6.84 or $22.92."
    ) == cost
    assert [power, gate] == list(outlook(replace(plan, sampling=replace(plan.sampling, cost_usd=None))))
    assert [] == list(outlook(replace(plan, baseline=None)))
    # Where some cases stand for a hundred turns and others for one, all are worth 91 of one weight.
    uneven = tuple(replace(case, weight=100.0 if i % 4 == 0 else 1.0) for i, case in enumerate(plan.cases))
    assert "342 cases at best find a change of 6.64 points" in next(
        iter(outlook(replace(plan, cases=uneven)))
    )


def test_before_a_run_is_said_whether_a_gate_can_judge_it(recorded):
    """A baseline that runs once cannot be judged; else the levels that the conversations are enough for are named."""
    plan = plan_of(recorded, 342, cost_usd=0.01)
    twice = replace(plan, cases=tuple(replace(case, sampled=True) for case in plan.cases))

    def said(one):
        return list(outlook(one))[1]

    assert (
        "A gate could not judge this run: it needs the baseline twice in every case. "
        "Run it with --second-baseline 1, or --repeats 2."
    ) == said(plan)
    assert (
        (
            "To a gate, 342 conversations are enough at best for level 2 (59) and level 3 (299), too few for level 4 (2,995)."
        )
        == said(twice)
        == said(replace(plan, repeats=2))
    )
    assert "too few for level 2 (59) and level 3 (299) and level 4" in said(
        replace(twice, cases=twice.cases[:10])
    )
    assert [] == [line for line in outlook(replace(twice, kind="control")) if "gate" in line]
