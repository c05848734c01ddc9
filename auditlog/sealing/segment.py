"""Writes sealed segments: Parquet files that never change again.

The rules:

1. A segment holds spans that began on one day, UTC, sorted by conversation and start.
2. It is written beside its place, read back and compared, synced, and only then renamed; the directory is synced after that.
3. Page checksums are on: a flipped bit is an error, and no other value.
4. The file says which format it has and what wrote it.
5. In a store that encrypts, the columns of `content_key.COLUMNS` are encrypted; without the key none is written, and none
   of them read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from auditlog.errors import ContentKeyError, DamageError, FormatError, StoreError
from auditlog.layout import Layout, sync_directory
from auditlog.ledger.ledger import Segment
from auditlog.ledger.merkle import Frontier
from auditlog.record import PACKED, PARTS, leaf_hash
from auditlog.sealing import content_key, packing
from auditlog.sealing.rows import arrow_schema, leaves

FORMAT = 2
"""The version of a segment's columns."""

_FORMAT_KEY = b"auditlog.format"
_KEY_KEY = b"auditlog.content-key"

DRAFT_SUFFIX = ".draft"

_PAGE_BYTES = 4 * 1024 * 1024
"""What is compressed as one: the larger, the more of what recurs is found, and the more is opened to read one row."""
_NEVER_ALIKE = frozenset(("span_id", "entry", "salt", "leaf", PACKED))
"""Columns in which a dictionary would only hold every value once more."""


class Group(NamedTuple):
    """A row group to be written."""

    columns: pa.Table
    """The rows as they lie in a file, sorted."""
    leaves: Callable[[], Iterable[bytes]]
    """Gives their leaf hashes."""


def write_tables(layout: Layout, name: str, day: str, tables: Callable[[], Iterator[pa.Table]]) -> Segment:
    """Write one segment of rows that come in several tables, holding one of them at a time.

    Args:
        layout: the store.
        name: the file's stem.
        day: the day that the rows began on.
        tables: gives the rows in order, with all logical columns; it is called twice, and gives the same rows the second time.

    Raises:
        StoreError: the file system refuses, or what was read back is not what was written.
    """

    def groups() -> Iterator[Group]:
        for columns in tables():
            for part in packing.groups(columns):
                yield Group(packing.packed(part), lambda part=part: map(leaf_hash, leaves(part)))

    return write_groups(layout, name, day, groups)


def write_groups(layout: Layout, name: str, day: str, groups: Callable[[], Iterator[Group]]) -> Segment:
    """Write one segment into its place; the ledger does not know it yet.

    Args:
        layout: the store.
        name: the file's stem.
        day: the day that the rows began on.
        groups: gives the row groups in order; it is called twice, and gives the same rows the second time.

    Raises:
        StoreError: the file system refuses, or what was read back is not what was written.
    """
    path = layout.segments / f"day={day}" / f"{name}.parquet"
    draft = path.with_suffix(DRAFT_SUFFIX)
    key = content_key.of(layout.root)
    secret = None if key is None else key.secret
    if key is not None and secret is None:
        raise key.needed("Writing sealed files")
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            sync_directory(layout.segments)
        told = _write(draft, groups(), secret)
        _compare(draft, groups(), secret)
        with draft.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        msg = f"{path} cannot be written: {error.strerror or error}. What it is made of stays as it is; try again when it can."
        raise StoreError(msg) from None
    return Segment(
        path=str(path.relative_to(layout.root)),
        day=day,
        rows=told.rows,
        bytes=size,
        sha256=digest,
        root=told.root,
        min_start_ns=told.first,
        max_start_ns=told.last,
    )


def read_segment(path: Path) -> pa.Table:
    """Read a segment whole, its page checksums verified.

    Raises:
        StoreError: the file is damaged; the message names it.
        FormatError: it is of another format.
    """
    return pa.concat_tables(read_tables(path))


def read_tables(
    path: Path, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> Iterator[pa.Table]:
    """Read a segment row group by row group, its page checksums verified; at least one table comes.

    Args:
        path: the file.
        columns: those to read; all where it is None.
        groups: the row groups to read; all where it is None.

    Raises:
        StoreError: the file is damaged; the message names it.
        FormatError: it is of another format.
    """
    try:
        with open_file(path, content_key.of_file(path)) as file:
            refuse_other_format(path, file.schema_arrow)
            refuse_closed(path, file, columns)
            for number in range(file.num_row_groups) if groups is None else groups:
                yield read_group(file, number, columns)
            if not file.num_row_groups:
                yield arrow_schema().empty_table().select(columns or arrow_schema().names)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamageError(damaged(path, str(error).partition("\n")[0] or type(error).__name__)) from None


def open_file(
    path: Path, key: content_key.ContentKey | None, footer: pq.FileMetaData | None = None
) -> pq.ParquetFile:
    """Open a sealed file to read, with the content key of its store where that is here."""
    decryption = None if key is None or key.secret is None else content_key.decryption(key.secret)
    return pq.ParquetFile(
        path, metadata=footer, page_checksum_verification=True, decryption_properties=decryption
    )


def key_named(schema: pa.Schema) -> str | None:
    """Give the id of the content key that a file is encrypted with; None where it is not."""
    return (schema.metadata or {}).get(_KEY_KEY, b"").decode("ascii", "replace") or None


def refuse_closed(path: Path, file: pq.ParquetFile, columns: Sequence[str] | None) -> None:
    """Raise ContentKeyError where columns are asked for that are encrypted with a key that is not here."""
    name = key_named(file.schema_arrow)
    if name is None:
        return
    names = packing.stored_schema().names if columns is None else packing.stored_names(columns)
    key = content_key.of_file(path)
    if set(names) & set(content_key.COLUMNS) and (key is None or key.secret is None or key.id != name):
        raise ContentKeyError(content_key.missing(name))


def read_group(
    file: pq.ParquetFile,
    number: int,
    columns: Sequence[str] | None = None,
    rows: Sequence[tuple[int, int]] | None = None,
) -> pa.Table:
    """Read logical columns of one row group of a file that is open.

    Args:
        file: the file.
        number: the row group.
        columns: those to read; all where it is None.
        rows: the first of the wanted rows, and behind the last, of each stretch; all where it is None.
    """
    names = packing.stored_schema().names if columns is None else packing.stored_names(columns)
    if not set(names) <= set(file.schema_arrow.names):
        raise pa.ArrowInvalid("its columns are not those of a segment")
    found = file.read_row_group(number, names, use_threads=rows is not None)
    if rows is not None:
        # What is read is opened by whole pages; what is made of it need not be.
        found = pa.concat_tables([found.slice(first, last - first) for first, last in rows])
    return packing.unpacked(found, columns)


def read_closed(
    file: pq.ParquetFile, number: int, columns: Sequence[str], rows: Sequence[tuple[int, int]]
) -> pa.Table:
    """Read rows of a file that is encrypted without its key: what is encrypted is null."""
    schema = arrow_schema()
    closed = {*content_key.COLUMNS, *PARTS}
    plain = [name for name in columns if name not in closed]
    found = file.read_row_group(number, [*plain, content_key.ESCALATED], use_threads=True)
    found = pa.concat_tables([found.slice(first, last - first) for first, last in rows])
    escalated = pc.call_function(
        "if_else",
        [found.column(content_key.ESCALATED), pa.scalar(content_key.ENCRYPTED), pa.scalar(None, pa.string())],
    )

    def column(name: str) -> pa.ChunkedArray:
        if name == "escalation_reason":
            return escalated.cast(pa.string())
        if name in closed:
            return pa.chunked_array([pa.nulls(found.num_rows, schema.field(name).type)])
        return found.column(name)

    return pa.table(
        [column(name) for name in columns], schema=pa.schema([schema.field(name) for name in columns])
    )


def refuse_other_columns(path: Path) -> None:
    """Raise StoreError when a file's footer does not read, or has other columns than a segment."""
    try:
        schema = pq.read_schema(path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DamageError(damaged(path, str(error).partition("\n")[0] or type(error).__name__)) from None
    refuse_other_format(path, schema)
    if schema.remove_metadata() != _file_schema(encrypted=key_named(schema) is not None):
        raise DamageError(damaged(path, "its columns are not those of a segment"))


def refuse_other_format(path: Path, schema: pa.Schema) -> None:
    """Raise FormatError where a file says that it is a segment of another format."""
    told = (schema.metadata or {}).get(_FORMAT_KEY, b"").decode("ascii", "replace")
    if told.isdecimal() and int(told) != FORMAT:
        advice = "Run `auditlog migrate`." if int(told) < FORMAT else "Upgrade auditlog-replay."
        msg = f"{path} is a segment of format {int(told)}, and this version reads format {FORMAT}. {advice}"
        raise FormatError(msg)


def damaged(path: Path, why: str) -> str:
    """Say that a segment is not what was sealed."""
    return f"{path} is damaged: {why[:160]}. Put the file back from a copy of the store."


class _Written(NamedTuple):
    rows: int
    root: str
    first: int
    """The earliest start."""
    last: int


def _file_schema(*, encrypted: bool) -> pa.Schema:
    schema = packing.stored_schema()
    return schema.append(pa.field(content_key.ESCALATED, pa.bool_())) if encrypted else schema


def _with_escalated(columns: pa.Table) -> pa.Table:
    """Say beside what is encrypted which rows have a reason of an escalation."""
    return columns.append_column(
        content_key.ESCALATED, pc.call_function("is_valid", [columns.column("escalation_reason")])
    )


def _write(draft: Path, groups: Iterator[Group], secret: bytes | None) -> _Written:
    told = {
        _FORMAT_KEY: str(FORMAT).encode(),
        b"auditlog.writer": f"auditlog-replay {_version()}".encode(),
    }
    if secret is not None:
        told[_KEY_KEY] = content_key.id_of(secret).encode()
    schema = _file_schema(encrypted=secret is not None).with_metadata(told)
    tree = Frontier()
    starts: list[int] = []
    with (
        draft.open("wb") as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=3,
            write_page_checksum=True,
            use_dictionary=[field.name for field in schema if field.name not in _NEVER_ALIKE],
            data_page_size=_PAGE_BYTES,
            dictionary_pagesize_limit=_PAGE_BYTES,
            encryption_properties=None if secret is None else content_key.encryption(secret),
        ) as writer,
    ):
        for group in groups:
            columns = group.columns if secret is None else _with_escalated(group.columns)
            writer.write_table(columns.replace_schema_metadata(told), row_group_size=columns.num_rows or 1)
            for leaf in group.leaves():
                tree.add(leaf)
            began = [start or 0 for start in columns.column("start_ns").to_pylist()]
            starts += [min(began), max(began)] if began else []
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    return _Written(tree.size, tree.root().hex(), min(starts, default=0), max(starts, default=0))


def _compare(draft: Path, groups: Iterator[Group], secret: bytes | None) -> None:
    """Read a draft back, its page checksums verified, beside what it was made of."""
    try:
        with open_file(draft, None if secret is None else content_key.ContentKey("", secret)) as file:
            same = file.schema_arrow.remove_metadata() == _file_schema(encrypted=secret is not None)
            names = packing.stored_schema().names
            number = 0
            for group in groups:
                same = same and file.read_row_group(number, names, use_threads=False).equals(group.columns)
                number += 1
            same = same and number == file.num_row_groups
    except (ValueError, pa.ArrowException):
        same = False
    if not same:
        raise StoreError(_UNLIKE.format(draft))


_UNLIKE = "{} does not read back as it was written. The disk or its memory is at fault; nothing was removed."


def _version() -> str:
    try:
        return metadata.version("auditlog-replay")
    except metadata.PackageNotFoundError:
        return "unknown"
