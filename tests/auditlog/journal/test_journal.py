"""The journal holds every acknowledged record, and counts what it could not keep."""

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from auditlog.journal import JournalWriter, files, is_live, read_frames
from auditlog.record import decode_record, encode_record


def payload(span, kind="start"):
    """Make a small record."""
    return encode_record({"type": kind, "span": span}, {"input": b'"x"'})


def records(directory):
    """Read every record of a journal directory, file by file in the order of their names."""
    return [decode_record(f.payload) for p in sorted(directory.glob("*.wal")) for f in read_frames(p)]


def spans(directory):
    """Give the span ids of its START and END records."""
    return [record.entry["span"] for record in records(directory) if record.type in ("start", "end")]


def test_a_live_file_is_locked_and_a_closed_one_is_not(tmp_path):
    """Whether a file has a writer shows in its lock."""
    writer = JournalWriter(tmp_path)
    assert writer.append(payload("a"))
    path = writer.path
    assert is_live(path)
    assert oct(path.stat().st_mode)[-3:] == "600"
    writer.close()
    assert not is_live(path)
    assert ["open", "start", "close"] == [record.type for record in records(tmp_path)]


def test_threads_write_whole_frames_in_one_sequence(tmp_path):
    """Eight threads lose nothing, and the sequence has no hole."""
    writer = JournalWriter(tmp_path)
    threads = [
        threading.Thread(target=lambda n=n: [writer.append(payload(f"{n}-{i}")) for i in range(100)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    (path,) = tmp_path.glob("*.wal")
    assert list(range(802)) == [frame.sequence for frame in read_frames(path)]
    assert {f"{n}-{i}" for n in range(8) for i in range(100)} == set(spans(tmp_path))


def test_rotation_carries_open_spans_over(tmp_path):
    """A START whose END is still to come goes on in the next file, named in the CLOSE record."""
    writer = JournalWriter(tmp_path, rotate_bytes=1000)
    writer.append(payload("long"), opens="long")
    for number in range(20):
        writer.append(payload(str(number)), opens=str(number))
        writer.append(payload(str(number), "end"), closes=str(number))
    writer.append(payload("long", "end"), closes="long")
    writer.close()
    files = sorted(tmp_path.glob("*.wal"))
    assert len(files) > 2
    for path in files[:-1]:
        entries = [decode_record(frame.payload).entry for frame in read_frames(path)]
        assert "long" in [entry.get("span") for entry in entries if entry["type"] == "start"]
    closed = [record.entry for record in records(tmp_path) if record.type == "close"]
    assert all("long" in entry["carried"] for entry in closed[:-2])


def test_a_damaged_or_torn_tail_ends_the_reading(tmp_path):
    """Reading stops at the first frame that is not whole, whatever its length claims."""
    writer = JournalWriter(tmp_path)
    for span in "abc":
        writer.append(payload(span))
    writer.close()
    (path,) = tmp_path.glob("*.wal")
    whole = path.read_bytes()
    ends = [frame.end for frame in read_frames(path)]
    for tail in (whole[ends[2] :][:7], b"ALJ1\xff\xff\xff\xff" + bytes(12), bytes(4096)):
        path.write_bytes(whole[: ends[2]] + tail)
        assert 3 == len(list(read_frames(path)))


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken")])
def test_what_cannot_be_written_is_counted_in_a_gap_record(tmp_path, monkeypatch, failure):
    """The agent sees no error, and the next record that can be written is preceded by the counts."""
    monkeypatch.setattr(files, "RETRY_SECONDS", 0)
    writer = JournalWriter(tmp_path)
    writer.append(payload("a"))
    real = os.write

    def fail(descriptor, data):
        real(descriptor, data[: len(data) // 2])
        raise failure

    monkeypatch.setattr(os, "write", fail)
    assert not writer.append(payload("b"))
    assert not writer.append(payload("c"))
    monkeypatch.setattr(os, "write", real)
    assert writer.append(payload("d"))
    writer.close()
    assert ["a", "d"] == spans(tmp_path)
    (gap,) = [record.entry for record in records(tmp_path) if record.type == "gap"]
    told = (2, 2 * len(payload("b")), errno.errorcode[failure.errno], "continue")
    assert told == (gap["lost"], gap["bytes"], gap["reason"], gap["policy"])
    assert 2 == writer.lost


def test_a_forked_child_writes_its_own_file(tmp_path):
    """Parent and child never share a file, and neither loses a record."""
    writer = JournalWriter(tmp_path)
    writer.append(payload("before"))
    if (child := os.fork()) == 0:
        ok = writer.append(payload("child"))
        writer.close()
        os._exit(0 if ok else 1)
    assert 0 == os.waitpid(child, 0)[1]
    writer.append(payload("after"))
    writer.close()
    files = {path.name.split("-")[1]: path for path in tmp_path.glob("*.wal")}
    assert {str(os.getpid()), str(child)} == set(files)
    assert ["before", "after", "child"] == [
        r.entry["span"]
        for pid in (os.getpid(), child)
        for r in [decode_record(f.payload) for f in read_frames(files[str(pid)])]
        if r.type == "start"
    ]


def test_after_a_failed_sync_a_new_file_begins(tmp_path, monkeypatch):
    """A descriptor whose sync failed is never written again; what was not synced is written again in a new file."""
    writer = JournalWriter(tmp_path)
    writer.append(payload("a"))
    first = writer.path

    def fail(_descriptor):
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fail)
        assert not writer.flush()
    assert writer.append(payload("b"))
    assert first != writer.path
    second = writer.path
    writer.close()
    kept = [[decode_record(frame.payload).entry for frame in read_frames(path)] for path in (first, second)]
    assert [["open", "start"], ["open", "start", "gap", "start", "close"]] == [
        [entry["type"] for entry in entries] for entries in kept
    ]
    assert [first.stem] == kept[1][0]["rewrites"]
    assert (0, 1, "EIO") == tuple(kept[1][2][name] for name in ("lost", "rewritten", "reason"))


def test_what_was_lost_is_told_at_the_end_too(tmp_path, monkeypatch):
    """A count that no later record preceded is written when the file is closed."""
    writer = JournalWriter(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        assert not writer.append(payload("a"))
    writer.close()
    assert [1] == [record.entry["lost"] for record in records(tmp_path) if record.type == "gap"]


def test_a_clock_set_back_does_not_turn_the_files_round(tmp_path, monkeypatch):
    """The names of one writer's files rise, so that a START is read before its END."""
    clock = iter(range(5_000, 0, -1))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    writer = JournalWriter(tmp_path, rotate_bytes=1)
    for span in "abc":
        writer.append(payload(span))
    writer.close()
    paths = sorted(tmp_path.glob("*.wal"), key=lambda path: int(path.stem.split("-")[2]))
    assert ["a", "b", "c"] == [
        record.entry["span"]
        for path in paths
        for record in (decode_record(frame.payload) for frame in read_frames(path))
        if record.type == "start"
    ]


def test_a_record_while_the_interpreter_shuts_down_does_not_hang_it(tmp_path):
    """A stream that nobody ended is closed by the dying interpreter, which starts no thread any more."""
    program = f"""
import auditlog
auditlog.configure({str(tmp_path / "store")!r})
@auditlog.agent
def stream():
    yield 1
left = stream()
next(left)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    kinds = [record.type for record in records(tmp_path / "store" / "journal")]
    assert {"start", "end"} < set(kinds)


def test_a_busy_journal_takes_the_records_of_other_threads_along(tmp_path):
    """A record whose thread finds another one writing is written behind that one's, and only then acknowledged."""
    writer = JournalWriter(tmp_path)
    writer.append(b"first")
    done = []
    with writer._lock:
        threads = [
            threading.Thread(target=lambda n=n: done.append(writer.append(b"other %d" % n))) for n in range(3)
        ]
        for thread in threads:
            thread.start()
        while len(writer._files.handed) < 3:
            time.sleep(0.001)
        assert [] == done
        writer.append(b"holder")
    for thread in threads:
        thread.join()
    payloads = [frame.payload for frame in read_frames(writer.path)][1:]
    assert [True] * 3 == done
    assert [b"first", b"holder"] == payloads[:2]
    assert [b"other 0", b"other 1", b"other 2"] == sorted(payloads[2:])
    writer.close()
