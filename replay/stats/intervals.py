"""The interval of a paired difference: Δ, the mean of candidate − baseline.

The rules:

1. `paired_interval` chooses: Bonett–Price where each case is its own cluster, without weights, and each difference is −1, 0
   or 1; sign flips by cluster below 30 clusters; else the clustered variance with Student's t.
2. What it gives is never narrower than the floor (`floors`), and says where that widened it: a variance knows nothing of what
   has not been seen.
3. `bonett_price`, `clustered_interval` and `permutation_interval` are those of the books, without the floor.
4. No unit gives no estimate and [−1, 1]; one cluster gives [−1, 1]; both are honest, and neither ever passes.
5. Weights are those of unequal sampling, 1/π. The variance is the linearised one of a weighted mean with replacement; that
   the sample was stratified is left out of it, which can only make the interval wider.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace

from replay.stats.distributions import normal_quantile, t_quantile, t_two_sided
from replay.stats.floors import highest_mean
from replay.stats.permutation import limits, two_sided_p
from replay.stats.proportions import mcnemar_exact
from replay.stats.values import (
    Clustered,
    Interval,
    clustered,
    refuse_counts,
    refuse_outside,
    refuse_share,
)

FEW_CLUSTERS = 30
"""Below it, signs by cluster instead of a variance."""


def paired_interval(
    d: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Give the interval of the mean difference, by the method that fits the data.

    Args:
        d: candidate − baseline by case, from −1 to 1.
        clusters: the conversation of each; None where no two cases share one.
        weights: 1/π of each, π the probability with which it was sampled; None where that was the same for all.
        confidence: two-sided. A one-sided test at α uses 1 − 2α.
    """
    refuse_outside(d, -1, 1, "A difference")
    refuse_share(confidence, "confidence")
    groups = clustered(d, clusters, weights)
    if len(groups.sums) < 2:
        method = "no interval from one cluster" if d else "no cases"
        return Interval(groups.mean if d else None, -1.0, 1.0, confidence, method, len(d), len(groups.sums))
    if _is_binary(d, groups, weights):
        made = bonett_price(_count(d, -1), _count(d, 1), len(d), confidence)
    elif len(groups.sums) < FEW_CLUSTERS:
        made = _of_few(groups, len(d), confidence)
    else:
        made = _of_variance(groups, len(d), confidence)
    return _not_below_the_floor(made, d, clusters, weights)


def paired_p(
    d: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
) -> float:
    """Give the two-sided p-value of no difference: exact McNemar, sign flips or t, chosen as in `paired_interval`."""
    refuse_outside(d, -1, 1, "A difference")
    groups = clustered(d, clusters, weights)
    if len(groups.sums) < 2:
        return 1.0
    if _is_binary(d, groups, weights):
        return mcnemar_exact(_count(d, -1), _count(d, 1))
    if len(groups.sums) < FEW_CLUSTERS:
        return two_sided_p(groups)
    error = standard_error(groups)
    if error == 0:
        # All clusters alike: signs say what a variance of 0 cannot.
        return two_sided_p(groups) if groups.mean else 1.0
    return t_two_sided(groups.mean / error, len(groups.sums) - 1)


def clustered_interval(
    d: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    weights: Sequence[float] | None = None,
) -> Interval:
    """Give the t interval whose variance counts clusters: SE² = G/(G−1) · Σ_g (Σ_{i∈g} (d_i − d̄))² / n².

    Without clusters it is the paired t interval. Of one cluster it is [−1, 1]; where all clusters are alike its width is 0.
    """
    refuse_outside(d, -1, 1, "A difference")
    refuse_share(confidence, "confidence")
    groups = clustered(d, clusters, weights)
    if len(groups.sums) < 2:
        mean = groups.mean if d else None
        return Interval(mean, -1.0, 1.0, confidence, "clustered t", len(d), len(groups.sums))
    return _of_variance(groups, len(d), confidence)


def bonett_price(b: int, c: int, n: int, confidence: float = 0.95) -> Interval:
    """Give Bonett and Price's interval (2012) of the difference of two paired rates, (c − b)/n.

    Args:
        b: cases that only the baseline passed.
        c: cases that only the candidate passed.
        n: all cases.
        confidence: two-sided.
    """
    refuse_counts({"b": b, "c": c, "n": n})
    refuse_share(confidence, "confidence")
    if b + c > n:
        raise ValueError(f"{b} + {c} cases changed, of {n}: there are more changes than cases.")
    better, worse = (c + 1) / (n + 2), (b + 1) / (n + 2)
    middle = better - worse
    half = normal_quantile((1 + confidence) / 2) * math.sqrt((better + worse - middle**2) / (n + 2))
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    return Interval((c - b) / n if n else None, low, high, confidence, "Bonett–Price", n, n)


def rate_interval(
    y: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Give the interval of a mean score of one arm, such as the share of grounded answers.

    Args:
        y: scores by case, from 0 to 1. Of 0 and 1 without clusters and weights, the interval is Clopper–Pearson's.
        clusters: the conversation of each.
        weights: 1/π of each.
        confidence: two-sided.
    """
    refuse_outside(y, 0, 1, "A score")
    refuse_share(confidence, "confidence")
    groups = clustered(y, clusters, weights)
    method = "Clopper–Pearson, by effective number of cases (Korn–Graubard)"
    if not y:
        return Interval(None, 0.0, 1.0, confidence, method, 0, 0)
    tail = (1 - confidence) / 2
    high = highest_mean(y, tail, clusters, weights)
    low = 1 - highest_mean([1 - value for value in y], tail, clusters, weights)
    return Interval(groups.mean, low, high, confidence, method, len(y), len(groups.sums))


def standard_error(groups: Clustered) -> float:
    """Give the standard error of a mean over clusters."""
    mean, count = groups.mean, len(groups.sums)
    squares = math.fsum(
        (value - mean * weight) ** 2 for value, weight in zip(groups.sums, groups.weights, strict=True)
    )
    return math.sqrt(count / (count - 1) * squares) / groups.total


def _of_variance(groups: Clustered, n: int, confidence: float) -> Interval:
    count, mean = len(groups.sums), groups.mean
    half = t_quantile((1 + confidence) / 2, count - 1) * standard_error(groups)
    low, high = max(-1.0, mean - half), min(1.0, mean + half)
    return Interval(mean, low, high, confidence, "clustered t" if count < n else "paired t", n, count)


def _of_few(groups: Clustered, n: int, confidence: float) -> Interval:
    low, high = limits(groups, (1 - confidence) / 2)
    return Interval(groups.mean, low, high, confidence, "sign-flip permutation", n, len(groups.sums))


def _not_below_the_floor(
    made: Interval,
    d: Sequence[float],
    clusters: Sequence[Hashable] | None,
    weights: Sequence[float] | None,
) -> Interval:
    """Widen an interval to what unseen losses and gains allow."""
    tail = (1 - made.confidence) / 2
    losses, gains = [max(0.0, -value) for value in d], [max(0.0, value) for value in d]
    lost, gained = clustered(losses, clusters, weights).mean, clustered(gains, clusters, weights).mean
    low = max(-1.0, gained - highest_mean(losses, tail, clusters, weights))
    high = min(1.0, highest_mean(gains, tail, clusters, weights) - lost)
    if low >= made.low and high <= made.high:
        return made
    widened = f"{made.method}, widened for what {made.clusters} {_noun(made)} may not have shown"
    return replace(made, low=min(low, made.low), high=max(high, made.high), method=widened)


def _noun(made: Interval) -> str:
    return "cases" if made.clusters == made.n else "clusters"


def _is_binary(d: Sequence[float], groups: Clustered, weights: Sequence[float] | None) -> bool:
    equal = weights is None or len(set(weights)) <= 1
    return equal and len(groups.sums) == len(d) and all(value in {-1, 0, 1} for value in d)


def _count(d: Sequence[float], value: int) -> int:
    return sum(one == value for one in d)
