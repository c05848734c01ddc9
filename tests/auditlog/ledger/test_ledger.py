"""The ledger: appended, read again, torn, damaged."""

import dataclasses

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog import layout as layouts
from auditlog.errors import AuditlogError, FormatError, StoreError
from auditlog.ledger.ledger import Ledger, Segment, append_entry, read_ledger, seal_entry
from auditlog.store import Store

SEGMENT = Segment(
    path="segments/day=2026-11-23/a-1-2.parquet",
    day="2026-11-23",
    rows=1,
    bytes=10,
    sha256="00" * 32,
    root="11" * 32,
    min_start_ns=1,
    max_start_ns=2,
)


def entry_of(writer, *segments):
    """Make a SEAL entry of one journal file."""
    return seal_entry({"writer": writer, "first": 0, "last": 3, "torn_bytes": 0}, segments, [])


@pytest.fixture
def layout(store_path):
    """Give the layout of a store whose ledger has three entries."""
    layout = layouts.ensure(store_path)
    for number in range(3):
        segment = dataclasses.replace(SEGMENT, path=f"segments/day=2026-11-23/a-1-{number}.parquet")
        append_entry(layout, entry_of(f"a-1-{number}", segment))
    return layout


@pytest.fixture
def path(layout):
    """Give the path of that ledger's entries."""
    return layout.entries


def test_what_was_appended_reads_back(layout, path):
    """Segments and sources are those of the entries, in order."""
    ledger = read_ledger(path)
    assert [s.path[-9:-8] for s in ledger.segments] == ["0", "1", "2"]
    assert ledger.sources == {"a-1-0", "a-1-1", "a-1-2"}
    assert ledger.size == path.stat().st_size
    assert read_ledger(path, ledger) is ledger


def test_a_ledger_that_is_not_there_is_empty(tmp_path):
    """Nothing sealed yet is no error."""
    assert read_ledger(tmp_path / "entries.log") == Ledger()


def test_reading_on_gives_what_reading_anew_gives(layout, path):
    """A ledger read in steps is the ledger read at once."""
    before = read_ledger(path)
    append_entry(layout, entry_of("a-1-9"))
    assert read_ledger(path, before) == read_ledger(path)


def test_a_torn_tail_is_no_entry_and_is_cut_with_a_note(layout, path):
    """Whatever length an append was cut to, readers see the entries before it, and the next append says what it cut."""
    whole, checkpoint = path.read_bytes(), layout.ledger / "checkpoint"
    ledger, signed = read_ledger(path), checkpoint.read_bytes()
    append_entry(layout, entry_of("a-1-9"))
    longer = path.read_bytes()
    # Whoever died over the entry had not signed it yet.
    checkpoint.write_bytes(signed)
    for cut in range(len(whole) + 1, len(longer)):
        path.write_bytes(longer[:cut])
        torn = read_ledger(path)
        assert (torn, torn.torn_bytes) == (ledger, cut - len(whole))
    again = append_entry(layout, entry_of("a-1-9"))
    assert [e["type"] for e in again.entries] == ["seal", "seal", "seal", "cut", "seal"]
    assert again.entries[3]["torn_bytes"] == len(longer) - 1 - len(whole)
    assert again == read_ledger(path)


def test_a_tail_of_zeros_is_torn(layout, path):
    """Zeros behind the last entry are what a power cut leaves."""
    ledger = read_ledger(path)
    path.write_bytes(path.read_bytes() + bytes(100))
    assert (read_ledger(path), read_ledger(path).torn_bytes) == (ledger, 100)


def test_a_hole_in_the_last_append_is_torn_and_one_before_other_entries_is_damage(layout, path):
    """A power cut may take a block out of what was not synced; what has entries behind it was synced, and is damaged."""
    before = path.read_bytes()
    ledger = read_ledger(path)
    append_entry(layout, entry_of("a-1-9", SEGMENT))
    after = path.read_bytes()
    hole = before + after[len(before) : len(before) + 40] + bytes(64) + after[len(before) + 104 :]
    path.write_bytes(hole)
    assert read_ledger(path) == ledger
    with pytest.raises(StoreError, match="not what its checkpoint signed"):
        append_entry(layout, entry_of("a-1-10", SEGMENT))
    path.write_bytes(hole + after[len(before) :])
    with pytest.raises(StoreError, match="damaged"):
        read_ledger(path)


@settings(max_examples=300)
@given(st.data())
def test_no_changed_byte_goes_unseen(ledger_bytes, tmp_path_factory, data):
    """One changed byte anywhere is an error or, in a length, a torn tail: never another list."""
    path = tmp_path_factory.getbasetemp() / "changed.log"
    position = data.draw(st.integers(0, len(ledger_bytes) - 1))
    changed = bytearray(ledger_bytes)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        found = read_ledger(path)
    except StoreError as error:
        assert "changed.log is damaged at byte" in str(error)
    else:
        assert found.torn_bytes > 0
        assert 4 <= (position - found.size) < 8


@pytest.fixture(scope="module")
def ledger_bytes(tmp_path_factory):
    """Give the bytes of a ledger with three entries."""
    layout = layouts.ensure(tmp_path_factory.mktemp("ledger") / "audit")
    for number in range(3):
        append_entry(layout, entry_of(f"a-1-{number}", SEGMENT))
    return layout.entries.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "segments/../keys/k.parquet",
        "segments/day=2026-11-23/a.parquet\0",
        "x.parquet",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(layout, path, name):
    """A ledger that lists a path no sealer would write is not followed."""
    append_entry(layout, {**entry_of("b"), "segments": []})
    bad = dataclasses.replace(SEGMENT, path=name)
    with pytest.raises(StoreError, match="no path that a segment can have"):
        append_entry(layout, entry_of("b", bad))


def test_an_entry_of_a_newer_format_is_refused(layout, path):
    """Entries of a newer format say so."""
    with pytest.raises(FormatError, match="format 3.*Upgrade"):
        append_entry(layout, {**entry_of("b"), "v": 3})


def test_a_later_kind_of_entry_is_kept_and_passed_over(layout, path):
    """An entry that lists no segments, as later versions of this format add, changes no list."""
    before = read_ledger(path)
    after = append_entry(layout, {"type": "access", "who": "u"})
    assert (after.segments, after.sources) == (before.segments, before.sources)
    assert after.entries[-1]["who"] == "u"


def test_what_a_later_version_adds_to_a_segment_is_passed_over(layout, path):
    """A segment with more fields is listed; one that lacks a field is damage."""
    entry = entry_of("b", SEGMENT)
    entry["segments"][0]["key_id"] = "k"
    assert append_entry(layout, entry).segments[-1].path == SEGMENT.path
    del entry["segments"][0]["root"]
    with pytest.raises(StoreError, match="lists a segment without what it must say"):
        append_entry(layout, entry)


def test_a_lost_ledger_is_no_empty_store(store, script):
    """Where sealed files are there and the ledger is not, the store says so and is not shown as empty."""
    script.turn()
    script.writer.close()
    store.seal()
    (store.path / "ledger/entries.log").unlink()
    with pytest.raises(StoreError, match=r"entries\.log is missing"):
        Store.open(store.path)


def test_entries_are_json_that_others_can_read(layout, path):
    """An entry is plain JSON with its version, kind and time."""
    data = path.read_bytes()
    first = orjson.loads(data[20 : 20 + int.from_bytes(data[4:8], "little")])
    assert (first["v"], first["type"], first["sources"][0]["writer"]) == (2, "seal", "a-1-0")


@pytest.mark.parametrize("what", ["root", "signature", "missing", "shorter"])
def test_a_ledger_that_is_not_what_was_signed_is_not_signed_again(store, what):
    """Appending never makes a change look right: where the checkpoint does not fit the entries, nothing is appended."""
    layout = store.layout
    for number in range(3):
        append_entry(layout, {"type": "access", "who": str(number)})
    checkpoint, entries = layout.ledger / "checkpoint", layout.entries.read_bytes()
    lines = checkpoint.read_text().split("\n")
    if what == "root":
        lines[2] = "A" * 43 + "="
    if what == "signature":
        lines[1] = "2"
    checkpoint.write_text("\n".join(lines))
    if what == "missing":
        checkpoint.unlink()
    if what == "shorter":
        entries = entries[: read_ledger(layout.entries).last[0]]
        layout.entries.write_bytes(entries)
    with pytest.raises(AuditlogError):
        append_entry(layout, {"type": "access", "who": "next"})
    assert layout.entries.read_bytes() == entries
