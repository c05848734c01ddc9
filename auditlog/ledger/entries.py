"""The frames of the ledger's file of entries: pure, from bytes to entries and back.

The rules:

1. An entry is a frame: magic, length, CRC32C, then the sequence, a number that counts up from 0, and the JSON.
2. What follows the last whole frame is *torn* where an append that was cut short can have left it, and damage otherwise.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any, NamedTuple

import google_crc32c
import orjson

FORMAT = 2
"""The version of a ledger entry; it stands in every entry as `v`."""
MAGIC = b"ALJ1"
HEADER_BYTES = 20

_HOLE = bytes(16)
_HEAD = struct.Struct("<4sII")
_SEQUENCE = struct.Struct("<Q")


class Frame(NamedTuple):
    """One entry as it stands in the file."""

    offset: int
    payload: bytes
    """What the tree's leaf hashes."""

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + HEADER_BYTES + len(self.payload)


def frame_of(sequence: int, payload: bytes) -> bytes:
    """Make a frame of an entry's bytes."""
    number = _SEQUENCE.pack(sequence)
    return _HEAD.pack(MAGIC, len(payload), google_crc32c.value(number + payload)) + number + payload


def frame_at(data: bytes | mmap.mmap, at: int, sequence: int) -> Frame | None:
    """Give the whole frame of this sequence at an offset; None where there is none."""
    if len(data) - at < HEADER_BYTES:
        return None
    magic, length, crc = _HEAD.unpack_from(data, at)
    end = at + HEADER_BYTES + length
    if magic != MAGIC or end > len(data):
        return None
    checked = data[at + _HEAD.size : end]
    if google_crc32c.value(checked) != crc or _SEQUENCE.unpack_from(checked)[0] != sequence:
        return None
    return Frame(at, checked[_SEQUENCE.size :])


def is_torn(rest: bytes) -> bool:
    """Say whether what follows the last whole frame is what an append leaves that was cut short, and not damage."""
    if not rest.strip(b"\0"):
        return True
    if len(rest) < HEADER_BYTES:
        return MAGIC.startswith(rest[: len(MAGIC)])
    if rest.startswith(MAGIC) and len(rest) < HEADER_BYTES + _HEAD.unpack_from(rest)[1]:
        return True
    # A power cut may take blocks out of the middle of an append that was not synced; no whole frame holds so many zeros.
    hole = rest.find(_HOLE)
    return hole >= 0 and MAGIC not in rest[hole:]


def decoded(payload: bytes) -> dict[str, Any] | None:
    """Decode an entry; None where it is none."""
    try:
        entry = orjson.loads(payload)
        entry["v"], entry["type"], entry["time"]
    except (ValueError, KeyError, TypeError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry["time"], int) else None
