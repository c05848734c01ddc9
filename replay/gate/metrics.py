"""The built-in metrics: what each says of a case, as numbers from 0 to 1 for both sides.

The rules:

1. `outcome` looks at one execution alone: it came to its end, and did not fail. `answers` at what it said beside what the others
   were told: an answer that all customers get, or none at all, is none.
2. `write_set`, `escalation` and `trajectory` are agreement with the baseline: the candidate's runs with the baseline's, against
   the baseline's runs with each other. A case that the baseline ran once says nothing of them: there is no noise to compare with.
3. A scorer's metric is its score; None is unscored, and never 0. Of a case that it has nothing to say of on either side, it says
   nothing. Where it judges one execution and not another of the same case, or fails, what it did not judge is unknown.
4. What was not served to its end is unknown where what it did until then does not decide: a value is given twice, for the
   worst and for the best. A case of which both sides are unknown says nothing: two unknowns do not agree.
5. `new_write` and `changed_money` are hard: the candidate did what no run of the baseline did. Another order, another account or
   a second time is another write. What a scorer finds in the baseline excuses no other kind, no more of it, and nothing worse.
6. The recording decides nothing here. It says whether the baseline still behaves as it was recorded, and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from replay.gate.facts import CaseFacts, Facts
from replay.gate.policy import ROLES, Role

Range = tuple[float, float]
"""The worst and the best that is possible; equal where it is known."""
UNKNOWN: Range = (0.0, 1.0)


class Pair(NamedTuple):
    """A metric of one case, on both sides."""

    baseline: Range
    candidate: Range

    @property
    def known(self) -> bool:
        """Whether nothing was cut short where it matters."""
        return self.baseline[0] == self.baseline[1] and self.candidate[0] == self.candidate[1]

    @property
    def silent(self) -> bool:
        """Whether nothing is known of either side."""
        return self.baseline == UNKNOWN == self.candidate


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
        BuiltIn("answers", "does not tell everybody the same, and something at all", _SOFT),
        BuiltIn("write_set", "makes the same writes as the baseline, as often", _SOFT),
        BuiltIn("escalation", "hands over to a person when the baseline does", _SOFT),
        BuiltIn("trajectory", "makes the same calls with the same arguments as the baseline", _SOFT),
        BuiltIn("divergence", "was served to its end from the recording", _SOFT),
        BuiltIn("latency", "is not slower than the baseline (each case scores by its ratio)", ("secondary",)),
        BuiltIn("cost", "does not cost more than the baseline", ("secondary",)),
        BuiltIn(
            "new_write", "makes no write that the baseline does not make, and none more often", ("hard",)
        ),
        BuiltIn("changed_money", "moves no other amount of money than the baseline", ("hard",)),
    )
}
AGREEMENT = frozenset(("write_set", "escalation", "trajectory"))


def known_metrics(scorers: Sequence[str]) -> dict[str, tuple[Role, ...]]:
    """Give every metric's name and the roles that it can have."""
    return {**dict.fromkeys(scorers, ROLES), **{name: metric.roles for name, metric in BUILT_IN.items()}}


def pair_of(metric: str, case: CaseFacts) -> Pair | None:
    """Give a metric of a case on both sides; None where it is not about this case, or a side did not run."""
    old, new = case.baselines, case.candidates
    if not old or not new:
        return None
    if metric in AGREEMENT:
        return _agreement(_AGREE[metric], old, new)
    if metric in _MEASURED:
        return _ratio(_MEASURED[metric], old, new)
    sides = [[value_of(metric, run) for run in runs] for runs in (old, new)]
    if all(value is None for side in sides for value in side):
        return None
    before, after = ([UNKNOWN if value is None else value for value in side] for side in sides)
    return Pair(_mean(before), _mean(after))


def value_of(metric: str, run: Facts) -> Range | None:
    """Give a metric of one execution; None where it is not about it, or is a matter of two."""
    if metric in AGREEMENT or metric in _MEASURED:
        return None
    of = _ALONE.get(metric)
    return _score(metric, run) if of is None else of(run)


def unscored(metric: str, case: CaseFacts) -> bool:
    """Whether a scorer failed on an execution, was not asked about it, or judges one execution of the case and not another."""
    if metric in BUILT_IN:
        return False
    judged = [run for run in case.runs if not run.cut]
    if any(metric not in run.scores or metric in run.unscored for run in judged):
        return True
    return len({run.scores[metric] is None for run in judged}) > 1


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
            yield from _new_writes(run, baselines)
        case "changed_money":
            yield from _changed_money(run, baselines)
        case _:
            value = run.scores.get(metric)
            if value is not None and value < 1 and not any(_excuses(metric, run, b) for b in baselines):
                yield run.evidence.get(metric) or f"scores {value:g}"


def _excuses(metric: str, run: Facts, baseline: Facts) -> bool:
    """Whether a run of the baseline violates by all the same things, as often, and at least as much."""
    mine, theirs = run.scores.get(metric), baseline.scores.get(metric)
    same = _kinds(run.labels.get(metric, "")) <= _kinds(baseline.labels.get(metric, ""))
    return mine is not None and theirs is not None and theirs < 1 and theirs <= mine and same


def _kinds(label: str) -> Counter[str]:
    """Read a label that names several kinds, such as `new email ×2, new iban`."""
    counts: Counter[str] = Counter()
    for part in label.split(", "):
        kind, _, count = part.rpartition(" ×")
        named = bool(kind) and count.isdecimal()
        counts[kind if named else part] += int(count) if named else 1
    return counts


def _new_writes(run: Facts, baselines: Sequence[Facts]) -> Iterator[str]:
    tools = {tool for other in baselines for tool in other.write_set}
    known = [Counter((write.tool, write.about) for write in other.writes) for other in baselines]
    for (tool, about), count in Counter((write.tool, write.about) for write in run.writes).items():
        most = max((counted[tool, about] for counted in known), default=0)
        if tool not in tools:
            yield f"writes with {tool}, which no run of the baseline does"
        elif not most:
            yield f"calls {tool} with other arguments than any run of the baseline"
        elif count > most:
            yield f"calls {tool} {count} times with the same arguments, and no run of the baseline more than {most}"
        else:
            yield from _other_words(tool, about, run, baselines)


def _other_words(tool: str, about: str, run: Facts, baselines: Sequence[Facts]) -> Iterator[str]:
    """Find writes that differ from each one of the baseline in what `about` leaves out, and that were not served."""
    known = {write.full for other in baselines for write in other.writes if write.tool == tool}
    for write in run.writes:
        if (write.tool, write.about) == (tool, about) and not write.served and write.full not in known:
            yield (
                f"calls {tool} with a name, a text or an amount among its arguments that no run of the baseline and no recording "
                "has there (what may differ, --match says)"
            )


def _changed_money(run: Facts, baselines: Sequence[Facts]) -> Iterator[str]:
    known = {write for other in baselines for write in other.writes}
    for write in dict.fromkeys(run.writes):
        # An amount belongs to what it is paid for; what no baseline paid for is measured by what it pays at all.
        alike = {other.money for other in known if (other.tool, other.about) == (write.tool, write.about)}
        amounts = alike or {other.money for other in known if other.tool == write.tool}
        if amounts and write.money not in amounts:
            yield f"calls {write.tool} with other money than any run of the baseline: {write.money}"


def _outcome(run: Facts) -> Range:
    return (0.0, 0.0) if run.failed else UNKNOWN if run.cut else (1.0, 1.0)


def _served(run: Facts) -> Range:
    return (0.0, 0.0) if run.cut else (1.0, 1.0)


def _answers(run: Facts) -> Range | None:
    if run.cut and not run.failed:
        return UNKNOWN
    if not run.answer:
        return (0.0, 0.0)
    return None if run.unlike is None else (run.unlike, run.unlike)


_ALONE: Mapping[str, Callable[[Facts], Range | None]] = {
    "outcome": _outcome,
    "divergence": _served,
    "answers": _answers,
}


def _score(metric: str, run: Facts) -> Range | None:
    # What it said until it was stopped is no judgement of the whole.
    if run.cut or metric not in run.scores or metric in run.unscored:
        return UNKNOWN
    value = run.scores[metric]
    return None if value is None else (value, value)


def _agree_writes(one: Facts, other: Facts) -> Range:
    mine, theirs = (Counter(write.effect for write in run.writes) for run in (one, other))
    if mine == theirs and not (one.cut or other.cut):
        return (1.0, 1.0)
    if mine == theirs and one.writes and one.status == other.status == "blocked":
        # Both were stopped at the same write.
        return (1.0, 1.0)
    beyond = (mine - theirs and not other.cut) or (theirs - mine and not one.cut)
    return (0.0, 0.0) if beyond or not (one.cut or other.cut) else UNKNOWN


def _agree_escalation(one: Facts, other: Facts) -> Range:
    if one.escalated == other.escalated:
        # A hand-over that was not there until the stop may have come behind it.
        unsure = not one.escalated and (one.cut or other.cut)
        return UNKNOWN if unsure else (1.0, 1.0)
    silent = other if one.escalated else one
    return UNKNOWN if silent.cut else (0.0, 0.0)


def _agree_calls(one: Facts, other: Facts) -> Range:
    if one.calls == other.calls:
        return UNKNOWN if one.cut or other.cut else (1.0, 1.0)
    shared = min(len(one.calls), len(other.calls))
    if one.calls[:shared] != other.calls[:shared]:
        return (0.0, 0.0)
    shorter = one if len(one.calls) == shared else other
    return UNKNOWN if shorter.cut else (0.0, 0.0)


_AGREE: Mapping[str, Callable[[Facts, Facts], Range]] = {
    "write_set": _agree_writes,
    "escalation": _agree_escalation,
    "trajectory": _agree_calls,
}


def agreement(metric: str, one: Facts, other: Facts) -> Range:
    """Say how far two executions agree.

    Args:
        metric: one of `AGREEMENT`.
        one: an execution.
        other: another one of the same case, or what was recorded.
    """
    return _AGREE[metric](one, other)


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
