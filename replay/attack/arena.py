"""Runs attacks in the replay sandbox, against the candidate and the current version alike, and judges what came of them.

The rules:

1. An attack runs as any case does: in a worker behind every lock, reads served from the recording, writes blocked.
2. A read that the recording does not hold is answered with the nearest recorded one, since a customer who says something
   else makes an agent ask for something else. Such an answer is marked, and nothing that rests on it counts for a gate.
3. Each execution is in the store, under the campaign's id and with the turn that it was laid into, before it is judged.
4. Both versions meet the same words in the same turn; and, once, the turn as it was recorded, where words are laid beside it.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from auditlog.errors import StoreError
from auditlog.journal import entry_of
from auditlog.recorder import Sink
from auditlog.values import Turn
from replay.attack.model import AttackCase, Attempt
from replay.attack.oracles import GOALS, UNPROVEN, is_laid_in, signs_of, without
from replay.attack.substitute import answers_of, arguments_of
from replay.diff.model import CaseStatus
from replay.matching.recorded import recorded_calls, to_json, types_of
from replay.running.pool import Worker
from replay.running.protocol import Job
from replay.running.records import (
    ARM,
    CANDIDATE_DIGEST,
    MODE,
    REPEAT,
    RUN,
    SOURCE_SPAN,
    SOURCE_TRACE,
    WHY,
    Place,
    unrun_case,
)
from replay.running.run_plan import PlannedTarget, RunPlan

if TYPE_CHECKING:
    from auditlog.store import Store


class _Bout(NamedTuple):
    """One attack on one version."""

    number: int
    attack: AttackCase
    arm: str
    target: PlannedTarget

    @property
    def key(self) -> tuple[int, str]:
        """What tells it from the others of a campaign."""
        return self.number, self.arm


_Statuses = dict[tuple[int, str], CaseStatus]


class Arena:
    """The workers of a campaign; an asynchronous context manager."""

    def __init__(self, store: Store, plan: RunPlan, writer: Sink, turns: Mapping[str, Turn]) -> None:
        """Prepare.

        Args:
            store: where the executions go.
            plan: what is attacked, and with what allowed.
            writer: the store's.
            turns: the recorded turns of the hosts, by the agent's span id.
        """
        self._store = store
        self._plan = plan
        self._writer = writer
        self._turns = turns
        self._count = 0
        self._unattacked: dict[str, Attempt] = {}
        self._workers: dict[PlannedTarget, list[Worker]] = defaultdict(list)
        self._environment = dict(os.environ)

    async def __aenter__(self) -> Self:
        """Begin; workers start when they are needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every worker."""
        for workers in self._workers.values():
            for worker in workers:
                await worker.kill()

    async def fight(self, attacks: Sequence[AttackCase]) -> list[Attempt]:
        """Run attacks, and say what came of each.

        Raises:
            TargetError: a target stopped being importable.
            RunError: workers do not start.
            StoreError: the executions cannot be written.
        """
        await self._meet_hosts(attacks)
        attempts = await self._fight(attacks)
        return [
            replace(
                attempt, signs=without(attempt.signs, self._unattacked[attempt.attack.host.span_id].signs)
            )
            if is_laid_in(attempt.attack)
            else attempt
            for attempt in attempts
        ]

    async def _meet_hosts(self, attacks: Sequence[AttackCase]) -> None:
        """Run the turns that words are laid into as they were recorded, each once."""
        new = {
            attack.host.span_id: replace(
                attack, cell=attack.cell._replace(surface="user"), text=attack.host.said, goals=GOALS
            )
            for attack in attacks
            if is_laid_in(attack) and attack.host.span_id not in self._unattacked
        }
        if new:
            self._unattacked |= dict(zip(new, await self._fight(list(new.values())), strict=True))

    async def _fight(self, attacks: Sequence[AttackCase]) -> list[Attempt]:
        arms = [("candidate", self._plan.candidate)]
        if self._plan.baseline is not None:
            arms.append(("baseline", self._plan.baseline))
        bouts = [
            _Bout(self._count + number, attack, arm, target)
            for number, attack in enumerate(attacks)
            for arm, target in arms
        ]
        self._count += len(attacks)
        statuses = await self._run(bouts)
        if not self._writer.flush():
            raise StoreError(UNWRITABLE)
        self._store.refresh()
        replayed = self._replayed([_conversation(self._plan, bout) for bout in bouts])
        return [
            self._judged(attack, [bout for bout in bouts if bout.number == first], statuses, replayed)
            for first, attack in enumerate(attacks, self._count - len(attacks))
        ]

    async def _run(self, bouts: Sequence[_Bout]) -> _Statuses:
        statuses: _Statuses = {}
        waiting: dict[PlannedTarget, deque[_Bout]] = defaultdict(deque)
        for bout in bouts:
            waiting[bout.target].append(bout)
        try:
            async with asyncio.TaskGroup() as group:
                for target, queue in waiting.items():
                    for place in range(min(self._plan.workers, len(queue))):
                        group.create_task(self._serve(target, place, queue, statuses))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return statuses

    async def _serve(
        self, target: PlannedTarget, place: int, queue: deque[_Bout], statuses: _Statuses
    ) -> None:
        workers = self._workers[target]
        while queue:
            bout = queue.popleft()
            while len(workers) <= place:
                workers.append(Worker(self._plan.launch(target), self._environment))
            worker = workers[place]
            if not worker.alive or worker.used_up:
                await worker.kill()
                worker = workers[place] = Worker(self._plan.launch(target), self._environment)
                await worker.start()
            job = self._job(bout)
            result = await worker.run(job)
            if isinstance(result, str):
                lineage = Place(job.conversation_id, job.user_id, job.tags, job.lineage)
                lost = unrun_case(lineage, target.name, dict(job.arguments), "errored", result)
                self._append([lost])
                statuses[bout.key] = "errored"
            else:
                self._append(result.payloads)
                statuses[bout.key] = result.status

    def _job(self, bout: _Bout) -> Job:
        host, turn = bout.attack.host, self._turns[bout.attack.host.span_id]
        return Job(
            case_id=f"{bout.number:08x}{bout.attack.attack_id[:8]}",
            arguments=arguments_of(bout.attack, turn),
            cassette=to_json(answers_of(bout.attack, recorded_calls(turn))),
            lineage={
                RUN: self._plan.run_id,
                ARM: bout.arm,
                REPEAT: bout.number,
                SOURCE_TRACE: host.trace_id,
                SOURCE_SPAN: host.span_id,
                CANDIDATE_DIGEST: bout.target.digest,
                MODE: self._plan.mode,
                "auditlog.attack.id": bout.attack.attack_id,
            },
            conversation_id=_conversation(self._plan, bout),
            user_id=turn.agent.user_id,
            tags=turn.agent.tags,
            agent_version=bout.target.version,
            types=types_of(turn.agent, "input"),
        )

    def _append(self, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            entry = entry_of(payload)
            opens = entry["span"] if entry["type"] == "start" else None
            closes = entry["span"] if entry["type"] == "end" else None
            if not self._writer.append(payload, opens=opens, closes=closes):
                raise StoreError(UNWRITABLE)

    def _replayed(self, conversations: Sequence[str]) -> dict[str, Turn]:
        from auditlog.store.build import conversations_of

        marks = ", ".join("?" * len(conversations))
        spans = self._store.spans(
            f"replay_run_id = ? AND conversation_id IN ({marks})", [self._plan.run_id, *conversations]
        )
        found = conversations_of(spans)
        return {
            name: next((t for t in conversation.turns if t.agent.kind == "agent"), conversation.turns[0])
            for name, conversation in found.items()
            if conversation.turns
        }

    def _judged(
        self,
        attack: AttackCase,
        bouts: Sequence[_Bout],
        statuses: _Statuses,
        replayed: Mapping[str, Turn],
    ) -> Attempt:
        by_arm = {bout.arm: bout for bout in bouts}
        bout = by_arm["candidate"]
        name = _conversation(self._plan, bout)
        turn, status = replayed.get(name), statuses[bout.key]
        if turn is None:
            return Attempt(
                attack, status, why="nothing of it was recorded", conversation_id=name, proven=False
            )
        other = by_arm.get("baseline")
        baseline = None if other is None else replayed.get(_conversation(self._plan, other))
        unproven = status in UNPROVEN or (
            other is not None and (baseline is None or statuses[other.key] in UNPROVEN)
        )
        return Attempt(
            attack,
            status,
            () if unproven else signs_of(attack, turn, status, baseline),
            tuple(f"{s.kind} {s.name}" for s in turn.of_kind("tool", "retriever", "handoff")),
            str(turn.agent.attributes.get(WHY) or ""),
            name,
            proven=not unproven,
        )


def _conversation(plan: RunPlan, bout: _Bout) -> str:
    return f"{plan.run_id}/{bout.arm}/{bout.number}"


UNWRITABLE = "The attacks' executions cannot be written into the store's journal: is the disk full, or the store read-only?"
