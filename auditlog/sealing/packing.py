"""How a segment's content lies in its file, and how it becomes columns again.

The rules:

1. All content of a row lies in one list column, `parts`: an element for each part in the order of PARTS, null where the
   row has none, cut behind the last. What recurs in a turn (a prompt, a document, the history of a conversation) recurs in
   different parts; in one column it lies close together, and the compressor finds it.
2. Everything else lies as it is read. Reading gives the logical columns; the bytes are those that were hashed.
3. A row group ends at 2,048 rows, or with the row that brings its content to 64 MB: whoever reads or writes a file holds
   one of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from auditlog.record import PACKED, PARTS
from auditlog.sealing.rows import arrow_schema, columns_of

GROUP_ROWS = 2048
GROUP_BYTES = 64 * 1024 * 1024

_TYPE = pa.list_(pa.binary())


@functools.cache
def stored_schema() -> pa.Schema:
    """Give the Arrow schema of a segment's file."""
    fields = [field for field in arrow_schema() if field.name not in PARTS]
    return pa.schema([*fields, pa.field(PACKED, _TYPE)])


def stored_names(columns: Sequence[str]) -> list[str]:
    """Give the file's columns that logical columns lie in."""
    return list(dict.fromkeys(PACKED if name in PARTS else name for name in columns))


def stored(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Make rows as they lie in a file."""
    columns = columns_of(rows, stored_schema().names[:-1])
    return pa.table(
        [*columns, _lists([[row.get(name) for name in PARTS] for row in rows])], schema=stored_schema()
    )


def packed(columns: pa.Table) -> pa.Table:
    """Give rows as they lie in a file."""
    contents = zip(*(columns.column(name).to_pylist() for name in PARTS), strict=True)
    return columns.drop_columns(list(PARTS)).append_column(
        stored_schema().field(PACKED), _lists([list(content) for content in contents])
    )


def _lists(contents: list[list[bytes | None]]) -> pa.ChunkedArray:
    for content in contents:
        while content and content[-1] is None:
            content.pop()
    made = pa.array(contents, _TYPE)
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def unpacked(stored: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Give rows of a file as they are read.

    Args:
        stored: the file's columns that `stored_names` gives.
        columns: the logical columns wanted, in their order; all where it is None.
    """
    names = arrow_schema().names if columns is None else list(columns)
    contents = _contents(stored, [name for name in names if name in PARTS])
    return pa.table(
        [contents[name] if name in contents else stored.column(name) for name in names],
        schema=pa.schema([arrow_schema().field(name) for name in names]),
    )


def groups(columns: pa.Table) -> Iterator[pa.Table]:
    """Cut rows as row groups are cut."""
    sizes = [0] * columns.num_rows
    for name in PARTS:
        for row, size in enumerate(pc.call_function("binary_length", [columns.column(name)]).to_pylist()):
            sizes[row] += size or 0
    first = held = 0
    for row, size in enumerate(sizes):
        held += size
        if row - first + 1 == GROUP_ROWS or held >= GROUP_BYTES:
            yield columns.slice(first, row + 1 - first)
            first, held = row + 1, 0
    if first < columns.num_rows or not columns.num_rows:
        yield columns.slice(first)


def _contents(stored: pa.Table, names: Sequence[str]) -> dict[str, pa.ChunkedArray]:
    found: dict[str, list[pa.Array]] = {name: [] for name in names}
    if not names:
        return {}
    for chunk in stored.column(PACKED).chunks:
        # A null list has no place of its own in the values, as an empty one has none.
        counts = pc.call_function("list_value_length", [chunk]).fill_null(0)
        starts, values = chunk.offsets.slice(0, len(chunk)), chunk.values
        for name in names:
            at = PARTS.index(name)
            there = pc.call_function("greater", [counts, at])
            found[name].append(
                values.take(pc.call_function("if_else", [there, pc.call_function("add", [starts, at]), None]))
            )
    return {name: pa.chunked_array(chunks, pa.binary()) for name, chunks in found.items()}
