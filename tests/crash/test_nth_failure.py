"""The n-th call of the operating system fails, for every n: nothing acknowledged is lost, and what was not is counted."""

import errno
import os
import random
import shutil
import threading

import oracle
import pytest

from auditlog import layout as layouts
from auditlog.errors import AuditlogError
from auditlog.journal import JournalWriter, files, read_frames, writer
from auditlog.ledger import ledger
from auditlog.record import decode_record, encode_record
from auditlog.sealing import seal

CALLS = "open write ftruncate posix_fallocate rename replace unlink mkdir link fsync fdatasync".split()
FAULTS = {
    "full": lambda real, args: _raise(errno.ENOSPC),
    "broken": lambda real, args: _raise(errno.EIO),
    "short": lambda real, args: real(args[0], bytes(args[1])[: len(args[1]) // 2]),
}


def _raise(code):
    raise OSError(code, os.strerror(code))


class Faults:
    """Makes the n-th call below a directory fail, and those that follow it where it goes on."""

    def __init__(self, root, patch, fault, number, *, goes_on):
        self.root, self.fault, self.number, self.goes_on = str(root), FAULTS[fault], number, goes_on
        self.calls = 0
        for name in ["write"] if fault == "short" else CALLS:
            patch.setattr(os, name, self._failing(getattr(os, name)))

    def _failing(self, real):
        def call(*args, **kwargs):
            if not self._is_ours(args[0]):
                return real(*args, **kwargs)
            self.calls += 1
            if self.calls == self.number or (self.goes_on and self.calls > self.number):
                return self.fault(real, args)
            return real(*args, **kwargs)

        return call

    def _is_ours(self, target):
        if isinstance(target, int):
            try:
                target = os.readlink(f"/proc/self/fd/{target}")
            except OSError:
                return False
        return str(target).startswith(self.root)


def run(root):
    """Record over several files and seal, whatever fails; give the records that were taken, and how many were not."""
    taken, lost = [], 0
    layout = layouts.Layout(root)
    for number in range(2):
        journal = JournalWriter(layout.journal, rotate_bytes=3000)
        for turn in range(4):
            span = f"{number}-{turn}"
            for kind, content in (("start", b'"%s"' % (b"x" * 500)), ("end", b"[1]")):
                entry = {"type": kind, "time": 1_700_000_000_000_000_000 + turn, "trace": "t", "span": span}
                entry |= {"kind": "agent", "name": "n", "turn": span} if kind == "start" else {"status": "ok"}
                payload = encode_record(entry, {"input" if kind == "start" else "output": content})
                opened = {"opens" if kind == "start" else "closes": span}
                if journal.append(payload, **opened):
                    taken.append((kind, "t", span))
                else:
                    lost += 1
            if turn == 1:
                journal.flush()
        journal.close()
        try:
            seal.seal(layout)
        except AuditlogError:
            pass
    return taken, lost, journal


def told(layout):
    """Give how many lost records the GAP records and the ledger tell of."""
    waiting = [
        decode_record(frame.payload).entry
        for path in layout.journal.glob("*.wal")
        for frame in read_frames(path)
    ]
    gaps = [entry for entry in waiting if entry["type"] == "gap"]
    gaps += [gap for entry in ledger.read_ledger(layout.entries).entries for gap in entry.get("gaps", ())]
    return sum(gap["lost"] for gap in gaps)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Give a function that runs the work with one fault on a fresh store, and checks it; it gives the number of calls."""
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    monkeypatch.setattr(seal, "LATE_SECONDS", -1.0)
    monkeypatch.setattr(files, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(writer, "MOST_BACKOFF_SECONDS", 0.0)
    place = type(tmp_path)("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    place = place / f"auditlog-nth-{os.getpid()}"

    def work(fault, number, *, goes_on):
        shutil.rmtree(place, ignore_errors=True)
        root = layouts.ensure(place / "audit").root
        with monkeypatch.context() as patch:
            faults = Faults(root, patch, fault, number, goes_on=goes_on)
            taken, lost, _ = run(root)
        try:
            layout = layouts.find(root)
            said = told(layout)
            oracle.check(root, taken)
        except AssertionError as error:
            raise AssertionError(f"{fault}, call {number}, goes on: {goes_on}: {error}") from error
        if not goes_on:
            assert said == lost, f"{fault}, call {number}: {lost} were lost, and {said} told"
        return faults.calls

    yield work
    shutil.rmtree(place, ignore_errors=True)


_START = threading.Thread.start


def _no_thread(thread):
    if thread.name == "auditlog-sync":
        raise RuntimeError("can't start new thread")
    _START(thread)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_at_some_calls_loses_nothing_in_silence(fresh, fault):
    """A few places at random, once and for good."""
    calls = fresh(fault, 0, goes_on=False)
    chance = random.Random(fault)
    for number in chance.sample(range(1, calls), 4):
        fresh(fault, number, goes_on=chance.random() < 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failure_at_any_call_loses_nothing_in_silence(fresh, fault, goes_on):
    """Every place, once or for good."""
    calls = fresh(fault, 0, goes_on=False)
    for number in range(1, calls + 1):
        fresh(fault, number, goes_on=goes_on)
    print(f"{fault}, goes on {goes_on}: {calls} calls failed, one at a time")
