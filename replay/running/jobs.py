"""What a run hands out: each case in each arm, with what a worker needs to run it.

The rules:

1. Turns are read many at a time, and no other turns of their conversations with them: as many as a bound of content holds, so
   that a run's memory does not grow with it.
2. A replayed turn is a conversation of its own, `RUN/ARM/original` (a repeat `RUN/ARM.REPEAT/original`), with the
   customer and the tags of the original.
3. Every span of an execution says which run, arm and recorded turn it belongs to.
4. A turn that cannot be replayed is handed out without a job, and with the reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from auditlog.values import Json, Turn
from replay.matching.recorded import recorded_calls, to_json, types_of
from replay.pinned.case import given_for
from replay.pinned.model_cache import Answers
from replay.pinned.pinning import draw_of
from replay.running.cached_answers import Cache
from replay.running.cases import Case, case_key, unreplayable
from replay.running.protocol import Job
from replay.running.records import (
    ARM,
    CANDIDATE_DIGEST,
    CASE,
    MODE,
    REPEAT,
    RUN,
    SOURCE_SPAN,
    SOURCE_TRACE,
    Place,
)
from replay.running.run_plan import PlannedTarget, RunPlan
from replay.running.runs import ExecutionKey
from replay.sandbox.fork import first_calls

if TYPE_CHECKING:
    from auditlog.store import Store

_BATCH = 64
"""Cases that are read at first; each reading says how large a turn is, and how many may be read next."""
MOST_CASES = 1024
"""Cases that are read at once; reading has a cost of its own, which they share."""
MOST_BYTES = 16 * 1024 * 1024
"""Of content that is read at once, as far as the turns before tell."""


class Execution(NamedTuple):
    """One case in one arm, once."""

    case: Case
    arm: str
    target: PlannedTarget
    repeat: int = 0

    @property
    def key(self) -> ExecutionKey:
        """What the store knows it by."""
        return ExecutionKey(self.arm, self.repeat, self.case.span_id)


@dataclass(frozen=True, slots=True)
class Task:
    """One execution, ready to run."""

    execution: Execution
    place: Place
    agent_name: str
    arguments: Json
    job: Job | None
    """None for a turn that cannot be replayed."""
    why: str = ""
    recorded: Turn | None = field(default=None, repr=False)


def executions(plan: RunPlan) -> Iterator[Execution]:
    """Give every execution of a run, in the order in which they are handed out."""
    for position, case in enumerate(plan.cases):
        yield from _arms(plan, case, position)


def tasks_of(store: Store, plan: RunPlan, done: Collection[ExecutionKey]) -> Iterator[list[Task]]:
    """Read the recorded turns and give what is left to run, some conversations at a time.

    Args:
        store: where the turns are.
        plan: the run.
        done: the executions that are done.
    """
    from auditlog.store.lazy import TurnsInOrder

    recorded = TurnsInOrder(store, [case.span_id for case in plan.cases])
    cache = Cache(store, plan)
    first, size = 0, _BATCH
    while first < len(plan.cases):
        batch = plan.cases[first : first + size]
        wanted = [
            execution
            for position, case in enumerate(batch, first)
            for execution in _arms(plan, case, position)
            if execution.key not in done
        ]
        first += len(batch)
        if not wanted:
            continue
        names = list(dict.fromkeys(execution.case.span_id for execution in wanted))
        turns, content = recorded.read(names, first - len(batch), first)
        size = max(1, min(MOST_CASES, 4 * size, MOST_BYTES * len(names) // max(content, 1)))
        answers = cache.answers(set(names))
        yield [
            _task(plan, execution, turns.get(execution.case.span_id), cache, answers) for execution in wanted
        ]


def _arms(plan: RunPlan, case: Case, position: int) -> list[Execution]:
    found = [Execution(case, "candidate", plan.candidate)]
    if plan.baseline is not None:
        found.insert(0, Execution(case, "baseline", plan.baseline))
        if case.sampled:
            found.append(Execution(case, "baseline_2", plan.baseline))
    turn = position % len(found)
    found = found[turn:] + found[:turn]
    return [execution._replace(repeat=repeat) for repeat in range(plan.repeats) for execution in found]


def _too_short(turn: Turn | None, prefix: int) -> str | None:
    """Say that a turn ended before the fork; None where it did not."""
    held = 0 if turn is None or not prefix else len(first_calls(turn, prefix))
    if held >= prefix:
        return None
    return f"the recorded turn holds {held} calls, and the fork comes after {prefix}"


def _task(plan: RunPlan, execution: Execution, turn: Turn | None, cache: Cache, answers: Answers) -> Task:
    case = execution.case
    lineage = {
        RUN: plan.run_id,
        ARM: execution.arm,
        REPEAT: execution.repeat,
        SOURCE_TRACE: case.trace_id,
        SOURCE_SPAN: case.span_id,
        CANDIDATE_DIGEST: execution.target.digest,
        MODE: plan.mode,
        CASE: case_key(plan.config_digest, case.trace_id, case.span_id, execution.arm, execution.repeat),
    }
    tags: Mapping[str, str] = {} if turn is None else turn.agent.tags
    user = None if turn is None else turn.agent.user_id
    arm = execution.arm if not execution.repeat else f"{execution.arm}.{execution.repeat}"
    place = Place(f"{plan.run_id}/{arm}/{case.conversation_id}", user, tags, lineage)
    arguments = None if turn is None else turn.agent.input
    name = execution.target.name
    draw = draw_of(plan.kind, execution.arm, execution.repeat)
    why = unreplayable(turn) or _too_short(turn, plan.modes.prefix)
    if why is not None or turn is None or arguments is None:
        return Task(execution, place, name, arguments, None, why or "", turn)
    job = Job(
        case_id=case.case_id,
        arguments=arguments,
        cassette=to_json(recorded_calls(turn, models=plan.modes.model_is_served)),
        lineage=lineage,
        conversation_id=place.conversation_id,
        user_id=user,
        tags=tags,
        agent_version=execution.target.version,
        types=types_of(turn.agent, "input"),
        pinned={
            **given_for(turn, draw, plan.pinning),
            **cache.given(answers, case.span_id, draw, execution.target),
        },
        before_fork=first_calls(turn, plan.modes.prefix) if plan.modes.prefix else (),
    )
    return Task(execution, place, name, arguments, job, "", turn)
