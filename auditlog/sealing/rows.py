"""Turns merged spans into rows of the columns in `schemas/columns.json`.

The rules:

1. The columns, their order and their types are the schema's; this module adds none.
2. Every span makes a row. Content that the normaliser cannot read leaves its derived columns empty and the row `lossy`;
   the bytes stay as they were.
3. A value that its column cannot hold becomes null; nothing raises.
4. One row is one leaf. The salt is drawn when the row is sealed; a live row has none.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from auditlog import normalise
from auditlog.joined import joined
from auditlog.record import (
    FORMAT,
    LEAF_BYTES,
    PARTS,
    SALT_BYTES,
    commitments_of,
    leaf_hash,
    leaf_text,
)
from auditlog.sealing.merge import MergedSpan

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "json": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "binary": pa.binary(),
    "timestamp_us": pa.timestamp("us"),
}
_PYTHON: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "json": str,
    "int64": int,
    "double": (float, int),
    "bool": bool,
    "binary": bytes,
    "timestamp_us": int,
}
_LIMIT = 1 << 63
_BATCH_ROWS = 1024

LEAF_COLUMNS = ("entry", "salt", "commitments", *PARTS)
"""What a row's leaf is made of."""


@functools.cache
def arrow_schema() -> pa.Schema:
    """Give the Arrow schema of a segment."""
    return pa.schema([(name, _TYPES[column["type"]]) for name, column in normalise.columns().items()])


def row(span: MergedSpan) -> dict[str, Any]:
    """Give one span's columns, but for empty ones; what the leaf needs besides is added by `sealed`."""
    start, end = span.start, span.end
    facts, parts = joined(start.record if start else None, end.record if end else None)
    last = end or start
    assert last is not None
    entry = {"v": FORMAT, "writer": last.writer, "sequence": last.sequence, **facts}
    entry["turn"], entry["conversation"] = span.turn_id, span.conversation_id
    return row_of(orjson.dumps(entry), entry, parts)


def row_of(entry_bytes: bytes, entry: Mapping[str, Any], parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Give the columns that a row's entry and parts stand for, but for empty ones."""
    try:
        values = normalise.filled(entry, parts)
    except Exception:  # noqa: BLE001 - rule 2: recorded content is whatever it is
        values = normalise.stated(entry, parts)
        values["kind"] = entry["kind"] if entry["kind"] in normalise.KINDS else "other"
        values["lossy"] = True
    values["writer"], values["sequence"], values["entry"] = entry["writer"], entry["sequence"], entry_bytes
    return values


def sealed(values: dict[str, Any]) -> dict[str, Any]:
    """Give a row its salt and the beginning of its leaf."""
    seal_row(values, os.urandom(SALT_BYTES))
    return values


def seal_row(values: dict[str, Any], salt: bytes) -> bytes:
    """Give a row a salt and the beginning of its leaf; give the leaf."""
    values["salt"] = salt
    leaf = leaf_hash(leaf_text(values["entry"], commitments_of(salt, values)))
    values["leaf"] = leaf[:LEAF_BYTES]
    return leaf


def leaf_text_of(values: Mapping[str, Any]) -> bytes:
    """Give the leaf text of a row with `entry`, `salt`, `commitments` and PARTS.

    Raises:
        ValueError: the row has neither a salt nor commitments, or its commitments are none.
    """
    told = values.get("commitments")
    if told is not None:
        return leaf_text(values["entry"], orjson.loads(told))
    if values.get("salt") is None:
        raise ValueError("the row has no salt")
    return leaf_text(values["entry"], commitments_of(values["salt"], values))


def table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Make an Arrow table of rows; a column that a row does not have is null there."""
    return pa.table(columns_of(rows, arrow_schema().names), schema=arrow_schema())


def columns_of(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[pa.ChunkedArray]:
    """Make some of the columns of rows."""
    # Most columns of most rows are empty: what is there is put in its place, and nothing is asked for the rest.
    filled: dict[str, list[Any]] = {}
    for at, row in enumerate(rows):
        for name, value in row.items():
            if value is not None:
                column = filled.get(name)
                if column is None:
                    column = filled[name] = [None] * len(rows)
                column[at] = value
    made = []
    for name in names:
        kind = normalise.columns()[name]["type"]
        values = filled.get(name)
        if values is None:
            made.append(pa.chunked_array([pa.nulls(len(rows), _TYPES[kind])]))
            continue
        try:
            made.append(_chunked(values, kind))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            made.append(_chunked([_fitting(value, kind) for value in values], kind))
    return made


def table_of(spans: Iterable[MergedSpan]) -> pa.Table:
    """Make an Arrow table of merged spans, in their order."""
    return table([row(span) for span in spans])


def leaves(columns: pa.Table) -> Iterator[bytes]:
    """Give the leaf texts of a table's rows, as the ledger counts them: one a row, in stored order."""
    for batch in columns.select(LEAF_COLUMNS).to_batches(max_chunksize=_BATCH_ROWS):
        yield from map(leaf_text_of, batch.to_pylist())


def _chunked(values: list[Any], kind: str) -> pa.ChunkedArray:
    made = pa.array(values, _TYPES[kind])
    # Content of more than 2 GB comes in chunks of itself.
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def _fitting(value: Any, kind: str) -> Any:
    wanted = _PYTHON[kind]
    if value is None or not isinstance(value, wanted) or (kind != "bool" and isinstance(value, bool)):
        return None
    if kind in ("int64", "timestamp_us") and not -_LIMIT <= value < _LIMIT:
        return None
    return value
