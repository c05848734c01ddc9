"""The workers of a campaign: started, given bouts, paced, replaced, and stopped by a budget.

The rules:

1. Each version has workers of its own, behind every lock; one that dies or misses the deadline costs its bout (`errored`).
2. All workers share the rates, and a bout that failed because of the model's infrastructure is tried again, later and later. What
   failed is recorded, counts as spent and as nothing else.
3. When a budget is used up nothing more is handed out; what is under way ends and counts. What an attacker that is a model
   took is spent like what the agent's models took.
4. A bout's records are appended when it is over, its agent's last: killing the process at any moment leaves each bout either done
   or not begun.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

from auditlog.values import Turn
from replay.attack.bouts import Bout, job_of
from replay.running.appending import Appender
from replay.running.interrupts import first_error
from replay.running.limits import NOTHING_SPENT, Budget, Spend, used_up
from replay.running.pool import Worker
from replay.running.protocol import Result
from replay.running.rates import Leases
from replay.running.records import Place, retried, unrun_case
from replay.running.retries import pause_before, started
from replay.running.run_plan import RunPlan
from replay.targets.planned import PlannedTarget


class BudgetSpentError(Exception):
    """A budget is used up; not every bout was run."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.budget: Budget = budget


class Crew:
    """The workers of one campaign; for one event loop."""

    def __init__(
        self, plan: RunPlan, appender: Appender, turns: Mapping[str, Turn], *, spent: Spend = NOTHING_SPENT
    ) -> None:
        """Hire nobody yet.

        Args:
            plan: what is attacked, and with what allowed.
            appender: takes what comes of it.
            turns: the recorded turns of the hosts, by the agent's span id.
            spent: what earlier processes of the campaign took.
        """
        self._plan, self._appender, self._turns = plan, appender, turns
        self._spend = spent
        self._began = time.monotonic()
        self._workers: dict[tuple[PlannedTarget, int], Worker] = {}
        self._leases: Leases | None = None
        """None until a worker asks, which it does in the event loop whose clock they go by."""
        self._environment = dict(os.environ)
        self.ran = 0
        """Bouts that were run by this process."""

    def charge(self, spend: Spend) -> None:
        """Count what somebody else took."""
        self._spend = self._spend.plus(spend)

    @property
    def budget(self) -> Budget | None:
        """The budget that is used up; None where there is something left of each."""
        return used_up(self._plan.limits, self._spend, time.monotonic() - self._began)

    async def run(self, bouts: Sequence[Bout], done: Callable[[], None] = lambda: None) -> None:
        """Run bouts, and append what came of them.

        Args:
            bouts: which.
            done: called after each.

        Raises:
            BudgetSpentError: not all were run.
            TargetError: a target stopped being importable.
            RunError: workers do not start.
            StoreError: what came of them cannot be written.
        """
        waiting: dict[PlannedTarget, deque[Bout]] = defaultdict(deque)
        for bout in bouts:
            waiting[bout.target].append(bout)
        try:
            async with asyncio.TaskGroup() as group:
                for target, queue in waiting.items():
                    for place in range(min(self._plan.workers, len(queue))):
                        group.create_task(self._serve(target, place, queue, done))
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        finally:
            self._appender.flush()
        if any(waiting.values()) and (budget := self.budget) is not None:
            raise BudgetSpentError(budget)

    async def go_home(self) -> None:
        """End every worker."""
        for worker in self._workers.values():
            await worker.kill()
        self._workers.clear()

    async def _serve(
        self, target: PlannedTarget, place: int, queue: deque[Bout], done: Callable[[], None]
    ) -> None:
        while queue and self.budget is None:
            bout = queue.popleft()
            job = job_of(self._plan, bout, self._turns[bout.attack.host.span_id])
            for attempt in range(1, self._plan.limits.most_retries + 2):
                worker = await self._worker(target, place)
                answer = await worker.run(job)
                if isinstance(answer, str):
                    lineage = Place(job.conversation_id, job.user_id, job.tags, job.lineage)
                    lost = unrun_case(lineage, target.name, dict(job.arguments), "errored", answer)
                    answer = Result("errored", answer, (lost,))
                self._took(answer)
                if (
                    not answer.infrastructure
                    or attempt > self._plan.limits.most_retries
                    or self.budget is not None
                ):
                    break
                self._appender.append(retried(answer.payloads, attempt, answer.infrastructure))
                await asyncio.sleep(pause_before(attempt))
            self._appender.append(answer.payloads)
            self.ran += 1
            done()

    def _took(self, result: Result) -> None:
        self.charge(result.spend)
        if self._leases is not None:
            self._leases.settle(result.spend)

    async def _worker(self, target: PlannedTarget, place: int) -> Worker:
        """Give the worker of a place; a new one where it has none, or one that can take no other bout."""
        known = self._workers.pop((target, place), None)
        if known is not None and known.alive and not known.used_up:
            self._workers[target, place] = known
            return known
        if known is not None:
            await known.kill()
        launch = self._plan.launch(target)
        worker = await started(lambda: Worker(launch, self._environment, self._lease))
        self._workers[target, place] = worker
        return worker

    async def _lease(self) -> float:
        if not self._plan.limits.paces:
            return 0.0
        self._leases = self._leases or Leases(self._plan.limits)
        return await self._leases.take()
