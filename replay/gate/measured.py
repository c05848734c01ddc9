"""A metric over many cases: both sides of each, the weights, and what is not known.

The rules:

1. A unit is a case, over the mean of its repeats; units of one conversation are a cluster; a case weighs as much as the recorded
   turns that it stands for.
2. A case of which nothing is known on either side is no unit.
3. Of repeats, the share of cases in which each of k of them succeeds (pass^k) is told beside the mean: a customer who comes back
   meets all of them. What is unknown did not succeed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from replay import stats
from replay.gate.facts import CaseFacts
from replay.gate.metrics import Pair, pair_of, value_of


class Measured(NamedTuple):
    """A metric over cases."""

    pairs: Sequence[Pair]
    """Of the cases that say something."""
    clusters: Sequence[str]
    weights: Sequence[float]
    silent: int
    """Cases of which nothing is known."""

    @property
    def n(self) -> int:
        """How many cases say something."""
        return len(self.pairs)

    @property
    def unknown(self) -> int:
        """How many of them are known in part."""
        return sum(1 for pair in self.pairs if not pair.known)

    @property
    def conversations(self) -> int:
        """How many conversations they are of."""
        return len(set(self.clusters))

    @property
    def worst(self) -> list[float]:
        """Candidate − baseline, case by case, what is unknown as failed."""
        return [pair.candidate[0] - pair.baseline[0] for pair in self.pairs]

    @property
    def baseline(self) -> float:
        """The mean, what is unknown as failed."""
        return self._mean([pair.baseline[0] for pair in self.pairs])

    @property
    def candidate(self) -> float:
        """The mean, what is unknown as failed."""
        return self._mean([pair.candidate[0] for pair in self.pairs])

    def _mean(self, values: Sequence[float]) -> float:
        total = sum(self.weights)
        weighted = sum(weight * value for weight, value in zip(self.weights, values, strict=True))
        return weighted / total if total else 0.0


class Pairs:
    """Every metric's pairs, made once for all slices."""

    def __init__(self, cases: Sequence[CaseFacts]) -> None:
        """Begin with nothing measured.

        Args:
            cases: what became of them.
        """
        self.cases = cases
        self._pairs: dict[str, list[Pair | None]] = {}
        self._tagged: dict[str, dict[str, list[int]]] = {}

    def measured(self, metric: str, places: Sequence[int] | None = None) -> Measured:
        """Measure a metric.

        Args:
            metric: its name.
            places: of which cases; all where it is not given.
        """
        if metric not in self._pairs:
            self._pairs[metric] = [pair_of(metric, case) for case in self.cases]
        pairs = self._pairs[metric]
        found = [
            (pair, self.cases[place])
            for place in (range(len(self.cases)) if places is None else places)
            if (pair := pairs[place]) is not None
        ]
        told = [(pair, case) for pair, case in found if not pair.silent]
        return Measured(
            [pair for pair, _ in told],
            [case.conversation_id for _, case in told],
            [case.weight for _, case in told],
            len(found) - len(told),
        )

    def tagged(self, tag: str) -> dict[str, list[int]]:
        """Give the places of the cases by a tag's value."""
        if tag not in self._tagged:
            found: dict[str, list[int]] = {}
            for place, case in enumerate(self.cases):
                if tag in case.tags:
                    found.setdefault(case.tags[tag], []).append(place)
            self._tagged[tag] = found
        return self._tagged[tag]


class EveryTime(NamedTuple):
    """How often each of k repeats succeeds."""

    k: int
    baseline: float
    candidate: float


def every_time(metric: str, cases: Sequence[CaseFacts]) -> EveryTime | None:
    """Give pass^k of both sides (rule 3); None where a case ran once, or the metric is no matter of one execution."""
    tallies: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for case in cases:
        sides = [[value_of(metric, run) for run in runs] for runs in (case.baselines, case.candidates)]
        if not all(sides) or all(value is None for side in sides for value in side):
            continue
        old, new = ((sum(value is not None and value[0] == 1 for value in side), len(side)) for side in sides)
        tallies.append((old, new))
    k = min((min(old[1], new[1]) for old, new in tallies), default=0)
    if k < 2:
        return None
    return EveryTime(
        k, stats.pass_hat_k([old for old, _ in tallies], k), stats.pass_hat_k([new for _, new in tallies], k)
    )
