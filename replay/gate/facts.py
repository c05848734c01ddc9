"""What the gate knows of each case: facts of every execution, as small values that fit into memory for a long run.

The rules:

1. Facts are what gates: how an execution ended, which writes it tried, whether it handed the customer over, what it took.
   Words are not among them; scorers judge those.
2. A write that the sandbox stopped was tried, and counts as one.
3. An execution that was not served to its end (`cut`) proves nothing by what it did not do.
4. Two cases whose agents were handed the same arguments are one case for a bound: repeats are not independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from auditlog.values import Turn
from replay.canonical import digest_of
from replay.diff import CaseStatus, steps_of
from replay.diff.findings import money_changes
from replay.diff.json_diff import canonical
from replay.diff.measures import quantities
from replay.diff.model import PathChange
from replay.diff.steps import is_escalation, is_write
from replay.pinned.case import NOT_PINNED
from replay.results.trials import CaseTrials, Trial
from replay.running.cases import unreplayable

CUT: frozenset[CaseStatus] = frozenset(("diverged", "blocked", "unreplayable", "invalid"))
"""How executions end that were not served to their end."""
SIMULATED = "simulated"
"""The match tier of an answer that was made up for the agent."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One execution."""

    arm: str
    repeat: int
    status: CaseStatus
    writes: tuple[tuple[str, str], ...] = ()
    """Each write's tool and its amounts of money, in order."""
    calls: tuple[str, ...] = ()
    """Each call, as tool and canonical arguments, in order."""
    escalated: bool = False
    failed: bool = False
    simulated: bool = False
    not_pinned: tuple[str, ...] = ()
    """What it asked for that the recording did not have, such as `random`."""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """By the metric's name; None where the scorer had nothing to say."""
    unscored: frozenset[str] = frozenset()
    """Metrics whose scorer failed here."""
    evidence: Mapping[str, str] = field(default_factory=dict)
    """By the metric's name: what a scorer said of a value below 1."""

    @property
    def cut(self) -> bool:
        """Whether it was not served to its end."""
        return self.status in CUT

    @property
    def write_set(self) -> frozenset[str]:
        """The tools that it wrote with, or tried to."""
        return frozenset(name for name, _ in self.writes)


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case, with every execution of it."""

    case_id: str
    conversation_id: str
    turn_index: int
    span_id: str
    same_as: str
    """Equal for cases whose agents were handed the same arguments."""
    tags: Mapping[str, str] = field(default_factory=dict)
    weight: float = 1.0
    lost: str = ""
    """Why the recording cannot be replayed (any more); empty where it can."""
    escalated: bool = False
    """Whether the recorded turn handed the customer over."""
    whole: bool = True
    """Whether the recorded turn holds everything: it ended, and nothing of it is lossy."""
    runs: tuple[Facts, ...] = ()

    def of(self, *arms: str) -> tuple[Facts, ...]:
        """Give the executions of these arms."""
        return tuple(run for run in self.runs if run.arm in arms)

    @property
    def baselines(self) -> tuple[Facts, ...]:
        """Every run of the version in production."""
        return self.of("baseline", "baseline_2")

    @property
    def candidates(self) -> tuple[Facts, ...]:
        """Every run of the candidate."""
        return self.of("candidate")


class Judged(NamedTuple):
    """What a scorer said of an execution."""

    value: float | None
    why: str = ""
    failed: bool = False


Scores = Mapping[tuple[str, str, int], Mapping[str, Judged]]
"""By case id, arm and repeat, and then by the metric's name."""


def facts_of(trials: Iterable[CaseTrials], scores: Scores) -> Iterator[CaseFacts]:
    """Give the facts of each case.

    Args:
        trials: the run's cases.
        scores: what scorers said.
    """
    for tried in trials:
        case, recorded = tried.case, tried.recorded
        yield CaseFacts(
            case_id=case.case_id,
            conversation_id=case.conversation_id,
            turn_index=case.turn_index,
            span_id=case.span_id,
            same_as=case.span_id if recorded is None else digest_of(recorded.agent.input),
            tags={} if recorded is None else {**recorded.agent.tags, "had_write": _had_write(recorded)},
            weight=getattr(case, "weight", 1.0),
            lost=unreplayable(recorded) or "",
            escalated=recorded is not None and _escalated(recorded),
            whole=recorded is not None and is_whole(recorded),
            runs=tuple(
                execution(trial, scores.get((case.case_id, trial.arm, trial.repeat), {}))
                for trial in tried.trials
            ),
        )


def execution(trial: Trial, said: Mapping[str, Judged]) -> Facts:
    """Give the facts of one execution."""
    turn = trial.turn
    steps = steps_of([turn])
    return Facts(
        arm=trial.arm,
        repeat=trial.repeat,
        status=trial.status,
        writes=tuple(
            (step.name, _money(step.arguments))
            for step in steps
            if is_write(step) or step.match_tier == "blocked"
        ),
        calls=tuple(f"{step.name} {canonical(step.arguments)}" for step in steps if step.kind != "answer"),
        escalated=_escalated(turn),
        failed=trial.status not in CUT and (turn.agent.status == "error" or trial.status == "errored"),
        simulated=any(span.replay is not None and span.replay.match_tier == SIMULATED for span in turn.spans),
        not_pinned=_not_pinned(turn),
        measures=quantities([turn]),
        scores={name: judged.value for name, judged in said.items()},
        unscored=frozenset(name for name, judged in said.items() if judged.failed),
        evidence={
            name: judged.why
            for name, judged in said.items()
            if judged.value is not None and judged.value < 1 and judged.why
        },
    )


def is_whole(turn: Turn) -> bool:
    """Whether a recorded turn holds everything that happened."""
    return turn.status != "incomplete" and not any(
        span.lossy or span.erased or span.status == "incomplete" for span in turn.spans
    )


def _escalated(turn: Turn) -> bool:
    return turn.escalation_reason is not None or any(is_escalation(step) for step in steps_of([turn]))


def _not_pinned(turn: Turn) -> tuple[str, ...]:
    found = turn.agent.attributes.get(NOT_PINNED)
    return tuple(map(str, found)) if isinstance(found, dict) else ()


def _had_write(turn: Turn) -> str:
    return "yes" if any(is_write(step) for step in steps_of([turn])) else "no"


def _money(arguments: object) -> str:
    """Give the amounts of money among a call's arguments, in canonical form."""
    changes = [PathChange(path, "add", None, value) for path, value in _leaves(arguments, "")]  # type: ignore[arg-type]
    return canonical({change.path: change.after for change in money_changes(changes)})


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _leaves(item, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")
        case list():
            for index, item in enumerate(value):
                yield from _leaves(item, f"{path}/{index}")
        case _:
            yield path, value
