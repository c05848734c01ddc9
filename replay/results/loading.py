"""Reads runs and their reports back from a store.

The rules:

1. A report is made of the store alone: the manifest says which cases there are, the agent spans how each ended.
2. How a case comes out is read where it was judged, and its turns when it is opened; a case that was not judged, or not by
   this version of the comparison, is compared when it is read.
3. Every case of the manifest is in the report; one that has not run yet counts as not done, and is left out of the classes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from replay.diff import CLASSES, CaseClass, Diff
from replay.pinned.not_pinned import of_run
from replay.results import comparisons
from replay.results.report import CaseResult, Report, RunStatus, RunSummary
from replay.results.sides import label_of, sides_of, unreached
from replay.results.stored import Opener, StoredCase, full_results
from replay.running.case_lists import case_count
from replay.running.cases import Case
from replay.running.judging import Judgement, executions_of, judgements, payload_of
from replay.running.runs import ends, is_under_way, load_manifest, manifests, stopped_by, stops

if TYPE_CHECKING:
    from auditlog.layout import Layout
    from auditlog.store import Store


def load_runs(store: Store) -> list[RunSummary]:
    """Give every run of a store, newest first."""
    known = _Known(ends(store), stops(store), _done(store), store.layout)
    return [_summary(manifest, known) for manifest in manifests(store)]


def summary_of(store: Store, run_id: str) -> RunSummary:
    """Give one run.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    return _summary(
        load_manifest(store, run_id), _Known(ends(store), stops(store), _done(store), store.layout)
    )


def summary_at_end(manifest: Mapping[str, Any], end: Mapping[str, Any]) -> RunSummary:
    """Give a run that is complete, without reading it back.

    Args:
        manifest: its manifest.
        end: what its last record says.
    """
    return _summary(manifest, _Known({manifest["run_id"]: end}, {}, {}, None))


def load_report(store: Store, run_id: str) -> Report:
    """Give everything that a run found.

    Args:
        store: where it is.
        run_id: its id, an unambiguous beginning of it, or `last`.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    manifest = load_manifest(store, run_id)
    summary = _summary(manifest, _Known(ends(store), stops(store), _done(store), store.layout))
    if manifest["kind"] == "compare":
        return comparisons.report(store, manifest, summary)
    results = tuple(case_results(store, manifest))
    counted = replace(summary, classes=_counted(result.diff for result in results))
    found = of_run(store, manifest, ends(store).get(str(manifest["run_id"])))
    return Report(counted, results, unreached=unreached(store, manifest), not_pinned=found)


def case_results(store: Store, manifest: Mapping[str, Any]) -> Iterator[CaseResult]:
    """Give a run's finished cases in the order of its manifest.

    A case that was judged is given as it was judged, and reads its turns when somebody looks at them; the others are compared
    here, some at a time.
    """
    known = judgements(store, manifest["run_id"])
    opener = Opener(store, manifest)
    for judged, cases in groupby(_cases(manifest), key=lambda case: case.span_id in known):
        if judged:
            yield from (StoredCase(case, known[case.span_id], opener) for case in cases)
        else:
            yield from full_results(store, manifest, list(cases))


def judge_rest(
    store: Store, manifest: Mapping[str, Any], append: Callable[[bytes], None]
) -> Counter[CaseClass]:
    """Judge the cases of a complete run that are not judged yet; give how many there are of each class.

    Args:
        store: where the run is.
        manifest: the run's.
        append: keeps a record.
    """
    known = judgements(store, manifest["run_id"])
    classes = Counter(judgement.diff.case_class for judgement in known.values())
    rest = [case for case in _cases(manifest) if case.span_id not in known]
    executions = executions_of(store, manifest["run_id"]) if rest else {}
    by_id = {case.case_id: case for case in rest}
    for result in full_results(store, manifest, rest):
        # An execution that was erased while the run ran has no result, and is not in the classes.
        case = by_id[result.case_id]
        source = result.recorded[0].agent if result.recorded else None
        kept = Judgement(
            case.span_id,
            executions[case.span_id],
            result.user_text,
            result.status,
            result.why,
            result.diff,
            result.noise,
        )
        user = {} if source is None or source.user_id is None else {"user.id": source.user_id}
        append(payload_of(manifest["run_id"], case, kept, user))
        classes[result.diff.case_class] += 1
    return classes


def _cases(manifest: Mapping[str, Any]) -> list[Case]:
    return [Case(*case) for case in manifest["cases"]]


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
    layout: Layout | None
    """None where a run is known to be over."""


def _summary(manifest: Mapping[str, Any], known: _Known) -> RunSummary:
    run_id = str(manifest["run_id"])
    end = known.ends.get(run_id)
    status: RunStatus = "interrupted"
    if end is not None:
        status = "complete"
    elif known.layout is not None and is_under_way(manifest, known.layout):
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
        cases=case_count(manifest),
        done=case_count(manifest) if end is not None else min(finished, case_count(manifest)),
        status=status,
        classes=_in_order((end or {}).get("classes") or {}),
        repeats=repeats,
        sides=sides_of(manifest),
    )


def _counted(diffs: Iterable[Diff]) -> dict[CaseClass, int]:
    return _in_order(Counter(diff.case_class for diff in diffs))


def _in_order(counts: Mapping[CaseClass, int]) -> dict[CaseClass, int]:
    return {name: counts[name] for name in CLASSES if counts.get(name)}
