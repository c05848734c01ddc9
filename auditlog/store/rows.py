"""Turns merged spans into rows of the columns in `schemas/columns.json`.

The rules:

1. The columns, their order and their types are the schema's; this module adds none.
2. Every span makes a row. Content that the normaliser cannot read leaves its derived columns empty and the row `lossy`;
   the bytes stay as they were.
3. A value that its column cannot hold becomes null; nothing raises.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import pyarrow as pa

from auditlog import normalise
from auditlog.store.merge import Located, MergedSpan

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

EVIDENCE = ("writer", "sequence", "entry", "salts")


@functools.cache
def arrow_schema() -> pa.Schema:
    """Give the Arrow schema of a segment."""
    return pa.schema([(name, _TYPES[column["type"]]) for name, column in normalise.columns().items()])


def row(span: MergedSpan) -> dict[str, Any]:
    """Give one span's columns."""
    start, end = span.start, span.end
    try:
        values = normalise.row(start.record if start else None, end.record if end else None)
    except Exception:  # noqa: BLE001 - rule 2: recorded content is whatever it is
        values = _bare(span)
    values["turn_id"] = span.turn_id
    values["conversation_id"] = span.conversation_id
    _add_evidence(values, "start", start)
    _add_evidence(values, "end", end)
    return values


def table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Make an Arrow table of rows; each has every column."""
    columns = []
    for name, column in normalise.columns().items():
        values, kind = list(map(itemgetter(name), rows)), column["type"]
        if values.count(None) == len(values):
            columns.append(pa.chunked_array([pa.nulls(len(values), _TYPES[kind])]))
            continue
        try:
            columns.append(_chunked(values, kind))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            columns.append(_chunked([_fitting(value, kind) for value in values], kind))
    return pa.table(columns, schema=arrow_schema())


def table_of(spans: Iterable[MergedSpan]) -> pa.Table:
    """Make an Arrow table of merged spans, in their order."""
    return table([row(span) for span in spans])


def leaves(columns: pa.Table) -> list[bytes]:
    """Give the entries of a table's rows, as the ledger counts them: row by row, START before END."""
    starts, ends = columns.column("start_entry").to_pylist(), columns.column("end_entry").to_pylist()
    return [entry for pair in zip(starts, ends, strict=True) for entry in pair if entry is not None]


def _add_evidence(values: dict[str, Any], side: str, found: Located | None) -> None:
    if found is None:
        return
    record = found.record
    values[f"{side}_writer"] = found.writer
    values[f"{side}_sequence"] = found.sequence
    values[f"{side}_entry"] = record.entry_bytes
    values[f"{side}_salts"] = b"".join(part.salt for part in record.parts.values())


def _bare(span: MergedSpan) -> dict[str, Any]:
    """Give what the entries alone say, and the parts' bytes."""
    head = (span.start or span.end).record  # type: ignore[union-attr]
    tail = span.end.record.entry if span.end else {}
    late = {name: tail[name] for name in ("kind", "name") if name in tail}
    entry = {**tail, **head.entry, **late}
    start = span.start.record if span.start else None
    end = span.end.record if span.end else None
    began = entry["time"]
    return dict.fromkeys(normalise.columns()) | {
        "trace_id": entry["trace"],
        "span_id": entry["span"],
        "parent_span_id": entry.get("parent"),
        "kind": entry["kind"] if entry.get("kind") in normalise.KINDS else "other",
        "name": entry.get("name", ""),
        "status": tail.get("status", "incomplete"),
        "start_ns": began,
        "end_ns": tail.get("end", tail.get("time")),
        "start_time": began // 1000,
        "source": entry.get("source", "decorator"),
        "lossy": True,
        "start_attributes": _content(start, "attributes"),
        "end_attributes": _content(end, "attributes"),
        **normalise.parts_of(start, end),
    }


def _content(record: Any, part: str) -> bytes | None:
    found = record.parts.get(part) if record is not None else None
    return None if found is None else found.content


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
