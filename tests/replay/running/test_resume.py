"""A run that is ended at any moment goes on where it was: nothing is lost, and nothing counted twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import replay
from auditlog.store import Store
from replay.errors import RunError
from replay.running.pool import Launch, Worker, _scratch_prefix, sweep
from replay.running.protocol import Setup
from replay.running.records import RUN_END
from replay.running.runs import is_under_way
from replay.targets.planned import Place

AGENTS = Path(__file__).parent.parent / "agents"

RUN = """
import sys
import replay
from auditlog.store import Store

with Store.open(sys.argv[1]) as store:
    plan = replay.plan(store, "shop_agents:slow", baseline="shop_agents:v1", path=sys.argv[2], workers=2, sample=0.5)
    print(plan.run_id, plan.resumed, flush=True)
    summary = replay.run(store, plan, progress=lambda p: print(p.done, p.total, flush=True))
    print(summary.status, flush=True)
"""


@pytest.fixture
def store_path(agents, record, tmp_path):
    """A store with 36 recorded turns."""
    path = tmp_path / "audit"
    record(path, agents.v1, [["hello", "refund A1", "refund B9"] for _ in range(12)])
    return path


@pytest.fixture
def start_worker():
    """Give what starts a worker, and ends it as soon as it is ready or interrupted."""

    async def start():
        setup = Setup("shop_agents:v1", False, "live", (str(AGENTS),), "")
        worker = Worker(Launch(setup, Place(str(AGENTS), ())), dict(os.environ))
        try:
            await worker.start()
            await asyncio.sleep(0)
        finally:
            await worker.kill()

    return start


@pytest.fixture
def start(store_path):
    """Start a run in a process of its own, and give it with its run's id; what is left of it is ended with the test."""
    started = []

    def start_run():
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(store_path), str(AGENTS)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=store_path.parent,
        )
        started.append(process)
        said = process.stdout.readline().split()
        assert said, "the run did not start"
        return process, *said

    yield start_run
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def wait_for(process, done):
    """Read the run's progress until so many executions are done."""
    for line in process.stdout:
        if int(line.split()[0]) >= done:
            return
    pytest.fail("the run ended before it was to be ended")


def executions(store):
    """Count the finished executions of each arm and recorded turn."""
    found = store.query(
        "SELECT replay_arm, replay_source_span_id, count(*) FROM all_spans "
        "WHERE replay_status IS NOT NULL AND kind = 'agent' GROUP BY ALL"
    )
    return {tuple(row.values())[:2]: tuple(row.values())[2] for row in found.to_pylist()}


def children_of(pid):
    """Give the ids of a process's children."""
    return [
        int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def gone(pid):
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_run_that_is_killed_again_and_again_ends_with_each_execution_once(start, store_path):
    """After SIGKILLs at random moments the same command finishes the same run, and counts every case once."""
    moments = random.Random(20261123)
    run_ids = set()
    for _ in range(2):
        process, run_id, _ = start()
        run_ids.add(run_id)
        wait_for(process, moments.randrange(3, 30))
        time.sleep(moments.random() / 20)
        process.kill()
        process.wait()
    process, run_id, resumed = start()
    assert "complete" == process.stdout.read().split()[-1]
    assert (process.wait(), resumed, run_ids | {run_id}) == (0, "True", {run_id})
    with Store.open(store_path) as store:
        counts = executions(store)
        assert {1} == set(counts.values())
        assert {"baseline": 36, "candidate": 36, "baseline_2": 18} == Counter(arm for arm, _ in counts)
        (summary,) = replay.load_runs(store)
        assert (summary.run_id, summary.done, summary.status, dict(summary.classes)) == (
            run_id,
            36,
            "complete",
            {"identical": 36},
        )
        report = replay.load_report(store, run_id)
        assert 36 == len({case.case_id for case in report.cases})


def test_the_workers_of_a_killed_run_die_with_it(start):
    """A run that is killed leaves no process behind that could still do something."""
    process, *_ = start()
    wait_for(process, 5)
    workers = children_of(process.pid)
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while not all(map(gone, workers)) and time.monotonic() < until:
        time.sleep(0.01)
    assert workers
    assert all(map(gone, workers))


def test_what_a_killed_run_left_in_the_temporary_directory_is_swept(tmp_path, monkeypatch):
    """The next run removes the scratch directories of dead runs, and nothing of a living one or of anybody else."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living = _scratch_prefix(ended.pid) + "x", _scratch_prefix(os.getpid()) + "x"
    for name in (dead, living, "auditlog-replay-other", _scratch_prefix("nobody") + "x"):
        (tmp_path / name).mkdir()
    (tmp_path / "kept").mkdir()
    (tmp_path / (_scratch_prefix(ended.pid) + "link")).symlink_to(tmp_path / "kept")
    sweep()
    assert (tmp_path / "kept").exists()
    assert not (tmp_path / dead).exists()
    assert 5 == len(list(tmp_path.iterdir()))


def test_an_interrupted_run_keeps_what_is_done(start, store_path):
    """Ctrl-C ends a run at once, says that it was interrupted, and the rest is run the next time."""
    process, run_id, _ = start()
    wait_for(process, 5)
    process.send_signal(signal.SIGINT)
    assert "interrupted" == process.stdout.read().split()[-1]
    assert 0 == process.wait()
    with Store.open(store_path) as store:
        (summary,) = replay.load_runs(store)
        assert (summary.run_id, summary.status) == (run_id, "interrupted")
        done = len(executions(store))
        assert 5 <= done < 90
        plan = replay.resume(store, "last", path=AGENTS)
        assert (plan.run_id, plan.resumed) == (run_id, True)
        ticks = []
        assert "complete" == replay.run(store, plan, progress=ticks.append).status
        assert (ticks[0].before, ticks[-1].done, ticks[-1].total) == (done, 90, 90)
        assert {1} == set(executions(store).values())


def test_a_worker_that_answers_as_the_run_is_interrupted_is_interrupted(start_worker, monkeypatch):
    """Ctrl-C in the very moment in which a worker says that it is ready is not lost: its task ends."""
    hear = Worker._hear

    async def starting():
        task = asyncio.current_task()

        async def hear_and_interrupt(worker):
            message = await hear(worker)
            asyncio.get_running_loop().call_soon(task.cancel)
            return message

        monkeypatch.setattr(Worker, "_hear", hear_and_interrupt)
        await start_worker()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(starting())


def test_a_worker_that_is_killed_costs_nothing(start, store_path):
    """After SIGKILL of a worker in the middle of a run its case is run again, and every execution is there once."""
    process, run_id, _ = start()
    wait_for(process, 5)
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    assert "complete" == process.stdout.read().split()[-1]
    process.wait()
    with Store.open(store_path) as store:
        counts = executions(store)
        assert (90, {1}) == (len(counts), set(counts.values()))
        statuses = store.query(
            "SELECT replay_status AS s, count(*) AS n FROM all_spans WHERE replay_run_id = ? AND replay_status IS NOT NULL "
            "AND kind = 'agent' GROUP BY ALL",
            [run_id],
        )
        found = {row["s"]: row["n"] for row in statuses.to_pylist()}
        assert {"complete": 90} == found


def test_a_run_under_way_is_not_begun_twice(start, store_path):
    """The same command beside a run that is under way is refused, and says which process runs it."""
    process, run_id, _ = start()
    wait_for(process, 1)
    process.send_signal(signal.SIGSTOP)
    with Store.open(store_path) as store:
        assert ["running"] == [summary.status for summary in replay.load_runs(store)]
        with pytest.raises(RunError, match=f"is under way in process {process.pid}"):
            replay.resume(store, run_id, path=AGENTS)


def test_a_complete_run_is_not_resumed_but_begun_anew(recorded):
    """The same command after a complete run is a new run; resuming the complete one is refused."""
    first = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=1)
    replay.run(recorded, first)
    second = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=1)
    assert (second.resumed, second.run_id != first.run_id) == (False, True)
    with pytest.raises(RunError, match="is complete: there is nothing to resume"):
        replay.resume(recorded, first.run_id, path=AGENTS)


def test_a_run_whose_code_changed_is_not_resumed(recorded, tmp_path, monkeypatch):
    """Halves of a run by two versions of the code would not compare, and the resume says which target changed."""
    agent = tmp_path / "changing_agent.py"
    source = "import auditlog\n@auditlog.agent('shop')\ndef x(question, history): return {!r}\n"
    agent.write_text(source.format("one"), encoding="utf-8")
    plan = replay.plan(recorded, "changing_agent:x", path=tmp_path, workers=1)
    with monkeypatch.context() as patched:
        patched.setattr("replay.running.runner.run_span", _without_end)
        replay.run(recorded, plan)
    assert replay.resume(recorded, plan.run_id, path=tmp_path).resumed
    agent.write_text(source.format("two"), encoding="utf-8")
    with pytest.raises(RunError, match="changing_agent:x changed since it began"):
        replay.resume(recorded, plan.run_id, path=tmp_path)


def test_a_run_is_resumed_only_where_it_was_begun(recorded, tmp_path):
    """A store from elsewhere does not choose the directory that code is imported from."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=1)
    replay.run(recorded, plan)
    with pytest.raises(RunError, match=f"was begun in {AGENTS}, and this is {tmp_path}"):
        replay.resume(recorded, plan.run_id, path=tmp_path)


MANIFEST_OF_R = {
    "run_id": "r",
    "kind": "replay",
    "created": "2026-01-01T00:00:00+00:00",
    "cases": [],
    "candidate": {"path": "a"},
}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "text",
        [],
        {},
        {**MANIFEST_OF_R, "created": "never"},
        {**MANIFEST_OF_R, "created": "2026-01-01"},
        {**MANIFEST_OF_R, "run_id": "other"},
        {**MANIFEST_OF_R, "cases": [[1]]},
        {**MANIFEST_OF_R, "cases": {}},
        {**MANIFEST_OF_R, "candidate": 7},
        {**MANIFEST_OF_R, "candidate": None},
        {**MANIFEST_OF_R, "baseline": "text"},
        {**MANIFEST_OF_R, "kind": "compare"},
        {**MANIFEST_OF_R, "kind": "gate"},
    ],
)
def test_a_recorded_content_that_is_no_manifest_is_no_run(content, store):
    """A foreign or damaged record that calls itself a run is passed over, and breaks no list."""
    from replay.running.records import MANIFEST, run_span

    writer = store.writer()
    writer.append(run_span(MANIFEST, "r", content))
    writer.close()
    store.refresh()
    assert replay.load_runs(store) == []


def _without_end(name, run_id, content, attributes=None):
    from replay.running.records import run_span

    return run_span("lost" if name == RUN_END else name, run_id, content, attributes)


def test_a_process_id_that_another_process_has_now_is_not_under_way(recorded):
    """A run is not taken for running because some other process has its old process id."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=1)
    manifest = {**plan.manifest(), "pid": os.getppid(), "born": "1"}
    assert not is_under_way(manifest, recorded.layout)
    assert not is_under_way({**plan.manifest(), "host": "elsewhere"}, recorded.layout)
