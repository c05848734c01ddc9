"""Checks that what is read back is what was hashed.

The rules:

1. A row's entries hold a commitment for each part, SHA-256(salt ‖ part); content that does not match, or is gone, is
   never given out. DuckDB ignores Parquet's page checksums, and a flipped bit could otherwise pass for what an
   agent said.
2. Every other column is derived again from those bytes, and has to be the same; what a span inherited from its trace
   (turn, conversation) stands in no entry, and is taken as it is.
3. Where START and END hold a part of the same name, the column has the END's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from auditlog import normalise
from auditlog.errors import StoreError
from auditlog.record import CONTENT_PARTS, SALT_BYTES, Record, SaltedPart
from auditlog.store import rows
from auditlog.store.merge import Located, MergedSpan

EVIDENCE_COLUMNS = ("start_entry", "start_salts", "end_entry", "end_salts")
_INHERITED = {"turn_id", "conversation_id"}
_DERIVED = [
    column["name"]
    for column in normalise.columns().values()
    if column["origin"] != "evidence" and column["name"] not in _INHERITED
]
_READ = (*EVIDENCE_COLUMNS, *CONTENT_PARTS, "start_attributes", "end_attributes")


class _ChangedError(Exception):
    """A row's content does not match its entries."""


def refuse_changed(columns: pa.Table, root: Path) -> None:
    """Check every sealed row of a table with the content columns, EVIDENCE_COLUMNS, `segment` and `span_id`.

    Raises:
        StoreError: a row is not what was recorded; the message names the file and the span.
    """
    segments = columns.column("segment")
    if segments.null_count == columns.num_rows:
        return
    sealed = columns.filter(segments.is_valid())
    merged = []
    for position, row in enumerate(sealed.select(_READ).to_pylist()):
        try:
            start, end = _located(row, "start"), _located(row, "end")
            if start is None and end is None:
                raise _ChangedError
            merged.append(MergedSpan(start, end, turn_id="", conversation_id="", settled=True))
        except (_ChangedError, ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(sealed, position, root) from None
    try:
        derived = rows.table_of(merged)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _damaged(sealed, 0, root) from None
    for name in _DERIVED:
        if name not in sealed.column_names:
            continue
        found, expected = sealed.column(name), derived.column(name)
        if not found.equals(expected):
            pairs = zip(found.to_pylist(), expected.to_pylist(), strict=True)
            raise _damaged(sealed, next((i for i, (a, b) in enumerate(pairs) if a != b), 0), root)


def _located(row: Mapping[str, Any], side: str) -> Located | None:
    """Put a record together again, and check each of its parts.

    Raises:
        _ChangedError: a part is not what its entry commits to.
    """
    entry_bytes, salts = row[f"{side}_entry"], row[f"{side}_salts"] or b""
    if entry_bytes is None:
        return None
    entry = orjson.loads(entry_bytes)
    parts = {}
    for number, (part, commitment) in enumerate(entry.get("parts", {}).items()):
        salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
        content = row[f"{side}_attributes" if part == "attributes" else part]
        if content is None or hashlib.sha256(salt + content).hexdigest() != commitment:
            if side == "start" and part != "attributes" and part in _parts(row["end_entry"]):
                continue
            raise _ChangedError
        parts[part] = SaltedPart(salt, content)
    return Located("", 0, Record(entry_bytes, entry, parts))


def _parts(entry_bytes: bytes | None) -> Mapping[str, str]:
    return orjson.loads(entry_bytes).get("parts", {}) if entry_bytes else {}


def _damaged(sealed: pa.Table, position: int, root: Path) -> StoreError:
    segment, span = sealed.column("segment")[position].as_py(), sealed.column("span_id")[position].as_py()
    return StoreError(
        f"{root / segment} is damaged: the content of span {span!r} is not what was recorded. "
        "Put the file back from a copy of the store."
    )
