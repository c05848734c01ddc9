"""PASS, FAIL or INCONCLUSIVE for one metric: is the candidate no worse than the baseline by more than a margin?

The rules:

1. One-sided at α, so with the interval of confidence 1 − 2α: low > −margin is PASS; else high < 0 is FAIL; else INCONCLUSIVE,
   with the number of cases that it would take.
2. What is worse beyond chance and yet within the margin passes, and says so.
3. Nothing measured is INCONCLUSIVE. So is one cluster, however many cases it has.
4. A diverged execution has no score, or lies in a range. Its verdict is computed twice, with every diverged execution failed and
   with every one passed, whichever arm it is of; where the two differ, or more than a fifth of the cases diverged, or one arm
   diverged more often than the other beyond chance (exact McNemar, p < 0.05), it is INCONCLUSIVE.
   A case of which nothing is known on either side is in that share, and in no verdict: two unknowns are no agreement.
5. All primary metrics must pass (intersection–union), which needs no correction of α: that is for the caller to combine.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from replay.stats.intervals import paired_interval, paired_p, standard_error
from replay.stats.proportions import ALPHA, mcnemar_exact
from replay.stats.sizes import POWER, required_n
from replay.stats.values import Interval, clustered, differences, refuse_outside, refuse_share

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
MARGIN = 0.03
UNKNOWN = (0.0, 1.0)
MOST_DIVERGED = 0.2

Scored = float | None | tuple[float, float]
"""A score; None, or the worst and the best that it may be, of an execution that was not served to its end."""


@dataclass(frozen=True, slots=True)
class Noninferiority:
    """What became of one metric."""

    verdict: Verdict
    interval: Interval
    """Of candidate − baseline, with confidence 1 − 2α."""
    p: float
    """Two-sided, of no difference at all."""
    required_n: int
    """Cases with which a candidate as good as the baseline passes four times in five, at the variance that was seen."""
    within_margin_but_significant: bool
    """It passes, and is worse beyond chance."""
    margin: float
    alpha: float


@dataclass(frozen=True, slots=True)
class BothWays:
    """A verdict that does not hang on what diverged executions would have scored, or says that it does."""

    verdict: Verdict
    failed: Noninferiority
    """With every diverged execution counted as failed."""
    passed: Noninferiority
    """With every one counted as passed."""
    diverged: float
    """The share of the cases in which some execution of either arm diverged, those that are in neither verdict among them."""
    only_baseline: int
    """Cases that diverged in the baseline alone."""
    only_candidate: int
    """Cases that diverged in the candidate alone."""
    p: float
    """Exact McNemar of these two."""
    reasons: tuple[str, ...]
    """Why divergence makes it INCONCLUSIVE; empty where it does not."""


def noninferiority(
    d: Sequence[float],
    margin: float = MARGIN,
    alpha: float = ALPHA,
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
) -> Noninferiority:
    """Judge one metric.

    Args:
        d: candidate − baseline by case, from −1 to 1; of K repeats, the difference of their means.
        margin: how much worse is tolerated, between 0 and 1.
        alpha: one-sided.
        clusters: the conversation of each case; None where no two share one.
        weights: 1/π of each; None where all cases were sampled alike.
    """
    refuse_share(margin, "margin")
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha lies between 0 and 0.5, and is not {alpha!r}.")
    interval = paired_interval(d, clusters, weights, 1 - 2 * alpha)
    verdict: Verdict = "PASS" if interval.low > -margin else "FAIL" if interval.high < 0 else "INCONCLUSIVE"
    return Noninferiority(
        verdict,
        interval,
        paired_p(d, clusters, weights),
        _needed(d, margin, alpha, clusters, weights),
        verdict == "PASS" and interval.high < 0,
        margin,
        alpha,
    )


def both_ways(
    baseline: Sequence[Sequence[Scored]],
    candidate: Sequence[Sequence[Scored]],
    margin: float = MARGIN,
    alpha: float = ALPHA,
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
    most_diverged: float = MOST_DIVERGED,
) -> BothWays:
    """Judge one metric where some executions diverged.

    Args:
        baseline: of each case, the scores of its repeats; None or a range for one that diverged. At least one repeat a case.
        candidate: likewise, in the same order of cases.
        margin: as in `noninferiority`, like `alpha`, `clusters` and `weights`.
        alpha: one-sided.
        clusters: the conversation of each case.
        weights: 1/π of each case.
        most_diverged: the share of diverged cases above which nothing is concluded.
    """
    if len(baseline) != len(candidate):
        raise ValueError(
            f"The candidate has {len(candidate)} cases and the baseline {len(baseline)}: they are not paired."
        )
    before, after = _ranges(baseline), _ranges(candidate)
    of_baseline, of_candidate = _diverged(before), _diverged(after)
    told = [
        place for place, sides in enumerate(zip(before, after, strict=True)) if sides != (UNKNOWN, UNKNOWN)
    ]

    def judged(end: int) -> Noninferiority:
        d = differences([after[place][end] for place in told], [before[place][end] for place in told])
        return noninferiority(
            d,
            margin,
            alpha,
            None if clusters is None else [clusters[place] for place in told],
            None if weights is None else [weights[place] for place in told],
        )

    failed = judged(0)
    passed = judged(1) if any(of_baseline) or any(of_candidate) else failed
    pairs = list(zip(of_baseline, of_candidate, strict=True))
    share = sum(before or after for before, after in pairs) / len(pairs) if pairs else 0.0
    only_baseline = sum(before and not after for before, after in pairs)
    only_candidate = sum(after and not before for before, after in pairs)
    p = mcnemar_exact(only_baseline, only_candidate)
    reasons = []
    if failed.verdict != passed.verdict:
        reasons.append(
            f"the verdict is {failed.verdict} if diverged executions failed, and {passed.verdict} if they passed"
        )
    if share > most_diverged:
        reasons.append(f"{share:.1%} of the cases diverged, more than {most_diverged:.0%}")
    if p < 0.05:
        reasons.append(
            f"the arms diverge differently: {only_candidate} cases in the candidate alone, "
            f"{only_baseline} in the baseline alone (p = {p:.2g})"
        )
    verdict: Verdict = "INCONCLUSIVE" if reasons else failed.verdict
    return BothWays(verdict, failed, passed, share, only_baseline, only_candidate, p, tuple(reasons))


def _needed(
    d: Sequence[float],
    margin: float,
    alpha: float,
    clusters: Sequence[Hashable] | None,
    weights: Sequence[float] | None,
) -> int:
    """Give the n of `required_n` at the variance of a unit that was seen, clusters and weights included."""
    groups = clustered(d, clusters, weights)
    if len(groups.sums) < 2:
        return required_n(1.0, margin, alpha, POWER)
    # As in Bonett–Price, one loss and one gain more than were seen: no sample shows a variance of 0.
    count = len(groups.sums)
    seen = standard_error(groups) ** 2 * len(d)
    unseen = 2 * len(d) / count / (count + 2)
    spread = seen + unseen
    # A clustered or weighted variance of a unit may exceed 1, which no flip rate does.
    if spread <= 1:
        return required_n(spread, margin, alpha, POWER)
    return required_n(1.0, margin, alpha, POWER, design_effect=spread)


def _ranges(cases: Sequence[Sequence[Scored]]) -> list[tuple[float, float]]:
    """Give the lowest and the highest mean that each case's repeats may have."""
    found = []
    for place, scores in enumerate(cases):
        if not scores:
            raise ValueError(f"Case number {place} has no execution: leave it out, or say that it diverged.")
        ranges = [
            UNKNOWN if score is None else score if isinstance(score, tuple) else (score, score)
            for score in scores
        ]
        for low, high in ranges:
            refuse_outside((low, high), 0, 1, "A score")
            if low > high:
                raise ValueError(
                    f"A range goes from its lower end to its upper one, and not from {low!r} to {high!r}."
                )
        found.append(
            (
                math.fsum(low for low, _ in ranges) / len(ranges),
                math.fsum(high for _, high in ranges) / len(ranges),
            )
        )
    return found


def _diverged(cases: Sequence[tuple[float, float]]) -> list[bool]:
    return [low < high for low, high in cases]
