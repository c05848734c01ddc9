"""A disk that is full or gone, and limits on files, cost records at the most; each is told."""

import os
import resource
import shutil
import subprocess
import sys
import time

from auditlog.journal import JournalWriter, files


def test_a_full_disk_is_told_in_the_room_that_was_kept(small_disk, payload, spans, gaps, fill):
    """Records that find no room are counted exactly; the ballast holds the GAP record while the disk is still full."""
    journal = JournalWriter(small_disk / "journal")
    assert journal.append(payload("first", size=10))
    assert journal.flush()
    fill(small_disk / "filler")
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


def test_recording_goes_on_when_a_full_disk_has_room_again(
    small_disk, monkeypatch, payload, spans, gaps, fill
):
    """The first record after the outage comes behind the GAP record; nothing else needs to be done."""
    monkeypatch.setattr(files, "RETRY_SECONDS", 0)
    journal = JournalWriter(small_disk / "journal")
    journal.append(payload("before"))
    journal.flush()
    fill(small_disk / "filler")
    while journal.append(payload("x", size=5000)):
        pass
    (small_disk / "filler").unlink()
    assert journal.append(payload("after"))
    journal.close()
    assert "after" == spans(small_disk / "journal")[-1]
    assert journal.lost == sum(gap["lost"] for gap in gaps(small_disk / "journal"))


def test_a_deleted_journal_is_written_again(tmp_path, payload, spans, gaps):
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


def test_a_journal_that_was_moved_away_is_left_for_a_new_one(tmp_path, payload, spans, gaps):
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


def test_a_short_write_is_gone_on_with(tmp_path, monkeypatch, payload, spans):
    """A record that the system takes in pieces is one whole frame."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:100]))
    journal = JournalWriter(tmp_path)
    assert journal.append(payload("a", size=1000))
    journal.close()
    assert ["a"] == spans(tmp_path)


def test_a_limit_on_a_files_size_begins_a_new_file(tmp_path, spans, gaps):
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


def test_without_a_descriptor_to_be_had_the_open_file_goes_on(tmp_path, payload, spans, gaps):
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


def test_a_directory_that_takes_no_file_costs_records_and_no_call(tmp_path, payload, spans, gaps):
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
