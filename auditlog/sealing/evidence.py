"""Checks that what is read back is what was hashed.

The rules:

1. A sealed row holds the beginning of its leaf's hash. The leaf is made again of the entry, the salt and the content that
   were read, and has to begin the same: content that does not match is never given out. DuckDB ignores Parquet's page
   checksums, and a flipped bit could otherwise pass for what an agent said.
2. Every other column is derived again from the entry and the parts, and has to be the same. Of a row whose content was
   erased only what stands in the entry can be.
3. Whether the leaves are those of the ledger is asked by verifying, not by every read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from auditlog import normalise
from auditlog.errors import DamageError
from auditlog.record import LEAF_BYTES, PARTS, commitments_of, leaf_hash
from auditlog.sealing import rows

EVIDENCE_COLUMNS = tuple(
    column["name"] for column in normalise.columns().values() if column["origin"] in ("evidence", "sealed")
)
_COMPARED = {
    column["name"]: column["origin"]
    for column in normalise.columns().values()
    if column["origin"] not in ("part", "sealed", "evidence")
} | {"writer": "entry", "sequence": "entry"}
_READ = (*rows.LEAF_COLUMNS, "leaf")


class _ChangedError(Exception):
    """A row's content does not match its leaf."""


def refuse_changed(columns: pa.Table, root: Path) -> None:
    """Check every sealed row of a table with the content columns, EVIDENCE_COLUMNS, `segment` and `span_id`.

    Raises:
        StoreError: a row is not what was recorded; the message names the file and the span.
    """
    segments = columns.column("segment")
    if segments.null_count == columns.num_rows:
        return
    sealed = columns.filter(segments.is_valid())
    _, changed = leaves_of(sealed)
    if changed is not None:
        raise _damaged(sealed, changed, root)


def leaves_of(sealed: pa.Table) -> tuple[list[bytes], int | None]:
    """Make the leaves of sealed rows again, and derive their columns again.

    Returns:
        The leaf hashes, and the position of a row that is not what its leaf was made of; None where there is none.
    """
    derived, leaves = [], []
    for position, row in enumerate(sealed.select(_READ).to_pylist()):
        try:
            leaf, values = _derived(row)
        except (_ChangedError, ValueError, KeyError, TypeError, AttributeError):
            return leaves, position
        leaves.append(leaf)
        derived.append(values)
    compared = [name for name in _COMPARED if name in sealed.column_names]
    erased = [told is not None for told in sealed.column("commitments").to_pylist()]
    for name, wanted in zip(compared, rows.columns_of(derived, compared), strict=True):
        found, origin = sealed.column(name), _COMPARED[name]
        if found.equals(wanted):
            continue
        spared = [False] * sealed.num_rows if origin == "entry" else erased
        cells = zip(found.to_pylist(), wanted.to_pylist(), spared, strict=True)
        position = next((i for i, (a, b, spare) in enumerate(cells) if a != b and not spare), None)
        if position is not None:
            return leaves, position
    return leaves, None


def _derived(row: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Make a row's leaf again, and derive its columns again.

    Raises:
        _ChangedError: the row is not the one that its leaf was made of.
        ValueError, KeyError, TypeError, AttributeError: its entry is none.
    """
    leaf = leaf_hash(rows.leaf_text_of(row))
    if row["leaf"] is None or leaf[:LEAF_BYTES] != row["leaf"]:
        raise _ChangedError
    parts = {name: row[name] for name in PARTS if row[name] is not None}
    if row["commitments"] is not None and parts:
        told = orjson.loads(row["commitments"])
        if row["salt"] is None or any(
            told[name] != made for name, made in commitments_of(row["salt"], parts).items()
        ):
            raise _ChangedError
    return leaf, rows.row_of(row["entry"], orjson.loads(row["entry"]), parts)


def _damaged(sealed: pa.Table, position: int, root: Path) -> DamageError:
    segment, span = sealed.column("segment")[position].as_py(), sealed.column("span_id")[position].as_py()
    return DamageError(
        f"{root / segment} is damaged: the content of span {span!r} is not what was recorded. "
        "Put the file back from a copy of the store."
    )
