"""Runs a plan: hands its cases to workers and appends what they give to the store.

The rules:

1. The arms of a case run close together in time, and their order turns from case to case.
2. Records are appended when a case is over, its agent's END last: killing this process at any moment leaves each
   execution either done or not begun, as far as anybody who reads the store can tell.
3. A worker that dies or misses the deadline costs its case (`errored`), and nothing else; one that dies before it
   has begun costs nothing, and is started again.
4. An interruption keeps what is done; the same plan goes on from there.
5. The run's end is written when every execution is done, and not before.
6. Nothing of the agent's is imported or run in this process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditlog.errors import StoreError
from auditlog.journal import entry_of
from auditlog.recorder import Sink
from auditlog.redaction.writer import redacting
from replay.diff.model import CaseStatus
from replay.errors import RunError
from replay.results.report import RunSummary
from replay.running.behaviour import Behaviours
from replay.running.jobs import Execution, Task, executions, tasks_of
from replay.running.pool import Worker, sweep
from replay.running.progress import Progress
from replay.running.protocol import Result
from replay.running.records import MANIFEST, RUN_END, run_span, unrun_case
from replay.running.run_plan import PlannedTarget, RunPlan
from replay.running.runs import active, done_executions

if TYPE_CHECKING:
    from auditlog.store import Store


START_ATTEMPTS = 3
"""How often a worker is started before its run gives up."""


def run(store: Store, plan: RunPlan, *, progress: Callable[[Progress], None] | None = None) -> RunSummary:
    """Run a plan to its end, or until it is interrupted.

    Args:
        store: where the recorded turns are, and where the results go.
        plan: what `plan` or `resume` gave.
        progress: called after each execution.

    Returns:
        The run as `load_runs` gives it; its status is `interrupted` when a signal ended it (the store holds what was
        done, and `resume` goes on).

    Raises:
        TargetError: a target stopped being importable.
        RunError: workers do not start.
        StoreError: the results cannot be written.
    """
    from replay.results.loading import case_results, summary_of

    active.add(plan.run_id)
    sweep()
    writer = redacting(store.layout, store.writer())
    try:
        _append(writer, run_span(MANIFEST, plan.run_id, plan.manifest()))
        under_way = _Run(store, plan, writer, progress)
        complete = asyncio.run(under_way.go())
        _flush(writer)
        store.refresh()
        if complete:
            # One at a time: a report of every case would be as large as the run.
            counted = Counter(result.diff.case_class for result in case_results(store, plan.manifest()))
            end = {"cases": len(plan.cases), "classes": dict(counted)}
            _append(writer, run_span(RUN_END, plan.run_id, end))
            _flush(writer)
    finally:
        writer.close()
        active.discard(plan.run_id)
    store.refresh()
    return summary_of(store, plan.run_id)


@dataclass(slots=True)
class _Counts:
    done: int
    before: int
    total: int
    began: float
    statuses: Counter[CaseStatus]


class _Run:
    """One process's part of a run."""

    def __init__(
        self, store: Store, plan: RunPlan, writer: Sink, progress: Callable[[Progress], None] | None
    ) -> None:
        self._store = store
        self._plan = plan
        self._writer = writer
        self._progress = progress
        self._done = done_executions(store, plan.run_id) if plan.resumed else set()
        wanted = sum(1 for _ in executions(plan))
        done = sum(1 for execution in executions(plan) if execution.key in self._done)
        self._counts = _Counts(done, done, wanted, time.monotonic(), Counter())
        self._behaviours = Behaviours()
        self._environment = dict(os.environ)

    async def go(self) -> bool:
        """Run what is left; say whether nothing is left."""
        working = asyncio.ensure_future(self._work())
        stopping = [signal.SIGINT, signal.SIGTERM]
        loop = asyncio.get_running_loop()
        for number in stopping:
            try:
                loop.add_signal_handler(number, working.cancel)
            except (RuntimeError, ValueError):
                # Not the main thread: whoever runs us there has signals of their own.
                break
        try:
            await working
        except asyncio.CancelledError:
            return False
        except BaseExceptionGroup as group:
            raise _first(group) from None
        return self._counts.done >= self._counts.total

    async def _work(self) -> None:
        targets = [t for t in (self._plan.candidate, self._plan.baseline) if t is not None]
        queues = {target: asyncio.Queue[Task | None](2 * self._plan.workers) for target in targets}
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed(queues))
            for target, queue in queues.items():
                wanted = min(self._plan.workers, max(1, self._counts.total - self._counts.done))
                for _ in range(wanted):
                    group.create_task(self._serve(target, queue))

    async def _feed(self, queues: dict[PlannedTarget, asyncio.Queue[Task | None]]) -> None:
        """Read the recorded turns, and hand each execution to its target's workers."""
        batches: Iterator[list[Task]] = tasks_of(self._store, self._plan, self._done)
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            for task in batch:
                if task.recorded is not None and not task.execution.repeat:
                    self._behaviours.recorded(task.execution.case.case_id, task.recorded)
                if task.job is None:
                    self._keep(task.execution, _unrun(task, "unreplayable", task.why))
                else:
                    await queues[task.execution.target].put(task)
        for queue in queues.values():
            for _ in range(self._plan.workers):
                await queue.put(None)

    async def _serve(self, target: PlannedTarget, queue: asyncio.Queue[Task | None]) -> None:
        worker: Worker | None = None
        try:
            while (task := await queue.get()) is not None:
                if worker is None:
                    worker = await self._started(target)
                assert task.job is not None
                result = await worker.run(task.job)
                if isinstance(result, str):
                    result = _unrun(task, "errored", result)
                self._keep(task.execution, result)
                if result.spent or not worker.alive:
                    await worker.kill()
                    worker = None
        finally:
            if worker is not None:
                await worker.kill()

    async def _started(self, target: PlannedTarget) -> Worker:
        """Start a worker; one that something kills on the way is started again."""
        for left in reversed(range(START_ATTEMPTS)):
            worker = Worker(self._plan.launch(target), self._environment)
            try:
                await worker.start()
            except RunError:
                await worker.kill()
                if not left:
                    raise
            except BaseException:
                await worker.kill()
                raise
            else:
                return worker
        raise AssertionError

    def _keep(self, execution: Execution, result: Result) -> None:
        """Append a case's records; its agent's END, the last of them, makes it done."""
        for payload in result.payloads:
            _append(self._writer, payload)
        counts = self._counts
        counts.done += 1
        counts.statuses[result.status] += 1
        if not execution.repeat:
            self._behaviours.replayed(execution.case.case_id, execution.arm, result.payloads, result.status)
        if self._progress is not None:
            seconds = time.monotonic() - counts.began
            differing = self._behaviours.differing
            self._progress(
                Progress(counts.done, counts.total, counts.before, seconds, dict(counts.statuses), differing)
            )


def _unrun(task: Task, status: CaseStatus, why: str) -> Result:
    payload = unrun_case(task.place, task.agent_name, task.arguments, status, why)
    return Result(status, why, (payload,))


def _append(writer: Sink, payload: bytes) -> None:
    entry = entry_of(payload)
    opens = entry["span"] if entry["type"] == "start" else None
    closes = entry["span"] if entry["type"] == "end" else None
    if not writer.append(payload, opens=opens, closes=closes):
        raise StoreError(_UNWRITABLE)


def _flush(writer: Sink) -> None:
    if not writer.flush():
        raise StoreError(_UNWRITABLE)


_UNWRITABLE = (
    "The results cannot be written into the store's journal: is the disk full, or the store read-only? "
    "What was written is kept; the same command goes on from there."
)


def _first(group: BaseExceptionGroup) -> BaseException:
    """Give the error that ended the tasks: the first that is not another group."""
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    return RunError("The run ended without saying why.")
