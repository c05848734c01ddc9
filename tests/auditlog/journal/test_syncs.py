"""What counts as durable is on the disk, whatever a sync does, and without a thread that syncs."""

import errno
import os
import threading

import auditlog
from auditlog import config
from auditlog.journal import JournalWriter, read_frames, writer
from auditlog.record import decode_record


def test_a_slow_disk_keeps_no_caller_waiting(tmp_path, monkeypatch, payload, spans, gaps):
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


def test_without_a_thread_to_be_had_records_are_kept_and_closing_syncs(tmp_path, monkeypatch, payload, spans):
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


def test_syncs_that_keep_failing_lose_nothing_that_memory_holds(tmp_path, broken, monkeypatch, payload):
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


def test_what_was_written_again_is_sealed_once(store, monkeypatch, payload):
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


def test_the_journals_name_is_synced_before_anything_counts_as_durable(tmp_path, monkeypatch, payload):
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
