"""Appending to the ledger: by many at once, cheaply, signed, and in an order that a power cut cannot hurt."""

import os
import subprocess
import sys

import pytest

from auditlog.errors import StoreError
from auditlog.integrity.verify import state, verify
from auditlog.layout import ensure
from auditlog.ledger import cache as ledger_cache
from auditlog.ledger import keys
from auditlog.ledger import ledger as ledgers
from auditlog.ledger.entries import frame_of
from auditlog.ledger.ledger import append_entry, begin, read_ledger

APPENDS = (
    "import sys; from auditlog.layout import ensure; from auditlog.ledger.ledger import append_entry\n"
    "layout = ensure(sys.argv[1])\n"
    "for number in range(25): append_entry(layout, {'type': 'access', 'who': sys.argv[2], 'number': number})\n"
)


def test_processes_that_append_at_once_lose_nothing_and_make_one_key(store_path):
    """A new store to which several processes append has one key, every entry, each process's in order, all signed."""
    children = [subprocess.Popen([sys.executable, "-c", APPENDS, store_path, str(n)]) for n in range(4)]
    assert [0] * 4 == [child.wait() for child in children]
    layout = ensure(store_path)
    entries = read_ledger(layout.entries).entries
    for who in "0123":
        assert list(range(25)) == [entry["number"] for entry in entries if entry["who"] == who]
    report = verify(layout)
    assert ("VALID-BUT-UNANCHORED", 100, 0) == (report.outcome, report.entries, report.unsigned)
    assert ["ledger.key"] == os.listdir(layout.root / "keys")


def test_the_key_is_private(store_path):
    """Nobody but the owner may read the key, or its directory."""
    layout = ensure(store_path)
    assert begin(layout)
    assert (0o600, 0o700) == tuple(
        path.stat().st_mode & 0o777 for path in (keys.key_path(layout), layout.root / "keys")
    )


def test_beginning_again_changes_nothing(store_path):
    """A store has one key for ever."""
    layout = ensure(store_path)
    assert begin(layout)
    before = layout.settings.read_text(), keys.key_path(layout).read_bytes()
    assert begin(layout)
    assert before == (layout.settings.read_text(), keys.key_path(layout).read_bytes())


@pytest.mark.parametrize("step", ["_new", "write_checkpoint", "_write"])
def test_a_key_that_was_half_made_is_the_key(store_path, monkeypatch, step):
    """Whoever dies while the key is made leaves a store that the next one finishes, with the same key."""
    layout = ensure(store_path)
    real = getattr(keys, step)

    class DiedError(Exception):
        """Stands for a kill."""

    def dies(*arguments):
        real(*arguments)
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(keys, step, dies)
        with pytest.raises(DiedError):
            begin(layout)
    (made,) = keys.key_path(layout).parent.iterdir()
    left = made.read_bytes()
    append_entry(layout, {"type": "access", "who": "u"})
    assert [keys.key_path(layout)] == list(made.parent.iterdir())
    assert left == keys.key_path(layout).read_bytes()
    assert ("VALID-BUT-UNANCHORED", 0) == (verify(layout).outcome, verify(layout).unsigned)


def test_a_store_that_lost_its_key_gets_no_other(store_path):
    """Without the private key, entries stay unsigned; without the public one as well, no new key takes its place."""
    layout = ensure(store_path)
    append_entry(layout, {"type": "access", "who": "u"})
    keys.key_path(layout).unlink()
    append_entry(layout, {"type": "access", "who": "u"})
    assert (2, 1) == (state(layout).entries, state(layout).signed)
    layout.settings.write_text(layout.settings.read_text().partition("\n[ledger]")[0])
    append_entry(layout, {"type": "access", "who": "u"})
    assert not keys.key_path(layout).exists()
    assert "INVALID" == verify(layout).outcome


def test_an_entry_is_synced_before_a_checkpoint_covers_it(store_path, monkeypatch):
    """The order is: entry written, synced, checkpoint written beside its place, synced, renamed."""
    layout = ensure(store_path)
    begin(layout)
    done = []
    for name in ("write", "fsync", "replace"):
        real = getattr(os, name)

        def noted(first, *rest, _name=name, _real=real):
            path = os.readlink(f"/proc/self/fd/{first}") if isinstance(first, int) else str(first)
            done.append((_name, os.path.basename(path).rpartition("-")[2]))
            return _real(first, *rest)

        monkeypatch.setattr(os, name, noted)
    append_entry(layout, {"type": "access", "who": "u"})
    append_entry(layout, {"type": "access", "who": "u"})
    monkeypatch.undo()
    assert done[-5:] == [
        ("write", "entries.log"),
        ("fsync", "entries.log"),
        ("write", "checkpoint"),
        ("fsync", "checkpoint"),
        ("replace", "checkpoint"),
    ]


def test_a_long_ledger_is_opened_by_its_last_entries(store_path, monkeypatch):
    """What the cache holds is not read again, and what it holds is what reading all entries comes to."""
    monkeypatch.setattr(ledgers, "CACHED_EVERY", 16)
    layout = ensure(store_path)
    known = None
    for number in range(40):
        known = append_entry(layout, {"type": "access", "who": str(number)}, known)
    read = []
    monkeypatch.setattr(ledgers, "frame_at", lambda *a, _real=ledgers.frame_at: read.append(a) or _real(*a))
    cached = read_ledger(layout.entries)
    assert len(read) < 12
    assert 32 == cached.cached
    ledger_cache.cache_path(layout.cache).unlink()
    assert cached == read_ledger(layout.entries)
    assert 40 == len(cached.entries)


@pytest.mark.parametrize("damage", ["torn", "other", "missing", "json", "longer"])
def test_a_cache_that_does_not_fit_is_not_used(store_path, monkeypatch, damage):
    """A torn cache, one of another ledger, or one that is ahead of the entries is as if there were none."""
    monkeypatch.setattr(ledgers, "CACHED_EVERY", 4)
    layout, other = ensure(store_path), ensure(store_path.with_name("other"))
    for one in (layout, other):
        for number in range(8):
            append_entry(one, {"type": "access", "who": str(number)})
    path = ledger_cache.cache_path(layout.cache)
    expected = read_ledger(layout.entries)
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-3])
    if damage == "other":
        path.write_bytes(ledger_cache.cache_path(other.cache).read_bytes())
    if damage == "missing":
        path.unlink()
    if damage == "json":
        path.write_text("nothing")
    if damage == "longer":
        data = layout.entries.read_bytes()
        layout.entries.write_bytes(data[: expected.last[0]])
        assert 7 == read_ledger(layout.entries).count
        layout.entries.write_bytes(data)
    assert expected == read_ledger(layout.entries)


def test_a_ledger_that_was_put_back_from_a_copy_is_read_anew(store_path):
    """A reader that knows a ledger notices that another stands in its place, even a longer one."""
    layout = ensure(store_path)
    append_entry(layout, {"type": "access", "who": "first"})
    copy = layout.entries.read_bytes()
    known = append_entry(layout, {"type": "access", "who": "second"})
    layout.entries.write_bytes(copy)
    again = read_ledger(layout.entries, known)
    assert (1, ["first"]) == (again.count, [entry["who"] for entry in again.entries])


def test_a_disk_that_takes_no_entry_leaves_the_old_head(store_path, monkeypatch):
    """Where the entry cannot be synced, that is an error, and the checkpoint stays as it was."""
    layout = ensure(store_path)
    append_entry(layout, {"type": "access", "who": "u"})
    before = keys.checkpoint_path(layout).read_bytes()

    def fails(_descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(ledgers.os, "fsync", fails)
        with pytest.raises(StoreError, match="cannot be appended to: Input/output error"):
            append_entry(layout, {"type": "access", "who": "u"})
    assert before == keys.checkpoint_path(layout).read_bytes()
    assert "VALID-BUT-UNANCHORED" == verify(layout).outcome


@pytest.mark.parametrize("torn", [b"", b"LEDG"])
@pytest.mark.parametrize("step", ["write_checkpoint", "fsync"])
def test_an_entry_that_cannot_be_signed_or_synced_is_taken_back(store_path, monkeypatch, step, torn):
    """What a command says that it could not do is not done: a full disk leaves no entry behind the checkpoint."""
    layout = ensure(store_path)
    append_entry(layout, {"type": "access", "who": "u"})
    with layout.entries.open("ab") as file:
        file.write(frame_of(1, b"{}")[: len(torn)])
    with monkeypatch.context() as patch:

        def full(*_arguments):
            raise OSError(28, "No space left on device")

        patch.setattr(*((keys, step, full) if step == "write_checkpoint" else (os, step, full)))
        with pytest.raises(StoreError, match=r"No space left.* Nothing was done"):
            append_entry(layout, {"type": "hold", "conversation": "c", "reason": "r"})
    assert "hold" not in [entry["type"] for entry in read_ledger(layout.entries).entries]
    append_entry(layout, {"type": "access", "who": "u"})
    types = [entry["type"] for entry in read_ledger(layout.entries).entries]
    assert ["access", *(["cut"] if torn else []), "access"] == types
    assert ("VALID-BUT-UNANCHORED", 0) == (verify(layout).outcome, verify(layout).unsigned)
