"""Makes segments of the spans of one journal file.

The rules:

1. The spans that began on one day, UTC, make one segment, sorted by conversation and start. Its name is that of the journal
   file, so that sealing the file again makes the same segment.
2. Rows are made one row group at a time, in their order. Up to 64 MB of content stay in memory until they are read back;
   what is more is made a second time to compare it with.
3. A row's salt is drawn once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from auditlog.joined import began
from auditlog.layout import Layout
from auditlog.ledger.ledger import Segment
from auditlog.record import SALT_BYTES
from auditlog.sealing import packing
from auditlog.sealing.merge import MergedSpan
from auditlog.sealing.rows import row, seal_row
from auditlog.sealing.segment import Group, write_groups

_DAY_NS = 86_400 * 1_000_000_000
_LIMIT_NS = 1 << 63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Place(NamedTuple):
    """Where a span comes in its segment."""

    conversation: str
    start: int
    trace: str
    span: str
    number: int
    """Tells spans apart that are alike in all the rest."""
    merged: MergedSpan


def write_spans(layout: Layout, stem: str, spans: Iterable[MergedSpan]) -> list[Segment]:
    """Write the segments of a journal file's spans; the ledger does not know them yet.

    Args:
        layout: the store.
        stem: the journal file's name, without its suffix.
        spans: what it holds.

    Raises:
        StoreError: the file system refuses, or what was read back is not what was written.
    """
    days: dict[int, list[_Place]] = {}
    for number, span in enumerate(spans):
        place = _place(number, span)
        days.setdefault((place.start if abs(place.start) < _LIMIT_NS else 0) // _DAY_NS, []).append(place)
    written = []
    for day, places in sorted(days.items()):
        places.sort()
        name = (_EPOCH + timedelta(days=day)).date().isoformat()
        written.append(write_groups(layout, stem, name, _Groups([place.merged for place in places])))
    return written


def _place(number: int, span: MergedSpan) -> _Place:
    start, end = span.start, span.end
    entry = (start or end).record.entry  # type: ignore[union-attr]
    moment = began(start.record if start else None, end.record if end else None)
    return _Place(span.conversation_id, moment, entry["trace"], entry["span"], number, span)


class _Groups:
    """The row groups of one segment; gives them as often as it is called."""

    def __init__(self, spans: list[MergedSpan]) -> None:
        self._cuts = list(_cuts(spans))
        self._salts = os.urandom(SALT_BYTES * len(spans))
        self._kept: list[Group] | None = None

    def __call__(self) -> Iterator[Group]:
        if self._kept is not None:
            yield from self._kept
            return
        at = 0
        kept = [] if sum(size for size, _ in self._cuts) <= packing.GROUP_BYTES else None
        for _, spans in self._cuts:
            group = self._group(spans, at)
            at += len(spans)
            if kept is not None:
                kept.append(group)
            yield group
        self._kept = kept

    def _group(self, spans: list[MergedSpan], first: int) -> Group:
        rows, leaves = [], []
        for at, span in enumerate(spans, first):
            values = row(span)
            leaves.append(seal_row(values, self._salts[at * SALT_BYTES : (at + 1) * SALT_BYTES]))
            rows.append(values)
        return Group(packing.stored(rows), lambda: leaves)


def _cuts(spans: list[MergedSpan]) -> Iterator[tuple[int, list[MergedSpan]]]:
    """Cut spans into row groups; give each with the size of its content."""
    held, group = 0, []
    for span in spans:
        group.append(span)
        for found in span[:2]:
            if found is not None:
                held += sum(map(len, found.record.parts.values()))
        if len(group) == packing.GROUP_ROWS or held >= packing.GROUP_BYTES:
            yield held, group
            held, group = 0, []
    if group:
        yield held, group
