"""Runs a plan: hands its cases to workers and appends what they give to the store.

The rules:

1. The arms of a case run close together in time, and their order turns from case to case.
2. Records are appended when a case is over, its agent's last: killing this process at any moment leaves each execution
   either done or not begun, as far as anybody who reads the store can tell.
3. A worker that misses the deadline, or dies, costs its case (`errored`), and nothing else; one that dies before it has begun
   costs nothing, and is started again. A case whose worker was ended from outside is handed out once more, alone.
4. An interruption keeps what is done, and so does a budget that is used up: what is under way ends and counts, and nothing
   more is handed out. The same plan goes on from there.
5. The run's end is written when every execution is done, and not before.
6. An execution that failed because of the model's infrastructure is tried again, later and later. What failed is recorded,
   counts as spent and as nothing else.
7. Where writes happen for real a worker has one case at a time, and nothing that may have begun is handed out again: a run that
   is killed can have written for real only in the cases that were under way, one a worker.
8. Nothing of the agent's is imported or run in this process.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from auditlog.values import Json
from replay.diff.model import CaseStatus
from replay.pinned.not_pinned import Tally, counted, ending
from replay.results.report import RunSummary
from replay.running.appending import Appender, appending
from replay.running.case_lists import are_kept, case_records, without_cases
from replay.running.garbage import only_of_the_run
from replay.running.interrupts import first_error, interruptible
from replay.running.jobs import Task, executions, tasks_of
from replay.running.judge import Judge
from replay.running.limits import NOTHING_SPENT, Budget, Spend, used_up
from replay.running.pool import Worker, sweep
from replay.running.progress import Progress
from replay.running.protocol import Result
from replay.running.rates import Leases
from replay.running.records import MANIFEST, RUN_END, RUN_STOP, retried, run_span, unrun_case
from replay.running.retries import pause_before, started
from replay.running.run_lock import forget, held
from replay.running.run_plan import PlannedTarget, RunPlan
from replay.running.runs import ExecutionKey, active, done_executions, ends, refuse_begun, spent
from replay.running.sameness import refuse_changed_files
from replay.running.staff import Staff
from replay.running.tasks import Tasks

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.running.on_ray import Cluster, RayWorker


SHARD = 50
"""Cases that an actor of a Ray cluster is given together."""
MOST_AT_ONCE = 256
"""Cases that a worker is given together."""
MOST_LOSSES = 1
"""How often an execution is handed out again whose worker, with nothing else to do, was ended from outside."""


def run(
    store: Store,
    plan: RunPlan,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> RunSummary:
    """Run a plan to its end, or until it is interrupted.

    Args:
        store: where the recorded turns are, and where the results go.
        plan: what `plan` or `resume` gave.
        progress: called when executions are done.

    Returns:
        The run as `load_runs` gives it; its status is `interrupted` when a signal ended it, and
        `budget` when a limit did (the store holds what was done, and `resume` goes on).

    Raises:
        TargetError: a target stopped being importable.
        RunError: workers do not start, or another process began the very run.
        StoreError: the results cannot be written.
    """
    from replay.results.loading import summary_at_end, summary_of

    with held(store.layout, plan.run_id), only_of_the_run():
        # Another process may have begun it, or gone on with it, since it was planned.
        store.refresh()
        if plan.resumed and plan.run_id in ends(store):
            return summary_of(store, plan.run_id)
        if not plan.resumed:
            refuse_begun(store, plan.run_id)
        active.add(plan.run_id)
        cluster = None
        try:
            if plan.engine == "ray":
                from replay.running.on_ray import Cluster

                cluster = Cluster(plan.ray_address, plan.limits)
            sweep()
            manifest = plan.manifest()
            end = _run_in(store, plan, manifest, progress, cluster)
            if end is not None:
                forget(store.layout, plan.run_id)
        finally:
            if cluster is not None:
                cluster.close()
            active.discard(plan.run_id)
            # Reading back what was written takes as long as writing it, and is for those who ask.
            store.refresh_when_read()
    return summary_of(store, plan.run_id) if end is None else summary_at_end(manifest, end)


def _run_in(
    store: Store,
    plan: RunPlan,
    manifest: Mapping[str, Json],
    progress: Callable[[Progress], None] | None,
    cluster: Cluster | None,
) -> dict[str, Json] | None:
    """Run what is left of a plan; give what its last record says, or None where it is not complete."""
    from replay.results.loading import judge_rest

    with appending(store, "The results") as appender:
        if not plan.resumed or not are_kept(store, plan.run_id):
            for payload in case_records(manifest):
                appender.append([payload])
        appender.append([run_span(MANIFEST, plan.run_id, without_cases(manifest))])
        under_way = _Run(store, plan, appender, progress, cluster)
        ended = asyncio.run(under_way.go())
        appender.flush()
        if ended != "complete":
            if ended != "interrupted":
                stop = {"budget": ended, "pid": manifest["pid"], "born": manifest["born"]}
                appender.append([run_span(RUN_STOP, plan.run_id, stop)])
            return None
        judge = under_way.judge
        if len(judge.judged) == len(plan.cases):
            classes = judge.classes
        else:
            store.refresh()
            classes = judge_rest(store, manifest, lambda payload: appender.append([payload]))
        found = ending(store, manifest, under_way.tally)
        end: dict[str, Json] = {"cases": len(plan.cases), "classes": dict(classes), "not_pinned": found}
        refuse_changed_files((plan.candidate, plan.baseline))
        if missing := len(plan.cases) - sum(classes.values()):
            end["missing"] = missing
        appender.append([run_span(RUN_END, plan.run_id, end)])
        return end


class _Run:
    """One process's part of a run."""

    def __init__(
        self,
        store: Store,
        plan: RunPlan,
        appender: Appender,
        progress: Callable[[Progress], None] | None,
        cluster: Cluster | None,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._plan = plan
        self._appender = appender
        self._progress = progress
        self._shard = 0 if cluster is None else SHARD
        self._began = time.monotonic()
        self._done = done_executions(store, plan.run_id) if plan.resumed else set()
        self._before = sum(execution.key in self._done for execution in executions(plan)) if self._done else 0
        self._count, self._total = self._before, plan.executions
        self._statuses: Counter[CaseStatus] = Counter()
        self._spend = spent(store, plan.run_id) if plan.resumed else NOTHING_SPENT
        rules = plan.matching
        self.judge = Judge(plan, rules.compared if rules.rules else None)
        # What a redactor changes is compared as it was written.
        self._judges = not appender.redacts
        self.tally = Tally(counted(store, plan.run_id) if plan.resumed else None)
        self._environment = dict(os.environ)
        self._attempts: Counter[ExecutionKey] = Counter()
        self._lost: Counter[ExecutionKey] = Counter()
        self._alone: set[ExecutionKey] = set()
        """Executions whose worker was ended from outside; each is handed out by itself."""
        self._queues: dict[PlannedTarget, Tasks] = {}
        self._leases: Leases | None = None
        self._budget: Budget | None = None
        self._aside: set[asyncio.Task[None]] = set()

    async def go(self) -> Literal["complete", "interrupted"] | Budget:
        """Run what is left; say how it ended."""
        try:
            await interruptible(self._work())
        except asyncio.CancelledError:
            return "interrupted"
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        if self._count >= self._total:
            return "complete"
        return self._budget or "interrupted"

    async def _work(self) -> None:
        plan = self._plan
        self._leases = Leases(plan.limits) if plan.limits.paces and self._cluster is None else None
        targets = dict.fromkeys(t for t in (plan.candidate, plan.baseline) if t is not None)
        room = 2 * plan.workers + MOST_AT_ONCE
        self._queues = {
            target: Tasks(room, lambda task: task.execution.key in self._alone) for target in targets
        }
        self._look_at_budgets()
        clock = None
        if plan.limits.max_seconds is not None:
            left = plan.limits.max_seconds - (time.monotonic() - self._began)
            clock = asyncio.get_running_loop().call_later(left, self._look_at_budgets)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._feed())
                for target, queue in self._queues.items():
                    staff = Staff(plan.workers, queue, None if self._cluster is None else plan.workers)
                    group.create_task(staff.hire(lambda t=target, q=queue, s=staff: self._serve(t, q, s)))
        finally:
            if clock is not None:
                clock.cancel()
            for task in self._aside:
                task.cancel()

    async def _feed(self) -> None:
        """Read the recorded turns, and hand each execution to its target's workers."""
        batches: Iterator[list[Task]] = tasks_of(self._store, self._plan, self._done)
        while self._budget is None and (batch := await asyncio.to_thread(next, batches, None)) is not None:
            ready: dict[PlannedTarget, list[Task]] = {target: [] for target in self._queues}
            unrun = []
            for task in batch:
                if self._judges and not self._begun(task):
                    self.judge.expect(task)
                if task.job is None:
                    unrun.append((task, _unrun(task, "unreplayable", task.why)))
                else:
                    ready[task.execution.target].append(task)
            if unrun:
                self._keep(unrun)
            for target, tasks in ready.items():
                await self._queues[target].feed(tasks)
        for queue in self._queues.values():
            await queue.fed()

    async def _serve(self, target: PlannedTarget, queue: Tasks, staff: Staff) -> None:
        """Run tasks in one worker after the other, until there are none."""
        worker: Worker | RayWorker | None = None
        plan, at_once = self._plan, MOST_AT_ONCE
        if plan.limits.counts or plan.modes.fresh_worker or not plan.modes.repeatable:
            # A budget is looked at after each execution, a fresh worker takes one, and no write must be in a second's doubt.
            at_once = 1
        try:
            while tasks := await queue.take(min(at_once, self._shard or staff.at_once), staff.serving):
                if worker is None:
                    async with staff.starting:
                        worker = await started(lambda: self._worker(target))
                left = await self._run_all(worker, tasks, queue, staff)
                await queue.give_back(0, left)
                if not worker.alive or worker.used_up:
                    await worker.kill()
                    worker = None
        finally:
            if worker is not None:
                await worker.kill()

    async def _run_all(
        self, worker: Worker | RayWorker, tasks: list[Task], queue: Tasks, staff: Staff
    ) -> list[Task]:
        """Run tasks, and keep what comes of them; give those that have not begun."""
        at = 0
        async for answers in worker.run_all([task.job for task in tasks if task.job is not None]):
            kept = []
            for task, answer in zip(tasks[at:], answers, strict=False):
                result = answer.result
                if isinstance(result, str):
                    if answer.lost and self._is_handed_out_again(
                        task, queue, certain=self._cluster is None or len(tasks) == 1
                    ):
                        if answer.told:
                            self._spend = self._spend.plus(answer.told.spend)
                            self._appender.append(answer.told.given_up(result))
                            self._settle(answer.told.spend)
                            self._look_at_budgets()
                        continue
                    begun = answer.told.cut_short("errored", result) if answer.told else None
                    result = begun or _unrun(task, "errored", result)
                else:
                    staff.took(answer.seconds)
                if not self._tries_again(task, result, queue):
                    kept.append((task, result))
            self._keep(kept)
            at += len(answers)
            await queue.give_back(len(answers))
        return tasks[at:]

    def _is_handed_out_again(self, task: Task, queue: Tasks, *, certain: bool) -> bool:
        """Have an execution run again whose worker was ended from outside; say whether it will.

        Args:
            task: it.
            queue: what it goes back into.
            certain: it was under way, and not only given with what was.
        """
        key = task.execution.key
        if not self._plan.modes.repeatable or self._lost[key] >= MOST_LOSSES:
            return False
        self._lost[key] += certain
        self._alone.add(key)
        self._bring_back(task, 0.0, queue)
        return True

    def _tries_again(self, task: Task, result: Result, queue: Tasks) -> bool:
        """Have an execution run again whose model's infrastructure failed; say whether it will, now or when the run goes on."""
        key, spend = task.execution.key, result.spend
        self._settle(spend)
        if not result.infrastructure or not self._plan.modes.repeatable:
            return False
        if self._attempts[key] >= self._plan.limits.most_retries:
            return False
        self._attempts[key] += 1
        self._spend = self._spend.plus(spend)
        self._appender.append(retried(result.payloads, self._attempts[key], result.infrastructure))
        self._look_at_budgets()
        self._bring_back(task, pause_before(self._attempts[key]), queue)
        return True

    def _settle(self, spend: Spend) -> None:
        """Put right what leased calls took."""
        if self._leases is not None:
            self._leases.settle(spend)
        if self._cluster is not None:
            self._cluster.settle(spend)

    def _bring_back(self, task: Task, seconds: float, queue: Tasks) -> None:
        waiting = queue.later(task, seconds)
        self._aside.add(waiting)
        waiting.add_done_callback(self._aside.discard)

    def _worker(self, target: PlannedTarget) -> Worker | RayWorker:
        launch = self._plan.launch(target)
        if self._cluster is not None:
            return self._cluster.worker(launch, self._environment)
        return Worker(launch, self._environment, self._lease, self._appender.append)

    async def _lease(self) -> float:
        return 0.0 if self._leases is None else await self._leases.take()

    def _keep(self, kept: Sequence[tuple[Task, Result]]) -> None:
        """Append cases' records; a case's agent's, the last of them, makes it done."""
        payloads: list[bytes] = []
        for task, result in kept:
            payloads += result.payloads
            self.tally.take(task.execution.arm, result.seen)
            if (judgement := self.judge.take(task, result)) is not None:
                payloads.append(judgement)
            self._count += 1
            self._statuses[result.status] += 1
            self._spend = self._spend.plus(result.spend)
        self._appender.append(payloads)
        if kept:
            self._look_at_budgets()
            self._tell()

    def _begun(self, task: Task) -> bool:
        """Whether an earlier process has run the case in another arm."""
        source = task.execution.case.span_id
        return bool(self._done) and any(
            ExecutionKey(arm, 0, source) in self._done for arm in ("candidate", "baseline", "baseline_2")
        )

    def _look_at_budgets(self) -> None:
        """Stop when a budget is used up."""
        if self._budget is None:
            self._budget = used_up(self._plan.limits, self._spend, time.monotonic() - self._began)
            for queue in self._queues.values() if self._budget is not None else ():
                stopping = queue.stop()
                self._aside.add(stopping)
                stopping.add_done_callback(self._aside.discard)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    self._count,
                    self._total,
                    self._before,
                    time.monotonic() - self._began,
                    dict(self._statuses),
                    self.judge.differing,
                    self._spend,
                )
            )


def _unrun(task: Task, status: CaseStatus, why: str) -> Result:
    payload = unrun_case(task.place, task.agent_name, task.arguments, status, why)
    return Result(status, why, (payload,))
