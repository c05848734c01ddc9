"""What the statistics take and give: intervals, and what is refused at the door.

The rules:

1. A score is a number from 0 to 1, a difference one from −1 to 1, both finite. Anything else is refused with its place,
   since a statistic of nonsense looks like any other.
2. Units belong to clusters (a conversation's turns). Where none are named, each unit is its own.
3. Weights are positive and finite; only their ratios count.
4. Sums are exact (`math.fsum`), so that no result depends on the order of the cases.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and how far it may be off."""

    estimate: float | None
    """None where nothing was measured."""
    low: float
    high: float
    confidence: float
    """Two-sided: each end is wrong with half of what is missing to 1."""
    method: str
    """How it was made, in words that a report may print."""
    n: int
    """Units: cases, or turns."""
    clusters: int
    """Units that hang together count as one."""


class Clustered(NamedTuple):
    """Units, summed up by cluster."""

    sums: tuple[float, ...]
    """Of each cluster: weight times value, summed."""
    weights: tuple[float, ...]
    """Of each cluster: its weights, summed."""
    total: float
    """All weights."""

    @property
    def mean(self) -> float:
        """The weighted mean of the units."""
        return math.fsum(self.sums) / self.total

    @property
    def effective(self) -> float:
        """How many clusters of one size would say as much (Kish): their number, where all are of one size."""
        return self.total**2 / math.fsum(weight**2 for weight in self.weights)


def differences(candidate: Sequence[float], baseline: Sequence[float]) -> tuple[float, ...]:
    """Give candidate − baseline, case by case.

    Raises:
        ValueError: a score is no number from 0 to 1, or the two are not of one length.
    """
    if len(candidate) != len(baseline):
        raise ValueError(
            f"The candidate has {len(candidate)} scores and the baseline {len(baseline)}: they are not paired."
        )
    refuse_outside(candidate, 0, 1, "The candidate's score")
    refuse_outside(baseline, 0, 1, "The baseline's score")
    return tuple(after - before for after, before in zip(candidate, baseline, strict=True))


def clustered(
    values: Sequence[float], clusters: Sequence[Hashable] | None, weights: Sequence[float] | None
) -> Clustered:
    """Sum values up by cluster."""
    if clusters is not None and len(clusters) != len(values):
        raise ValueError(f"There are {len(values)} values and {len(clusters)} names of clusters.")
    if weights is not None and len(weights) != len(values):
        raise ValueError(f"There are {len(values)} values and {len(weights)} weights.")
    for place, weight in enumerate(weights or ()):
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"A weight is a finite number above 0; number {place} is {weight!r}.")
    given = weights if weights is not None else [1.0] * len(values)
    if clusters is None:
        sums = tuple(weight * value for weight, value in zip(given, values, strict=True))
        return Clustered(sums, tuple(map(float, given)), math.fsum(given))
    members: dict[Hashable, list[int]] = {}
    for place, name in enumerate(clusters):
        members.setdefault(name, []).append(place)
    return Clustered(
        tuple(math.fsum(given[i] * values[i] for i in places) for places in members.values()),
        tuple(math.fsum(given[i] for i in places) for places in members.values()),
        math.fsum(given),
    )


def refuse_outside(values: Iterable[float], low: float, high: float, name: str) -> None:
    """Refuse what is no finite number in a range.

    Raises:
        ValueError: it names the first that is not, by its place.
    """
    for place, value in enumerate(values):
        # What is no number compares as false.
        if not low <= value <= high:
            raise ValueError(f"{name} is a number from {low:g} to {high:g}; number {place} is {value!r}.")


def refuse_share(value: float, name: str) -> None:
    """Refuse what is no share between 0 and 1, both excluded."""
    if not 0 < value < 1:
        raise ValueError(f"{name} lies between 0 and 1, and is not {value!r}.")


def refuse_counts(counts: Mapping[str, int]) -> None:
    """Refuse what is no number of things."""
    for name, count in counts.items():
        if count < 0 or count != int(count):
            raise ValueError(f"{name} counts something, and is not {count!r}.")
