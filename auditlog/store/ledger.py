"""The ledger: the append-only list of what the store holds sealed.

The rules:

1. The ledger is the manifest: a segment exists for readers when the ledger lists it, and not before.
2. One SEAL entry tells of one journal file: its segments, its first and last sequence, what was torn or lost. So a file is
   sealed as a whole or not at all.
3. An entry is a frame of the journal's kind (length, CRC32C, sequence), JSON inside, appended with one write and synced.
4. A tail that a dying sealer left torn is cut before the next entry, and an entry says that it was. Anything else that does
   not read is damage, and an error that names the file.
5. A segment's path is taken from the ledger only when it is one that a sealer would write: nothing leads out of the store.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import google_crc32c
import orjson

from auditlog.errors import FormatError, StoreError
from auditlog.journal import HEADER_BYTES, MAGIC
from auditlog.store.layout import sync_directory
from auditlog.store.merge import Gap

FORMAT = 1
"""The version of a ledger entry; it stands in every entry as `v`."""

_HEAD = struct.Struct("<4sII")
_SEQUENCE = struct.Struct("<Q")
_PATH = re.compile(r"segments/day=[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9A-Za-z][0-9A-Za-z._-]*\.parquet")


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file, as the ledger lists it."""

    path: str
    """Relative to the store."""
    day: str
    """The day, UTC, on which its spans began: 2026-11-23."""
    rows: int
    """Spans."""
    bytes: int
    sha256: str
    """Of the file, hex."""
    leaves: int
    """Entries: at most two a span."""
    root: str
    """RFC 6962 tree hash over those entries in stored order, hex."""
    min_start_ns: int
    max_start_ns: int
    sealed_ns: int = 0
    """When the ledger took it in, nanoseconds since the epoch."""


_LISTED = tuple(part.name for part in fields(Segment) if part.name != "sealed_ns")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger said when it was read."""

    segments: tuple[Segment, ...] = ()
    sources: frozenset[str] = frozenset()
    """The writers (journal stems) whose records are sealed."""
    entries: tuple[dict[str, Any], ...] = ()
    size: int = 0
    """The offset behind the last whole entry."""
    torn_bytes: int = field(default=0, compare=False)
    """What a dying sealer left behind it."""


def read_ledger(path: Path, known: Ledger | None = None) -> Ledger:
    """Read the ledger's entries.

    Args:
        path: the entries file; one that is not there is an empty ledger.
        known: what was read before; only what was appended since is read.

    Raises:
        StoreError: the file is damaged, or cannot be read.
        FormatError: an entry is of a newer format.
    """
    known = known or Ledger()
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < known.size:
                known = Ledger()
            file.seek(known.size)
            # One read: a sealer may append meanwhile, and what it appends is for the next time.
            data = file.read()
    except FileNotFoundError:
        return Ledger()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Check its owner and mode."
        raise StoreError(msg) from None
    if not data:
        return known
    entries, at = list(known.entries), 0
    while (payload := _payload(data, at, len(entries))) is not None:
        entries.append(_entry(path, payload, known.size + at))
        at += HEADER_BYTES + len(payload)
    if not _is_torn(data[at:]):
        raise StoreError(_damaged(path, known.size + at))
    fresh = entries[len(known.entries) :]
    sealed = [segment for entry in fresh for segment in _segments(path, entry)]
    writers = {source["writer"] for entry in fresh if entry["type"] == "seal" for source in entry["sources"]}
    size = known.size + at
    return Ledger((*known.segments, *sealed), known.sources | writers, tuple(entries), size, len(data) - at)


def append_entry(path: Path, known: Ledger, entry: dict[str, Any]) -> Ledger:
    """Append one entry and sync it; the caller holds the store's seal lock.

    Args:
        path: the entries file.
        known: the ledger as it stands; a torn tail behind it is cut here.
        entry: JSON-ready fields; `v` and `time` are filled in.

    Raises:
        StoreError: the file system refuses.
    """
    try:
        made = not path.exists()
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if known.torn_bytes:
                os.ftruncate(descriptor, known.size)
                cut = {"type": "cut", "offset": known.size, "torn_bytes": known.torn_bytes}
                _write(descriptor, len(known.entries), cut)
            sequence = len(known.entries) + bool(known.torn_bytes)
            _write(descriptor, sequence, entry)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if made:
            sync_directory(path.parent)
    except OSError as error:
        msg = f"The ledger {path} cannot be appended to: {error.strerror}. Nothing was removed; seal again when it can."
        raise StoreError(msg) from None
    return read_ledger(path, Ledger(known.segments, known.sources, known.entries, known.size))


def seal_entry(source: dict[str, Any], segments: Sequence[Segment], gaps: Sequence[Gap]) -> dict[str, Any]:
    """Make the entry that tells of one sealed journal file.

    Args:
        source: the file: `writer` (its stem), `first` and `last` sequence, `torn_bytes` behind its last whole frame, and
            counts of records that made no row.
        segments: the sealed files made of it.
        gaps: what its writer could not write.
    """
    return {
        "type": "seal",
        "sources": [source],
        "gaps": [{"lost": gap.lost, "since": gap.since_ns, "reason": gap.reason} for gap in gaps],
        "segments": [{name: getattr(segment, name) for name in _LISTED} for segment in segments],
    }


def _write(descriptor: int, sequence: int, entry: dict[str, Any]) -> None:
    payload = orjson.dumps({"v": FORMAT, "time": time.time_ns(), **entry})
    number = _SEQUENCE.pack(sequence)
    frame = _HEAD.pack(MAGIC, len(payload), google_crc32c.value(number + payload)) + number + payload
    if os.write(descriptor, frame) != len(frame):
        raise OSError(0, "the disk took only a part of the entry")


def _entry(path: Path, payload: bytes, at: int) -> dict[str, Any]:
    try:
        entry = orjson.loads(payload)
        version = entry["v"]
        entry["type"], entry["time"]
    except (ValueError, KeyError, TypeError):
        raise StoreError(_damaged(path, at)) from None
    if version != FORMAT:
        msg = f"{path} holds entries of format {version}, and this version reads format {FORMAT}. Upgrade auditlog-replay."
        raise FormatError(msg)
    return entry


def _segments(path: Path, entry: dict[str, Any]) -> list[Segment]:
    if entry["type"] != "seal":
        return []
    try:
        # What a later version of this format adds to a segment is passed over.
        found = [
            Segment(**{name: listed[name] for name in _LISTED}, sealed_ns=entry["time"])
            for listed in entry["segments"]
        ]
        if not all(isinstance(s.path, str) and isinstance(s.bytes, int) for s in found):
            raise TypeError
    except (KeyError, TypeError):
        raise StoreError(
            f"{path} lists a segment without what it must say. Put the file back from a copy."
        ) from None
    for segment in found:
        if not _PATH.fullmatch(segment.path):
            msg = f"{path} lists {segment.path!r}, which is no path that a segment can have. The ledger was tampered with."
            raise StoreError(msg)
    return found


def _payload(data: bytes, at: int, sequence: int) -> bytes | None:
    """Give the payload of the whole frame of this sequence at an offset; None where there is none."""
    if len(data) - at < HEADER_BYTES:
        return None
    magic, length, crc = _HEAD.unpack_from(data, at)
    end = at + HEADER_BYTES + length
    checked = data[at + _HEAD.size : end]
    if magic != MAGIC or end > len(data) or google_crc32c.value(checked) != crc:
        return None
    return checked[_SEQUENCE.size :] if _SEQUENCE.unpack_from(checked)[0] == sequence else None


def _is_torn(rest: bytes) -> bool:
    """Say whether what follows the last whole frame is what an append leaves that was cut short, and not damage."""
    if not rest.strip(b"\0"):
        return True
    if len(rest) < HEADER_BYTES:
        return MAGIC.startswith(rest[: len(MAGIC)])
    return rest.startswith(MAGIC) and len(rest) < HEADER_BYTES + _HEAD.unpack_from(rest)[1]


def _damaged(path: Path, at: int) -> str:
    return f"{path} is damaged at byte {at}, so what is sealed cannot be told. Put the file back from a copy of the store."
