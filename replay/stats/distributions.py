"""Quantiles and probabilities: the one door to scipy.

The rules:

1. scipy is imported by the first call that needs it, and not with this package.
2. Where it is not installed, the error says what to install.
3. What the standard library can do (the normal distribution) needs no scipy, so that sample sizes are known without it.
"""

from __future__ import annotations

import importlib
import math
from statistics import NormalDist
from typing import Any

_NORMAL = NormalDist()


class StatisticsMissingError(ImportError):
    """scipy is not installed, and what was asked for needs it."""

    extra = "gate"
    """The extra that brings it; the command line then says this error's sentence and no more."""


def scipy(part: str) -> Any:
    """Import `scipy.special` or `scipy.stats`.

    Raises:
        StatisticsMissingError: it is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{part}")
    except ImportError as error:
        raise StatisticsMissingError(
            "The gate's statistics need scipy, which is not installed here: pip install 'auditlog-replay[gate]'"
        ) from error


def normal_quantile(share: float) -> float:
    """Give the point below which a standard normal lies with this probability."""
    return _NORMAL.inv_cdf(share)


def t_quantile(share: float, degrees: float) -> float:
    """Give the same of Student's t."""
    return float(scipy("special").stdtrit(degrees, share))


def t_two_sided(statistic: float, degrees: float) -> float:
    """Give the probability of a t at least as far from 0."""
    return float(2 * scipy("special").stdtr(degrees, -abs(statistic)))


def beta_quantile(share: float, a: float, b: float) -> float:
    """Give the point below which a Beta(a, b) lies with this probability."""
    return float(scipy("special").betaincinv(a, b, share))


def beta_below(point: float, a: float, b: float) -> float:
    """Give the probability that a Beta(a, b) lies below a point."""
    return float(scipy("special").betainc(a, b, point))


def chi2_1_above(statistic: float) -> float:
    """Give the probability of a χ² with one degree of freedom above a point."""
    return math.erfc(math.sqrt(statistic / 2))
