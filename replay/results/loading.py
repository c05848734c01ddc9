"""Reads runs and their reports back from a store.

The rules:

1. A report is made of the store alone: the manifest says which cases there are, the agent spans how each ended, and
   the diffs are computed when they are read.
2. Every case of the manifest is in the report; one that has not run yet counts as not done, and is left out of the classes.
3. Without a baseline target the recorded turns are the baseline. A baseline that could not be served makes its case
   `no-recording`; one that behaves as unlike itself as the candidate does, `unstable`.
4. A case whose agent fails as it did in the baseline is compared like any other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.values import Turn
from replay.diff import CLASSES, CaseClass, CaseStatus, Diff, compare
from replay.diff.compare import Forgiven
from replay.diff.noise import with_noise
from replay.matching.rules import rules_from_json
from replay.results import comparisons
from replay.results.report import CaseResult, Report, RunStatus, RunSummary
from replay.results.sides import label_of, sides_of, unreached
from replay.results.trials import CaseTrials, Trial, case_trials
from replay.running.runs import ends, is_under_way, load_manifest, manifests, stopped_by, stops

if TYPE_CHECKING:
    from auditlog.store import Store

_UNSERVED: tuple[CaseStatus, ...] = ("diverged", "blocked", "unreplayable", "invalid")


def load_runs(store: Store) -> list[RunSummary]:
    """Give every run of a store, newest first."""
    known = _Known(ends(store), stops(store), _done(store))
    return [_summary(manifest, known) for manifest in manifests(store)]


def summary_of(store: Store, run_id: str) -> RunSummary:
    """Give one run.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    return _summary(load_manifest(store, run_id), _Known(ends(store), stops(store), _done(store)))


def load_report(store: Store, run_id: str) -> Report:
    """Give everything that a run found.

    Args:
        store: where it is.
        run_id: its id, an unambiguous beginning of it, or `last`.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    manifest = load_manifest(store, run_id)
    summary = _summary(manifest, _Known(ends(store), stops(store), _done(store)))
    if manifest["kind"] == "compare":
        return comparisons.report(store, manifest, summary)
    results = tuple(case_results(store, manifest))
    counted = replace(summary, classes=_counted(result.diff for result in results))
    return Report(counted, results, unreached=unreached(store, manifest))


def case_results(store: Store, manifest: Mapping[str, Any]) -> Iterator[CaseResult]:
    """Give a run's finished cases in the order of its manifest, reading some at a time."""
    rules = rules_from_json(manifest.get("matching"))
    forgiven = rules.compared if rules.rules else None
    for tried in case_trials(store, manifest):
        found = _result(tried, manifest, forgiven)
        if found is not None:
            yield found


def _result(tried: CaseTrials, manifest: Mapping[str, Any], forgiven: Forgiven | None) -> CaseResult | None:
    case, source = tried.case, tried.recorded
    again = _turn(tried.first("baseline_2"))
    tried_candidate, rerun = tried.first("candidate"), _turn(tried.first("baseline"))
    if tried_candidate is None or (manifest["baseline"] is not None and rerun is None):
        return None
    candidate, status = tried_candidate.turn, tried_candidate.status
    baseline = rerun if manifest["baseline"] is not None else source
    diff = _compared(baseline, candidate, status, forgiven)
    noise = None
    if rerun is not None and again is not None:
        noise = _compared(rerun, again, _status(again), forgiven)
        diff = with_noise(diff, noise)
    said = source or candidate
    return CaseResult(
        case_id=case.case_id,
        conversation_id=case.conversation_id,
        turn_index=case.turn_index,
        user_text=said.user_text,
        recorded=() if source is None else (source,),
        baseline=() if baseline is None else (baseline,),
        candidate=(candidate,),
        status=status,
        why=tried_candidate.why,
        diff=diff,
        noise=noise,
    )


def _compared(before: Turn | None, after: Turn, status: CaseStatus, forgiven: Forgiven | None) -> Diff:
    if before is None:
        return compare((), (after,), "unreplayable")
    if before.agent.replay is not None and _status(before) in _UNSERVED:
        # What the baseline could not do either says nothing about the candidate.
        return replace(compare((before,), (after,), status, forgiven), case_class="no-recording")
    if status == "errored" and _same_fault(before, after):
        status = "complete"
    return compare((before,), (after,), status, forgiven)


def _same_fault(before: Turn, after: Turn) -> bool:
    old, new = before.agent.fault, after.agent.fault
    return old is not None and new is not None and (old.type, old.message) == (new.type, new.message)


def _status(turn: Turn) -> CaseStatus:
    status: Any = turn.agent.replay.status if turn.agent.replay is not None else None
    return status or "complete"


def _turn(trial: Trial | None) -> Turn | None:
    return None if trial is None else trial.turn


def _done(store: Store) -> Mapping[str, Counter[tuple[str, int]]]:
    """Count the cases of each run and arm by how many of their repeats are finished."""
    table = store.query(
        "SELECT run, arm, repeats, count(*) AS n FROM ("
        "SELECT replay_run_id AS run, replay_arm AS arm, count(DISTINCT coalesce(replay_repeat, 0)) AS repeats "
        "FROM all_spans WHERE replay_status IS NOT NULL AND kind = 'agent' "
        "GROUP BY replay_run_id, replay_arm, replay_source_span_id) GROUP BY ALL"
    )
    counts: defaultdict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for row in table.to_pylist():
        counts[row["run"]][row["arm"], row["repeats"]] = row["n"]
    return counts


class _Known(NamedTuple):
    """What a store says of its runs beside their manifests."""

    ends: Mapping[str, Mapping[str, Any]]
    stops: Mapping[str, list[Mapping[str, Any]]]
    done: Mapping[str, Counter[tuple[str, int]]]


def _summary(manifest: Mapping[str, Any], known: _Known) -> RunSummary:
    run_id = str(manifest["run_id"])
    end = known.ends.get(run_id)
    status: RunStatus = "interrupted"
    if end is not None:
        status = "complete"
    elif is_under_way(manifest):
        status = "running"
    elif stopped_by(manifest, known.stops.get(run_id, ())) is not None:
        status = "budget"
    baseline = manifest["baseline"]
    repeats = int(manifest.get("repeats") or 1)
    # A case is done when it is, with all its repeats, in every arm that it is compared in.
    arms: Counter[str] = Counter()
    for (arm, times), count in known.done.get(run_id, {}).items():
        arms[arm] += count if times >= repeats else 0
    finished = min(arms["candidate"], arms["candidate" if baseline is None else "baseline"])
    return RunSummary(
        run_id=run_id,
        created=datetime.fromisoformat(manifest["created"]),
        kind=manifest["kind"],
        candidate=label_of(manifest["candidate"]),
        baseline="the recording" if baseline is None else label_of(baseline),
        where=str(manifest.get("where") or ""),
        cases=len(manifest["cases"]),
        done=len(manifest["cases"]) if end is not None else min(finished, len(manifest["cases"])),
        status=status,
        classes=_in_order((end or {}).get("classes") or {}),
        repeats=repeats,
        sides=sides_of(manifest),
    )


def _counted(diffs: Iterable[Diff]) -> dict[CaseClass, int]:
    return _in_order(Counter(diff.case_class for diff in diffs))


def _in_order(counts: Mapping[CaseClass, int]) -> dict[CaseClass, int]:
    return {name: counts[name] for name in CLASSES if counts.get(name)}
