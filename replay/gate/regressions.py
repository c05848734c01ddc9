"""Whether what has to go on going right goes right: the regression set, as part of the gate.

The rules:

1. Where the store holds a regression set, every case of it is judged, at every level. A case that fails fails the gate; one
   that nobody ran with this candidate is INCONCLUSIVE.
2. Cases are judged in the run itself, and in the newest complete run of the very same candidate that holds cases of the set, as
   `auditlog regress run` makes one. Failed in either is failed.
3. What is expected of a case is what scorers are given, too, in place of the recording.
4. Of a sealed case the outcome is told, and nothing of why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replay.gate.check import Check, Example
from replay.gate.wording import number
from replay.regress.judging import CaseVerdict, RegressionResults, expected_by_span, results_of
from replay.regress.keeping import RegressionSet, load_set
from replay.running.runs import ends, load_manifest, manifests

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.scorers.subjects import Expectations

_ORDER = ("failed", "unstable", "passed", "unjudged")
"""Which of a case's outcomes in two runs counts."""


def regression_set(store: Store) -> RegressionSet | None:
    """Give the store's regression set; None where there is none."""
    found = load_set(store)
    return found if found.cases else None


def expectations_of(known_set: RegressionSet | None, manifest: Mapping[str, Any]) -> Expectations | None:
    """Give what scorers are told of the cases."""
    return None if known_set is None else expected_by_span(known_set, manifest.get("matching"))


def regression_checks(
    store: Store, manifest: Mapping[str, Any], known_set: RegressionSet | None
) -> Iterator[Check]:
    """Judge the regression set.

    Args:
        store: where the set and the runs are.
        manifest: the judged run's.
        known_set: what `regression_set` gave.
    """
    if known_set is not None:
        spans = {case.span_id for case in known_set.cases}
        yield check_of([results_of(store, run_id) for run_id in _runs(store, manifest, spans)], known_set)


def check_of(results: Sequence[RegressionResults], known_set: RegressionSet) -> Check:
    """Make the check of what one or two runs say of the set.

    Args:
        results: of each run.
        known_set: the set.
    """
    found: dict[str, CaseVerdict] = {}
    for result in results:
        for verdict in result.cases:
            known = found.get(verdict.case.case_id)
            if known is None or _ORDER.index(verdict.status) < _ORDER.index(known.status):
                found[verdict.case.case_id] = verdict
    total = len(known_set.cases)
    by_status = {status: [one for one in found.values() if one.status == status] for status in _ORDER}
    failed, unstable, passed = by_status["failed"], by_status["unstable"], by_status["passed"]
    unjudged = total - len(failed) - len(unstable) - len(passed)
    figures = {
        "cases": total, "passed": len(passed), "failed": len(failed), "unstable": len(unstable), "unjudged": unjudged,
        "set_version": known_set.version, "set_digest": known_set.digest, "runs": [result.run_id for result in results],
    }  # fmt: skip
    title, cases = "regression set", number(total, "case")
    examples = tuple(map(_example, (*failed, *unstable)))[:10]
    often = next((result for result in results if result.unstable_too_often), None)
    if failed or often is not None:
        said = f"{len(failed):,} of {cases} of the set fail" if failed else "No case fails for certain"
        if often is not None:
            said += f"; the unstable ones fail more often than the version in production does (p = {often.excess_p:.2g})"
        return Check(
            "regress", "regress", title, "FAIL", f"{said}. `auditlog regress show` says what is expected of a case.",
            figures=figures, examples=examples, waivable=False,
        )  # fmt: skip
    if unjudged:
        return Check(
            "regress", "regress", title, "INCONCLUSIVE",
            f"{unjudged:,} of {cases} of the set were not judged with this candidate. "
            "`auditlog regress run` with the same --agent, or --candidate, and --baseline does.",
            figures=figures, examples=examples,
        )  # fmt: skip
    said = f"{len(passed):,} of {cases} of the set pass"
    said += (
        f"; {len(unstable):,} are unstable, as the version in production fails them, too" if unstable else ""
    )
    return Check(
        "regress", "regress", title, "PASS", f"{said}.", warning=bool(unstable), figures=figures, examples=examples
    )  # fmt: skip


def _example(verdict: CaseVerdict) -> Example:
    case = verdict.case
    where = "sealed" if case.sealed else f"{case.conversation_id} turn {case.turn_index + 1}"
    return Example(case.case_id, where, verdict.why or verdict.status)


def _runs(store: Store, manifest: Mapping[str, Any], spans: set[str]) -> list[str]:
    """Give the runs that say something of the set (rule 2)."""
    own = str(manifest["run_id"])
    found = [own] if _holds(manifest, spans) else []
    target = manifest.get("candidate")
    digest = target.get("digest") if isinstance(target, dict) else None
    complete = ends(store) if digest else {}
    for other in manifests(store) if digest else ():
        run_id, side = str(other["run_id"]), other.get("candidate")
        if (
            run_id == own
            or run_id not in complete
            or not isinstance(side, dict)
            or side.get("digest") != digest
        ):
            continue
        if other["kind"] == "replay" and _holds(load_manifest(store, run_id), spans):
            return [*found, run_id]
    return found


def _holds(manifest: Mapping[str, Any], spans: set[str]) -> bool:
    return any(case[3] in spans for case in manifest["cases"])
