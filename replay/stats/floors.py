"""How far off a mean may be because of what has not been seen: the floor below which no interval shrinks.

A candidate that breaks one case in fifty leaves 76 cases untouched one time in five. An interval made of a variance is of
width 0 then, or too narrow, and would pass it.

The rules:

1. The losses (what the candidate is worse by) are bounded from above like a rate: Clopper–Pearson, with the number of cases
   that would say as much if they were independent (Korn and Graubard's, for surveys). Likewise the gains.
2. That number counts one more cluster than there is, lost as a whole: clusters without a loss say as much as their number, and
   not as the number of their turns.
3. A mean is never known better than 1 − α^{1/G} around it, G the number of clusters: what hits 3 of G may be missing.
4. One cluster, or none, bounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from replay.stats.distributions import beta_quantile, t_quantile
from replay.stats.values import clustered


def highest_mean(
    values: Sequence[float],
    tail: float,
    clusters: Sequence[Hashable] | None = None,
    weights: Sequence[float] | None = None,
) -> float:
    """Bound the mean of values in [0, 1] from above, with `tail` for the probability of being wrong.

    For values of 0 and 1 without clusters it is Clopper–Pearson's bound.
    """
    groups = clustered(values, clusters, weights)
    count = len(groups.sums)
    if count < 2:
        return 1.0
    mean = groups.mean
    if mean >= 1:
        return 1.0
    effective = groups.effective
    # A pseudo-cluster of the usual size in which everything is lost.
    size = groups.total / effective
    total = groups.total + size
    lost = (math.fsum(groups.sums) + size) / total
    squares = math.fsum(
        (value - lost * weight) ** 2 for value, weight in zip(groups.sums, groups.weights, strict=True)
    )
    variance = (squares + (size * (1 - lost)) ** 2) / total**2
    independent = lost * (1 - lost) / variance - 1
    if clusters is not None and count < len(values):
        few = t_quantile(1 - tail, len(values) - 1) / t_quantile(1 - tail, count - 1)
        independent *= few**2
    events = mean * independent
    high = 1.0 if events >= independent else beta_quantile(1 - tail, events + 1, independent - events)
    unseen = -math.expm1(math.log(tail) / effective)
    return max(high, mean + unseen * (1 - mean))
