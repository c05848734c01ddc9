"""`auditlog doctor` tells what the journal could not keep, and what lies elsewhere."""

import os
import shutil
import time

from auditlog.cli.checkup_journal import gaps_told, journals
from auditlog.journal import spill
from auditlog.record import encode_record


def told(store):
    """Give what doctor says of a store's journal."""
    return [(finding.grade, finding.subject, finding.text) for finding in journals(store.path)]


def span(name):
    """Make a whole span's record."""
    fields = {
        "type": "span",
        "time": 1,
        "end": 2,
        "trace": "t",
        "span": name,
        "kind": "tool",
        "name": "n",
        "status": "ok",
    }
    return encode_record(fields, {})


def test_each_count_of_a_gap_record_is_told_with_reasons_and_policy():
    """Lost, unsure and late records are wrong; refused calls and records written twice are notes."""
    gaps = [
        {"lost": 3, "bytes": 9, "reasons": {"ENOSPC": 3}, "policy": "raise", "refused": 2},
        {"lost": 1, "unsure": 2, "late": 1, "rewritten": 4, "reasons": {"EIO": 7}, "policy": "raise"},
        {"lost": 1, "reason": "OSError"},
    ]
    why = "(EIO 7, ENOSPC 3, OSError 1; on_failure=raise)"
    assert [
        ("wrong", f"5 records could not be written while recording {why}"),
        ("wrong", f"2 records may be missing: a sync failed, or their file was moved away {why}"),
        ("wrong", f"1 turn not on the disk in time, though `durable=True` waits for it {why}"),
        ("note", f"2 calls refused by on_failure=fail_closed {why}"),
        ("note", f"4 records written a second time, as their file did not sync or was deleted {why}"),
    ] == [(finding.grade, finding.text) for finding in gaps_told("journal", "", gaps)]


def test_a_journal_without_its_ballast_is_told(store):
    """Where no room is kept for a GAP record, a full disk could lose records in silence."""
    writer = store.writer()
    writer.append(span("a"))
    writer.flush()
    ballast = writer.path.with_suffix(".ballast")
    old = writer.path.with_name(writer.path.name.replace(writer.path.stem.split("-")[2], "1"))
    assert ["ok"] == [grade for grade, _, _ in told(store)]
    ballast.unlink()
    writer.path.rename(old)
    assert ("wrong", f"{old.name}: no ballast file keeps room for what a full disk makes it lose") in [
        (grade, text) for grade, _, text in told(store)
    ]
    writer.close()


def test_a_journal_that_nobody_writes_is_told_with_its_age(store):
    """Files of processes that are gone wait for a sealer; after an hour doctor says for how long."""
    writer = store.writer()
    writer.append(span("a"))
    path = writer.path
    writer.close()
    os.utime(path, (time.time() - 7200, time.time() - 7200))
    ((grade, _, text),) = told(store)
    assert "note" == grade
    assert "1 finished file not sealed yet" in text
    assert "the oldest for 2 h: nobody writes it, and nobody seals it" in text


def test_spilled_records_are_told_and_sealing_takes_them_in(store, tmp_path):
    """So is a spill directory that cannot be reached."""
    away = spill.register(store.path / "journal", store.id, tmp_path / "elsewhere")
    writer = store.writer()
    writer.append(span("a"))
    path = writer.path
    writer.close()
    shutil.move(path, away / path.name)
    assert ("note", "spill") in [finding[:2] for finding in told(store)]
    assert 1 == store.seal().spans
    assert [] == told(store)
    shutil.rmtree(tmp_path / "elsewhere")
    assert [("wrong", "spill")] == [finding[:2] for finding in told(store)]


def test_a_pointer_to_somewhere_else_is_not_followed(store, tmp_path):
    """Who can write into the journal cannot make a sealer read or remove files elsewhere."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "aa-1-1.wal").write_bytes(b"not yours")
    journal = store.path / "journal"
    journal.mkdir(exist_ok=True)
    (journal / "a.spill").write_text(str(victim))
    (tmp_path / store.id).symlink_to(victim)
    (journal / "b.spill").write_text(str(tmp_path / store.id))
    os.mkfifo(journal / "c.spill")
    (journal / "d.spill").symlink_to(journal / "b.spill")
    assert [] == spill.directories(journal)
    store.seal()
    assert (victim / "aa-1-1.wal").exists()
