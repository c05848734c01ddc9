"""Compacts: small segments of one day become one file, sorted by conversation and start.

The rules:

1. A compacted file holds whole segments, and every row says which (`origin`) and where it stood there (`origin_row`). The
   root of each first-hand segment is made again of the compacted file and compared before the ledger hears of it.
2. Memory is bounded: the keys of a group's rows, and one row group of each file in it. A group holds at most MOST_ROWS rows,
   MOST_OPEN_BYTES of open row groups and MOST_FILES files; what is left is merged in the next round.
3. The order is: the compacted file in its place, the ledger's COMPACT entry synced, the old files unlinked after a grace for
   readers that hold their names. A reader that comes later than that reads the ledger again.
4. Compacting again changes nothing: a group of one file is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from auditlog.errors import StoreError
from auditlog.keeping.rewrite import clean, tidied, with_origin
from auditlog.layout import Layout
from auditlog.ledger import locks
from auditlog.ledger.ledger import Ledger, Segment, append_entry, listed, read_ledger
from auditlog.ledger.merkle import tree_root
from auditlog.record import leaf_hash
from auditlog.sealing.packing import GROUP_ROWS
from auditlog.sealing.rows import LEAF_COLUMNS, leaf_text_of
from auditlog.sealing.segment import damaged, read_tables, write_tables

if TYPE_CHECKING:
    from auditlog.store.store import Store

MOST_ROWS = 1_000_000
"""Of one compacted file: it bounds what erasing one row has to write anew."""
MOST_OPEN_BYTES = 256 << 20
"""Of row groups, uncompressed, that are open at once."""
MOST_FILES = 256
"""Open at once: a process may have few more."""
GRACE_SECONDS = 30.0

Progress = Callable[[int, int], None]

_KEYS = ("conversation_id", "start_ns", "trace_id", "span_id")


@dataclass(slots=True)
class CompactReport:
    """What compacting did, or would do."""

    groups: list[tuple[tuple[Segment, ...], Segment | None]] = field(default_factory=list)
    """The files that became one, and the one; None where nothing was done yet."""
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    unlinked: int = 0
    waiting: int = 0
    """Old files that are still there for readers."""


def groups_of(
    layout: Layout, segments: Sequence[Segment], before_ns: int | None = None
) -> list[list[Segment]]:
    """Give the segments that are to become one, for each such file; only groups of several.

    Args:
        layout: the store.
        segments: the live ones, in the ledger's order.
        before_ns: only segments in which every row began before that.
    """
    days: dict[str, list[Segment]] = {}
    for segment in segments:
        if before_ns is None or segment.max_start_ns < before_ns:
            days.setdefault(segment.day, []).append(segment)
    found: list[list[Segment]] = []
    for _, members in sorted(days.items()):
        group: list[Segment] = []
        rows = open_bytes = 0
        for segment in members if len(members) > 1 else ():
            wanted = _open_bytes(layout, segment)
            full = rows + segment.rows > MOST_ROWS or open_bytes + wanted > MOST_OPEN_BYTES
            if group and (full or len(group) == MOST_FILES):
                found.append(group)
                group, rows, open_bytes = [], 0, 0
            group.append(segment)
            rows, open_bytes = rows + segment.rows, open_bytes + wanted
        found.append(group)
    return [group for group in found if len(group) > 1]


def compact(
    store: Store,
    *,
    before_ns: int | None = None,
    grace: float = GRACE_SECONDS,
    progress: Progress = lambda _done, _all: None,
) -> CompactReport:
    """Compact what can be compacted.

    Args:
        store: where.
        before_ns: only segments in which every row began before that, nanoseconds since the epoch.
        grace: how long old files stay, in seconds.
        progress: told how many rows are written, of how many.

    Raises:
        StoreError: a file is damaged, or cannot be written; what was compacted before it stays compacted.
    """
    layout = store.layout
    report = CompactReport()
    with locks.sealing(layout):
        ledger = read_ledger(layout.entries)
        report.files_before = len(ledger.segments)
        report.bytes_before = sum(segment.bytes for segment in ledger.segments)
        report.unlinked, _ = clean(layout, ledger, grace=grace)
        while groups := groups_of(layout, ledger.segments, before_ns):
            total, done = sum(s.rows for group in groups for s in group), 0
            for number, group in enumerate(groups):
                with tidied(layout):
                    made = _compact_group(layout, ledger, group, number)
                    done += made.rows
                    progress(done, total)
                    replaced = [segment.path for segment in group]
                    entry = {"type": "compact", "replaces": replaced, "segments": [listed(made)]}
                    ledger = append_entry(layout, entry, ledger)
                report.groups.append((tuple(group), made))
        unlinked, report.waiting = clean(layout, ledger, grace=grace)
        report.unlinked += unlinked
        report.files_after = len(ledger.segments)
        report.bytes_after = sum(segment.bytes for segment in ledger.segments)
    store.update_index()
    return report


def clean_up(store: Store, grace: float = 0.0) -> int:
    """Unlink the old files of earlier compactions; give how many are still left for readers."""
    with locks.sealing(store.layout):
        return clean(store.layout, read_ledger(store.layout.entries), grace=grace)[1]


def plan(store: Store, before_ns: int | None = None) -> CompactReport:
    """Say what compacting would do first."""
    segments = store.segments()
    groups = groups_of(store.layout, segments, before_ns)
    size = sum(segment.bytes for segment in segments)
    merged = sum(len(group) - 1 for group in groups)
    return CompactReport(
        [(tuple(group), None) for group in groups],
        len(segments),
        len(segments) - merged,
        size,
        size,
    )


def _compact_group(layout: Layout, ledger: Ledger, group: Sequence[Segment], number: int) -> Segment:
    order = _order(layout, group)
    name = f"{group[0].day}-{number}-c{ledger.count}"
    made = write_tables(layout, name, group[0].day, lambda: _merged(layout, group, order))
    try:
        _refuse_other_roots(layout, made, ledger)
    except StoreError:
        (layout.root / made.path).unlink(missing_ok=True)
        raise
    return made


def _order(layout: Layout, group: Sequence[Segment]) -> pa.Table:
    """Give the rows of a group in their new order: the number of the file, and the row in it."""
    tables = []
    for number, segment in enumerate(group):
        at = 0
        for columns in read_tables(layout.root / segment.path, _KEYS):
            rows = pa.array(range(at, at + columns.num_rows), pa.int64())
            files = pa.array([number] * columns.num_rows, pa.int32())
            tables.append(columns.select(_KEYS).append_column("file", files).append_column("row", rows))
            at += columns.num_rows
    keys = pa.concat_tables(tables)
    names = [*_KEYS, "file", "row"]
    return keys.sort_by([(name, "ascending") for name in names]).select(["file", "row"])


class _Cursor:
    """Gives rows of one file by rising number, holding one row group."""

    def __init__(self, layout: Layout, segment: Segment) -> None:
        self._segment = segment
        self._path = layout.root / segment.path
        self._start()

    def take(self, rows: Sequence[int]) -> pa.Table:
        """Give rows, in the order they are named in."""
        if min(rows) < self._first:
            self._start()
        found: list[pa.Table] = []
        left = sorted(rows)
        while left:
            end = self._first + self._columns.num_rows
            here = [row - self._first for row in left if row < end]
            if here:
                found.append(self._columns.take(here))
                left = left[len(here) :]
                continue
            self._first = end
            columns = next(self._tables, None)
            if columns is None:
                raise StoreError(damaged(self._path, "it has fewer rows than it had"))
            self._columns = with_origin(columns, self._segment.path, end)
        taken = pa.concat_tables(found)
        ordered = sorted(range(len(rows)), key=rows.__getitem__)
        back = [0] * len(rows)
        for at, place in enumerate(ordered):
            back[place] = at
        return taken if back == sorted(back) else taken.take(back)

    def _start(self) -> None:
        self._tables = read_tables(self._path)
        self._first = 0
        self._columns = with_origin(next(self._tables), self._segment.path, 0)


def _merged(layout: Layout, group: Sequence[Segment], order: pa.Table) -> Iterator[pa.Table]:
    """Give the rows of a group in their new order, a row group at a time."""
    cursors = [_Cursor(layout, segment) for segment in group]
    for at in range(0, order.num_rows, GROUP_ROWS):
        chosen = order.slice(at, GROUP_ROWS)
        files, rows = chosen.column("file").to_pylist(), chosen.column("row").to_pylist()
        wanted: dict[int, list[int]] = {}
        for file, row in zip(files, rows, strict=True):
            wanted.setdefault(file, []).append(row)
        taken = pa.concat_tables([cursors[file].take(members) for file, members in wanted.items()])
        first, place = {}, 0
        for file, members in wanted.items():
            first[file], place = place, place + len(members)
        index = []
        for file in files:
            index.append(first[file])
            first[file] += 1
        yield taken.take(index).combine_chunks()


def _refuse_other_roots(layout: Layout, made: Segment, ledger: Ledger) -> None:
    """Make the roots of the first-hand segments again, and compare them with those that were sealed.

    Raises:
        StoreError: one is another.
    """
    leaves: dict[str, list[tuple[int, bytes]]] = {}
    path = layout.root / made.path
    for columns in read_tables(path, (*LEAF_COLUMNS, "origin", "origin_row")):
        for row in columns.to_pylist():
            leaves.setdefault(row["origin"], []).append((row["origin_row"], leaf_hash(leaf_text_of(row))))
    sealed = first_hand_roots(ledger, set(leaves))
    for origin, members in leaves.items():
        members.sort()
        if [row for row, _ in members] != list(range(len(members))):
            raise StoreError(damaged(layout.root / origin, "its rows are not those that were sealed"))
        if tree_root(digest for _, digest in members).hex() != sealed.get(origin):
            raise StoreError(damaged(layout.root / origin, "its rows do not make the root that was sealed"))


def first_hand_roots(ledger: Ledger, paths: set[str]) -> dict[str, str]:
    """Give the roots that segments were first listed with, by path."""
    found: dict[str, str] = {}
    for entry in ledger.each_entry():
        for told in entry.get("segments", ()):
            if told["path"] in paths:
                found.setdefault(told["path"], told["root"])
    return found


def _open_bytes(layout: Layout, segment: Segment) -> int:
    """Give the size, uncompressed, of a segment's largest row group."""
    try:
        with pq.ParquetFile(layout.root / segment.path) as file:
            told = file.metadata
            return max((told.row_group(n).total_byte_size for n in range(told.num_row_groups)), default=0)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(damaged(layout.root / segment.path, str(error).partition("\n")[0])) from None
