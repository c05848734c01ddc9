"""Whether the candidate is as good as the baseline: primary metrics, secondary ones, slices.

The rules:

1. A primary metric passes when its interval lies above −margin, fails when it lies below 0, and is INCONCLUSIVE else,
   with the number of cases that it would take. All of them must pass (intersection–union: no correction is due).
2. "Significant, but within the margin" passes with a warning.
3. What was not served to its end is judged twice, as if all of it had failed and as if all had passed; two answers are none.
4. Secondary metrics and slices are tested together for a fall (Benjamini–Hochberg). They warn; a slice that the policy
   named beforehand fails where its fall is shown and larger than the margin.
5. A case that a scorer failed on is unscored: reported, never 0, and INCONCLUSIVE above the policy's share.
6. Units are cases, clustered by conversation, over the mean of their repeats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from replay import stats
from replay.gate.check import Check, Outcome
from replay.gate.facts import CaseFacts
from replay.gate.metrics import AGREEMENT, pair_of
from replay.gate.policy import Policy
from replay.gate.wording import number, points, share

FEWEST_IN_SLICE = 30
_REPORTED = 0.5


class Measured(NamedTuple):
    """A metric over cases."""

    worst: list[float]
    """Candidate − baseline, case by case, what is unknown as failed."""
    best: list[float]
    clusters: list[str]
    weights: list[float]
    unknown: int
    baseline: float
    """The mean, what is unknown as failed."""
    candidate: float

    @property
    def n(self) -> int:
        """How many cases say something."""
        return len(self.worst)


def measure(metric: str, cases: Sequence[CaseFacts]) -> Measured:
    """Give a metric's differences over cases."""
    pairs = [(case, pair) for case in cases if (pair := pair_of(metric, case)) is not None]
    total = sum(case.weight for case, _ in pairs) or 1.0
    return Measured(
        [pair.candidate[0] - pair.baseline[0] for _, pair in pairs],
        [pair.candidate[1] - pair.baseline[1] for _, pair in pairs],
        [case.conversation_id for case, _ in pairs],
        [case.weight for case, _ in pairs],
        sum(1 for _, pair in pairs if not pair.known),
        sum(case.weight * pair.baseline[0] for case, pair in pairs) / total,
        sum(case.weight * pair.candidate[0] for case, pair in pairs) / total,
    )


def primary_checks(cases: Sequence[CaseFacts], policy: Policy) -> Iterator[Check]:
    """Judge each primary metric."""
    for metric in policy.primary:
        yield _primary(metric, cases, policy)
    for metric in dict.fromkeys((*policy.primary, *policy.hard)):
        if (unscored := _unscored(metric, cases, policy)) is not None:
            yield unscored


def _primary(metric: str, cases: Sequence[CaseFacts], policy: Policy) -> Check:
    check_id, margin = f"primary.{metric}", policy.margin_of(metric)
    found = measure(metric, cases)
    if found.n < 2:
        return Check(
            check_id, "primary", metric, "INCONCLUSIVE", _nothing(metric, found.n), gates=margin is not None,
            figures={"n": found.n},
        )  # fmt: skip
    # Where nothing is asked for, the figures alone count.
    asked = _REPORTED if margin is None else margin
    worst, best = (
        stats.noninferiority(d, asked, policy.alpha, clusters=found.clusters, weights=found.weights)
        for d in (found.worst, found.best)
    )
    interval = worst.interval
    figures = {
        "baseline": found.baseline,
        "candidate": found.candidate,
        "delta": interval.estimate,
        "low": interval.low,
        "high": interval.high,
        "method": interval.method,
        "n": found.n,
        "conversations": len(set(found.clusters)),
        "margin": margin,
        "alpha": policy.alpha,
        "p": worst.p,
        "required_n": worst.required_n,
        "unknown": found.unknown,
    }
    said = (
        f"{share(found.baseline)} → {share(found.candidate)}, Δ {points(interval.estimate)} "
        f"[{points(interval.low)}, {points(interval.high)}] over {number(found.n, 'case')} in "
        f"{number(len(set(found.clusters)), 'conversation')}"
    )
    if margin is None:
        return Check(
            check_id, "primary", metric, "PASS", f"{said}; reported only.", gates=False, figures=figures
        )
    outcome: Outcome = worst.verdict
    warning = worst.within_margin_but_significant
    if worst.verdict != best.verdict:
        outcome = "INCONCLUSIVE"
        ending = (
            f" {number(found.unknown, 'case')} of them not served to the end: as failures they give {worst.verdict}, "
            f"as passes {best.verdict}."
        )
    elif outcome == "INCONCLUSIVE":
        ending = f" Neither no worse than {points(-margin)} nor worse than 0 is shown; {_missing(worst.required_n, found.n)}."
    elif outcome == "PASS":
        ending = f" No worse than the margin of {points(-margin)}."
        ending += " The fall is shown, though it is within the margin." if warning else ""
    else:
        ending = " Worse than the baseline."
    return Check(
        check_id, "primary", metric, outcome, f"{said}.{ending}", warning=warning, figures=figures
    )  # fmt: skip


def _missing(required: int, n: int) -> str:
    return f"about {required:,} cases would, {max(0, required - n):,} more than there are"


def _nothing(metric: str, n: int) -> str:
    why = (
        "the baseline ran each case once, so there is no noise to compare with: run with `--second-baseline 1` or `--repeats 2`"
        if metric in AGREEMENT
        else "its scorer said nothing of the others, or a side did not run"
    )
    return f"{number(n, 'case')} can be compared: {why}."


def _unscored(metric: str, cases: Sequence[CaseFacts], policy: Policy) -> Check | None:
    failed = sum(1 for case in cases if any(metric in run.unscored for run in case.runs))
    if not failed:
        return None
    part = failed / len(cases)
    too_many = part > policy.most_unscored
    says = f"The scorer failed on {failed:,} of {number(len(cases), 'case')} ({share(part)}); they are unscored, and not 0."
    more = (
        f" The policy bears {share(policy.most_unscored)}: mend the scorer and score again."
        if too_many
        else ""
    )
    return Check(
        f"unscored.{metric}", "primary", f"{metric}, unscored", "INCONCLUSIVE" if too_many else "PASS", says + more,
        warning=True, figures={"unscored": failed, "share": part},
    )  # fmt: skip


class _Test(NamedTuple):
    check_id: str
    title: str
    metric: str
    found: Measured
    named: bool
    slice: bool


def secondary_checks(cases: Sequence[CaseFacts], policy: Policy) -> Iterator[Check]:
    """Judge secondary metrics and slices together (rule 4)."""
    tests = [
        _Test(f"secondary.{metric}", metric, metric, measure(metric, cases), named=False, slice=False)
        for metric in policy.secondary
    ]
    for name, named in _slices(cases, policy):
        tag, _, value = name.partition("=")
        inside = [case for case in cases if case.tags.get(tag) == value]
        tests += [
            _Test(
                f"slice.{name}.{metric}",
                f"{name}: {metric}",
                metric,
                measure(metric, inside),
                named,
                slice=True,
            )
            for metric in policy.primary
        ]
    enough = [test for test in tests if test.found.n >= 2]
    intervals = [
        stats.paired_interval(test.found.worst, test.found.clusters, test.found.weights, 1 - 2 * policy.alpha)
        for test in enough
    ]
    falls = [_fall_p(test.found, interval) for test, interval in zip(enough, intervals, strict=True)]
    shown = stats.benjamini_hochberg(falls, policy.q).rejected if enough else ()
    for test in tests:
        if test not in enough:
            if test.named or not test.slice:
                yield _too_few(test)
            continue
        at = enough.index(test)
        yield from _secondary(test, intervals[at], falls[at], shown[at], policy)


def _fall_p(found: Measured, interval: stats.Interval) -> float:
    """Give the one-sided p-value of no fall."""
    half = stats.paired_p(found.worst, found.clusters, found.weights) / 2
    return half if (interval.estimate or 0.0) < 0 else 1 - half


def _too_few(test: _Test) -> Check:
    return Check(
        test.check_id, "slice" if test.slice else "secondary", test.title, "INCONCLUSIVE",
        f"{number(test.found.n, 'case')} can be compared, which says nothing.", gates=test.named,
        figures={"n": test.found.n},
    )  # fmt: skip


def _secondary(
    test: _Test, interval: stats.Interval, p: float, shown: bool, policy: Policy
) -> Iterator[Check]:
    margin = policy.margin_of(test.metric) or 0.0
    estimate = interval.estimate or 0.0
    falls = shown and estimate < 0
    fails = falls and test.named and estimate < -margin
    if test.slice and not test.named and not falls:
        return
    said = (
        f"{share(test.found.baseline)} → {share(test.found.candidate)}, Δ {points(estimate)} "
        f"[{points(interval.low)}, {points(interval.high)}] over {number(test.found.n, 'case')}"
    )
    ending = f"; the fall is shown (q = {policy.q:g})." if falls else "; no fall is shown."
    if test.slice and not test.named:
        ending += " A slice that the policy did not name warns only."
    outcome: Outcome = "FAIL" if falls and (fails or not test.named) else "PASS"
    yield Check(
        test.check_id, "slice" if test.slice else "secondary", test.title, outcome, said + ending,
        gates=test.named, warning=falls,
        figures={
            "baseline": test.found.baseline, "candidate": test.found.candidate, "delta": estimate,
            "low": interval.low, "high": interval.high, "n": test.found.n, "p": p, "q": policy.q, "named": test.named,
        },
    )  # fmt: skip


def _slices(cases: Sequence[CaseFacts], policy: Policy) -> Iterator[tuple[str, bool]]:
    """Give the slices to look at, and whether the policy named them; a watched tag's values from 30 cases on."""
    yield from ((name, True) for name in policy.named_slices)
    for tag in policy.watched_tags:
        counts = Counter(case.tags[tag] for case in cases if tag in case.tags)
        for value, count in sorted(counts.items()):
            if count >= FEWEST_IN_SLICE and f"{tag}={value}" not in policy.named_slices:
                yield f"{tag}={value}", False
