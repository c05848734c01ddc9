"""A replay whose runner and workers are killed at random loses nothing, and counts nothing twice.

`AUDITLOG_REPLAY_CASES=100000` runs it at full size, with a kill about every tenth of the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.running.judging import JUDGED, judgements

CASES = int(os.environ.get("AUDITLOG_REPLAY_CASES", "400"))
KILLS = 10

AGENT = """
import auditlog

@auditlog.tool(effect="read")
def look_up(order: str) -> dict:
    return {"order": order, "status": "sent"}

@auditlog.agent("killed", version="1")
async def answer(question: str) -> str:
    return look_up(question)["status"]
"""

RUN = """
import sys
import replay
from auditlog.store import Store

with Store.open(sys.argv[1]) as store:
    plan = replay.plan(
        store, "killed_agent:answer", baseline="killed_agent:answer", path=sys.argv[2], workers=2, sample=0.1
    )
    print(plan.run_id, flush=True)
    summary = replay.run(store, plan, progress=lambda p: print(p.done, flush=True))
    print(summary.status, flush=True)
"""


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A store with recorded turns, four to a conversation, and the agent beside it."""
    (tmp_path / "killed_agent.py").write_text(AGENT, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    from killed_agent import answer  # pyrefly: ignore

    async def record():
        for number in range(CASES):
            with auditlog.conversation(f"c{number // 4}"):
                await answer(f"A{number}")

    with Store.create(tmp_path / "audit") as store:
        previous = config._state.recorder
        config.use(Recorder(store.writer()))
        try:
            asyncio.run(record())
            auditlog.flush()
        finally:
            config.use(previous)
        store.refresh()
        store.seal()
    return tmp_path


def children_of(pid):
    """Give the ids of a process's children."""
    with contextlib.suppress(OSError):
        return [
            int(child)
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        ]
    return []


@pytest.mark.slow
def test_nothing_is_lost_or_counted_twice_whatever_is_killed(recorded):
    """After SIGKILLs of the run and of its workers the same command ends the same run, each execution and judgement once."""
    chance, run_ids, ended, done = random.Random(4), set(), "", 0
    executions = 2 * CASES + -(-CASES // 10)
    for _ in range(4 * KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(recorded / "audit"), str(recorded)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=recorded,
        )
        try:
            run_ids.add(process.stdout.readline().strip())
            until = done + max(1, executions // KILLS) * chance.random() * 1.5
            for line in process.stdout:
                ended = line.strip()
                done = int(ended) if ended.isdigit() else done
                if done >= until and ended.isdigit():
                    workers = children_of(process.pid)
                    if workers and chance.random() < 0.3:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(chance.choice(workers), signal.SIGKILL)
                        until = done + executions / KILLS
                    else:
                        time.sleep(chance.random() / 50)
                        process.kill()
                        break
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if ended == "complete":
            break
    assert "complete" == ended
    (run_id,) = run_ids
    with Store.open(recorded / "audit") as store:
        found = store.query(
            "SELECT replay_arm AS arm, replay_source_span_id AS source, count(*) AS n FROM all_spans "
            "WHERE replay_status IS NOT NULL AND kind = 'agent' GROUP BY ALL"
        ).to_pylist()
        assert {1} == {row["n"] for row in found}
        assert {"baseline": CASES, "candidate": CASES, "baseline_2": -(-CASES // 10)} == Counter(
            row["arm"] for row in found
        )
        (summary,) = replay.load_runs(store)
        assert (summary.run_id, summary.status, summary.done, sum(summary.classes.values())) == (
            run_id,
            "complete",
            CASES,
            CASES,
        )
        assert CASES == len(judgements(store, run_id))
        judged = store.query("SELECT count(*) AS n FROM all_spans WHERE name = ?", [JUDGED]).to_pylist()
        assert [{"n": CASES}] == judged
