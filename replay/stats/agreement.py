"""How well two agree: two judges (κ), two lists of calls (LCS-F1), k trials of one task (pass^k).

The rules:

1. κ is 0 where two judges agree as often as chance would have it, and 1 where they always do. Where both give one label
   throughout, chance explains all of it and there is no κ.
2. Its interval is that of Fleiss, Cohen and Everitt (1969), and no narrower than Wilson's of the share of agreement makes
   it: full agreement on thirty cases is not κ = 1.
3. pass^k is the probability that k trials of a task, chosen at random, all succeed: the mean of C(c, k) / C(n, k).
4. Two empty lists are the same: LCS-F1 is 1.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from replay.stats.distributions import normal_quantile
from replay.stats.proportions import wilson
from replay.stats.values import Interval, refuse_counts, refuse_share


def cohen_kappa(a: Sequence[Hashable], b: Sequence[Hashable], confidence: float = 0.95) -> Interval:
    """Give Cohen's κ of two judges' labels of the same cases.

    Args:
        a: one's labels.
        b: the other's, in the same order.
        confidence: two-sided.
    """
    if len(a) != len(b):
        raise ValueError(f"One judge gave {len(a)} labels and the other {len(b)}: they are not paired.")
    refuse_share(confidence, "confidence")
    n = len(a)
    pairs, of_a, of_b = Counter(zip(a, b, strict=True)), Counter(a), Counter(b)
    labels = list(of_a | of_b)
    if not n:
        return Interval(None, -1.0, 1.0, confidence, "Cohen’s κ: no labels", 0, 0)
    agreed = sum(pairs[label, label] for label in labels) / n
    chance = math.fsum(of_a[label] * of_b[label] for label in labels) / n**2
    if chance >= 1:
        return Interval(None, -1.0, 1.0, confidence, "Cohen’s κ: one label only", n, n)
    kappa = (agreed - chance) / (1 - chance)
    on_diagonal = math.fsum(
        pairs[label, label] / n * (1 - (of_a[label] + of_b[label]) / n * (1 - kappa)) ** 2 for label in labels
    )
    beside_it = (1 - kappa) ** 2 * math.fsum(
        count / n * ((of_b[one] + of_a[other]) / n) ** 2
        for (one, other), count in pairs.items()
        if one != other
    )
    variance = (on_diagonal + beside_it - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    half = normal_quantile((1 + confidence) / 2) * math.sqrt(max(0.0, variance))
    share = wilson(sum(pairs[label, label] for label in labels), n, confidence)
    low = min(kappa - half, (share.low - chance) / (1 - chance))
    high = max(kappa + half, (share.high - chance) / (1 - chance))
    return Interval(kappa, max(-1.0, low), min(1.0, high), confidence, "Cohen’s κ", n, n)


def pass_hat_k(successes_by_task: Iterable[tuple[int, int]], k: int) -> float:
    """Give pass^k, the reliability over k trials of each task.

    Args:
        successes_by_task: of each task, its successes and its trials.
        k: how many trials must all succeed; at least 1, and no more than any task had.

    Raises:
        ValueError: there is no task, or one with fewer than k trials.
    """
    shares = []
    if k < 1:
        raise ValueError(f"pass^k is of one trial or more, and not of {k!r}.")
    for place, (successes, trials) in enumerate(successes_by_task):
        refuse_counts({"successes": successes, "trials": trials})
        if successes > trials:
            raise ValueError(f"Task number {place} has {successes} successes in {trials} trials.")
        if trials < k:
            raise ValueError(f"Task number {place} has {trials} trials: pass^{k} needs {k} of each.")
        shares.append(math.comb(successes, k) / math.comb(trials, k))
    if not shares:
        raise ValueError("pass^k of no task means nothing.")
    return math.fsum(shares) / len(shares)


def lcs_f1(a: Sequence[Hashable], b: Sequence[Hashable]) -> float:
    """Give the F1 of the longest common subsequence: twice its length over both lengths."""
    if not a and not b:
        return 1.0
    return 2 * _longest_common(a, b) / (len(a) + len(b))


def _longest_common(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Count by bits (Hyyrö 2004): a bit of `row` that is 0 is a place of `a` that the subsequence grew at."""
    places: dict[Hashable, int] = {}
    for place, item in enumerate(a):
        places[item] = places.get(item, 0) | 1 << place
    mask = (1 << len(a)) - 1
    row = mask
    for item in b:
        here = row & places.get(item, 0)
        row = ((row + here) | (row - here)) & mask
    return len(a) - row.bit_count()
