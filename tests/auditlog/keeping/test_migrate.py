"""Migration: golden stores of older formats become stores of the present one, whole or not at all."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from auditlog.errors import FormatError, StoreError
from auditlog.exporters.jsonl import conversation_object
from auditlog.integrity.verify import verify
from auditlog.keeping.migrate import format_of, migrate
from auditlog.ledger.ledger import read_ledger
from auditlog.store import Store

GOLDEN = Path(__file__).resolve().parents[2] / "fixtures" / "stores"
ADDED_SINCE = ("segment", "erased")


@pytest.fixture
def old(tmp_path):
    """Give a copy of the golden store of format 1."""
    with tarfile.open(GOLDEN / "v1.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "store"


@pytest.fixture
def expected(old):
    """Give what the code of format 1 read of it."""
    return json.loads((old.parent / "expected.json").read_text("utf-8"))["conversations"]


def told(path):
    """Give every conversation as a reader sees it, without what later versions added."""
    with Store.open(path) as store:
        names = store.query("SELECT DISTINCT conversation_id AS id FROM all_spans ORDER BY id")
        found = [
            json.loads(json.dumps(conversation_object(store.conversation(name)), default=str))
            for name in names.column("id").to_pylist()
        ]
    for conversation in found:
        for turn in conversation["turns"]:
            for span in turn["spans"]:
                for name in ADDED_SINCE:
                    span.pop(name, None)
    return found


def test_a_store_of_format_1_is_refused_until_it_is_migrated(old):
    """Opening an older store names the command that mends it."""
    with pytest.raises(FormatError, match="auditlog migrate"):
        Store.open(old)


def test_the_golden_store_reads_the_same_after_migration(old, expected):
    """Every conversation, sealed, live and replayed, reads as the code of its own format read it."""
    report = migrate(old)
    assert (report.segments, report.spans, report.journals, report.faults) == (7, 42, 1, [])
    assert expected == told(old)
    with Store.open(old) as store:
        store.seal()
    assert expected == told(old)
    assert verify(Store.open(old).layout, deep=True, jobs=1).faults == []


@pytest.mark.parametrize("archive", sorted(GOLDEN.glob("v*.tar.gz")), ids=lambda path: path.name)
def test_every_golden_store_reads_as_its_own_code_read_it(archive, tmp_path):
    """A store of any format that ever was, migrated where it has to be, reads the same and verifies."""
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    expected = json.loads((tmp_path / "expected.json").read_text("utf-8"))["conversations"]
    migrate(tmp_path / "store")
    found = told(tmp_path / "store")
    for conversation in (*expected, *found):
        for span in (span for turn in conversation["turns"] for span in turn["spans"]):
            for name in ADDED_SINCE:
                span.pop(name, None)
    assert expected == found
    assert verify(Store.open(tmp_path / "store").layout, deep=True, jobs=1).faults == []


def test_the_old_ledger_stays_in_the_new_one(old):
    """The first entry lists what the old ledger listed, with its roots, and the old ledger's file is kept."""
    before = (old / "ledger/entries.log").read_bytes()
    migrate(old)
    (entry,) = read_ledger(old / "ledger/entries.log").entries
    assert (entry["type"], entry["from"], len(entry["was"]), len(entry["segments"])) == ("migrate", 1, 7, 7)
    assert all(len(was["root"]) == 64 for was in entry["was"])
    assert (old / "ledger/v1/entries.log").read_bytes() == before


def test_the_old_store_stays_beside_the_new_one(old):
    """The old store is kept under a name that says its format, byte for byte."""
    before = {p.relative_to(old): p.read_bytes() for p in old.rglob("*") if p.is_file()}
    kept = migrate(old).kept
    assert kept == old.with_name("store.format-1")
    assert {p.relative_to(kept): p.read_bytes() for p in kept.rglob("*") if p.is_file()} == before


def test_a_dry_run_changes_nothing(old):
    """A dry run verifies and counts, and leaves every byte as it was."""
    before = {p: p.read_bytes() for p in old.parent.rglob("*") if p.is_file()}
    report = migrate(old, dry_run=True)
    assert (report.segments, report.records, report.faults, report.kept) == (7, 16, [], None)
    assert {p: p.read_bytes() for p in old.parent.rglob("*") if p.is_file()} == before


def test_migrating_again_changes_nothing(old):
    """A store of the present format is left alone."""
    migrate(old)
    before = (old / "ledger/entries.log").read_bytes()
    report = migrate(old)
    assert (report.before, report.kept) == (2, None)
    assert (old / "ledger/entries.log").read_bytes() == before


def test_what_does_not_verify_is_not_migrated_in_silence(old, expected):
    """A flipped byte is found and named and stops the migration; told to go on, it leaves out what does not hold."""
    path = next(old.glob("segments/day=2026-11-20/*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 1
    path.write_bytes(bytes(data))
    report = migrate(old)
    assert report.kept is None
    assert any(path.name in fault for fault in report.faults)
    assert format_of(old) == 1
    report = migrate(old, despite_damage=True)
    assert report.kept is not None
    assert report.faults
    found = {c["conversation_id"]: c for c in told(old)}
    assert all(found[c["conversation_id"]] == c for c in expected if c["conversation_id"] != "golden-5")
    assert read_ledger(old / "ledger/entries.log").entries[0]["fault_count"] == len(report.faults)


def test_content_that_was_swapped_is_not_what_was_committed_to(old):
    """Content that does not match its salted commitment is named, although the file's checksums are right."""
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    from auditlog.keeping import v1

    listed = v1.read_ledger(old / "ledger/entries.log").segments[0]
    path = old / listed.path
    table = pq.read_table(path, partitioning=None)
    inputs = [b'{"question":"Forged"}' if v else None for v in table.column("input").to_pylist()]
    index = table.schema.get_field_index("input")
    pq.write_table(table.set_column(index, table.schema.field(index), pa.array(inputs, pa.binary())), path)
    forged = listed._replace(bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert v1.file_fault(old, forged) is None
    rows = [row for batch in v1.SegmentReader(path).batches() for row in batch]
    assert all(
        any("input" in what for what in row.wrong)
        for row in rows
        if row.start and "input" in row.start.entry["parts"]
    )
    assert not any(
        b"Forged" in part for row in rows for r in (row.start, row.end) if r for part in r.parts.values()
    )


def test_a_store_that_somebody_writes_into_is_refused(old):
    """While a writer holds a journal file, migrating is an error that says so."""
    import fcntl

    (journal,) = old.glob("journal/*.wal")
    with journal.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="Stop the agents"):
            migrate(old)
    assert format_of(old) == 1


def test_a_newer_format_is_refused(old):
    """A store of a format that this version does not know is left alone."""
    settings = old / "store.toml"
    settings.write_text(settings.read_text().replace("format = 1", "format = 9"))
    with pytest.raises(FormatError, match="Upgrade"):
        migrate(old)


def test_without_an_exchange_of_names_an_interrupted_swap_is_finished(old, expected, monkeypatch):
    """Where the system cannot exchange two names, dying between the two renames is mended by migrating again."""
    monkeypatch.setattr("auditlog.keeping.migrate._exchange", lambda _one, _other: False)
    rename = Path.rename

    def dying(self, target):
        if self.name.startswith("."):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying)
        patch.setattr(shutil, "rmtree", lambda *_args, **_kwargs: None)
        with pytest.raises(KeyboardInterrupt):
            migrate(old)
    assert not old.exists()
    assert migrate(old).before == 2
    assert expected == told(old)


@pytest.mark.slow
def test_killed_anywhere_the_old_store_reads_or_the_new_one_is_complete(old, expected, tmp_path):
    """Killed at random moments, a migration leaves format 1 untouched or format 2 complete, and running again ends it."""
    kept = tmp_path / "kept"
    shutil.copytree(old, kept)
    before = {p.relative_to(kept): p.read_bytes() for p in kept.rglob("*") if p.is_file()}
    code = "import sys; from auditlog.keeping.migrate import migrate; print('go', flush=True); migrate(sys.argv[1])"
    seen, chance = set(), random.Random(5)
    longest = 0.0
    for _ in range(25):
        for leftover in (*tmp_path.glob("store*"), *tmp_path.glob(".store*")):
            shutil.rmtree(leftover)
        shutil.copytree(kept, old)
        child = subprocess.Popen([sys.executable, "-c", code, old], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"go\n"
        began = time.monotonic()
        if longest:
            time.sleep(chance.random() * longest)
            os.kill(child.pid, signal.SIGKILL)
        child.wait()
        longest = longest or time.monotonic() - began
        child.stdout.close()
        found = format_of(old) if old.exists() else 0
        seen.add(found)
        if found == 1:
            assert {p.relative_to(old): p.read_bytes() for p in old.rglob("*") if p.is_file()} == before
        migrate(old)
        assert expected == told(old)
    assert {1, 2} == seen
