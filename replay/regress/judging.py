"""Which regression cases passed, failed, or are unstable: what the gate asks.

The rules:

1. An execution fails where an expectation of its case is not met, where the agent failed as the recorded one did not, and where
   something tried to leave the sandbox. It passes where every expectation that says anything says 1.
2. What could not be judged is `unjudged`, and neither passed nor failed: a case that did not run, whose recording was erased, or
   that the recording could not serve to its end.
3. A case fails where an execution of the candidate fails. Where executions of the version in production fail it, too, it is
   `unstable`, and does not fail alone; known are those of this run's baseline: of this run and of earlier ones, as long as
   the case is the same. Where this run's baseline passes it every time and the candidate fails it every time, it fails where
   that is more often than its known rate explains (p < 0.05), and else ran too seldom to tell: it is unjudged.
4. Many unstable cases may fail together: where they fail more often than their known rates explain (exact, one-sided, p < 0.05),
   the set fails.
5. Of a sealed case the outcome is given, and nothing of why.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from auditlog.values import Json
from replay.regress.expectations import to_json
from replay.regress.keeping import RegressionCase, RegressionSet, load_set
from replay.regress.scorers import SCORERS, expected_of
from replay.results.trials import case_trials
from replay.running.records import own_records
from replay.running.runs import load_manifest, manifests
from replay.scorers.model import Score, Subject
from replay.scorers.subjects import subjects_of

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.scorers.subjects import Expectations as Expected

RESULT = "regress_result"
"""The name of the records that keep how often each case passed in each arm."""

Outcome = Literal["passed", "failed", "unjudged"]
CaseStatus = Literal["passed", "failed", "unstable", "unjudged"]
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]

_ALPHA = 0.05
_BASELINES = ("baseline", "baseline_2")


class Judged(NamedTuple):
    """One execution of a case."""

    outcome: Outcome
    level: str = ""
    """`hard` or `primary`: the worst level of what is not met."""
    why: str = ""
    evidence: tuple[str, ...] = ()


class Tally(NamedTuple):
    """How executions of a case came out."""

    passed: int = 0
    failed: int = 0
    unjudged: int = 0

    @property
    def judged(self) -> int:
        """Those that passed or failed."""
        return self.passed + self.failed

    def plus(self, outcome: Outcome) -> Tally:
        """Count one more."""
        return self._replace(**{outcome: getattr(self, outcome) + 1})


NONE = Tally()


@dataclass(frozen=True, slots=True)
class CaseVerdict:
    """What became of one case of the set."""

    case: RegressionCase
    status: CaseStatus
    candidate: Tally = NONE
    known: Tally = NONE
    """The same of this run's baseline: of this run, and of earlier ones with the same case and the same baseline."""
    level: str = ""
    """`hard` or `primary`: the worst level of what is not met; empty where nothing is."""
    why: str = ""
    """The first thing that is not met; empty for a sealed case."""
    evidence: tuple[str, ...] = ()
    """Ids of the spans that show it."""

    @property
    def flake_rate(self) -> float | None:
        """How often the version in production fails it; None where nobody knows."""
        return self.known.failed / self.known.judged if self.known.judged else None


@dataclass(frozen=True, slots=True)
class RegressionResults:
    """What a run says of the regression set."""

    run_id: str
    version: int
    """The set's."""
    digest: str
    """The set's."""
    cases: tuple[CaseVerdict, ...]
    """Every case of the set, in its order."""
    excess_p: float | None = None
    """How likely the unstable cases fail this often by their known rates; None where none is unstable."""
    erased: int = 0
    """Changes of the set of which something was erased."""
    counts: Mapping[CaseStatus, int] = field(init=False)

    def __post_init__(self) -> None:
        """Count."""
        object.__setattr__(self, "counts", Counter(case.status for case in self.cases))

    def of(self, status: CaseStatus) -> tuple[CaseVerdict, ...]:
        """Give the cases of one status."""
        return tuple(case for case in self.cases if case.status == status)

    @property
    def unstable_too_often(self) -> bool:
        """Whether the unstable cases fail more often than chance explains."""
        return self.excess_p is not None and self.excess_p < _ALPHA

    @property
    def verdict(self) -> Verdict:
        """`FAIL` where a case fails; `INCONCLUSIVE` where one is unjudged, or there is none; else `PASS`."""
        if self.counts.get("failed") or self.unstable_too_often:
            return "FAIL"
        return "INCONCLUSIVE" if self.counts.get("unjudged") or not self.cases else "PASS"


def results_of(
    store: Store, run_id: str, *, unseal: bool = False, production: str | None = None
) -> RegressionResults:
    """Say which cases of the regression set passed, failed or are unstable in a run.

    Args:
        store: where the run and the set are.
        run_id: any replay's id, an unambiguous beginning of it, or `last`; what of the set it did not run is unjudged.
        unseal: say of sealed cases, too, why they failed.
        production: the digest of the version whose failures excuse a case; the run's baseline where it is not given.

    Raises:
        NotFoundError: there is no such run.
    """
    manifest = load_manifest(store, run_id)
    known_set = load_set(store)
    tallies, first = _judged_cases(store, manifest, known_set)
    excusing = production or _baseline(manifest)
    arms = _BASELINES if excusing == _baseline(manifest) else ()
    earlier = _earlier(store, str(manifest["run_id"]), excusing)
    verdicts = []
    for case in known_set.cases:
        own = tallies.get(case.case_id, {})
        beside = _sum([NONE, *(own.get(arm, NONE) for arm in arms)])
        known = _sum([beside, earlier.get((case.case_id, case.digest), NONE)])
        found = _verdict(case, own.get("candidate", NONE), beside, known, first.get(case.case_id))
        verdicts.append(found if unseal or not case.sealed else replace(found, why="", evidence=()))
    return RegressionResults(
        run_id=str(manifest["run_id"]),
        version=known_set.version,
        digest=known_set.digest,
        cases=tuple(verdicts),
        excess_p=_excess(verdict for verdict in verdicts if verdict.status == "unstable" or _flaky(verdict)),
        erased=known_set.erased,
    )


def judge(subject: Subject) -> Judged:
    """Judge one execution by the expectations in it."""
    if subject.status == "invalid":
        return Judged("failed", "hard", "Something tried to leave the sandbox.", (subject.run.turn_id,))
    if subject.status == "errored" and not _failed_before(subject):
        fault = subject.run.agent.fault
        return Judged(
            "failed",
            "primary",
            f"The agent failed: {fault.type if fault else 'error'}.",
            (subject.run.turn_id,),
        )
    said = [(scorer, scorer.score(subject)) for scorer in SCORERS]
    for scorer, score in said:
        if score.value is not None and score.value < 1:
            return Judged("failed", scorer.level, score.explanation, score.evidence)
    if any(score.value is None and not _silent(score) for _, score in said):
        return Judged("unjudged", why=f"The case ended as {subject.status} before it could be judged.")
    return Judged("passed")


def expected_by_span(known_set: RegressionSet, rules: Json) -> Expected:
    """Give the set's expectations as scorers take them, by the recorded agent span's id."""
    return {case.span_id: expected_of(to_json(case.expected), rules) for case in known_set.cases}


def content_of(results: RegressionResults, tallies: Mapping[str, Mapping[str, Tally]]) -> dict[str, Json]:
    """Give what the store keeps of a run's results: counts by case and arm, and nothing of what was said."""
    digests = {verdict.case.case_id: verdict.case.digest for verdict in results.cases}
    return {
        "version": results.version,
        "digest": results.digest,
        "verdict": results.verdict,
        "cases": [
            [case_id, digests[case_id], arm, *tally]
            for case_id, arms in tallies.items()
            for arm, tally in sorted(arms.items())
        ],
    }


def tallies_of(store: Store, run_id: str) -> dict[str, dict[str, Tally]]:
    """Give how a run's executions came out, by case id and arm."""
    return _judged_cases(store, load_manifest(store, run_id), load_set(store))[0]


def _judged_cases(
    store: Store, manifest: Mapping[str, Any], known_set: RegressionSet
) -> tuple[dict[str, dict[str, Tally]], dict[str, Judged]]:
    by_span = {case.span_id: case for case in known_set.cases}
    expected = expected_by_span(known_set, manifest.get("matching"))
    tallies: dict[str, dict[str, Tally]] = defaultdict(dict)
    first: dict[str, Judged] = {}
    if manifest["kind"] == "compare":
        return tallies, first
    has_baseline = manifest.get("baseline") is not None
    listed = [case for case in manifest["cases"] if case[3] in by_span]
    for tried in case_trials(store, {**manifest, "cases": listed}):
        case = by_span[tried.case.span_id]
        for subject in subjects_of(tried, has_baseline=has_baseline, expectations=expected):
            found = judge(subject)
            arms = tallies[case.case_id]
            arms[subject.arm] = arms.get(subject.arm, NONE).plus(found.outcome)
            if subject.arm == "candidate" and _louder(found, first.get(case.case_id)):
                first[case.case_id] = found
    return tallies, first


def _louder(found: Judged, known: Judged | None) -> bool:
    order = {"failed": 0, "unjudged": 1, "passed": 2}
    return known is None or (order[found.outcome], found.level != "hard") < (
        order[known.outcome],
        known.level != "hard",
    )


def _verdict(
    case: RegressionCase, candidate: Tally, beside: Tally, known: Tally, first: Judged | None
) -> CaseVerdict:
    why, evidence, level = ("", (), "") if first is None else (first.why, first.evidence, first.level)
    status: CaseStatus
    if candidate.failed:
        always = not candidate.passed and beside.passed and not beside.failed
        status = "unstable" if known.failed and not always else "failed"
        if known.failed and always and _rate(known) ** candidate.judged >= _ALPHA:
            status, why = "unjudged", f"{why} It ran too seldom to tell: run it with --repeats 5."
        if known.failed:
            why = f"{why} The version in production fails it, too: {known.failed} of {known.judged} times.".strip()
    elif candidate.unjudged or not candidate.passed:
        status, why = "unjudged", why or "It did not run."
    else:
        status, why, level = "passed", "", ""
    return CaseVerdict(case, status, candidate, known, level, why, evidence)


def _flaky(verdict: CaseVerdict) -> bool:
    return verdict.known.failed > 0 and verdict.candidate.judged > 0


def _excess(unstable: Iterable[CaseVerdict]) -> float | None:
    """Give the chance that executions fail at least this often, each by its case's known rate (exact)."""
    chances = [1.0]
    observed = 0
    for verdict in unstable:
        rate = _rate(verdict.known)
        observed += verdict.candidate.failed
        for _ in range(verdict.candidate.judged):
            longer = [0.0, *(chance * rate for chance in chances)]
            for count, chance in enumerate(chances):
                longer[count] += chance * (1 - rate)
            chances = longer
    return None if len(chances) == 1 else min(1.0, sum(chances[observed:]))


def _rate(known: Tally) -> float:
    """Give how often a case is known to fail. What few executions say is no certainty: one more of each kind is taken as seen."""
    return (known.failed + 1) / (known.judged + 2)


def _earlier(store: Store, run_id: str, digest: str | None) -> dict[tuple[str, str], Tally]:
    """Give how a version came out as the baseline of other runs, by case id and the case's digest."""
    if digest is None:
        return {}
    same = {str(other["run_id"]) for other in manifests(store) if _baseline(other) == digest}
    return kept_tallies(store, same - {run_id}, _BASELINES)


def kept_tallies(
    store: Store, run_ids: Collection[str], arms: Collection[str]
) -> dict[tuple[str, str], Tally]:
    """Give what was kept of how cases came out in some runs, by case id and the case's digest.

    Args:
        store: where the runs are.
        run_ids: whole ids; one that was not judged by the set says nothing.
        arms: whose executions.
    """
    latest: dict[str, Any] = {}
    for span in own_records(store, RESULT):
        if span.replay is not None and span.replay.run_id in run_ids and isinstance(span.input, dict):
            # Of a run that was judged several times, the last counts.
            latest[span.replay.run_id] = span.input
    found: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for content in latest.values():
        for row in content.get("cases") or ():
            match row:
                case [
                    str(case_id),
                    str(digest),
                    str(arm),
                    int(passed),
                    int(failed),
                    int(unjudged),
                ] if arm in arms:
                    found[case_id, digest] = _sum([found[case_id, digest], Tally(passed, failed, unjudged)])
                case _:
                    pass
    return found


def _baseline(manifest: Mapping[str, Any]) -> str | None:
    """Give the digest of the version that a run compares with; None where that is the recording."""
    target = manifest.get("baseline")
    digest = target.get("digest") if isinstance(target, dict) else None
    return None if digest is None else str(digest)


def _sum(tallies: Iterable[Tally]) -> Tally:
    passed, failed, unjudged = (sum(counts) for counts in zip(*tallies, strict=True))
    return Tally(passed, failed, unjudged)


def _silent(score: Score) -> bool:
    """Whether a scorer had nothing to say because nothing of its kind is expected."""
    return score.label == "nothing expected"


def _failed_before(subject: Subject) -> bool:
    fault = subject.run.agent.fault
    before = subject.recorded.agent.fault if subject.recorded is not None else None
    return fault is not None and before is not None and fault.type == before.type
