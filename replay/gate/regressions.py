"""Whether what has to go on going right goes right: the regression set, as part of the gate.

The rules:

1. Where the store holds a regression set, every case of it is judged, at every level. A case that fails fails the gate; one
   that nobody ran with this candidate is INCONCLUSIVE.
2. Cases are judged in the run itself, and in the newest complete run of the very same candidate that holds cases of the set, as
   `auditlog regress run` makes one. Failed in either is failed. What failed in an earlier run of this candidate and passes in the
   newest one is flaky: INCONCLUSIVE, until a person signs. Running again until it passes shows nothing.
3. What is expected of a case is what scorers are given, too, in place of the recording.
4. Only the judged run's own baseline excuses a case that it fails, too, whatever the set was run beside.
5. Of a sealed case the outcome is told, and nothing of why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from replay.gate.check import Check, Example
from replay.gate.wording import number
from replay.regress.judging import (
    CaseVerdict,
    RegressionResults,
    expected_by_span,
    kept_tallies,
    results_of,
)
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
        runs, earlier = _runs(store, manifest, spans)
        results = [results_of(store, run_id, production=_digest(manifest, "baseline")) for run_id in runs]
        before = kept_tallies(store, earlier, ("candidate",))
        yield check_of(results, known_set, {at for at, tally in before.items() if tally.failed})


def check_of(
    results: Sequence[RegressionResults],
    known_set: RegressionSet,
    failed_before: Collection[tuple[str, str]] = (),
) -> Check:
    """Make the check of what one or two runs say of the set.

    Args:
        results: of each run.
        known_set: the set.
        failed_before: the ids and digests of cases that this candidate failed in an earlier run.
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
    flaky = [
        one for one in passed if (one.case.case_id, one.case.digest) in failed_before and not one.known.failed
    ]
    figures = {
        "cases": total, "passed": len(passed), "failed": len(failed), "unstable": len(unstable), "unjudged": unjudged,
        "flaky": len(flaky),
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
    if flaky:
        return Check(
            "regress", "regress", title, "INCONCLUSIVE",
            f"{len(flaky):,} of {cases} of the set pass, and failed in an earlier run of this candidate: flaky. A person signs "
            'for it with a [[waiver]] of check = "regress" for this run.',
            figures=figures, examples=tuple(map(_example, flaky))[:10],
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


def _runs(store: Store, manifest: Mapping[str, Any], spans: set[str]) -> tuple[list[str], list[str]]:
    """Give the runs that say something of the set (rule 2), and other complete ones of the same candidate."""
    own, digest = str(manifest["run_id"]), _digest(manifest, "candidate")
    found = [own] if _holds(manifest, spans) else []
    complete = ends(store) if digest else {}
    others = [
        str(other["run_id"])
        for other in (manifests(store) if digest else ())
        if other["kind"] == "replay"
        and other["run_id"] in complete
        and other["run_id"] != own
        and _digest(other, "candidate") == digest
    ]
    newest = next((run_id for run_id in others if _holds(load_manifest(store, run_id), spans)), None)
    if newest is not None:
        found.append(newest)
    return found, [run_id for run_id in others if run_id != newest]


def _digest(manifest: Mapping[str, Any], side: str) -> str | None:
    target = manifest.get(side)
    digest = target.get("digest") if isinstance(target, dict) else None
    return None if digest is None else str(digest)


def _holds(manifest: Mapping[str, Any], spans: set[str]) -> bool:
    return any(case[3] in spans for case in manifest["cases"])
