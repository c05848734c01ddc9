"""Runs the regression set: a replay of its recorded turns, scored by what is expected of each.

The rules:

1. A run of the set is a replay like any other, of exactly the set's turns, and is read, resumed and shown like one.
2. When it is complete each expectation is a scorer, and what they say is appended to the run's scores.
3. How often each case passed in each arm is kept, without anything that was said: from it a case's flake rate is known later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from auditlog.errors import NotFoundError
from replay.regress.judging import (
    RESULT,
    RegressionResults,
    content_of,
    expected_by_span,
    results_of,
    tallies_of,
)
from replay.regress.keeping import load_set
from replay.regress.scorers import SCORERS
from replay.running.appending import keep
from replay.running.planning import plan
from replay.running.records import run_span
from replay.running.run_plan import RunPlan
from replay.running.runner import run
from replay.running.runs import load_manifest
from replay.scorers.scoring import score_run
from replay.scorers.specs import ScorerSpec

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.running.progress import Progress


def plan_set(store: Store, candidate: str, **options: Any) -> RunPlan:
    """Plan a replay of the regression set.

    Args:
        store: where the set is.
        candidate: what to try, as for `replay.plan`.
        options: those of `replay.plan`, but for what chooses turns. A baseline and repeats make flake rates known.

    Raises:
        NotFoundError: the set is empty.
        TargetError: the candidate cannot be imported or is no agent.
        RunError: the plan has no meaning.
    """
    known_set = load_set(store)
    if not known_set.cases:
        msg = "The regression set is empty. `auditlog regress add CONVERSATION` puts a recorded conversation into it."
        raise NotFoundError(msg)
    return plan(
        store, candidate, turns=frozenset(case.span_id for case in known_set.cases), fresh=True, **options
    )


def run_set(
    store: Store, planned: RunPlan, *, progress: Callable[[Progress], None] | None = None
) -> RegressionResults | None:
    """Run a plan of the set to its end, and judge it.

    Args:
        store: where the set is, and where the results go.
        planned: what `plan_set` gave.
        progress: called after each execution.

    Returns:
        What became of each case; None where the run was interrupted, which `auditlog replay run --resume` goes on with.
    """
    summary = run(store, planned, progress=progress)
    return judged(store, summary.run_id) if summary.status == "complete" else None


def judged(store: Store, run_id: str) -> RegressionResults:
    """Judge a run by the regression set, and keep what came of it.

    Args:
        store: where the run and the set are.
        run_id: the run's id, a beginning of it, or `last`.

    Raises:
        NotFoundError: there is no such run.
        StoreError: the results cannot be written.
    """
    manifest = load_manifest(store, run_id)
    known_set = load_set(store)
    specs = [ScorerSpec(f"{scorer.function.__module__}:{scorer.name}") for scorer in SCORERS]
    score_run(
        store, manifest["run_id"], specs, expectations=expected_by_span(known_set, manifest.get("matching"))
    )
    results = results_of(store, manifest["run_id"])
    payload = run_span(RESULT, results.run_id, content_of(results, tallies_of(store, results.run_id)))
    keep(store, [payload], "The results")
    return results
