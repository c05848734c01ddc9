"""Few clusters: what signs alone say.

The rules:

1. If the two arms are exchangeable, a cluster's sum could as well have had the other sign. `scipy.stats.permutation_test` flips
   signs by cluster: all 2^G ways of it where these are few, else 9,999 drawn with a fixed seed.
2. The flips are read as subsets: the flip of a subset is at least as extreme as what was seen exactly when the subset's mean
   lies on the other side of the hypothesis (Hartigan's typical values). So the same flips give the p-value of each
   hypothetical difference, and the interval is where it is not rejected.
3. A difference and its mirror are given mirrored results: the upper end is that of the mirror's lower end.
4. Signs say whether there is a difference. About a difference that is not 0 they assume symmetry, which rare flips do not have:
   twenty cases without a flip would "show" any margin. Whoever decides by this interval widens it to the floor.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Sequence
from typing import Any

from replay.stats.distributions import scipy
from replay.stats.values import Clustered, Interval, clustered, refuse_outside, refuse_share

RESAMPLES = 9_999
_NO_SUBSET = 9.0
"""Stands for the mean of no cluster; a mean is at most 1."""


def permutation_p(d: Sequence[float], clusters: Sequence[Hashable] | None = None) -> float:
    """Give the two-sided p-value of "the arms are exchangeable", by sign flips of whole clusters.

    Args:
        d: candidate − baseline by case, from −1 to 1; without any the p-value is 1.
        clusters: the conversation of each.
    """
    refuse_outside(d, -1, 1, "A difference")
    groups = clustered(d, clusters, None)
    return two_sided_p(groups) if d else 1.0


def permutation_interval(
    d: Sequence[float], clusters: Sequence[Hashable] | None = None, confidence: float = 0.95
) -> Interval:
    """Give the differences that sign flips of whole clusters do not reject.

    Args:
        d: candidate − baseline by case, from −1 to 1.
        clusters: the conversation of each.
        confidence: two-sided. Where G clusters cannot reject anything (2^−G above a tail), the interval is [−1, 1].
    """
    refuse_outside(d, -1, 1, "A difference")
    refuse_share(confidence, "confidence")
    groups = clustered(d, clusters, None)
    low, high = limits(groups, (1 - confidence) / 2) if d else (-1.0, 1.0)
    return Interval(
        groups.mean if d else None,
        low,
        high,
        confidence,
        "sign-flip permutation",
        len(d),
        len(groups.sums),
    )


def two_sided_p(groups: Clustered) -> float:
    """Give the p-value of no difference."""
    below = _share_at_most(_typical_values(groups), 0.0)
    above = _share_at_most(_typical_values(_mirror(groups)), 0.0)
    return min(1.0, 2 * min(below, above))


def limits(groups: Clustered, tail: float) -> tuple[float, float]:
    """Give the ends of the interval whose tails are these."""
    return _lower(groups, tail), -_lower(_mirror(groups), tail)


def _lower(groups: Clustered, tail: float) -> float:
    typical = _typical_values(groups)
    # The identity is one of the flips: `rank` of them may lie at or below a difference that is rejected.
    rank = math.floor(tail * (len(typical) + 1)) - 1
    return max(-1.0, float(typical[rank])) if rank >= 0 else -1.0


def _share_at_most(typical: Any, value: float) -> float:
    from numpy import searchsorted

    # As in scipy: rounding must not make a tie an extreme.
    at_most = int(searchsorted(typical, value + 1e-14, side="right"))
    return (at_most + 1) / (len(typical) + 1)


def _mirror(groups: Clustered) -> Clustered:
    return Clustered(tuple(-value for value in groups.sums), groups.weights, groups.total)


# An interval and its p-value ask for the same ones.
@functools.lru_cache(maxsize=2)
def _typical_values(groups: Clustered) -> Any:
    """Give the means of subsets of the clusters, sorted: all subsets but the empty one, or 9,999 drawn."""
    import numpy as np

    order = sorted(range(len(groups.sums)), key=lambda g: (groups.sums[g], groups.weights[g]))
    sums = np.array([groups.sums[g] for g in order])
    weights = np.array([groups.weights[g] for g in order])

    def subset_mean(signed: Any, axis: int = -1) -> Any:
        # What is flipped are the clusters' numbers, so that a sum of 0 can be told from its flip.
        chosen = (np.moveaxis(signed, axis, -1) < 0).astype(float)
        total = chosen @ weights
        return np.where(total > 0, chosen @ sums / np.where(total > 0, total, 1), _NO_SUBSET)

    done = scipy("stats").permutation_test(
        (np.arange(1.0, len(order) + 1),),
        subset_mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    means = np.sort(done.null_distribution)
    return means[means < _NO_SUBSET]
