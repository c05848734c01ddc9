"""Attacks on a sealed store: what each comes to, without a witness and with one."""

import os
import shutil

import orjson
import pyarrow as pa
import pytest

from auditlog.errors import StoreError
from auditlog.integrity import verify_files
from auditlog.integrity.verify import state
from auditlog.keeping import holds
from auditlog.keeping.compact import compact
from auditlog.keeping.erase import erase, subject_of
from auditlog.keeping.prune import prune
from auditlog.ledger.ledger import append_entry
from auditlog.store import Store

ENTRIES, CHECKPOINT, SETTINGS = "ledger/entries.log", "ledger/checkpoint", "store.toml"


def test_an_untouched_store_is_valid_once_somebody_has_seen_it(attacker, outcome_of):
    """Nothing is wrong with the store, and a known checkpoint of it makes it VALID."""
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(attacker.verify(deep=True))
    report = attacker.verify(known=[attacker.checkpoint()])
    assert ("VALID", []) == outcome_of(report)
    assert (4, 4, 4, 3, 9) == (
        report.entries,
        report.signed,
        report.anchored,
        report.segments,
        report.rows,
    )


def test_a_tail_that_is_cut_off_is_found_with_a_known_checkpoint_only(attacker, outcome_of):
    """Without its last entries, and with an older checkpoint, a store looks whole; who has seen a later one knows better."""
    later = attacker.checkpoint()
    last = attacker.layout.root / orjson.loads(attacker.entries()[2])["segments"][0]["path"]
    attacker.write_entries(attacker.entries()[:2], attacker.key())
    last.unlink()
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(attacker.verify(deep=True))
    report = attacker.verify(known=[later])
    assert ("DIVERGED", []) == outcome_of(report)
    assert "the ledger has 2: the rest was cut off" in report.divergences[0]


def test_a_tail_that_is_cut_off_without_an_older_checkpoint_is_found(attacker, outcome_of):
    """Entries that the checkpoint signs and that are missing are a fault of the ledger's file."""
    attacker.write_entries(attacker.entries()[:3])
    report = attacker.verify()
    assert ("INVALID", [ENTRIES]) == outcome_of(report)
    assert "ends after 3 entries, and the checkpoint signs 4" == report.faults[0].what


def test_a_checkpoint_that_is_rolled_back_shows_how_much_is_unsigned(attacker, outcome_of, built, tmp_path):
    """An older checkpoint signs fewer entries: those behind it are counted, and do not pass for signed."""
    older = tmp_path / "older"
    shutil.copytree(built.path, older)
    from_then = type(attacker)(older)
    from_then.write_entries(attacker.entries()[:2], attacker.key())
    (attacker.layout.root / CHECKPOINT).write_bytes((older / CHECKPOINT).read_bytes())
    report = attacker.verify()
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(report)
    assert (2, 2) == (report.signed, report.unsigned)
    assert ("DIVERGED", []) == outcome_of(
        attacker.verify(known=[built.checkpoint(), forged_root(built.checkpoint(), attacker)])
    )


def forged_root(checkpoint, attacker):
    """Give a checkpoint of the same size and another root, signed with the real key."""
    signer = attacker.key()
    return type(checkpoint)(checkpoint.origin, checkpoint.size, bytes(32)).signed(signer)


def test_two_roots_at_one_size_are_told(attacker, built):
    """Two signed heads of one size and different roots show that the key's holder wrote two ledgers."""
    report = attacker.verify(known=[built.checkpoint(), forged_root(built.checkpoint(), attacker)])
    assert "DIVERGED" == report.outcome
    assert any("two roots were signed at size 4" in told for told in report.divergences)


@pytest.mark.parametrize("number", range(4))
def test_a_changed_entry_is_found(attacker, outcome_of, number):
    """An entry that says something else, with a checksum that fits, does not go with the signature."""
    attacker.change_entry(number, lambda entry: entry.update(time=entry["time"] + 1))
    assert ("INVALID", [ENTRIES]) == outcome_of(attacker.verify())


def test_entries_in_another_order_are_found(attacker, outcome_of):
    """Two entries that changed places do not go with the signature."""
    first, second, *rest = attacker.entries()
    attacker.write_entries([second, first, *rest])
    assert ("INVALID", [ENTRIES]) == outcome_of(attacker.verify())


def swapped(table):
    """Give a table with its first two rows changed round."""
    return table.take(pa.array([1, 0, *range(2, table.num_rows)]))


ROWS = {
    "swapped": swapped,
    "removed": lambda table: table.slice(1),
    "added": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
}


@pytest.mark.parametrize("attack", ROWS)
def test_changed_rows_are_found_whatever_else_is_changed(attacker, outcome_of, attack):
    """Rows swapped, removed or added show in the file; when the ledger is changed to fit, in the ledger; and when that is
    signed with another key, to whoever trusts the right one.
    """
    real, seen = attacker.key().key, attacker.checkpoint()
    path = attacker.segments()[0]
    name = str(path.relative_to(attacker.path))
    says = attacker.rewrite(path, ROWS[attack])
    assert ("INVALID", [name]) == outcome_of(attacker.verify())
    attacker.change_entry(0, lambda entry: entry["segments"][0].update(says))
    assert ("INVALID", [ENTRIES]) == outcome_of(attacker.verify())
    signer = attacker.own_key()
    attacker.write_entries(attacker.entries(), signer)
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(attacker.verify(deep=True))
    assert ("INVALID", [CHECKPOINT, SETTINGS]) == outcome_of(attacker.verify(key=real))
    report = attacker.verify(known=[seen])
    assert ("DIVERGED", []) == outcome_of(report)
    assert "was signed by another key" in report.divergences[0]


def test_whoever_holds_the_key_is_caught_by_what_was_seen_outside_only(attacker, outcome_of):
    """A store written anew with the real key verifies; a checkpoint from before does not go with it."""
    seen, signer = attacker.checkpoint(), attacker.key()
    says = attacker.rewrite(attacker.segments()[0], ROWS["removed"])
    attacker.change_entry(0, lambda entry: entry["segments"][0].update(says), signer)
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(attacker.verify(deep=True, key=signer.key))
    report = attacker.verify(known=[seen])
    assert ("DIVERGED", []) == outcome_of(report)
    assert "it knows other entries among the first 4" in report.divergences[0]


def test_a_sealer_that_lies_about_a_file_is_found_by_a_deep_look(attacker, outcome_of, tweaked):
    """Content that was changed before the file was hashed goes with the SHA-256 and the signature, and not with the root."""
    path = attacker.segments()[0]
    name = str(path.relative_to(attacker.path))
    says = attacker.rewrite(path, lambda table: tweaked(table, "input_messages", row=1))
    says.pop("root")
    attacker.change_entry(0, lambda entry: entry["segments"][0].update(says), attacker.key())
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(attacker.verify())
    report = attacker.verify(deep=True)
    assert ("INVALID", [name]) == outcome_of(report)
    assert "the root differs" in report.faults[0].what


def test_a_column_that_does_not_follow_from_the_content_is_found_by_a_deep_look(attacker, outcome_of):
    """A column is changed and everything else is made to fit, with the real key: the content says otherwise."""
    path = attacker.segments()[0]

    def renamed(table):
        index = table.schema.get_field_index("agent_name")
        return table.set_column(index, "agent_name", pa.array(["other-bot"] * table.num_rows))

    says = attacker.rewrite(path, renamed)
    attacker.change_entry(0, lambda entry: entry["segments"][0].update(says), attacker.key())
    assert ("VALID-BUT-UNANCHORED", []) == outcome_of(attacker.verify())
    report = attacker.verify(deep=True)
    assert ("INVALID", [str(path.relative_to(attacker.path))]) == outcome_of(report)
    assert "is not what its leaf was made of" in report.faults[0].what


def test_a_segment_in_anothers_place_is_found(attacker, outcome_of):
    """Two files that changed names are both named."""
    first, second, _ = attacker.segments()
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    names = sorted(str(path.relative_to(attacker.path)) for path in (first, second))
    assert ("INVALID", names) == outcome_of(attacker.verify())


def test_every_file_at_fault_is_named(attacker, outcome_of):
    """A missing file, a planted one and a damaged one are all told at once."""
    first, second, third = attacker.segments()
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    planted = third.with_name("00000000-1-1.parquet")
    planted.write_bytes(third.read_bytes())
    report = attacker.verify()
    names = sorted(str(path.relative_to(attacker.path)) for path in (first, second, planted))
    assert ("INVALID", names) == outcome_of(report)
    told = {fault.path: fault.what for fault in report.faults}
    assert "is missing" == told[str(first.relative_to(attacker.path))]
    assert "is not listed in the ledger" == told[str(planted.relative_to(attacker.path))]


@pytest.mark.parametrize("thing", ["symlink", "fifo"])
def test_what_is_no_file_is_a_fault_and_is_not_opened(attacker, outcome_of, tmp_path, thing):
    """A symlink or FIFO in a segment's, the checkpoint's or the ledger's place is told, and nothing waits for it."""
    for path in (attacker.segments()[0], attacker.path / CHECKPOINT, attacker.path / ENTRIES):
        moved = tmp_path / "moved"
        path.rename(moved)
        if thing == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(moved)
        report = attacker.verify()
        assert "INVALID" == report.outcome
        assert any(path.name in fault.path or path.name in fault.what for fault in report.faults)
        path.unlink()
        moved.rename(path)
    assert "VALID-BUT-UNANCHORED" == attacker.verify().outcome


def test_a_segment_that_an_unsigned_entry_takes_away_is_a_fault(attacker, outcome_of):
    """Whoever has no key can write a PRUNE entry behind the signed ones; it explains no missing file."""
    path = attacker.segments()[0]
    name = str(path.relative_to(attacker.path))
    prune = {"v": 2, "time": 1, "type": "prune", "removes": [{"path": name, "root": "", "rows": 3}]}
    attacker.write_entries([*attacker.entries(), orjson.dumps(prune)])
    path.unlink()
    report = attacker.verify()
    assert ("INVALID", [ENTRIES, name]) == outcome_of(report)
    assert "entry 4 ('prune') takes something away" in report.faults[0].what
    assert "the PRUNE entry that explains it is not signed" in report.faults[1].what
    attacker.write_entries(attacker.entries(), attacker.key())
    report = attacker.verify()
    assert ("VALID-BUT-UNANCHORED", [], {"prune": 1}) == (*outcome_of(report), report.gone)


@pytest.mark.parametrize("kind", ["prune", "erase", "compact", "seal", "release", "hold"])
def test_nobody_signs_what_takes_away_and_was_appended_without_the_key(attacker, outcome_of, kind):
    """An unsigned entry that removes a file or lifts a hold waits in vain for the next signature, and nobody obeys it."""
    place(attacker, reason="complaint")
    path = str(attacker.segments()[0].relative_to(attacker.path))
    forged = {"v": 2, "time": 1, "type": kind, "conversation": "case-0", "signature": "c2lnbmVk"}
    if kind not in ("release", "hold"):
        forged["removes"] = [{"path": path, "root": "", "rows": 3}]
    attacker.write_entries([*attacker.entries(), orjson.dumps(forged)])
    before = attacker.entries()
    assert ("INVALID", [ENTRIES]) == outcome_of(attacker.verify())
    assert "nobody who holds the key wrote it" in (state(attacker.layout).wrong or "")
    with pytest.raises(StoreError, match="nobody who holds the key wrote it"):
        append_entry(attacker.layout, {"type": "access", "who": "owner"})
    with Store.open(attacker.path) as store:
        for step in (
            lambda: compact(store, grace=0),
            lambda: prune(store, 1 << 62, older_than="0d"),
            lambda: erase(store, subject_of(store, None, ["case-1"])),
        ):
            with pytest.raises(StoreError, match="nobody who holds the key wrote it"):
                step()
    assert (before, 3) == (attacker.entries(), len(attacker.segments()))


def test_the_signature_of_one_entry_is_good_in_its_place_only(attacker, outcome_of):
    """A signed release cannot be said again behind a later hold, nor be moved before it."""
    for do in (place, release, place):
        do(attacker, reason="complaint")
    assert "VALID-BUT-UNANCHORED" == attacker.verify().outcome
    attacker.write_entries([*attacker.entries(), attacker.entries()[5]])
    assert ("INVALID", [ENTRIES]) == outcome_of(attacker.verify())


def test_an_entry_that_takes_away_is_signed_also_when_its_checkpoint_was_not_written(
    attacker, outcome_of, monkeypatch
):
    """Whoever dies between such an entry and the checkpoint leaves a ledger that goes on."""
    old = (attacker.path / CHECKPOINT).read_bytes()
    place(attacker, reason="complaint")
    (attacker.path / CHECKPOINT).write_bytes(old)
    report = attacker.verify()
    assert ("VALID-BUT-UNANCHORED", [], 1) == (*outcome_of(report), report.unsigned)
    append_entry(attacker.layout, {"type": "access", "who": "owner"})
    assert ("VALID-BUT-UNANCHORED", 0) == (attacker.verify().outcome, attacker.verify().unsigned)


def test_a_ledger_whose_checkpoint_and_public_key_were_taken_is_not_signed_again(attacker):
    """Whoever removes both and changes the entries does not get them signed by the next who holds the key."""
    (attacker.path / CHECKPOINT).unlink()
    text = attacker.layout.settings.read_text()
    attacker.layout.settings.write_text(text.partition("\n[ledger]")[0])
    attacker.change_entry(0, lambda entry: entry.update(time=1))
    with pytest.raises(StoreError, match="checkpoint is missing"):
        append_entry(attacker.layout, {"type": "access", "who": "owner"})
    assert "INVALID" == attacker.verify().outcome


def place(attacker, reason):
    """Hold a conversation, as its owner does."""
    with Store.open(attacker.path) as store:
        holds.place(store, conversation="case-0", where=None, reason=reason)


def release(attacker, reason):
    """Release it."""
    with Store.open(attacker.path) as store:
        holds.release(store, conversation="case-0", where=None, reason=reason)


@pytest.mark.parametrize("lost", ["key", "checkpoint", "both", "all"])
def test_a_store_that_lost_its_signature_is_invalid(attacker, outcome_of, lost):
    """Neither the checkpoint nor the key can be taken away and the store still pass for a signed one."""
    if lost != "key":
        (attacker.path / CHECKPOINT).unlink()
    if lost in ("key", "both", "all"):
        text = attacker.layout.settings.read_text()
        attacker.layout.settings.write_text(text.partition("\n[ledger]")[0])
    if lost == "all":
        shutil.rmtree(attacker.path / "keys")
    expected = CHECKPOINT if lost == "checkpoint" else SETTINGS
    assert ("INVALID", [expected]) == outcome_of(attacker.verify())


def test_a_ledger_of_another_store_is_found(attacker, outcome_of, built, tmp_path, store, script):
    """Another store's files under this store's name, and the other way round, do not go together."""
    script.turn()
    script.writer.close()
    store.seal()
    shutil.copy(store.path / "store.toml", attacker.layout.settings)
    assert "INVALID" == attacker.verify().outcome
    report = type(attacker)(store.path).verify(known=[built.checkpoint()])
    assert "DIVERGED" == report.outcome
    assert "no known checkpoint is one of this ledger" in report.divergences[0]


def test_a_poisoned_cache_is_found(attacker, outcome_of):
    """A cached list of segments that is not what the ledger says is a fault: readers would be shown less."""
    from auditlog.ledger import cache as ledger_cache
    from auditlog.ledger.ledger import read_ledger, state_of

    state = state_of(read_ledger(attacker.layout.entries))
    ledger_cache.keep(attacker.layout.cache, state)
    assert "VALID-BUT-UNANCHORED" == attacker.verify().outcome
    ledger_cache.keep(attacker.layout.cache, {**state, "segments": state["segments"][1:]})
    assert 2 == len(read_ledger(attacker.layout.entries).segments)
    assert ("INVALID", ["cache/ledger.json"]) == outcome_of(attacker.verify())


def test_a_file_that_is_being_sealed_meanwhile_is_no_fault(attacker, monkeypatch):
    """A journal that began, and was sealed but for its entry, while the store was looked at makes nobody say INVALID."""
    real = verify_files._files

    def meanwhile(directory):
        stem = "0badcafe-1-1795438075319053973"
        (attacker.layout.journal / f"{stem}.wal").write_bytes(b"")
        (attacker.segments()[0].parent / f"{stem}.parquet").write_bytes(b"PAR1")
        return real(directory)

    monkeypatch.setattr(verify_files, "_files", meanwhile)
    assert "VALID-BUT-UNANCHORED" == attacker.verify().outcome
