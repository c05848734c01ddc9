"""One run is run by one process at a time, whichever host it is on."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import replay
from replay.errors import RunError
from replay.running.records import RUN_END, run_span
from replay.running.run_lock import forget, held, is_held
from replay.running.runs import is_under_way, manifests_of

AGENTS = Path(__file__).parent.parent / "agents"

HOLD = """
import sys
from pathlib import Path
from auditlog.layout import find
from replay.running.run_lock import held

with held(find(Path(sys.argv[1])), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def unfinished(recorded, monkeypatch):
    """A run whose last record is missing."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=2)

    def without_end(name, run_id, content, attributes=None):
        return run_span("lost" if name == RUN_END else name, run_id, content, attributes)

    with monkeypatch.context() as patched:
        patched.setattr("replay.running.runner.run_span", without_end)
        patched.setattr("replay.running.runner.forget", lambda *_: None)
        replay.run(recorded, plan)
    recorded.refresh()
    return plan.run_id


@pytest.fixture
def holder():
    """Give what starts a process that holds a run's lock, and ends it with the test."""
    started = []

    def start(store, run_id):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(store.path), run_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_run_that_another_process_holds_is_not_gone_on_with(recorded, unfinished, holder):
    """A run planned while it was free is refused once another process has begun with it, and free again when that is killed."""
    planned = replay.resume(recorded, unfinished, path=AGENTS)
    process = holder(recorded, unfinished)
    assert ["running"] == [run.status for run in replay.load_runs(recorded)]
    with pytest.raises(RunError, match=f"is under way in process {process.pid} on {socket.gethostname()}"):
        replay.run(recorded, planned)
    with pytest.raises(RunError, match="is under way"):
        replay.resume(recorded, unfinished, path=AGENTS)
    process.kill()
    process.wait()
    assert ["interrupted"] == [run.status for run in replay.load_runs(recorded)]
    assert "complete" == replay.run(recorded, planned).status


def test_a_run_on_another_host_is_under_way_while_its_lock_is_held(recorded, unfinished, holder):
    """Another host's name says nothing of whether a run lives: its lock does."""
    elsewhere = {"run_id": unfinished, "host": "elsewhere", "boot": "x", "pid": 1, "born": "1"}
    assert not is_under_way(elsewhere, recorded.layout)
    holder(recorded, unfinished)
    assert is_under_way(elsewhere, recorded.layout)


def test_a_run_that_another_process_completed_meanwhile_is_given_as_it_is(recorded, unfinished):
    """Of two plans that go on with one run, the second finds it complete, and runs nothing again."""
    first, second = (replay.resume(recorded, unfinished, path=AGENTS) for _ in range(2))
    assert "complete" == replay.run(recorded, first).status
    told = []
    assert "complete" == replay.run(recorded, second, progress=told.append).status
    assert [] == told
    counts = recorded.query(
        "SELECT count(*) AS n FROM all_spans WHERE replay_status IS NOT NULL AND kind = 'agent'"
    )
    assert [{"n": 2}] == counts.to_pylist()


def test_a_lock_is_kept_until_it_is_forgotten_and_is_no_path(recorded):
    """A lock lies in the store, whatever the run's id says, and stays for a run that was interrupted."""
    name = "../../elsewhere"
    with held(recorded.layout, name):
        assert is_held(recorded.layout, name)
        with pytest.raises(RunError, match="is under way in process"), held(recorded.layout, name):
            pass
    assert is_held(recorded.layout, name) is False
    forget(recorded.layout, name)
    assert is_held(recorded.layout, name) is None
    assert [] == list(recorded.layout.ledger.glob("run-*"))


@pytest.mark.parametrize(("call", "number"), [("open", errno.EACCES), ("flock", errno.ENOLCK)])
def test_where_there_can_be_no_lock_a_run_runs_without(recorded, monkeypatch, call, number):
    """A ledger that may not be written, or a file system without locks, keeps nobody from a run."""

    def refuse(*_args):
        raise OSError(number, os.strerror(number))

    place = {"open": os, "flock": fcntl}[call]
    with monkeypatch.context() as patched:
        patched.setattr(place, call, refuse)
        with held(recorded.layout, "r"):
            assert is_held(recorded.layout, "r") is None


def test_a_run_that_another_process_began_since_it_was_planned_is_not_run_twice(recorded):
    """Two that counted the same runs plan the same id: the second one runs nothing, and nothing is there twice."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=1)
    run_id = replay.run(recorded, plan).run_id
    with pytest.raises(RunError, match=f"Run {run_id} was begun by another process"):
        replay.run(recorded, plan)
    recorded.refresh()
    assert 1 == len(manifests_of(recorded, run_id))
