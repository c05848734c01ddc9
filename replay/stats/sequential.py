"""Stopping early without cheating: evidence that may be looked at after every case.

The rules:

1. Two bets are kept, each against what it would refute, and each started with 1. By Ville's inequality a bet against something
   true reaches 1/α with probability at most α, whenever one looks: that, and no p-value, survives peeking.
2. FAIL bets against "the candidate is no worse": E = 2·B(b+1, c+1)·(1 − I_½(b+1, c+1))·2^{b+c}, the mean over all shares
   q in (½, 1) of bad flips. For scores between 0 and 1 the same mean of ∏(1 − λd), with λ = 2q − 1, over a grid.
3. PASS bets against "the candidate is worse by the margin or more": K_t = ∏(1 + λ_t(d_t + m)), where λ_t is the share of
   the capital that each λ of a grid would have now, so it is known before case t (Cover's universal portfolio; Waudby-Smith and
   Ramdas 2024, Orabona and Jun 2024). Neither bet depends on the order of the cases so far.
4. The first to reach 1/α decides, and what comes after changes nothing. The cases must come in random order, one value a cluster.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from replay.stats.distributions import beta_below
from replay.stats.proportions import ALPHA
from replay.stats.values import refuse_outside, refuse_share

GRID = 50


@dataclass(frozen=True, slots=True)
class Look:
    """What the evidence says after a case."""

    n: int
    decision: Literal["PASS", "FAIL"] | None
    """None: go on."""
    fail_evidence: float
    """E. At 1/α it is decided."""
    pass_evidence: float
    """K_t. At 1/α it is decided."""


class SequentialTest:
    """A test that may stop after any case."""

    def __init__(self, margin: float, alpha: float = ALPHA, *, binary: bool = True) -> None:
        """Begin.

        Args:
            margin: how much worse is tolerated, between 0 and 1.
            alpha: the probability of each wrong decision, over all looks together.
            binary: every difference is −1, 0 or 1; else FAIL's bet is the one over a grid.
        """
        refuse_share(margin, "margin")
        refuse_share(alpha, "alpha")
        self._threshold = math.log(1 / alpha)
        self._margin, self._binary = margin, binary
        self._n = self._worse = self._better = 0
        self._decision: Literal["PASS", "FAIL"] | None = None
        # No bet may lose all: d is at least −1, so λ stays below 1/(1 − m); against FAIL below 1.
        self._for_pass = _Bets([(i + 0.5) / GRID / (1 - margin) for i in range(GRID)])
        self._for_fail = None if binary else _Bets([(i + 0.5) / GRID for i in range(GRID)])

    def update(self, d: float) -> Look:
        """Take in the next case: candidate − baseline."""
        refuse_outside((d,), -1, 1, "A difference")
        if self._binary and d not in {-1, 0, 1}:
            raise ValueError(f"A binary test takes −1, 0 or 1, and not {d!r}: begin it with binary=False.")
        self._n += 1
        self._worse += d == -1
        self._better += d == 1
        self._for_pass.settle(d + self._margin)
        if self._for_fail is not None:
            self._for_fail.settle(-d)
        look = self.look()
        self._decision = look.decision
        return look

    def look(self) -> Look:
        """Say how it stands."""
        against_equal = (
            _log_e(self._worse, self._better) if self._for_fail is None else self._for_fail.log_capital()
        )
        against_worse = self._for_pass.log_capital()
        decision = self._decision
        if decision is None:
            decision = (
                "FAIL"
                if against_equal >= self._threshold
                else "PASS"
                if against_worse >= self._threshold
                else None
            )
        return Look(self._n, decision, _exp(against_equal), _exp(against_worse))


class _Bets:
    """Capital, spread evenly over constant bets; kept as logarithms, since it grows without end."""

    def __init__(self, stakes: list[float]) -> None:
        self._stakes = stakes
        self._logs = [0.0] * len(stakes)

    def settle(self, gain: float) -> None:
        self._logs = [
            log + math.log1p(stake * gain) for log, stake in zip(self._logs, self._stakes, strict=True)
        ]

    def log_capital(self) -> float:
        highest = max(self._logs)
        return highest + math.log(math.fsum(math.exp(log - highest) for log in self._logs) / len(self._logs))


def _log_e(worse: int, better: int) -> float:
    """Give log E: 2·B(b+1, c+1)·(1 − I_½(b+1, c+1))·2^{b+c}, in logarithms since 2^{b+c} overflows."""
    a, b = worse + 1, better + 1
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    # 1 − I_½(a, b) = I_½(b, a), without the cancellation.
    above = beta_below(0.5, b, a)
    return math.log(2) * (1 + worse + better) + log_beta + math.log(above) if above > 0 else -math.inf


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))
