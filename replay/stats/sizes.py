"""How many cases it takes, and what a number of cases can show: known before money is spent. Needs no scipy.

The rules:

1. n = (z_α√ψ + z_β√(ψ − δ²))² / δ² cases find a difference δ with power 1 − β, one-sided at α (Connor 1987, for
   McNemar's test). ψ is the flip rate: the share of cases in which two runs of one version disagree.
2. However steady the agent, ln α / ln(1 − δ) cases are needed: with fewer, a δ of the cases can be broken and none of them
   be among those that ran.
3. Cases of one conversation say less than as many of their own; the design effect multiplies n.
4. A difference of δ takes at least δ flips, so ψ counts as no less than δ. There all flips go one way, the normal
   approximation is at its worst, and the power that is asked for as 80 % comes out as 73 %.
"""

from __future__ import annotations

import math

from replay.stats.distributions import normal_quantile
from replay.stats.proportions import ALPHA, cases_for_bound
from replay.stats.values import refuse_counts, refuse_share

POWER = 0.8


def required_n(
    flip_rate: float,
    margin: float,
    alpha: float = ALPHA,
    power: float = POWER,
    design_effect: float = 1.0,
) -> int:
    """Give the number of cases that finds a difference as large as the margin.

    Args:
        flip_rate: ψ, from 0 to 1; .05 → 342 cases for 3 percentage points, .167 → 1,146.
        margin: δ, between 0 and 1.
        alpha: one-sided.
        power: the probability of finding it.
        design_effect: the variance of the mean over that of as many independent cases; 1 without clusters.
    """
    if not 0 <= flip_rate <= 1:
        raise ValueError(f"A flip rate is a share from 0 to 1, and not {flip_rate!r}.")
    refuse_share(margin, "margin")
    _refuse_test(alpha, power, design_effect)
    return max(
        math.ceil(_exact_n(max(flip_rate, margin), margin, alpha, power) * design_effect),
        cases_for_bound(margin, alpha),
    )


def minimum_detectable_effect(
    n: int,
    flip_rate: float,
    alpha: float = ALPHA,
    power: float = POWER,
    design_effect: float = 1.0,
) -> float:
    """Give the smallest difference that n cases find with that power; 1 where they find none.

    Args:
        n: cases.
        flip_rate: ψ, from 0 to 1.
        alpha: one-sided.
        power: the probability of finding it.
        design_effect: as in `required_n`.
    """
    refuse_counts({"n": n})
    if not 0 <= flip_rate <= 1:
        raise ValueError(f"A flip rate is a share from 0 to 1, and not {flip_rate!r}.")
    _refuse_test(alpha, power, design_effect)

    def enough(effect: float) -> bool:
        needed = _exact_n(max(flip_rate, effect), effect, alpha, power) * design_effect
        return max(needed, math.log(alpha) / math.log1p(-effect)) <= n

    low, high = 0.0, 1 - 1e-12
    if not enough(high):
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _exact_n(flip_rate: float, effect: float, alpha: float, power: float) -> float:
    spread = math.sqrt(max(0.0, flip_rate - effect**2))
    needed = normal_quantile(1 - alpha) * math.sqrt(flip_rate) + normal_quantile(power) * spread
    return (max(0.0, needed) / effect) ** 2


def _refuse_test(alpha: float, power: float, design_effect: float) -> None:
    refuse_share(alpha, "alpha")
    refuse_share(power, "power")
    if not (math.isfinite(design_effect) and design_effect > 0):
        raise ValueError(f"A design effect is a finite number above 0, and not {design_effect!r}.")
