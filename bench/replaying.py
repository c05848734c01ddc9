"""What replaying costs beyond running the agent, beside what others take for a case of the same agent.

    python bench/replaying.py [CASES] [--memory SIZE …]

Prints, for each, the wall-clock time, the CPU time a case (this process and those that it started, without what starting
takes), the ratio to the bare loop, and this process's memory. The bare loop is `asyncio.gather` with a semaphore. Each
replayed case is a recorded turn with one read, served from its recording behind all locks, compared with its recording and
written into the store; the lines after say what looking at the report and sealing take. pydantic-evals and Inspect keep
nothing durable; where they are not installed (`pip install pydantic-evals inspect-ai`), that is said.
Then, for each SIZE (1,000 and 10,000 by default, of the same store of the largest), the peak of memory of the run's process and
of its largest worker, each in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store

WIDTH = 50
"""How many calls the bare loop has under way."""
FEW = 100
"""Cases of the run whose cost is that of starting."""

AGENT = """
import auditlog

@auditlog.tool(effect="read")
def look_up(order: str) -> dict:
    return {"order": order, "status": "sent"}

@auditlog.agent("noop", version="1")
async def answer(question: str) -> str:
    return look_up(question)["status"]
"""


class Cost(NamedTuple):
    """What something took."""

    wall: float
    cpu: float
    """Seconds of this process and the children that have ended."""


def main() -> None:
    """Record, replay, loop, print."""
    if sys.argv[1:2] == ["--once"]:
        _once(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", type=int, nargs="?", default=10_000)
    parser.add_argument("--memory", type=int, nargs="*", default=[1_000, 10_000], metavar="SIZE")
    asked = parser.parse_args()
    cases = asked.cases
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "noop_agent.py").write_text(AGENT, encoding="utf-8")
        sys.path.insert(0, scratch)
        from noop_agent import answer  # pyrefly: ignore

        with Store.create(Path(scratch, "audit")) as store:
            config.use(Recorder(store.writer()))
            asyncio.run(_record(answer, cases))
            auditlog.shutdown()
            store.seal()
            print(f"{cases} cases, {os.cpu_count()} cores")
            print(f"{'':34}{'wall µs/case':>14}{'CPU µs/case':>14}{'CPU ratio':>11}{'peak MB':>9}")
            empty = _measured(lambda: asyncio.run(_loop(_nothing, cases)))
            plain = empty.cpu / cases * 1e6
            _print("bare loop, an empty function", empty, plain, cases)
            bare = _measured(lambda: asyncio.run(_loop(answer, cases)))
            _print("bare loop, the decorated agent", bare, plain, cases)
            for workers in (1, os.cpu_count() or 1):
                few = _replayed(store, scratch, workers, FEW)
                many = _replayed(store, scratch, workers, cases)
                name = f"replay, {workers} worker{'s' * (workers > 1)}"
                cost = Cost(many.wall - few.wall, many.cpu - few.cpu)
                _print(name, cost, plain, cases - FEW)
                print(f"{'  and to start':34}{few.wall * 1e3:>11.0f} ms{few.cpu * 1e3:>11.0f} ms")
            for name, other in (("pydantic-evals", _pydantic_evals), ("Inspect", _inspect)):
                try:
                    work = other(answer, cases)
                except ImportError as error:
                    print(f"{name:34}{'not installed: ' + str(error.name):>28}")
                    continue
                _print(name, _measured(work), plain, cases)
            _print("reading the report", _measured(lambda: replay.load_report(store, "last")), plain, cases)
            _print("sealing (two runs)", _measured(store.seal), plain, cases)
        sys.stdout.flush()
        if asked.memory:
            _memory(answer, scratch, asked.memory)


def _memory(answer: Any, scratch: str, sizes: list[int]) -> None:
    path = Path(scratch, "large")
    with Store.create(path) as store:
        config.use(Recorder(store.writer()))
        asyncio.run(_record(answer, max(sizes)))
        auditlog.shutdown()
        store.seal()
    print(f"{'peak memory of a run':34}{'run MB':>14}{'worker MB':>14}")
    for size in sizes:
        if size != sizes[0]:
            with Store.open(path) as store:
                # What the journals hold a reader has in memory: this size is not to have the last one's.
                store.seal()
        command = [sys.executable, __file__, "--once", str(path), scratch, str(size)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        print(f"{f'{size:,} cases':34}{said[-2]:>14}{said[-1]:>14}", flush=True)


def _once(path: str, scratch: str, size: str) -> None:
    """Run once, and say how much memory this process and the largest of its workers took at most."""
    largest, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            largest[0] = max(largest[0], *map(_peak, _children(os.getpid())), 0)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with Store.open(path) as store:
            _replayed(store, scratch, 1, int(size))
    finally:
        over.set()
        looking.join()
    print(_peak(os.getpid()) // 1024, largest[0] // 1024)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, task.read_text(encoding="ascii").split())
    return [child for child in found if _is_worker(child)]


def _is_worker(pid: int) -> bool:
    # Between a fork and its exec a child is a picture of its parent.
    with contextlib.suppress(OSError):
        return b"replay.running.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _peak(pid: int) -> int:
    """Give the most memory that a program held, in KB: what its process was before it began is not counted."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0])
    return 0


def _replayed(store: Store, scratch: str, workers: int, limit: int) -> Cost:
    plan = replay.plan(store, "noop_agent:answer", path=scratch, workers=workers, limit=limit, fresh=True)
    return _measured(lambda: replay.run(store, plan))


async def _record(answer: Any, cases: int) -> None:
    for number in range(cases):
        with auditlog.conversation(f"c{number // 4}"):
            await answer(f"A{number}")


async def _nothing(question: str) -> str:
    return question


async def _loop(answer: Any, cases: int) -> None:
    room = asyncio.Semaphore(WIDTH)

    async def one(number: int) -> str:
        async with room:
            return await answer(f"A{number}")

    await asyncio.gather(*(one(number) for number in range(cases)))


def _pydantic_evals(answer: Any, cases: int) -> Callable[[], object]:
    from pydantic_evals import Case, Dataset  # pyrefly: ignore

    made = [Case(name=f"c{number}", inputs=f"A{number}", expected_output="sent") for number in range(cases)]
    dataset: Any = Dataset(name="noop", cases=made)
    return lambda: asyncio.run(dataset.evaluate(answer, max_concurrency=WIDTH, progress=False))


def _inspect(answer: Any, cases: int) -> Callable[[], object]:
    import inspect_ai  # pyrefly: ignore
    from inspect_ai.dataset import MemoryDataset, Sample  # pyrefly: ignore
    from inspect_ai.solver import solver  # pyrefly: ignore

    @solver
    def asked() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            state.output.completion = await answer(state.input_text)
            return state

        return solve

    samples = [Sample(input=f"A{number}", target="sent") for number in range(cases)]
    task = inspect_ai.Task(dataset=MemoryDataset(samples), solver=asked())

    def work() -> None:
        with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(None):
            inspect_ai.eval(task, model="mockllm/model", log_dir=logs, display="none", max_samples=WIDTH)

    return work


def _measured(work: Any) -> Cost:
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return Cost(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _print(name: str, cost: Cost, bare: float, cases: int) -> None:
    wall, cpu = (seconds / cases * 1e6 for seconds in cost)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:34}{wall:>14.0f}{cpu:>14.0f}{cpu / bare:>11.0f}{peak:>9.0f}")


if __name__ == "__main__":
    main()
