"""Checks that content read back is the content that was hashed.

The rules:

1. A row's entries hold a commitment for each part, SHA-256(salt ‖ part); content that does not match is never given out.
   DuckDB ignores Parquet's page checksums, and a flipped bit could otherwise pass for what an agent said.
2. Where START and END hold a part of the same name, the column has the END's.
3. A part whose content is gone (erased) is no mismatch.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import pyarrow as pa

from auditlog.errors import StoreError
from auditlog.record import SALT_BYTES

EVIDENCE_COLUMNS = ("start_entry", "start_salts", "end_entry", "end_salts")


def refuse_changed(columns: pa.Table, root: Path) -> None:
    """Check every sealed row of a table with the content columns, EVIDENCE_COLUMNS, `segment` and `span_id`.

    Raises:
        StoreError: the content of a row is not what was recorded; the message names the file and the span.
    """
    segments = columns.column("segment")
    if segments.null_count == columns.num_rows:
        return
    content = {
        name: columns.column(name)
        for name in columns.column_names
        if pa.types.is_binary(columns.schema.field(name).type)
    }
    starts, ends = columns.column("start_entry").to_pylist(), columns.column("end_entry").to_pylist()
    start_salts, end_salts = (
        columns.column("start_salts").to_pylist(),
        columns.column("end_salts").to_pylist(),
    )
    for position, (segment, start, end) in enumerate(zip(segments.to_pylist(), starts, ends, strict=True)):
        if segment is None:
            continue
        at_end = commitments(end)
        at_start = commitments(start)
        wrong = at_start is None or at_end is None
        if at_start is not None and at_end is not None:
            for side, committed, salts in (
                ("start", at_start, start_salts[position]),
                ("end", at_end, end_salts[position]),
            ):
                for number, (part, expected) in enumerate(committed.items()):
                    column = content.get(f"{side}_attributes" if part == "attributes" else part)
                    if column is None or (side == "start" and part in at_end and part != "attributes"):
                        continue
                    value = column[position].as_buffer()
                    salt = (salts or b"")[number * SALT_BYTES : (number + 1) * SALT_BYTES]
                    wrong |= value is not None and _commitment(salt, value) != expected
        if wrong:
            span = columns.column("span_id")[position].as_py()
            msg = (
                f"{root / segment} is damaged: the content of span {span!r} is not what was recorded. "
                "Put the file back from a copy of the store."
            )
            raise StoreError(msg)


def commitments(entry: bytes | None) -> dict[str, str] | None:
    """Give an entry's commitments by part, in order; None when it is damaged."""
    if entry is None:
        return {}
    try:
        found = orjson.loads(entry).get("parts", {})
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, dict) else None


def _commitment(salt: bytes, content: pa.Buffer) -> str:
    digest = hashlib.sha256(salt)
    digest.update(content)
    return digest.hexdigest()
