"""A long run whose processes are killed at random moments until it is done: is anything lost, or counted twice?

    python bench/replay_killed.py [CASES] [--kills N] [--keep DIRECTORY] [--seed TEXT]

Records CASES turns (1,000 by default) of an agent that calls one read, and replays them with the command line. While that
runs, `kill -9` hits the run itself or one of its workers, N times (10 by default); the same command then goes on with the run. At
the end every case has to be there once, whatever was killed. Prints the kills, and the peak of memory of the run and of its
workers; exits with 1 where something is lost or counted twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store

AGENT = """
import auditlog

@auditlog.tool(effect="read")
def look_up(order: str) -> dict:
    return {"order": order, "status": "sent"}

@auditlog.agent("noop", version="1")
async def answer(question: str) -> str:
    return look_up(question)["status"]
"""
LOOKS_SECONDS = 0.05
EARLY = 0.2
"""The share of starts that are hit while the run is still planned, if they are hit at all."""


def main() -> int:
    """Record, kill, go on, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", type=int, nargs="?", default=1_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--seed", default="")
    asked = parser.parse_args()
    chance = random.Random(asked.seed or None)
    with contextlib.ExitStack() as stack:
        place = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.mkdir(parents=True, exist_ok=True)
        if not (place / "audit").exists():
            _record(place, asked.cases)
        return _run(place, asked.cases, asked.kills, chance)


def _record(place: Path, cases: int) -> None:
    (place / "noop_agent.py").write_text(AGENT, encoding="utf-8")
    sys.path.insert(0, str(place))
    from noop_agent import answer  # pyrefly: ignore

    async def record() -> None:
        for number in range(cases):
            with auditlog.conversation(f"c{number % (cases // 4 + 1)}"):
                await answer(f"A{number}")

    with Store.create(place / "audit") as store:
        config.use(Recorder(store.writer()))
        asyncio.run(record())
        auditlog.shutdown()
        store.seal()


def _run(place: Path, cases: int, kills: int, chance: random.Random) -> int:
    command = [
        *(sys.executable, "-m", "auditlog.cli", "replay", "run", "--agent", "noop_agent:answer"),
        *("--store", str(place / "audit"), "--path", str(place)),
    ]
    hit: Counter[str] = Counter()
    peaks: Counter[str] = Counter()
    began, starts = time.monotonic(), 0
    rate = 1500.0
    while True:
        starts, before = starts + 1, hit.total()
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        said = _watched(process, kills - hit.total(), hit, peaks, chance, cases / max(kills, 1) / rate)
        if process.returncode == -signal.SIGKILL:
            continue
        if process.returncode not in (0, 1) and hit.total() > before:
            # Its workers were killed while they started, until it gave up; what is done is kept, and it can go on.
            continue
        if process.returncode not in (0, 1):
            print(said[1].decode(errors="replace")[-2000:])
            return 1
        break
    took = time.monotonic() - began
    with Store.open(place / "audit") as store:
        report = replay.load_report(store, "last")
        rows = store.query(
            "SELECT count(*) AS n, count(DISTINCT (replay_arm, replay_repeat, replay_source_span_id)) AS executions "
            "FROM all_spans WHERE replay_run_id = ? AND kind = 'agent' AND replay_status IS NOT NULL",
            [report.run.run_id],
        ).to_pylist()[0]
    found, statuses = len(report.cases), Counter(case.status for case in report.cases)
    print(f"{cases} cases, {starts} starts in {took:.0f} s, killed: {dict(hit) or 'nothing'}")
    print(f"in the report: {found}, {dict(statuses)}, {dict(report.run.classes)}")
    print(f"records of ended executions: {rows['n']}, of different ones: {rows['executions']}")
    print(f"peak memory: run {peaks['run'] // 1024} MB, worker {peaks['worker'] // 1024} MB")
    once = len({case.case_id for case in report.cases})
    counted = sum(report.run.classes.values())
    is_whole = found == once == counted == cases == rows["executions"] and report.run.status == "complete"
    print("nothing lost, nothing twice" if is_whole else "WRONG")
    return 0 if is_whole else 1


def _watched(
    process: subprocess.Popen[bytes],
    kills: int,
    hit: Counter[str],
    peaks: Counter[str],
    chance: random.Random,
    apart: float,
) -> tuple[bytes, bytes]:
    """Watch a run, and kill it or a worker of it now and then; give what it said."""
    # Now and then before there is a worker at all, and else once cases run, whatever starting takes on this machine.
    due = time.monotonic() + chance.uniform(0, 2) if chance.random() < EARLY else None
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LOOKS_SECONDS)
        children = _children(process.pid)
        peaks["run"] = max(peaks["run"], _peak(process.pid))
        peaks["worker"] = max([peaks["worker"], *map(_peak, children)])
        if due is None and children:
            due = time.monotonic() + chance.uniform(0, 2 * apart)
        if kills <= 0 or due is None or time.monotonic() < due:
            continue
        who = chance.choice(["run", "worker"])
        victim = process.pid if who == "run" else chance.choice(children) if children else None
        if victim is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            hit[who] += 1
            kills -= 1
        due = time.monotonic() + chance.uniform(0, 2 * apart)
    return process.communicate()


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
    """Give the most memory that a process ever held, in KB; 0 where it is gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
