"""Many metrics and slices at once: which of them stand out from the noise.

The rules:

1. Benjamini–Hochberg keeps the expected share of false alarms among all alarms at q: for what is searched, and only warns.
2. Holm keeps the probability of a single false alarm at α, whatever hangs together: for what fails a candidate.
3. Diffy's filter cancels noise by counts alone: a field differs when it differs more often between baseline and candidate than
   between two baselines, by more than 20 % of the two together and by more than 0.03 % of the cases. Both counts are of the same
   n cases: those that the second baseline ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from replay.stats.values import refuse_counts, refuse_outside, refuse_share

RELATIVE, ABSOLUTE = 0.2, 0.0003


class Discoveries(NamedTuple):
    """What stands out among many tests, in the order in which they were given."""

    rejected: tuple[bool, ...]
    adjusted: tuple[float, ...]
    """Of each test, the smallest q (or α) at which it would stand out."""


def benjamini_hochberg(p: Sequence[float], q: float = 0.1) -> Discoveries:
    """Say which of many tests stand out, with the false discovery rate kept at q.

    Args:
        p: p-values; of none, nothing stands out.
        q: the share of false alarms among alarms.
    """
    refuse_outside(p, 0, 1, "A p-value")
    refuse_share(q, "q")
    adjusted = [1.0] * len(p)
    least = 1.0
    for rank, place in sorted(enumerate(sorted(range(len(p)), key=p.__getitem__), 1), reverse=True):
        least = min(least, p[place] * len(p) / rank)
        adjusted[place] = least
    return Discoveries(tuple(value <= q for value in adjusted), tuple(adjusted))


def holm(p: Sequence[float], alpha: float = 0.05) -> Discoveries:
    """Say which of several tests stand out, with the probability of any false alarm kept at α.

    Args:
        p: p-values; of none, nothing stands out.
        alpha: the probability that any alarm is a false one.
    """
    refuse_outside(p, 0, 1, "A p-value")
    refuse_share(alpha, "alpha")
    adjusted = [1.0] * len(p)
    most = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        most = max(most, min(1.0, p[place] * (len(p) - rank)))
        adjusted[place] = most
    return Discoveries(tuple(value <= alpha for value in adjusted), tuple(adjusted))


def diffy_filter(
    raw: int, noise: int, n: int, relative: float = RELATIVE, absolute: float = ABSOLUTE
) -> bool:
    """Say whether a difference is more than noise.

    Args:
        raw: cases in which baseline and candidate differ.
        noise: cases in which two baselines differ.
        n: cases in which both were compared; of none, nothing differs.
        relative: the excess over noise must be more than this share of the two together.
        absolute: and more than this share of the cases.
    """
    refuse_counts({"raw": raw, "noise": noise, "n": n})
    if max(raw, noise) > n:
        raise ValueError(
            f"{max(raw, noise)} differences in {n} cases: there are more differences than cases."
        )
    excess = raw - noise
    return excess > relative * (raw + noise) and excess > absolute * n
