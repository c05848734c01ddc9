"""Runs attacks in the replay sandbox, against the candidate and the current version alike, and judges what came of them.

The rules:

1. An attack runs as any case does: in a worker behind every lock, reads served from the recording, writes blocked.
2. A read that the recording does not hold is answered with the nearest recorded one, since a customer who says something
   else makes an agent ask for something else. Such an answer is marked, and nothing that rests on it counts for a gate.
3. Each execution is in the store, under the campaign's id and with the turn that it was laid into, and is judged as it stands
   there. What stands there already is not run again.
4. Both versions meet the same words in the same turn; and, once, the turn as it was recorded, where words are laid beside it.
5. What did not run in both versions to where something could be seen proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from auditlog.values import Turn
from replay.attack.bouts import Bout, BoutKey, bouts_of, conversation_of, undone
from replay.attack.crew import BudgetSpentError, Crew
from replay.attack.model import AttackCase, Attempt
from replay.attack.oracles import GOALS, UNPROVEN, is_laid_in, signs_of, without
from replay.diff.model import CaseStatus
from replay.running.records import WHY
from replay.running.run_plan import RunPlan

if TYPE_CHECKING:
    from auditlog.store import Store


class OutOfBudgetError(Exception):
    """A budget is used up in the midst of a fight; `attempts` are those that were over."""

    def __init__(self, spent: BudgetSpentError, attempts: list[Attempt]) -> None:
        super().__init__(spent.budget)
        self.budget = spent.budget
        self.attempts = attempts


class Arena:
    """Where the attacks of one campaign are run and judged."""

    def __init__(
        self,
        store: Store,
        plan: RunPlan,
        crew: Crew,
        *,
        done: Mapping[BoutKey, str] | None = None,
        fought: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            store: where the executions go.
            plan: what is attacked, and with what allowed.
            crew: runs them.
            done: the bouts that the store holds already, as `done_bouts` gave them.
            fought: called after each execution.
        """
        self._store, self._plan, self._crew = store, plan, crew
        self._done = dict(done or {})
        self._fought = fought
        self._count = 0
        self._unattacked: dict[str, Attempt] = {}

    async def fight(self, attacks: Sequence[AttackCase]) -> list[Attempt]:
        """Run attacks, and say what came of each.

        Raises:
            OutOfBudgetError: not all of them were run.
            TargetError: a target stopped being importable.
            RunError: workers do not start, or the campaign is another one than was begun.
            StoreError: the executions cannot be written.
        """
        await self._meet_hosts(attacks)
        try:
            return list(map(self._without_hosts, await self._fight(attacks)))
        except OutOfBudgetError as spent:
            spent.attempts = list(map(self._without_hosts, spent.attempts))
            raise

    def _without_hosts(self, attempt: Attempt) -> Attempt:
        """Leave out what the turn shows as it was recorded."""
        if not is_laid_in(attempt.attack):
            return attempt
        host = self._unattacked[attempt.attack.host.span_id]
        return replace(
            attempt, signs=without(attempt.signs, host.signs), proven=attempt.proven and host.proven
        )

    async def _meet_hosts(self, attacks: Sequence[AttackCase]) -> None:
        """Run the turns that words are laid into as they were recorded, each once."""
        new = {
            attack.host.span_id: replace(
                attack, cell=attack.cell._replace(surface="user"), text=attack.host.said, goals=GOALS
            )
            for attack in attacks
            if is_laid_in(attack) and attack.host.span_id not in self._unattacked
        }
        try:
            met = await self._fight(list(new.values())) if new else []
        except OutOfBudgetError as spent:
            spent.attempts = []
            raise
        self._unattacked |= dict(zip(new, met, strict=True))

    async def _fight(self, attacks: Sequence[AttackCase]) -> list[Attempt]:
        bouts = bouts_of(self._plan, attacks, self._count)
        self._count += len(attacks)
        spent = None
        left = undone(bouts, self._done)
        try:
            if left:
                await self._crew.run(left, self._fought)
        except BudgetSpentError as error:
            spent = error
        if left:
            self._store.refresh()
        attempts = self._judged_all(bouts, all_over=spent is None)
        if spent is not None:
            raise OutOfBudgetError(spent, attempts)
        return attempts

    def _judged_all(self, bouts: Sequence[Bout], *, all_over: bool) -> list[Attempt]:
        """Judge attacks; where not all of them are over, those that are."""
        replayed = self._replayed([conversation_of(self._plan, bout) for bout in bouts])
        by_attack: dict[int, list[Bout]] = {}
        for bout in bouts:
            by_attack.setdefault(bout.number, []).append(bout)
        found = []
        for same in by_attack.values():
            turns = {bout.arm: replayed.get(conversation_of(self._plan, bout)) for bout in same}
            if None not in turns.values() or all_over:
                found.append(_judged(same[0].attack, turns))
        return found

    def _replayed(self, conversations: Sequence[str]) -> dict[str, Turn]:
        """Read executions that are over; one that failed and was tried again stands there without a status."""
        from auditlog.store.build import conversations_of

        if not conversations:
            return {}
        marks = ", ".join("?" * len(conversations))
        spans = self._store.spans(
            f"replay_run_id = ? AND conversation_id IN ({marks})", [self._plan.run_id, *conversations]
        )
        found: dict[str, Turn] = {}
        for name, conversation in conversations_of(spans).items():
            over = [turn for turn in conversation.turns if _status(turn) is not None]
            if over:
                found[name] = over[0]
        return found


def _status(turn: Turn) -> CaseStatus | None:
    agent = turn.agent
    if agent.kind != "agent" or agent.replay is None:
        return None
    return agent.replay.status  # type: ignore[return-value]


def _judged(attack: AttackCase, turns: Mapping[str, Turn | None]) -> Attempt:
    """Judge one attack by what was recorded of each version."""
    candidate, baseline = turns["candidate"], turns.get("baseline")
    if candidate is None:
        return Attempt(attack, "errored", why="nothing of it was recorded", proven=False)
    status = _status(candidate) or "errored"
    why = _why(candidate)
    proven = status not in UNPROVEN
    if proven and "baseline" in turns:
        proven = baseline is not None and _status(baseline) not in UNPROVEN
        if not proven:
            why = (
                f"the current version: {'nothing of it was recorded' if baseline is None else _why(baseline)}"
            )
    return Attempt(
        attack,
        status,
        signs_of(attack, candidate, status, baseline) if proven else (),
        tuple(f"{s.kind} {s.name}" for s in candidate.of_kind("tool", "retriever", "handoff")),
        why,
        candidate.agent.conversation_id or "",
        proven=proven,
    )


def _why(turn: Turn) -> str:
    said = turn.agent.attributes.get(WHY)
    if isinstance(said, str) and said:
        return said
    return f"it raised {turn.agent.fault.type}" if turn.agent.fault is not None else ""
