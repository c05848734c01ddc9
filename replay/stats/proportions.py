"""Rates of yes and no: bounds on one, and McNemar's test of a pair of them.

The rules:

1. A bound is exact where it decides something (Clopper–Pearson, 1 − α^{1/n}, exact McNemar). Wilson's interval is for tables.
2. Nothing seen in n cases is not nothing: the rate may be up to 1 − α^{1/n}, about 3/n at α = 5 %.
3. No case says nothing: the bound is 1, the interval the whole of [0, 1], the p-value 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from replay.stats.distributions import beta_below, beta_quantile, chi2_1_above, normal_quantile
from replay.stats.values import Interval, refuse_counts, refuse_share

ALPHA = 0.05


class Chi2(NamedTuple):
    """A χ² test."""

    statistic: float
    p: float


def rule_of_three(n: int, alpha: float = ALPHA) -> float:
    """Give the highest rate that leaves n cases without an event with probability α: 1 − α^{1/n}.

    Args:
        n: cases without an event; with none the bound is 1.
        alpha: one-sided.
    """
    refuse_counts({"n": n})
    refuse_share(alpha, "alpha")
    return -math.expm1(math.log(alpha) / n) if n else 1.0


def cases_for_bound(bound: float, alpha: float = ALPHA, events: int = 0) -> int:
    """Give how many cases with so few events show that their rate is below a bound.

    Without an event 59 for 5 %, 299 for 1 %, 2,995 for 0.1 %; with one 93, 473, 4,742.

    Args:
        bound: between 0 and 1.
        alpha: one-sided.
        events: how many there were.
    """
    refuse_share(bound, "bound")
    refuse_share(alpha, "alpha")
    refuse_counts({"events": events})
    if not events:
        return math.ceil(math.log(alpha) / math.log1p(-bound))
    low, high = events, 2 * (events + 1)
    while beta_quantile(1 - alpha, events + 1, high - events) > bound:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        enough = beta_quantile(1 - alpha, events + 1, middle - events) <= bound
        low, high = (low, middle) if enough else (middle, high)
    return high


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Give the exact interval of a rate; never too narrow, whatever the rate is.

    Args:
        k: events.
        n: cases.
        confidence: two-sided; for a one-sided bound at 95 % give 0.9 and take one end.
    """
    _refuse_rate(k, n, confidence)
    tail = (1 - confidence) / 2
    low = beta_quantile(tail, k, n - k + 1) if k else 0.0
    high = beta_quantile(1 - tail, k + 1, n - k) if k < n else 1.0
    return Interval(k / n if n else None, low, high, confidence, "Clopper–Pearson", n, n)


def wilson(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Give Wilson's interval of a rate: right on average over rates, and narrower than the exact one."""
    _refuse_rate(k, n, confidence)
    if not n:
        return Interval(None, 0.0, 1.0, confidence, "Wilson", 0, 0)
    z, share = normal_quantile((1 + confidence) / 2), k / n
    shrunk = 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / shrunk
    half = z / shrunk * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = max(0.0, middle - half) if k else 0.0
    high = min(1.0, middle + half) if k < n else 1.0
    return Interval(share, low, high, confidence, "Wilson", n, n)


def mcnemar_exact(b: int, c: int) -> float:
    """Give the two-sided p-value of "a case that changed is as likely to have become worse as better".

    Args:
        b: cases that the baseline passed and the candidate did not.
        c: cases that only the candidate passed. With b = c = 0 nothing changed, and the p-value is 1.
    """
    refuse_counts({"b": b, "c": c})
    if b == c:
        return 1.0
    fewer, more = min(b, c), max(b, c)
    return min(1.0, 2 * beta_below(0.5, more, fewer + 1))


def mcnemar_chi2(b: int, c: int) -> Chi2:
    """Give McNemar's χ² with Edwards' correction for continuity, as papers print it; `mcnemar_exact` decides."""
    refuse_counts({"b": b, "c": c})
    if b + c == 0:
        return Chi2(0.0, 1.0)
    statistic = max(0, abs(b - c) - 1) ** 2 / (b + c)
    return Chi2(statistic, chi2_1_above(statistic))


def _refuse_rate(k: int, n: int, confidence: float) -> None:
    refuse_counts({"k": k, "n": n})
    refuse_share(confidence, "confidence")
    if k > n:
        raise ValueError(f"{k} events in {n} cases: there are more events than cases.")
