"""Reads what format 1 wrote, and nothing else: the store's settings, its ledger, its segments, its journals.

The rules:

1. This module knows format 1 by itself: what today's code reads may change, and what is written here may not.
2. Evidence is checked while it is read: a segment's size and SHA-256, the root over its entries, and each part against its
   salted commitment. What does not hold is told, and never handed on as if it did.
3. A row held the entries of its START and END records with a commitment for each part; where both had a part of one name,
   the row kept the END's content only.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from auditlog.errors import FormatError, StoreError
from auditlog.ledger.entries import decoded, frame_at, is_torn
from auditlog.ledger.merkle import Frontier

FORMAT = 1
SALT_BYTES = 16
CONTENT_PARTS = (
    "input system_instructions input_messages tool_definitions output output_messages documents error evaluations events "
    "resource scope"
).split()
_COLUMNS = (
    *"span_id turn_id conversation_id".split(),
    *CONTENT_PARTS,
    *(
        f"{side}_{what}"
        for side in ("start", "end")
        for what in "attributes writer sequence entry salts".split()
    ),
)
_LENGTH = struct.Struct("<I")


class Record(NamedTuple):
    """One record: its entry, and the content that its entry vouches for."""

    entry: dict[str, Any]
    parts: dict[str, bytes]
    writer: str = ""
    sequence: int = 0


class Row(NamedTuple):
    """One span of a sealed file."""

    start: Record | None
    end: Record | None
    turn_id: str
    conversation_id: str
    wrong: tuple[str, ...]
    """The parts that are not what the entry commits to; they are left out."""


class Listed(NamedTuple):
    """One sealed file, as the ledger lists it."""

    path: str
    day: str
    rows: int
    bytes: int
    sha256: str
    leaves: int
    root: str


class Ledger(NamedTuple):
    """What the ledger says."""

    segments: tuple[Listed, ...]
    writers: tuple[str, ...]
    """The journal files (stems) that are sealed."""
    entries: int
    sha256: str
    """Of the whole file."""


def read_ledger(path: Path) -> Ledger:
    """Read the ledger's entries.

    Raises:
        StoreError: it is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Ledger((), (), 0, "")
    segments: list[Listed] = []
    writers: list[str] = []
    at = count = 0
    while (frame := frame_at(data, at, count)) is not None:
        entry = decoded(frame.payload)
        try:
            if entry is None or entry["v"] != FORMAT:
                raise TypeError
            if entry["type"] == "seal":
                segments += [Listed(*(told[name] for name in Listed._fields)) for told in entry["segments"]]
                writers += [str(source["writer"]) for source in entry["sources"]]
        except (KeyError, TypeError):
            raise StoreError(
                f"{path} is damaged at byte {at}. Put the file back from a copy of the store."
            ) from None
        at, count = frame.end, count + 1
    if not is_torn(data[at:]):
        raise StoreError(f"{path} is damaged at byte {at}. Put the file back from a copy of the store.")
    return Ledger(tuple(segments), tuple(writers), count, hashlib.sha256(data).hexdigest())


def file_fault(root: Path, listed: Listed) -> str | None:
    """Say what is wrong with a sealed file as a whole; None where it is the one that was sealed."""
    path = root / listed.path
    try:
        if path.is_symlink() or not path.is_file():
            return "is missing, or no file"
        if path.stat().st_size != listed.bytes:
            return f"has {path.stat().st_size} bytes, and the ledger says {listed.bytes}"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != listed.sha256:
                return "its SHA-256 is not the one that was sealed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


class SegmentReader:
    """Reads one sealed file row group by row group, and says at the end what its entries come to."""

    def __init__(self, path: Path) -> None:
        """Prepare to read a file."""
        self._path = path
        self._tree = Frontier()
        self.rows = 0

    @property
    def root(self) -> str:
        """The root over the entries read so far."""
        return self._tree.root().hex()

    @property
    def leaves(self) -> int:
        """How many entries were read."""
        return self._tree.size

    def batches(self) -> Iterator[list[Row]]:
        """Give the rows, a row group at a time.

        Raises:
            StoreError: the file does not read.
        """
        try:
            with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
                for number in range(file.num_row_groups):
                    found = file.read_row_group(number, list(_COLUMNS), use_threads=False).to_pylist()
                    self.rows += len(found)
                    yield [self._row(row) for row in found]
        except (OSError, KeyError, pa.ArrowException, orjson.JSONDecodeError) as error:
            text = str(error).partition("\n")[0] or type(error).__name__
            raise StoreError(
                f"{self._path} is damaged: {text[:160]}. Put it back from a copy of the store."
            ) from None

    def _row(self, row: dict[str, Any]) -> Row:
        wrong: list[str] = []
        at_end = set(orjson.loads(row["end_entry"]).get("parts", {})) if row["end_entry"] else set()
        start = self._record(row, "start", at_end, wrong)
        end = self._record(row, "end", set(), wrong)
        return Row(start, end, row["turn_id"], row["conversation_id"], tuple(wrong))

    def _record(self, row: dict[str, Any], side: str, hidden: set[str], wrong: list[str]) -> Record | None:
        text: bytes | None = row[f"{side}_entry"]
        if text is None:
            return None
        self._tree.add(hashlib.sha256(b"\x00" + text).digest())
        entry, salts = orjson.loads(text), row[f"{side}_salts"] or b""
        parts: dict[str, bytes] = {}
        for number, (name, told) in enumerate(entry.get("parts", {}).items()):
            salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
            content = row.get(f"{side}_attributes" if name == "attributes" else name)
            if content is not None and hashlib.sha256(salt + content).hexdigest() == told:
                parts[name] = content
            elif side == "end" or name == "attributes" or name not in hidden:
                wrong.append(f"{name} of span {row['span_id']}")
        return Record(entry, parts, row[f"{side}_writer"], row[f"{side}_sequence"])


def decode_record(payload: bytes) -> Record:
    """Read the payload of a journal's frame.

    Raises:
        FormatError: it is no record of format 1, or a part is not what its entry commits to.
    """
    text, at = _take(payload, 0)
    try:
        entry = orjson.loads(text)
        if entry["v"] != FORMAT:
            raise TypeError
        names = entry.get("parts", {}).items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FormatError("is no record of format 1") from None
    parts = {}
    for name, told in names:
        salt, at = payload[at : at + SALT_BYTES], at + SALT_BYTES
        content, at = _take(payload, at)
        if hashlib.sha256(salt + content).hexdigest() != told:
            raise FormatError(f"its part {name} is not what its entry commits to")
        parts[name] = content
    return Record(entry, parts)


def _take(payload: bytes, at: int) -> tuple[bytes, int]:
    head = payload[at : at + 4]
    size = _LENGTH.unpack(head)[0] if len(head) == 4 else -1
    if not 0 <= size <= len(payload) - at - 4:
        raise FormatError("is no record of format 1")
    return payload[at + 4 : at + 4 + size], at + 4 + size
