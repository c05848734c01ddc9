"""Compacting: many small segments become one, and nothing that a reader or a verifier sees changes."""

import dataclasses
import threading

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from auditlog.errors import StoreError
from auditlog.integrity.verify import verify
from auditlog.keeping import compact
from auditlog.ledger.ledger import read_ledger
from auditlog.store import Store

DAY_NS = 86_400 * 1_000_000_000
NOON_NS = 1_795_132_800 * 1_000_000_000 + DAY_NS // 2


@pytest.fixture
def pieces(store, script_for):
    """Give a store whose conversations lie in six segments of two days."""
    for number in range(6):
        writer = store.writer()
        script = script_for(writer, NOON_NS + (number % 2) * DAY_NS + number)
        script.turn(f"case-{number % 3}", user=f"question {number}", user_id=f"u-{number % 3}")
        script.turn("case-shared", user=f"aside {number}")
        writer.close()
        store.seal()
    assert len(store.segments()) == 6
    return store


def told(store):
    """Give what a reader sees, without the names of the files that hold it."""
    table = store.query(
        "SELECT * EXCLUDE (segment, origin, origin_row) FROM all_spans ORDER BY trace_id, span_id"
    )
    return table.to_pylist()


def test_a_days_segments_become_one_file_sorted_by_conversation(pieces):
    """Each day has one file afterwards, and it is sorted by conversation and start."""
    before = told(pieces)
    report = compact.compact(pieces, grace=0)
    assert (report.files_before, report.files_after, report.unlinked) == (6, 2, 6)
    assert [s.day for s in pieces.segments()] == ["2026-11-20", "2026-11-21"]
    assert told(pieces) == before
    for path in (pieces.path / s.path for s in pieces.segments()):
        rows = [
            (r["conversation_id"], r["start_ns"]) for r in compact.read_tables(path).__next__().to_pylist()
        ]
        assert rows == sorted(rows)
    assert len(list(pieces.path.glob("segments/*/*.parquet"))) == 2


def test_compacting_again_changes_nothing(pieces):
    """A second run finds nothing to do, and writes no entry."""
    compact.compact(pieces, grace=0)
    before = read_ledger(pieces.layout.entries).count
    assert compact.compact(pieces, grace=0).groups == []
    assert read_ledger(pieces.layout.entries).count == before


def test_new_segments_join_the_compacted_file(pieces, script_for):
    """What is sealed later goes into the day's file with the next run, and keeps its origin."""
    compact.compact(pieces, grace=0)
    writer = pieces.writer()
    script_for(writer, NOON_NS + 99).turn("case-late")
    writer.close()
    pieces.seal()
    before = told(pieces)
    compact.compact(pieces, grace=0)
    assert len(pieces.segments()) == 2
    assert told(pieces) == before
    origins = pieces.query("SELECT count(DISTINCT origin) AS n FROM all_spans").to_pylist()
    assert origins == [{"n": 7}]


def test_a_compacted_store_verifies(pieces):
    """Verifying finds the compacted store as sound as it was, also row by row."""
    compact.compact(pieces, grace=0)
    assert verify(pieces.layout, deep=True, jobs=1).faults == []


def test_old_files_stay_for_readers_that_hold_their_names(pieces):
    """Within the grace the old files are still there, and a reader from before sees all; the next run unlinks them."""
    with Store.open(pieces.path) as reader:
        before = told(reader)
        report = compact.compact(pieces, grace=60)
        assert (report.unlinked, report.waiting) == (0, 6)
        assert told(reader) == before
        assert compact.clean_up(pieces) == 0
        assert told(reader) == before
        assert len(list(pieces.path.glob("segments/*/*.parquet"))) == 2


def test_readers_are_undisturbed_while_files_are_replaced(pieces, script_for):
    """Readers that ask while files are replaced under them never fail, and see each row once."""
    wrong, stop = [], threading.Event()
    expected = sorted((row["trace_id"], row["span_id"]) for row in told(pieces))

    def read():
        with Store.open(pieces.path) as reader:
            while not stop.is_set():
                try:
                    found = reader.query("SELECT trace_id, span_id FROM all_spans ORDER BY ALL").to_pylist()
                except StoreError as error:
                    wrong.append(error)
                    return
                seen = [(row["trace_id"], row["span_id"]) for row in found]
                if [key for key in seen if key in expected] != expected:
                    wrong.append(seen)
                    return

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(4):
            compact.compact(pieces, grace=0)
            writer = pieces.writer()
            script_for(writer, NOON_NS + 1000 + number).turn(f"case-more-{number}")
            writer.close()
            pieces.seal()
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert wrong == []


def test_only_what_is_old_enough_is_compacted(pieces):
    """With a limit only the segments whose rows are all older are compacted."""
    report = compact.compact(pieces, before_ns=NOON_NS + DAY_NS // 2, grace=0)
    assert [len(group) for group, _ in report.groups] == [3]
    assert len(pieces.segments()) == 4


def test_a_damaged_segment_is_not_compacted_away(pieces):
    """A segment that is damaged stops compacting with an error that names it, and stays."""
    segment = pieces.segments()[0]
    path = pieces.path / segment.path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=segment.path.rpartition("/")[2]):
        compact.compact(pieces, grace=0)
    assert path.exists()
    assert read_ledger(pieces.layout.entries).segments[0].path == segment.path


@pytest.mark.slow
@settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    written=st.lists(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 2), st.text(max_size=40)), min_size=1, max_size=4
        ),
        min_size=2,
        max_size=5,
    )
)
def test_conversations_read_the_same_before_and_after(tmp_path_factory, script_for, written):
    """Whatever was written in however many files, every conversation, list and text search reads the same."""
    with Store.create(tmp_path_factory.mktemp("any") / "audit") as store:
        for number, turns in enumerate(written):
            writer = store.writer()
            script = script_for(writer, NOON_NS + number * 1000)
            for conversation, day, text in turns:
                script.now = NOON_NS + day * DAY_NS + number * 1000
                script.turn(f"case-{conversation}", user=text, answer=text[::-1])
            writer.close()
            store.seal()

        def seen():
            found = {c.conversation_id: c for c in store.conversations()}
            spans = {
                name: [dataclasses.replace(span, segment=None) for span in c.spans]
                for name, c in found.items()
            }
            return spans, store.summaries(), store.summaries("tool:look_up_order", limit=2)

        before = seen()
        compact.compact(store, grace=0)
        assert before == seen()
        assert len(store.segments()) == len({s.day for s in store.segments()})
        assert verify(store.layout, jobs=1).faults == []


def test_a_group_is_bounded(pieces, monkeypatch):
    """Where a group would hold too many rows, a day has several files, and each row is in one of them."""
    monkeypatch.setattr(compact, "MOST_ROWS", 13)
    before = told(pieces)
    compact.compact(pieces, grace=0)
    assert sorted(s.rows for s in pieces.segments()) == [6, 6, 12, 12]
    assert told(pieces) == before


def test_more_files_than_may_be_open_are_merged_in_rounds(pieces, monkeypatch):
    """Where a group may hold two files only, a day still becomes one file, and its origins still make their roots."""
    monkeypatch.setattr(compact, "MOST_FILES", 2)
    before = told(pieces)
    report = compact.compact(pieces, grace=0)
    assert [len(group) for group, _ in report.groups] == [2, 2, 2, 2]
    assert len(pieces.segments()) == 2
    assert told(pieces) == before
    assert verify(pieces.layout, deep=True, jobs=1).faults == []
