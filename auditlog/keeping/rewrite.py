"""Writes sealed files anew, and takes the old ones away: what compacting, pruning and erasing have in common.

The rules:

1. A row keeps its leaf: what is erased of it leaves its commitments behind. So a rewritten file's rows have the leaves that
   they were sealed with, and that is checked before the ledger hears of the file.
2. A rewritten row says where it was first sealed (`origin`, `origin_row`), so that the first file's root can be made again.
3. The order is: the new file in its place, the ledger's entry synced, the old file unlinked. A crash between any two
   leaves a state that the next run mends: an unlisted rewritten file is removed, a replaced one is unlinked.
4. Memory holds one row group of a file at a time.
5. The caller holds the store's seal lock.
"""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from auditlog import normalise
from auditlog.errors import AuditlogError, StoreError
from auditlog.layout import REWRITTEN, Layout, sync_directory
from auditlog.ledger import signing
from auditlog.ledger.ledger import Ledger, Segment, read_ledger
from auditlog.record import PARTS, commitments_of
from auditlog.sealing.segment import DRAFT_SUFFIX, damaged, read_tables, write_tables

KEPT = frozenset(
    "agent_name agent_version model_requested model_served provider finish_reasons input_tokens output_tokens "
    "cache_read_tokens cache_write_tokens reasoning_tokens cost_usd ttft_ms prompt_name prompt_version effect tool_digest "
    "lossy stream replay_run_id replay_arm replay_repeat replay_source_trace_id replay_source_span_id "
    "replay_candidate_digest replay_mode replay_match_tier replay_status".split()
)
"""The columns besides the entry's own that an erased row keeps: what the program chose, and nothing that a customer said."""

_KEPT_CACHES = ("ledger.json", "index.lock", "index.sqlite", "text")

Doomed = Callable[[pa.Table], pa.Array]
"""Says of each row of a table whether its content goes."""


@functools.cache
def emptied_columns() -> tuple[str, ...]:
    """Give the columns that an erased row loses, besides the parts and the salt."""
    return tuple(
        name
        for name, column in normalise.columns().items()
        if column["origin"] in ("attribute", "derived") and name not in KEPT
    )


def stem_of(path: str) -> str:
    """Give the stem that a file was first sealed under."""
    stem = Path(path).stem
    found = REWRITTEN.fullmatch(stem)
    return found["stem"] if found else stem


def erase_into(layout: Layout, segment: Segment, doomed: Doomed, kind: str, number: int) -> Segment:
    """Write a segment anew without the content of some of its rows.

    Args:
        layout: the store.
        segment: the file as it is.
        doomed: says of each row whether its content goes.
        kind: `e` or `p`, for the name.
        number: what tells this run from others, for the name.

    Raises:
        StoreError: the file is damaged, or the new one cannot be written.
    """
    path = layout.root / segment.path

    def tables() -> Iterator[pa.Table]:
        at = 0
        for columns in read_tables(path):
            yield emptied(with_origin(columns, segment.path, at), doomed(columns))
            at += columns.num_rows

    name = f"{stem_of(segment.path)}-{kind}{number}"
    made = write_tables(layout, name, segment.day, tables)
    if (made.root, made.rows) != (segment.root, segment.rows):
        (layout.root / made.path).unlink()
        raise StoreError(damaged(path, "its rows do not make the root that was sealed"))
    return made


def with_origin(columns: pa.Table, path: str, first: int) -> pa.Table:
    """Say of each row that does not say it yet where it was first sealed."""
    origins = columns.column("origin")
    if not origins.null_count:
        return columns
    rows = pa.array(range(first, first + columns.num_rows), pa.int64())
    fresh = origins.is_null()
    for name, value in (
        ("origin_row", _if_else(fresh, rows, columns.column("origin_row"))),
        ("origin", _if_else(fresh, pa.scalar(path), origins)),
    ):
        columns = columns.set_column(columns.schema.get_field_index(name), name, value)
    return columns


def emptied(columns: pa.Table, doomed: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Take the content out of rows, and leave their commitments."""
    wanted = doomed.to_pylist()
    if not any(wanted):
        return columns
    told: list[Any] = columns.column("commitments").to_pylist()
    evidence = columns.select(("salt", *PARTS))
    for at, gone in enumerate(wanted):
        if gone and told[at] is None:
            (row,) = evidence.slice(at, 1).to_pylist()
            told[at] = orjson.dumps(commitments_of(row["salt"], row))
    mask = pa.array(wanted, pa.bool_())
    for name in ("salt", *PARTS, *emptied_columns()):
        index = columns.schema.get_field_index(name)
        field = columns.schema.field(index)
        kept = _if_else(mask, pa.scalar(None, field.type), columns.column(index))
        columns = columns.set_column(index, field, kept)
    index = columns.schema.get_field_index("commitments")
    return columns.set_column(
        index, columns.schema.field(index), pa.chunked_array([pa.array(told, pa.binary())])
    )


def is_erased(columns: pa.Table) -> pa.ChunkedArray:
    """Say of each row whether its content is gone already."""
    return pc.call_function(
        "and", [columns.column("salt").is_null(), columns.column("commitments").is_valid()]
    )


def clean(
    layout: Layout, ledger: Ledger, *, grace: float = 0.0, remove_drafts: bool = True
) -> tuple[int, int]:
    """Unlink what entries of the ledger replaced or removed, and what was never listed because a run died.

    Args:
        layout: the store.
        ledger: as it stands.
        grace: for how many seconds a compacted file's predecessors stay for readers that hold their names.
        remove_drafts: whether to remove unfinished files, too.

    Returns:
        How many files were unlinked, and how many are left for later.

    Raises:
        StoreError: the ledger says so, and nobody who holds the key does.
    """
    head = signing.head_of(layout)
    signing.refuse_other_past(layout, read_ledger(layout.entries, ledger), head)
    live = {segment.path for segment in ledger.segments}
    there = {str(path.relative_to(layout.root)): path for path in layout.segments.glob("day=*/*.parquet")}
    unlisted = {name: path for name, path in there.items() if name not in live}
    if remove_drafts:
        for draft in layout.segments.glob(f"day=*/*{DRAFT_SUFFIX}"):
            if REWRITTEN.fullmatch(draft.stem):
                draft.unlink(missing_ok=True)
    if not unlisted:
        return 0, 0
    gone, left = 0, 0
    retired = _retired(ledger)
    for name, path in unlisted.items():
        if name in retired:
            kind, when = retired[name]
            if kind == "compact" and (time.time_ns() - when) / 1e9 < grace:
                left += 1
                continue
        elif not REWRITTEN.fullmatch(path.stem):
            continue
        path.unlink(missing_ok=True)
        gone += 1
    for directory in {path.parent for path in unlisted.values()}:
        with contextlib.suppress(OSError):
            directory.rmdir()
            continue
        sync_directory(directory)
    sync_directory(layout.segments)
    return gone, left


@contextlib.contextmanager
def tidied(layout: Layout) -> Iterator[None]:
    """Take away what a run wrote, where it does not come to the ledger's entry: a full disk gets its room back."""
    try:
        yield
    except AuditlogError:
        with contextlib.suppress(AuditlogError, OSError):
            clean(layout, read_ledger(layout.entries), grace=math.inf)
        raise


def forget_caches(layout: Layout) -> None:
    """Remove what was derived from content; readers make it again of what is left."""
    with contextlib.suppress(FileNotFoundError):
        for path in layout.cache.iterdir():
            if path.name in _KEPT_CACHES:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _if_else(condition: Any, then: Any, otherwise: Any) -> Any:
    return pc.call_function("if_else", [condition, then, otherwise])


def _retired(ledger: Ledger) -> dict[str, tuple[str, int]]:
    """Give what took each path away, and when."""
    found: dict[str, tuple[str, int]] = {}
    for entry in ledger.each_entry():
        for path in (*entry.get("replaces", ()), *(told["path"] for told in entry.get("removes", ()))):
            found[path] = entry["type"], entry["time"]
        for told in entry.get("segments", ()):
            found.pop(told["path"], None)
    return found
