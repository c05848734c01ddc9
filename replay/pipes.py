"""Whole messages over a pipe, for the side that blocks: everything is written, and everything or nothing is read."""

from __future__ import annotations

import os
import struct

HEAD = struct.Struct("<II")
"""What stands before a message between a run and its workers: the lengths of its JSON and of the bytes behind that."""
_AT_ONCE = 1 << 20


def write_all(descriptor: int, message: bytes) -> None:
    """Write a whole message.

    Raises:
        OSError: the other side is gone.
    """
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_exactly(descriptor: int, size: int) -> bytes | None:
    """Read so many bytes; None where the other side hung up before."""
    chunks = []
    while size:
        chunk = os.read(descriptor, min(size, _AT_ONCE))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
