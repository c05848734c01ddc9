"""Whatever the disk does, the agent goes on as it asked to, and what was not kept is told exactly."""

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

import auditlog
from auditlog import config
from auditlog.errors import ConfigurationError, RecordingError
from auditlog.journal import JournalWriter, OnFailure, file, files, read_frames, writer
from auditlog.journal.policy import parse
from auditlog.record import decode_record, encode_record
from auditlog.store import Store


def payload(span, kind="start", size=1):
    """Make a record."""
    fields = {
        "type": kind,
        "time": 1,
        "trace": "t",
        "span": span,
        "kind": "agent",
        "name": "n",
        "status": "ok",
    }
    if kind == "span":
        fields["end"] = 2
    return encode_record(fields, {"input": b'"%s"' % (b"x" * size)})


def entries(*directories):
    """Give the entries of every journal file, in the order in which the files were made."""
    paths = [path for directory in directories for path in directory.glob("*.wal")]
    paths.sort(key=lambda path: int(path.stem.split("-")[2]))
    return [decode_record(frame.payload).entry for path in paths for frame in read_frames(path)]


def spans(*directories):
    """Give the span ids of the START and END records."""
    return [entry["span"] for entry in entries(*directories) if entry["type"] in ("start", "end", "span")]


def gaps(*directories):
    """Give the GAP entries."""
    return [entry for entry in entries(*directories) if entry["type"] == "gap"]


@pytest.fixture
def broken(monkeypatch):
    """Break a function of `os` until `mend` is called; the error goes to whatever descriptor is used."""

    class Broken:
        def __init__(self):
            self.real = {}

        def __call__(self, name, code, *, only=lambda *_: True):
            real = self.real.setdefault(name, getattr(os, name))

            def fail(*args, **kwargs):
                if only(*args):
                    raise OSError(code, os.strerror(code))
                return real(*args, **kwargs)

            monkeypatch.setattr(os, name, fail)

        def mend(self):
            for name, real in self.real.items():
                monkeypatch.setattr(os, name, real)

    return Broken()


@pytest.fixture
def small_disk(tmp_path):
    """Give a file system of 256 KB that is really full when it is full."""
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("continue", OnFailure()),
        ("block(0.5), raise", OnFailure("raise", 0.5)),
        (" block( 2s ) , spill(/a/b) , fail_closed ", OnFailure("fail_closed", 2.0, file.Path("/a/b"))),
        ("spill(/a), continue", OnFailure(spill=file.Path("/a"))),
    ],
)
def test_a_policy_is_read_as_it_is_written(text, policy):
    """Each step is optional but the last; a policy's own text reads back."""
    assert policy == parse(text)
    assert policy == parse(str(policy))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ignore",
        "block, raise",
        "block(-1), raise",
        "block(nan), raise",
        "block(9999), raise",
        "raise, block(1)",
        "spill(), raise",
        "raise(1)",
        "spill(/a), block(1), raise",
        "block(1)",
        "block(x), raise",
        3,
        "raise;",
    ],
)
def test_a_policy_without_meaning_is_refused(text):
    """At once, and with an example."""
    with pytest.raises(ConfigurationError):
        parse(text)


def test_a_spill_directory_that_cannot_serve_is_refused(tmp_path):
    """It must be writable, and not in the store."""
    with pytest.raises(ConfigurationError, match="lies in the store"):
        auditlog.configure(tmp_path / "audit", on_failure=f"spill({tmp_path / 'audit' / 'spill'}), raise")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        auditlog.configure(tmp_path / "audit", on_failure=f"spill({tmp_path / 'file'}), raise")


def test_a_full_disk_is_told_in_the_room_that_was_kept(small_disk):
    """Records that find no room are counted exactly; the ballast holds the GAP record while the disk is still full."""
    journal = JournalWriter(small_disk / "journal")
    assert journal.append(payload("first", size=10))
    assert journal.flush()
    _fill(small_disk / "filler")
    kept = [journal.append(payload(f"s{number}", size=5000)) for number in range(30)]
    assert not all(kept)
    lost = kept.count(False)
    journal.close()
    told = gaps(small_disk / "journal")
    assert lost == sum(gap["lost"] for gap in told) == journal.lost
    assert lost * len(payload("s00", size=5000)) - sum(gap["bytes"] for gap in told) in range(-30, 31)
    assert {"ENOSPC"} == {gap["reason"] for gap in told}
    assert ["first", *(f"s{number}" for number, done in enumerate(kept) if done)] == spans(
        small_disk / "journal"
    )
    assert [] == list((small_disk / "journal").glob("*.ballast"))


def _fill(path):
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError as error:
            assert errno.ENOSPC == error.errno


def test_recording_goes_on_when_a_full_disk_has_room_again(small_disk, monkeypatch):
    """The first record after the outage comes behind the GAP record; nothing else needs to be done."""
    monkeypatch.setattr(files, "RETRY_SECONDS", 0)
    journal = JournalWriter(small_disk / "journal")
    journal.append(payload("before"))
    journal.flush()
    _fill(small_disk / "filler")
    while journal.append(payload("x", size=5000)):
        pass
    (small_disk / "filler").unlink()
    assert journal.append(payload("after"))
    journal.close()
    assert "after" == spans(small_disk / "journal")[-1]
    assert journal.lost == sum(gap["lost"] for gap in gaps(small_disk / "journal"))


def test_a_blocked_caller_waits_for_room_and_loses_nothing(tmp_path, broken):
    """`block` waits while the outage lasts, and the record is kept when it ends in time."""
    journal = JournalWriter(tmp_path, on_failure="block(30), raise")
    journal.append(payload("a"))
    broken("write", errno.ENOSPC)
    mender = threading.Timer(0.3, broken.mend)
    mender.start()
    assert journal.append(payload("b"))
    mender.join()
    journal.close()
    assert (["a", "b"], 0, []) == (spans(tmp_path), journal.lost, gaps(tmp_path))


def test_an_outage_blocks_once_and_not_each_record(tmp_path, broken):
    """When the time to wait is over, later records of the same outage are lost without waiting."""
    journal = JournalWriter(tmp_path, on_failure="block(0.2), continue")
    journal.append(payload("a"))
    broken("write", errno.EIO)
    began = time.monotonic()
    assert not any(journal.append(payload(f"b{number}")) for number in range(100))
    assert time.monotonic() - began < 10
    broken.mend()
    journal.close()
    assert 100 == journal.lost == sum(gap["lost"] for gap in gaps(tmp_path))


def test_a_full_disk_spills_and_comes_home(small_disk, tmp_path, monkeypatch):
    """Records go to the spill directory while the disk is full, and to the journal when it has room again; sealing takes
    both in, and no span shows twice.
    """
    monkeypatch.setattr(files, "HOME_SECONDS", 0.0)
    store = small_disk / "audit"
    auditlog.configure(store, on_failure=f"spill({tmp_path / 'spill'}), raise")
    try:
        kept = config.recorder().sink
        kept.append(payload("open"), opens="open")
        kept.flush()
        _fill(small_disk / "filler")
        for number in range(60):
            assert kept.append(payload(f"s{number}", "span", size=5000))
        (spilled,) = (tmp_path / "spill").iterdir()
        assert list(spilled.glob("*.wal")) == [kept.path]
        with Store.open(store) as opened:
            assert 61 == opened.query("SELECT count(*) AS n FROM all_spans")["n"][0].as_py()
        (small_disk / "filler").unlink()
        deadline = time.monotonic() + 20
        while kept.path.parent == spilled:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert kept.append(payload("open", "end"), closes="open")
    finally:
        auditlog.shutdown()
    shutil.copytree(store, tmp_path / "audit")
    with Store.open(tmp_path / "audit") as opened:
        report = opened.seal()
        assert (61, 0, 0) == (report.spans, report.incomplete, report.lost)
        assert 61 == opened.query("SELECT count(DISTINCT span_id) AS n FROM all_spans")["n"][0].as_py()
    assert [] == list(spilled.glob("*.wal"))


def test_raise_tells_the_call_that_was_not_recorded_and_no_other(tmp_path, broken):
    """A START that finds no place stops the call before its body; the next call tries anew."""
    auditlog.configure(tmp_path / "audit", on_failure="raise")
    done = []

    @auditlog.tool(effect="write")
    def act(name):
        done.append(name)

    try:
        act("before")
        broken("write", errno.ENOSPC)
        with pytest.raises(RecordingError, match="ENOSPC"):
            act("never")
        broken.mend()
        time.sleep(files.RETRY_SECONDS)
        act("after")
    finally:
        auditlog.shutdown()
    assert ["before", "after"] == done


def test_continue_never_shows_the_agent_an_error(tmp_path, broken):
    """Nor does it change what a call returns."""
    auditlog.configure(tmp_path / "audit")

    @auditlog.tool(effect="read")
    def twice(number):
        return 2 * number

    try:
        for name in ("write", "open", "ftruncate", "fdatasync", "fsync", "posix_fallocate"):
            broken(name, errno.EIO, only=lambda first, *_: isinstance(first, int) or "journal" in str(first))
            assert 4 == twice(2)
            assert auditlog.flush() in (True, False)
    finally:
        auditlog.shutdown()
        broken.mend()


def test_fail_closed_lets_no_call_begin_until_the_loss_is_on_the_disk(tmp_path, broken):
    """Calls are refused before their bodies, also when the disk would take them; the GAP record counts them."""
    auditlog.configure(tmp_path / "audit", on_failure="fail_closed")
    done = []

    @auditlog.tool(effect="write")
    def act(name):
        done.append(name)

    try:
        act("before")
        broken("write", errno.ENOSPC)
        with pytest.raises(RecordingError):
            act("never")
        with pytest.raises(RecordingError, match="No call begins"):
            act("never")
        broken.mend()
        deadline = time.monotonic() + 20
        while "after" not in done:
            assert time.monotonic() < deadline
            try:
                act("after")
            except RecordingError:
                time.sleep(0.02)
    finally:
        auditlog.shutdown()
    told = gaps(tmp_path / "audit" / "journal")
    assert 1 == sum(gap["lost"] for gap in told)
    assert 1 <= sum(gap.get("refused", 0) for gap in told)
    assert ["before", "after"] == done


def test_a_deleted_journal_is_written_again(tmp_path):
    """Within a sync interval the writer notices, and writes every record of the deleted file into a new one."""
    journal = JournalWriter(tmp_path / "journal")
    journal.append(payload("a"), opens="a")
    assert journal.flush()
    shutil.rmtree(tmp_path / "journal")
    journal.append(payload("b"))
    deadline = time.monotonic() + 20
    while not list((tmp_path / "journal").glob("*.wal")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    journal.append(payload("a", "end"), closes="a")
    journal.close()
    assert ["a", "b", "a"] == spans(tmp_path / "journal")
    (gap,) = gaps(tmp_path / "journal")
    assert (0, 2, "deleted") == (gap["lost"], gap["rewritten"], gap["reason"])


def test_a_journal_that_was_moved_away_is_left_for_a_new_one(tmp_path):
    """What is in the moved directory stays there, and the GAP record says how much."""
    journal = JournalWriter(tmp_path / "journal")
    journal.append(payload("a"))
    assert journal.flush()
    (tmp_path / "journal").rename(tmp_path / "moved")
    journal.append(payload("b"))
    journal.flush()
    journal.append(payload("c"))
    journal.close()
    assert ["c"] == spans(tmp_path / "journal")
    assert ["a", "b"] == spans(tmp_path / "moved")
    assert [(0, 3)] == [(gap["lost"], gap["unsure"]) for gap in gaps(tmp_path / "journal")]


def test_a_directory_that_takes_no_file_costs_records_and_no_call(tmp_path):
    """A file where the journal should be is as bad as a read-only directory; records are counted."""
    (tmp_path / "journal").write_text("")
    journal = JournalWriter(tmp_path / "journal")
    assert not journal.append(payload("a"))
    assert not journal.flush()
    (tmp_path / "journal").unlink()
    time.sleep(files.RETRY_SECONDS)
    assert journal.append(payload("b"))
    journal.close()
    assert (["b"], [1]) == (spans(tmp_path / "journal"), [gap["lost"] for gap in gaps(tmp_path / "journal")])


def test_a_slow_disk_keeps_no_caller_waiting(tmp_path, monkeypatch):
    """While a sync takes its time, records are taken; who waits for the disk waits for a bounded time."""
    held, free = threading.Event(), threading.Event()

    def slow(descriptor):
        held.set()
        free.wait(60)

    monkeypatch.setattr(os, "fdatasync", slow)
    journal = JournalWriter(tmp_path, rotate_bytes=20_000)
    journal.append(payload("a"))
    assert held.wait(20)
    assert all(journal.append(payload(str(number), size=1000)) for number in range(100))
    assert not journal.flush(timeout=0.05)
    assert not journal.commit(timeout=0.05)
    free.set()
    assert journal.commit()
    journal.close()
    assert 101 == len(spans(tmp_path))
    assert [1] == [gap["late"] for gap in gaps(tmp_path)]


def test_a_short_write_is_gone_on_with(tmp_path, monkeypatch):
    """A record that the system takes in pieces is one whole frame."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:100]))
    journal = JournalWriter(tmp_path)
    assert journal.append(payload("a", size=1000))
    journal.close()
    assert ["a"] == spans(tmp_path)


def test_a_limit_on_a_files_size_begins_a_new_file(tmp_path):
    """A record that does not fit its file goes into the next; one that fits none is lost, and costs no other."""
    program = f"""
import resource
from auditlog.journal import JournalWriter
from auditlog.record import encode_record
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
journal = JournalWriter({str(tmp_path)!r})
make = lambda size: encode_record({{"type": "start", "span": str(size)}}, {{"input": b'"' + b"x" * size + b'"'}})
kept = [journal.append(make(size)) for size in (30_000, 31_000, 32_000, 33_000, 200_000, 34_000)]
assert kept == [True, True, True, True, False, True], kept
journal.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert ["30000", "31000", "32000", "33000", "34000"] == spans(tmp_path)
    assert [(1, "EFBIG")] == [(gap["lost"], gap["reason"]) for gap in gaps(tmp_path)]


def test_without_a_descriptor_to_be_had_the_open_file_goes_on(tmp_path):
    """RLIMIT_NOFILE stops rotation, and not recording."""
    journal = JournalWriter(tmp_path, rotate_bytes=1000)
    journal.append(payload("a"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        kept = [journal.append(payload(str(number), size=500)) for number in range(20)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    journal.close()
    assert all(kept)
    assert (21, []) == (len(spans(tmp_path)), gaps(tmp_path))


def test_without_a_thread_to_be_had_records_are_kept_and_closing_syncs(tmp_path, monkeypatch):
    """What the thread does is done by `flush`, rotation and `close`."""

    def none(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    synced = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (synced.append(1), real(descriptor)))
    journal = JournalWriter(tmp_path, rotate_bytes=5000)
    assert all(journal.append(payload(str(number), size=1000)) for number in range(20))
    assert synced
    assert journal.flush()
    journal.close()
    assert 20 == len(spans(tmp_path))


def test_syncs_that_keep_failing_lose_nothing_that_memory_holds(tmp_path, broken, monkeypatch):
    """Each failed sync begins a new file with what is not on the disk; no descriptor is synced twice after a failure."""
    failed, again = set(), []

    def fail(descriptor):
        name = os.readlink(f"/proc/self/fd/{descriptor}")
        again.extend([name] if name in failed else [])
        failed.add(name)
        raise OSError(errno.EIO, "broken")

    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", fail)
    monkeypatch.setattr(writer, "MOST_BACKOFF_SECONDS", 0.0)
    journal = JournalWriter(tmp_path)
    for number in range(5):
        journal.append(payload(str(number)))
        assert not journal.flush()
    monkeypatch.setattr(os, "fdatasync", real)
    assert journal.append(payload("last"))
    assert journal.flush() or journal.flush()
    last = journal.path
    journal.close()
    assert [] == again
    assert len(failed) >= 5
    assert {"0", "1", "2", "3", "4", "last"} == {
        entry["span"]
        for entry in (decode_record(frame.payload).entry for frame in read_frames(last))
        if entry["type"] == "start"
    }


def test_what_was_written_again_is_sealed_once(store, monkeypatch):
    """A span in a file whose sync failed and in the one that followed is one span, whoever seals, and whenever."""
    journal = store.writer()
    journal.append(payload("a"), opens="a")
    journal.append(payload("a", "end"), closes="a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
        assert not journal.flush()
    store.seal()
    assert 1 == store.query("SELECT count(*) AS n FROM all_spans")["n"][0].as_py()
    journal.append(payload("b", "span"))
    journal.close()
    report = store.seal()
    assert (2, 2) == (report.spans, report.duplicates)
    assert 2 == store.query("SELECT count(*) AS n FROM all_spans")["n"][0].as_py()


def test_a_signal_handler_that_records_disturbs_no_record(tmp_path):
    """A record made in the middle of another one on the same thread follows it, with a number of its own."""
    journal = JournalWriter(tmp_path)
    made = []

    def handle(*_):
        made.append(f"h{len(made)}")
        journal.append(payload(made[-1]))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(3000):
            assert journal.append(payload(str(number)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    journal.close()
    assert {*map(str, range(3000)), *made} == set(spans(tmp_path))
    assert 3000 + len(made) == len(spans(tmp_path))


def test_an_interrupt_in_the_middle_of_a_record_leaves_the_file_whole(tmp_path, monkeypatch):
    """Ctrl-C during a write goes to the agent; the record is cut back, and the next one has its number."""
    journal = JournalWriter(tmp_path)
    journal.append(payload("a"))
    real = os.write

    def interrupted(descriptor, data):
        real(descriptor, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append(payload("b"))
    journal.append(payload("c"))
    journal.close()
    assert ["a", "c"] == spans(tmp_path)


def test_a_record_that_could_not_be_made_is_told(tmp_path):
    """Faults of the recorder are in the GAP record, with their reason and without content."""
    auditlog.configure(tmp_path / "audit")
    recorder = config.recorder()
    recorder.fault(ValueError("secret"))
    auditlog.shutdown()
    (gap,) = gaps(tmp_path / "audit" / "journal")
    assert (1, {"ValueError": 1}) == (gap["lost"], gap["reasons"])
    assert "secret" not in str(gap)


def test_a_thread_stuck_in_a_write_holds_others_up_for_a_bounded_time(tmp_path, monkeypatch):
    """Behind a write that never returns, other threads' records are counted as lost, and closing ends in time."""
    monkeypatch.setattr(writer, "LOCK_SECONDS", 0.05)
    journal = JournalWriter(tmp_path)
    journal.append(payload("a"))
    stuck, free = threading.Event(), threading.Event()
    real = os.write

    def hang(descriptor, data):
        stuck.set()
        free.wait(60)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", hang)
    thread = threading.Thread(target=journal.append, args=(payload("b"),))
    thread.start()
    assert stuck.wait(20)
    assert not journal.append(payload("c"))
    journal.close(timeout=0.05)
    monkeypatch.setattr(os, "write", real)
    free.set()
    thread.join()
    journal.close()
    assert ["a", "b"] == spans(tmp_path)
    assert [(1, "busy")] == [(gap["lost"], gap["reason"]) for gap in gaps(tmp_path)]


def test_the_end_of_a_durable_turn_waits_for_one_shared_sync(tmp_path, monkeypatch):
    """Turns that end at the same time share a sync; the tools inside them wait for none."""
    synced = []
    real = os.fdatasync

    def sync(descriptor):
        real(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fdatasync", sync)
    auditlog.configure(tmp_path / "audit", durable=True)
    sink = config.recorder().sink

    @auditlog.tool(effect="read")
    def look():
        return 1

    @auditlog.agent("bot")
    def answer():
        return sum(look() for _ in range(5))

    try:
        answer()
        assert synced[-1] == sink.path.stat().st_size
        before = len(synced)
        threads = [threading.Thread(target=answer) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert synced[-1] == sink.path.stat().st_size
        assert len(synced) - before <= 16
    finally:
        auditlog.shutdown()


def test_the_journals_name_is_synced_before_anything_counts_as_durable(tmp_path, monkeypatch):
    """A file that nobody can find after a power cut holds nothing."""
    done = []
    real_data, real = os.fdatasync, os.fsync
    monkeypatch.setattr(os, "fdatasync", lambda d: (done.append("data"), real_data(d)))
    monkeypatch.setattr(os, "fsync", lambda d: (done.append("name"), real(d)))
    journal = JournalWriter(tmp_path)
    journal.append(payload("a"))
    assert journal.flush()
    assert {"data", "name"} == set(done)
    journal.append(payload("b"))
    assert journal.flush()
    assert 1 == done.count("name")
    journal.close()
