"""A power cut at any moment, with any of the unsynced data gone, loses nothing that was promised to be durable."""

import errno
import itertools
import os
import shutil
import threading

import disk as disks
import oracle
import pytest

from auditlog import layout as layouts
from auditlog.journal import JournalWriter, writer
from auditlog.ledger import ledger
from auditlog.record import encode_record
from auditlog.sealing import seal

SEED = int(os.environ.get("AUDITLOG_SEED", "0"))
STATES = int(os.environ.get("AUDITLOG_CRASH_STATES", "500"))
"""How many states the slow test checks; `make crash` asks for more."""


class Work:
    """A program that records and seals, and says what it may rely on."""

    def __init__(self, root, disk):
        self.root, self.disk = root, disk
        self.numbers = itertools.count(1)
        self.written = []

    def rely(self):
        """Promise what was written so far."""
        self.disk.mark(tuple(self.written))

    def start(self, journal, span=None, size=600):
        """Write a START."""
        span = span or f"{next(self.numbers):016x}"
        entry = {
            "type": "start",
            "time": 1_700_000_000_000_000_000,
            "trace": "t",
            "span": span,
            "kind": "agent",
        }
        entry |= {"name": "n", "conversation": "c", "turn": span}
        assert journal.append(encode_record(entry, {"input": b'"%s"' % (b"x" * size)}), opens=span)
        self.written.append(("start", "t", span))
        return span

    def end(self, journal, span):
        """Write an END."""
        entry = {"type": "end", "time": 1_700_000_000_000_000_001, "trace": "t", "span": span, "status": "ok"}
        assert journal.append(encode_record(entry, {"output": b"[1]"}), closes=span)
        self.written.append(("end", "t", span))

    def call(self, journal, size=600):
        """Write both."""
        self.end(journal, self.start(journal, size=size))

    def seal(self, layout):
        """Seal, and rely on what the ledger says."""
        self.written += [("gone", stem) for stem in seal.seal(layout).sealed]
        self.written.append(("entries", ledger.read_ledger(layout.entries).count))
        self.rely()

    def die(self, layout):
        """Record, and die before anything was synced: nothing is promised, and what a sealer makes of it has to fit."""
        journal = JournalWriter(layout.journal)
        before = len(self.written)
        self.call(journal)
        del self.written[before:]
        journal._files.close_descriptors()

    def run(self, fail):
        """Make a store, record into it over several files and a failed sync, and seal in between."""
        layout = layouts.ensure(self.root / "audit")
        self.written.append(("store",))
        self.rely()
        journal = JournalWriter(layout.journal, rotate_bytes=2500)
        long = self.start(journal)
        self.call(journal)
        assert journal.flush()
        self.rely()
        for _ in range(4):
            self.call(journal)
        assert journal.flush()
        self.rely()
        self.call(journal)
        with fail():
            assert not journal.flush()
        assert journal.flush()
        self.rely()
        self.end(journal, long)
        journal.close()
        self.rely()
        self.seal(layout)
        self.die(layout)
        self.seal(layout)
        second = JournalWriter(layout.journal)
        self.call(second)
        second.close()
        self.rely()
        self.seal(layout)


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Give a function that runs the work on a recorded disk."""

    def record(without=None, name="disk"):
        root = tmp_path / name
        root.mkdir()
        with monkeypatch.context() as patch:
            # One thread, so that what happens is the same each time.
            patch.setattr(threading.Thread, "start", _no_thread)
            patch.setattr(writer, "MOST_BACKOFF_SECONDS", 0.0)
            patch.setattr(seal, "LATE_SECONDS", -1.0)
            disk = disks.Disk(root, patch, without=without)
            recording = os.fdatasync

            def fail_once():
                context = monkeypatch.context()
                inner = context.__enter__()
                inner.setattr(os, "fdatasync", _eio)
                return _Leaving(context)

            assert recording is os.fdatasync
            Work(root, disk).run(fail_once)
        disk.let_go()
        return disk

    return record


class _Leaving:
    def __init__(self, context):
        self.context = context

    def __enter__(self):
        return None

    def __exit__(self, *exc):
        self.context.__exit__(*exc)


def _eio(_descriptor):
    raise OSError(errno.EIO, "broken")


def _no_thread(_thread):
    if _thread.name == "auditlog-sync":
        raise RuntimeError("can't start new thread")
    return _START(_thread)


_START = threading.Thread.start


def explore(disk, place, **which):
    """Check states; give how many, and the first that is broken."""
    checked = 0
    for marks, files in disks.states(disk, **which):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        disks.put(files, place)
        promised = set(marks[-1]) if marks else set()
        checked += 1
        try:
            oracle.check(place / "audit", promised)
        except oracle.PromiseError as broken:
            return checked, broken
    return checked, None


@pytest.fixture
def place(tmp_path):
    """Give a directory for states, in memory where there is such a file system."""
    shm = f"/dev/shm/auditlog-states-{os.getpid()}-{tmp_path.name}"
    path = type(tmp_path)(shm) if os.access("/dev/shm", os.W_OK) else tmp_path / "states"
    yield path / "s"
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def _dead_writers(monkeypatch):
    """The process whose files a state holds is gone, though it has the number of this one."""
    monkeypatch.setattr(seal, "LATE_SECONDS", -1.0)


def test_a_power_cut_at_some_moments_loses_nothing_promised(recorded, place):
    """A few of the states, the same each time."""
    disk = recorded()
    share = 24 / sum(1 for _ in disks.states(disk))
    checked, broken = explore(disk, place, share=share)
    assert broken is None
    assert checked > 8


@pytest.mark.slow
@pytest.mark.parametrize("half", [0, 1])
def test_a_power_cut_at_any_moment_loses_nothing_promised(recorded, place, half):
    """As many states as AUDITLOG_CRASH_STATES says: further rounds take other combinations of what was not synced."""
    disk, seed, wanted = recorded(), 2 * SEED + half, STATES // 2
    before, checked, extra = set(), 0, 3
    while checked < wanted:
        possible = sum(1 for _ in disks.states(disk, extra=extra, seed=seed, before=frozenset(before)))
        share = min(1.0, (wanted - checked) / possible)
        more, broken = explore(disk, place, share=share, extra=extra, seed=seed, before=before)
        checked += more
        assert broken is None, f"seed {seed}, state {checked}"
        extra *= 3
        if share < 1:
            # Chosen at random: it need not be exactly as many.
            break
    print(f"{checked} states of {len(disk.log)} operations, nothing promised was lost")


@pytest.mark.slow
def test_each_sync_that_is_left_out_is_caught(recorded, place):
    """Of every sync in the program, one at a time: without it, some state breaks a promise. So none is there in vain."""
    sites = recorded().sites
    uncaught = []
    for number, site in enumerate(sites):
        checked, broken = explore(recorded(without=site, name=f"without-{number}"), place, poor=True)
        print(f"without {site}: {broken or 'NOT CAUGHT'} (state {checked})")
        if broken is None:
            uncaught.append(site)
    assert uncaught == []
    assert len(sites) >= 15
