"""Sealing in the background: when a process is started for it, and what it leaves."""

import fcntl
import os
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

import auditlog
from auditlog import background
from auditlog.cli.main import main
from auditlog.journal import JournalWriter
from auditlog.store import Store

RECORDS = """
import auditlog, sys
auditlog.configure(sys.argv[1])
with auditlog.conversation("c-1"):
    auditlog.agent(lambda question: "Here.")("Where is it?")
"""


@pytest.fixture
def started(monkeypatch):
    """Let sealing be started, and give the stores for which it is; none is."""
    monkeypatch.delenv(background.VARIABLE)
    calls = []
    monkeypatch.setattr(background, "start", lambda root, **_: calls.append(root) or True)
    return calls


def record(path, **options):
    """Record a turn in this process, and end."""
    auditlog.configure(path, **options)
    with auditlog.conversation("c-1"):
        auditlog.agent(lambda question: "Here.")("Where is it?")
    auditlog.shutdown()


def sealed_spans(path, seconds=60):
    """Wait until something is sealed; give how many spans are."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with Store.open(path) as store:
            if spans := sum(segment.rows for segment in store.segments()):
                return spans
        time.sleep(0.1)
    return 0


def test_what_a_process_recorded_is_sealed_after_its_end(store_path):
    """A process that ends leaves its journal sealed, without having waited for that."""
    environment = {name: value for name, value in os.environ.items() if name != background.VARIABLE}
    subprocess.run([sys.executable, "-c", RECORDS, store_path], env=environment, check=True)
    assert sealed_spans(store_path) == 1
    with Store.open(store_path) as store:
        assert store.unsealed == 0


def test_sealing_is_started_once_recording_ends(store_path, started):
    """`shutdown` has the journal sealed in the background."""
    record(store_path)
    assert started == [store_path]


def test_nothing_is_started_where_nothing_was_recorded(store_path, started):
    """A process that records nothing starts nothing."""
    auditlog.configure(store_path)
    auditlog.shutdown()
    assert started == []


def test_sealing_in_the_background_can_be_refused(store_path, started, monkeypatch):
    """`seal=False` and AUDITLOG_SEAL=off leave the journal to `auditlog seal`; `seal=True` wins over the environment."""
    record(store_path, seal=False)
    monkeypatch.setenv(background.VARIABLE, "off")
    record(store_path)
    assert started == []
    record(store_path, seal=True)
    assert started == [store_path]


def test_a_full_file_is_told_by_the_syncing_thread(tmp_path, script_for):
    """When a journal file is full and let go, the thread that syncs says so, and no thread of the agent."""
    told, calls = threading.Event(), []

    def on_full():
        calls.append(threading.current_thread().name)
        told.set()

    writer = JournalWriter(tmp_path / "journal", rotate_bytes=1500, on_full=on_full)
    script = script_for(writer)
    while len(list((tmp_path / "journal").glob("*.wal"))) < 2:
        script.turn()
    assert told.wait(30)
    writer.close()
    assert set(calls) == {"auditlog-sync"}


def test_a_reader_has_sealed_what_writers_left(store, script, started):
    """`auditlog ls` starts sealing where a writer is gone, and not where all writers go on."""
    script.turn("case-1")
    assert CliRunner().invoke(main, ["ls", "--store", str(store.path)]).exit_code == 0
    assert started == []
    script.writer.close()
    assert CliRunner().invoke(main, ["ls", "--store", str(store.path)]).exit_code == 0
    assert started == [store.path]


def test_the_process_is_nobodys_child(store, script):
    """What is started has left its parent when `start` returns, and seals all the same."""
    script.turn("case-1")
    script.writer.close()
    assert background.start(store.path)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert sealed_spans(store.path) == 3


def test_none_is_started_while_another_seals(store):
    """One process at a time: while the lock of sealing is held, none is started."""
    lock = store.path / "ledger" / "seal.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert not background.start(store.path)


def test_no_server_is_started_in_the_place_of_an_interpreter(store, monkeypatch):
    """Where this interpreter is part of another program, that program is not run."""
    monkeypatch.setattr(sys, "executable", "/usr/sbin/uwsgi")
    assert not background.start(store.path)
