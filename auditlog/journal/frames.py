"""The journal's frames: how records lie in a file, and how they are read back.

The rules:

1. A frame is whole or it is nothing: reading stops at the first one that is not, and says where.
2. A length is believed only when the file holds that much, so a damaged one allocates nothing.
3. A file without a lock has no writer.

A frame, integers little-endian::

    4 bytes magic "ALJ1" | u32 payload length | u32 CRC32C of sequence and payload | u64 sequence | payload

The CRC is that of RFC 3720 (Castagnoli).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import orjson

MAGIC = b"ALJ1"
_HEAD = struct.Struct("<4sII")
_SEQUENCE = struct.Struct("<Q")
HEADER_BYTES = _HEAD.size + _SEQUENCE.size
MAX_PAYLOAD_BYTES = 1 << 30
_READ_BYTES = 1 << 18
_pack_head, _pack_sequence = _HEAD.pack, _SEQUENCE.pack
_crc, _extend = google_crc32c.value, google_crc32c.extend


class Frame(NamedTuple):
    """One frame of a journal file."""

    sequence: int
    payload: bytes
    end: int
    """The offset just behind it."""


class Tail(NamedTuple):
    """What is left behind a journal's last whole frame."""

    offset: int
    torn_bytes: int


def make_frame(sequence: int, payload: bytes) -> bytes:
    """Make the bytes of one frame.

    Raises:
        ValueError: the payload is larger than any reader takes.
    """
    length = len(payload)
    if length > MAX_PAYLOAD_BYTES:
        msg = f"A record of {length} bytes is larger than a journal takes."
        raise ValueError(msg)
    number = _pack_sequence(sequence)
    return _pack_head(MAGIC, length, _crc(number + payload)) + number + payload


def read_frames(path: Path | int, start: int = 0) -> Iterator[Frame]:
    """Give the whole frames of a journal file from an offset on; stop at the first that is torn or damaged.

    Args:
        path: the file, or an open descriptor of it, which is left open.
        start: where a frame begins.
    """
    with open(path, "rb", buffering=_READ_BYTES, closefd=not isinstance(path, int)) as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(start)
        at = start
        while True:
            head = file.read(HEADER_BYTES)
            if len(head) < HEADER_BYTES:
                return
            magic, length, crc = _HEAD.unpack_from(head)
            if magic != MAGIC or length > min(MAX_PAYLOAD_BYTES, size - at - HEADER_BYTES):
                return
            payload = file.read(length)
            if _extend(_crc(head[_HEAD.size :]), payload) != crc:
                return
            at += HEADER_BYTES + length
            yield Frame(_SEQUENCE.unpack_from(head, _HEAD.size)[0], payload, at)


def tail_of(path: Path, end: int) -> Tail:
    """Say how many bytes follow the last whole frame, which ends at `end`."""
    return Tail(end, max(0, path.stat().st_size - end))


def is_live(path: Path) -> bool:
    """Say whether a process still holds a file's lock, as a journal file's writer does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def boot_id() -> str:
    """Name this boot of the machine, in 8 hex digits; a process id means nothing without it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return f"{int(time.time() - time.monotonic()) & 0xFFFFFFFF:08x}"


def entry_of(payload: bytes) -> dict[str, Any]:
    """Read only a payload's entry, without its parts."""
    size = int.from_bytes(payload[:4], "little")
    return orjson.loads(payload[4 : 4 + size])


def told_by(payload: bytes) -> dict[str, Any]:
    """Read a payload's entry as far as it is one; empty where it is none."""
    try:
        found = entry_of(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def first_entry(path: Path) -> dict[str, Any]:
    """Read the entry of a file's first record, which is its OPEN record; empty where there is none."""
    try:
        for frame in read_frames(path):
            return told_by(frame.payload)
    except OSError:
        pass
    return {}
