"""Writes sealed segments: Parquet files that never change again.

The rules:

1. A segment holds the spans of one journal file that began on one day, UTC, sorted by conversation and start. Its name is
   that of the journal file, so that sealing the file again makes the same segment.
2. It is written beside its place, read back and compared, synced, and only then renamed; the directory is synced after that.
3. Page checksums are on: a flipped bit is an error, and no other value.
4. The file says which format it has and what wrote it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from auditlog.errors import StoreError
from auditlog.record import leaf_hash
from auditlog.store.layout import Layout, sync_directory
from auditlog.store.ledger import Segment
from auditlog.store.merkle import tree_root
from auditlog.store.rows import leaves

FORMAT = 1
"""The version of a segment's columns."""

ROW_GROUP_ROWS = 2048
DRAFT_SUFFIX = ".draft"

_ORDER = [
    ("conversation_id", "ascending"),
    ("start_ns", "ascending"),
    ("trace_id", "ascending"),
    ("span_id", "ascending"),
]
_DAY_NS = 86_400 * 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def split_by_day(columns: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Give a table's rows by the day, UTC, on which they began, each day sorted."""
    days = [(start or 0) // _DAY_NS for start in columns.column("start_ns").to_pylist()]
    numbers = pa.array(days, pa.int64())
    for number in sorted(set(days)):
        rows = columns.filter(pc.equal(numbers, number))
        yield (_EPOCH + timedelta(days=number)).date().isoformat(), rows.sort_by(_ORDER)


def write_segment(layout: Layout, writer: str, day: str, columns: pa.Table) -> Segment:
    """Write one segment into its place; the ledger does not know it yet.

    Args:
        layout: the store.
        writer: the stem of the journal file that the rows come from.
        day: the day that the rows began on.
        columns: the rows, sorted.

    Raises:
        StoreError: the file system refuses, or what was read back is not what was written.
    """
    path = layout.segments / f"day={day}" / f"{writer}.parquet"
    draft = path.with_suffix(DRAFT_SUFFIX)
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync_directory(layout.segments)
        _write(draft, columns)
        data = draft.read_bytes()
        _compare(draft, columns)
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        msg = f"{path} cannot be written: {error.strerror or error}. The journal stays as it is; seal again when it can."
        raise StoreError(msg) from None
    entries = leaves(columns)
    starts = pc.min_max(columns.column("start_ns")).as_py()
    return Segment(
        path=str(path.relative_to(layout.root)),
        day=day,
        rows=columns.num_rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        leaves=len(entries),
        root=tree_root(map(leaf_hash, entries)).hex(),
        min_start_ns=starts["min"] or 0,
        max_start_ns=starts["max"] or 0,
    )


def read_segment(path: Path) -> pa.Table:
    """Read a segment whole, its page checksums verified.

    Raises:
        StoreError: the file is damaged; the message names it.
    """
    try:
        return pq.read_table(path, page_checksum_verification=True, partitioning=None, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(damaged(path, error)) from None


def damaged(path: Path, error: Exception) -> str:
    """Say that a segment does not read."""
    why = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    return f"{path} is damaged: {why}. Put the file back from a copy of the store."


def _write(draft: Path, columns: pa.Table) -> None:
    told = {
        b"auditlog.format": str(FORMAT).encode(),
        b"auditlog.writer": f"auditlog-replay {_version()}".encode(),
    }
    with draft.open("wb") as file:
        pq.write_table(
            columns.replace_schema_metadata(told),
            file,
            compression="zstd",
            compression_level=3,
            row_group_size=ROW_GROUP_ROWS,
            write_page_checksum=True,
            use_dictionary=[
                name
                for name in columns.column_names
                if not pa.types.is_binary(columns.schema.field(name).type)
            ],
        )
        file.flush()
        os.fsync(file.fileno())


def _compare(draft: Path, columns: pa.Table) -> None:
    if not read_segment(draft).equals(columns):
        msg = f"{draft} does not read back as it was written. The disk or its memory is at fault; nothing was removed."
        raise StoreError(msg)


def _version() -> str:
    try:
        return metadata.version("auditlog-replay")
    except metadata.PackageNotFoundError:
        return "unknown"
