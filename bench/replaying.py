"""What replaying costs beyond running the agent: a no-op agent, replayed, against a bare loop over it.

    python bench/replaying.py [CASES]

Prints, for each, the wall-clock time and the CPU time a case (this process and its workers), and the ratio. Each replayed
case is a recorded turn with one read, served from its recording behind all locks, its result written into the store.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store

WIDTH = 50
"""How many calls the bare loop has under way."""

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
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "noop_agent.py").write_text(AGENT, encoding="utf-8")
        sys.path.insert(0, scratch)
        from noop_agent import answer  # pyrefly: ignore

        with Store.create(Path(scratch, "audit")) as store:
            config.use(Recorder(store.writer()))
            asyncio.run(_record(answer, cases))
            auditlog.shutdown()
            store.seal()
            bare = _measured(lambda: asyncio.run(_loop(answer, cases)))
            print(f"{cases} cases, {os.cpu_count()} cores")
            print(f"{'':34}{'wall µs/case':>14}{'CPU µs/case':>14}{'CPU ratio':>11}")
            _print("bare gather with a semaphore", bare, bare, cases)
            for workers in (1, os.cpu_count() or 1):
                plan = replay.plan(store, "noop_agent:answer", path=scratch, workers=workers, fresh=True)
                # Reading the report is what looking at a run costs, and is measured on its own.
                replayed = _measured(lambda plan=plan: replay.run(store, plan))
                _print(f"replay, {workers} worker{'s' * (workers > 1)}", replayed, bare, cases)
            read = _measured(lambda: replay.load_report(store, "last"))
            _print("reading the report (diffs)", read, bare, cases)
        sys.stdout.flush()


async def _record(answer: Any, cases: int) -> None:
    for number in range(cases):
        with auditlog.conversation(f"c{number // 4}"):
            await answer(f"A{number}")


async def _loop(answer: Any, cases: int) -> None:
    room = asyncio.Semaphore(WIDTH)

    async def one(number: int) -> str:
        async with room:
            return await answer(f"A{number}")

    await asyncio.gather(*(one(number) for number in range(cases)))


def _measured(work: Any) -> Cost:
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return Cost(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _print(name: str, cost: Cost, bare: Cost, cases: int) -> None:
    wall, cpu = (seconds / cases * 1e6 for seconds in cost)
    print(f"{name:34}{wall:>14.0f}{cpu:>14.0f}{cost.cpu / bare.cpu:>11.0f}")


if __name__ == "__main__":
    main()
