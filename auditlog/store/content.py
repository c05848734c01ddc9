"""Reads the rows of some conversations out of sealed files, without looking at the others.

The rules:

1. Only the row groups that the index names are read, and only the columns that are asked for.
2. Page checksums are verified; a file that does not read is damage, and an error that names it.
3. Without the content key, what is encrypted is null.
4. What the index says is where to look, and not what is there: rows of other conversations are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from auditlog.errors import DamageError
from auditlog.sealing.rows import arrow_schema
from auditlog.sealing.segment import (
    damaged,
    key_named,
    open_file,
    read_closed,
    read_group,
    refuse_closed,
    refuse_other_format,
)

if TYPE_CHECKING:
    from auditlog.sealing.content_key import ContentKey
    from auditlog.store.index.reading import Place

_KEPT_FOOTERS = 64


class Contents:
    """Reads rows of one store's segments; footers of the last files stay read."""

    def __init__(self, root: Path, key: ContentKey | None = None) -> None:
        """Begin with nothing read.

        Args:
            root: the store.
            key: of its content; None where nothing is encrypted.
        """
        self._root = root
        self._key = key
        self._footers: dict[str, pq.FileMetaData] = {}

    def rows(
        self,
        places: Iterable[Place],
        live: pa.Table | None,
        names: Sequence[str],
        columns: Sequence[str],
        *,
        run: str | None = None,
        arm: str | None = None,
        ordinary: bool = False,
    ) -> pa.Table:
        """Read conversations' rows, by start.

        Args:
            places: where the sealed ones lie.
            live: the rows that are not sealed.
            names: the conversations.
            columns: of the segment, and `segment`.
            run: only those of this replay run.
            arm: only those of this arm.
            ordinary: only those of no replay.

        Raises:
            StoreError: a file is damaged; the message names it.
        """
        spans: dict[str, list[tuple[int, int]]] = {}
        for place in places:
            spans.setdefault(place.segment, []).append((place.first, place.last))
        wanted = pa.array(names, pa.string())
        plain = [name for name in columns if name != "segment"]

        def kept(table: pa.Table, segment: str | None) -> pa.Table:
            test = pc.field("conversation_id").isin(wanted)
            if ordinary:
                test &= pc.field("replay_run_id").is_null()
            for name, value in (("replay_run_id", run), ("replay_arm", arm)):
                if value is not None:
                    test &= pc.field(name) == value
            found = table.filter(test)
            return found.append_column("segment", pa.array([segment] * found.num_rows, pa.string())).select(
                columns
            )

        found = [
            kept(table, segment)
            for segment, ranges in spans.items()
            for table in self._read(segment, ranges, plain)
        ]
        if live is not None or not found:
            found.append(kept((arrow_schema().empty_table() if live is None else live).select(plain), None))
        return pa.concat_tables(found).sort_by([("start_ns", "ascending"), ("span_id", "ascending")])

    def _read(
        self, segment: str, ranges: Sequence[tuple[int, int]], columns: Sequence[str]
    ) -> Iterator[pa.Table]:
        path = self._root / segment
        try:
            with open_file(path, self._key, self._footers.get(segment)) as file:
                self._keep(segment, file.metadata)
                refuse_other_format(path, file.schema_arrow)
                if self._key is None:
                    refuse_closed(path, file, columns)
                closed = (
                    key_named(file.schema_arrow) is not None
                    and self._key is not None
                    and self._key.secret is None
                )
                first = 0
                for number in range(file.num_row_groups):
                    last = first + file.metadata.row_group(number).num_rows
                    inside = [
                        (max(a, first) - first, min(b, last) - first)
                        for a, b in ranges
                        if a < last and b > first
                    ]
                    if inside:
                        yield (read_closed if closed else read_group)(file, number, columns, inside)
                    first = last
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise DamageError(damaged(path, str(error).partition("\n")[0] or type(error).__name__)) from None

    def _keep(self, segment: str, footer: pq.FileMetaData) -> None:
        self._footers[segment] = footer
        if len(self._footers) > _KEPT_FOOTERS:
            self._footers.pop(next(iter(self._footers)))
