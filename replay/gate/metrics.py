"""The built-in metrics: what each says of a case, as numbers from 0 to 1 for both sides.

The rules:

1. `outcome` looks at one execution alone: it came to its end, and did not fail.
2. `write_set`, `escalation` and `trajectory` are agreement with the baseline: the candidate's runs with the baseline's, against
   the baseline's runs with each other. A case that the baseline ran once says nothing of them: there is no noise to compare with.
3. A scorer's metric is its score; None is unscored, and never 0.
4. What was not served to its end is unknown where what it did until then does not decide: a value is given twice, for the
   worst and for the best.
5. `new_write` and `changed_money` are hard: the candidate did what no run of the baseline did.
6. The recording decides nothing here. It says whether the baseline still behaves as it was recorded, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from replay.gate.facts import CaseFacts, Facts
from replay.gate.policy import ROLES, Role

Range = tuple[float, float]
"""The worst and the best that is possible; equal where it is known."""


class Pair(NamedTuple):
    """A metric of one case, on both sides."""

    baseline: Range
    candidate: Range

    @property
    def known(self) -> bool:
        """Whether nothing was cut short where it matters."""
        return self.baseline[0] == self.baseline[1] and self.candidate[0] == self.candidate[1]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in metric."""

    name: str
    says: str
    roles: tuple[Role, ...]


_SOFT: tuple[Role, ...] = ("primary", "secondary")
BUILT_IN: Mapping[str, BuiltIn] = {
    metric.name: metric
    for metric in (
        BuiltIn("outcome", "the turn came to its end without a failure", _SOFT),
        BuiltIn("write_set", "writes with the same tools as the baseline", _SOFT),
        BuiltIn("escalation", "hands over to a person when the baseline does", _SOFT),
        BuiltIn("trajectory", "makes the same calls with the same arguments as the baseline", _SOFT),
        BuiltIn("divergence", "was served to its end from the recording", _SOFT),
        BuiltIn("latency", "is not slower than the baseline (each case scores by its ratio)", ("secondary",)),
        BuiltIn("cost", "does not cost more than the baseline", ("secondary",)),
        BuiltIn("new_write", "writes with no tool that the baseline does not write with", ("hard",)),
        BuiltIn("changed_money", "moves no other amount of money than the baseline", ("hard",)),
    )
}
AGREEMENT = frozenset(("write_set", "escalation", "trajectory"))
HARD_BUILT_IN = ("new_write", "changed_money")


def known_metrics(scorers: Sequence[str]) -> dict[str, tuple[Role, ...]]:
    """Give every metric's name and the roles that it can have."""
    return {**dict.fromkeys(scorers, ROLES), **{name: metric.roles for name, metric in BUILT_IN.items()}}


def pair_of(metric: str, case: CaseFacts) -> Pair | None:
    """Give a metric of a case on both sides; None where one side says nothing."""
    old, new = case.baselines, case.candidates
    if not old or not new or case.lost:
        return None
    if metric in AGREEMENT:
        return _agreement(_AGREE[metric], old, new)
    if metric in _MEASURED:
        return _ratio(_MEASURED[metric], old, new)
    of = _ALONE.get(metric) or (lambda run: _score(metric, run))
    sides = [[value for run in runs if (value := of(run)) is not None] for runs in (old, new)]
    return Pair(_mean(sides[0]), _mean(sides[1])) if all(sides) else None


def violations(metric: str, case: CaseFacts) -> list[str]:
    """Give what the candidate did that violates a hard metric and no run of the baseline did; one sentence each."""
    if not case.baselines:
        # What nothing can be compared with is told of the run, and is no violation.
        return []
    found = dict.fromkeys(
        said for run in case.candidates for said in violations_of(metric, run, case.baselines)
    )
    return list(found)


def violations_of(metric: str, run: Facts, baselines: Sequence[Facts]) -> Iterator[str]:
    """Give what one execution violates that none of these runs of the baseline does."""
    match metric:
        case "new_write":
            known = {name for other in baselines for name in other.write_set}
            for name in dict.fromkeys(name for name, _ in run.writes if name not in known):
                yield f"writes with {name}, which no run of the baseline does"
        case "changed_money":
            known_amounts = {write for other in baselines for write in other.writes}
            tools = {name for name, _ in known_amounts}
            for name, money in dict.fromkeys(run.writes):
                if name in tools and (name, money) not in known_amounts:
                    yield f"calls {name} with other money than any run of the baseline: {money}"
        case _:
            value = run.scores.get(metric)
            if value is not None and value < 1:
                others = [other.scores.get(metric) for other in baselines]
                if not any(other is not None and other < 1 for other in others):
                    yield run.evidence.get(metric) or f"scores {value:g}"


def _outcome(run: Facts) -> Range:
    return (0.0, 0.0) if run.failed else (0.0, 1.0) if run.cut else (1.0, 1.0)


def _served(run: Facts) -> Range:
    return (0.0, 0.0) if run.cut else (1.0, 1.0)


_ALONE: Mapping[str, Callable[[Facts], Range | None]] = {"outcome": _outcome, "divergence": _served}


def _score(metric: str, run: Facts) -> Range | None:
    value = run.scores.get(metric)
    if run.cut:
        # What it said until it was stopped is no judgement of the whole.
        return (0.0, 1.0) if metric in run.scores else None
    return None if value is None else (value, value)


def _agree_writes(one: Facts, other: Facts) -> Range:
    if one.write_set == other.write_set and (one.status == other.status or not (one.cut or other.cut)):
        return (1.0, 1.0)
    beyond = (one.write_set - other.write_set and not other.cut) or (
        other.write_set - one.write_set and not one.cut
    )
    return (0.0, 0.0) if beyond or not (one.cut or other.cut) else (0.0, 1.0)


def _agree_escalation(one: Facts, other: Facts) -> Range:
    if one.escalated == other.escalated:
        # A hand-over that was not there until the stop may have come behind it.
        unsure = not one.escalated and one.cut != other.cut
        return (0.0, 1.0) if unsure else (1.0, 1.0)
    silent = other if one.escalated else one
    return (0.0, 1.0) if silent.cut else (0.0, 0.0)


def _agree_calls(one: Facts, other: Facts) -> Range:
    if one.calls == other.calls:
        return (1.0, 1.0)
    shared = min(len(one.calls), len(other.calls))
    if one.calls[:shared] != other.calls[:shared]:
        return (0.0, 0.0)
    shorter = one if len(one.calls) == shared else other
    return (0.0, 1.0) if shorter.cut else (0.0, 0.0)


_AGREE: Mapping[str, Callable[[Facts, Facts], Range]] = {
    "write_set": _agree_writes,
    "escalation": _agree_escalation,
    "trajectory": _agree_calls,
}


def _agreement(
    agree: Callable[[Facts, Facts], Range], old: Sequence[Facts], new: Sequence[Facts]
) -> Pair | None:
    if len(old) < 2:
        return None
    return Pair(
        _mean([agree(one, other) for one, other in permutations(old, 2)]),
        _mean([agree(run, other) for run in new for other in old]),
    )


_MEASURED = {"latency": "latency_ms", "cost": "cost_usd"}


def _ratio(measure: str, old: Sequence[Facts], new: Sequence[Facts]) -> Pair | None:
    """Score each side by its share of both: ½ is as much as the other, 0 all of it."""
    sides = [
        [value for run in runs if (value := run.measures.get(measure)) is not None] for runs in (old, new)
    ]
    if not all(sides):
        return None
    before, after = (sum(values) / len(values) for values in sides)
    total = before + after
    share = 0.5 if total == 0 else after / total
    return Pair((0.5, 0.5), (1 - share, 1 - share))


def _mean(values: Sequence[Range]) -> Range:
    return sum(low for low, _ in values) / len(values), sum(high for _, high in values) / len(values)
