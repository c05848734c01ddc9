"""Damaged, planted and foreign files are named, and never read as something else."""

import os
import random
import shutil

import pytest

from auditlog.errors import AuditlogError, FormatError, StoreError
from auditlog.journal import JournalWriter
from auditlog.sealing import seal
from auditlog.store import Store
from auditlog.store.index import update
from auditlog.store.index.schema import UnusableError


@pytest.fixture
def sealed(store, script):
    """Give a store with one sealed file, and the file's path."""
    for number in range(20):
        script.turn(f"case-{number}", user=f"question {number} " * 20, answer=f"answer {number} " * 20)
    script.writer.close()
    store.seal()
    return store, store.path / store.segments()[0].path


def refuse(*_args, **_kwargs):
    raise UnusableError("read-only file system")


def read_all(path):
    """Read everything that a store can give."""
    with Store.open(path) as store:
        return (
            store.summaries(),
            list(store.conversations()),
            store.query("SELECT * FROM all_spans ORDER BY span_id").to_pylist(),
        )


def test_a_shortened_segment_is_named(sealed):
    """A sealed file of another size than the ledger says is refused when the store is opened."""
    store, path = sealed
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        StoreError, match=rf"{path.name} is damaged: it has \d+ bytes, and the ledger says \d+"
    ):
        Store.open(store.path)


def test_a_missing_segment_is_named(sealed):
    """A sealed file that is gone is an error, and no smaller store."""
    store, path = sealed
    path.unlink()
    with pytest.raises(StoreError, match=rf"{path.name} cannot be read: No such file"):
        Store.open(store.path)


@pytest.mark.parametrize("thing", ["symlink", "fifo", "directory"])
def test_what_is_no_file_is_refused_as_a_segment(sealed, tmp_path, thing):
    """A symlink, FIFO or directory in a segment's place is refused at once: nothing waits for it or follows it."""
    store, path = sealed
    moved = tmp_path / "moved.parquet"
    path.rename(moved)
    {"symlink": lambda: path.symlink_to(moved), "fifo": lambda: os.mkfifo(path), "directory": path.mkdir}[
        thing
    ]()
    with pytest.raises(
        StoreError,
        match=rf"{path.name} is no regular file but a {thing}"[:-4],
    ):
        Store.open(store.path)


@pytest.mark.parametrize("thing", ["symlink", "fifo"])
def test_what_is_no_file_is_refused_as_a_journal(store, tmp_path, thing):
    """A symlink or FIFO with a journal's name is refused: nothing waits for it or follows it."""
    path = store.path / "journal" / "abcdef01-1-1.wal"
    (tmp_path / "other").write_bytes(b"")
    {"symlink": lambda: path.symlink_to(tmp_path / "other"), "fifo": lambda: os.mkfifo(path)}[thing]()
    with pytest.raises(StoreError, match=r"has a journal's name but is no regular file"):
        Store.open(store.path)
    with pytest.raises(StoreError, match=r"has a journal's name but is no regular file"):
        store.seal()


def test_other_files_in_the_journal_directory_are_left_alone(store, script):
    """What has no journal's name is neither read nor removed."""
    script.turn()
    for name in (".hidden", "notes.txt", "a b-1-2.wal", "x.wal", "..wal"):
        (store.path / "journal" / name).write_text("mine")
    script.writer.close()
    assert store.seal().spans == 3
    assert sorted(os.listdir(store.path / "journal")) == [
        "..wal",
        ".hidden",
        "a b-1-2.wal",
        "notes.txt",
        "x.wal",
    ]


def test_a_swapped_footer_is_named(sealed):
    """A Parquet file whose end was overwritten is named."""
    store, path = sealed
    data = bytearray(path.read_bytes())
    data[-8:] = data[-8:][::-1]
    path.write_bytes(data)
    with pytest.raises(StoreError, match=rf"{path.name} is damaged"):
        read_all(store.path)


@pytest.mark.parametrize("flips", [25, pytest.param(400, marks=pytest.mark.slow)])
def test_a_flipped_bit_never_shows_as_what_was_said(sealed, flips):
    """With one bit flipped anywhere, conversations read as they were recorded or the damaged file is named."""
    store, path = sealed
    whole = path.read_bytes()
    expected = list(store.conversations())
    chance = random.Random(flips)
    errors = 0
    for _ in range(flips):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            with Store.open(store.path) as opened:
                found = list(opened.conversations())
        except AuditlogError as error:
            assert path.name in str(error)
            errors += 1
        else:
            assert content(found) == content(expected)
    assert errors


def content(conversations):
    """Give what was said and done, without the columns that only help to find it."""
    return sorted(
        repr((s.input, s.output, s.input_messages, s.output_messages, s.attributes))
        for c in conversations
        for s in c.spans
    )


def test_a_damaged_journal_is_read_up_to_the_damage(store, script, monkeypatch):
    """A flipped bit in a journal ends what is read there; sealing reports the rest, and keeps the damaged file."""
    monkeypatch.setattr(seal, "LATE_SECONDS", -1.0)
    for number in range(10):
        script.turn(f"case-{number}")
    path = script.writer.path
    script.writer.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with Store.open(store.path) as opened:
        assert 0 < opened.count() < 10
        seen = opened.count()
        report = opened.seal()
        assert opened.count() == seen
    (torn,) = report.torn
    assert torn.offset + torn.bytes == len(data)
    assert path.with_suffix(".damaged").read_bytes() == data
    assert store.seal() == seal.SealReport()


def test_a_journal_of_a_newer_format_is_named(store, script):
    """Records of a newer format are an error that names the file, live and when sealing."""
    entry = b'{"v":3,"type":"start"}'
    script.writer.append(len(entry).to_bytes(4, "little") + entry)
    with pytest.raises(FormatError, match=rf"{script.writer.path.name} holds records of format 3.*Upgrade"):
        store.refresh()
    path = script.writer.path
    script.writer.close()
    with pytest.raises(FormatError, match=path.name):
        store.seal()
    assert path.exists()


def test_a_store_on_a_read_only_disk_can_be_read(sealed, monkeypatch):
    """Reading writes nothing into the store but its index, and does without where it cannot write that."""
    store, _ = sealed

    def kept():
        return {
            p: p.stat().st_mtime_ns
            for p in store.path.rglob("*")
            if "cache" not in p.parts and p != store.path
        }

    before, read = kept(), read_all(store.path)
    assert before == kept()
    shutil.rmtree(store.path / "cache")
    (store.path / "cache").write_text("not a directory: nothing can be written here", encoding="utf-8")
    with pytest.raises(StoreError, match="cache is no directory"):
        Store.open(store.path)
    (store.path / "cache").unlink()
    monkeypatch.setattr(update, "open_for_writing", refuse)
    assert read == read_all(store.path)


def test_a_store_that_cannot_be_written_says_so_when_sealing(store, script, monkeypatch):
    """When the disk is full, sealing is an error, and the journal stays."""
    script.turn()
    path = script.writer.path
    script.writer.close()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("auditlog.sealing.segment.pq.ParquetWriter", full)
        with pytest.raises(StoreError, match="No space left on device. What it is made of stays as it is"):
            store.seal()
    assert path.exists()
    assert store.count() == 0
    assert store.seal().spans == 3


def test_two_writers_of_one_store_do_not_meet(store, script_for):
    """Two writers in one process have files of their own."""
    writers = [JournalWriter(store.path / "journal") for _ in range(2)]
    for number, writer in enumerate(writers):
        script_for(writer).turn(f"case-{number}")
    store.refresh()
    assert store.count() == 2
    assert len({writer.path for writer in writers}) == 2
    for writer in writers:
        writer.close()
