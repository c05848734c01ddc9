"""What a scoring process and its workers say to one another, over two pipes of their own.

The rules:

1. A message is its bytes behind their length: a pickle on the way to the worker, JSON on the way back.
2. The worker believes the process that started it; the process does not believe the worker, and reads JSON only.

::

    u32 length, little-endian | pickle or JSON
"""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Mapping
from typing import Any

import orjson

LENGTH = struct.Struct("<I")


def pickled(message: object) -> bytes:
    """Frame a message for a worker."""
    return _framed(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))


def write_json(descriptor: int, message: Mapping[str, Any]) -> None:
    """Write a whole message; for the worker's side.

    Raises:
        OSError: the other side is gone.
    """
    rest = memoryview(_framed(orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_pickle(descriptor: int) -> Any:
    """Read a message of the process that started this one; None at the end of the talk. For the worker's side."""
    head = _exactly(descriptor, LENGTH.size)
    body = None if head is None else _exactly(descriptor, LENGTH.unpack(head)[0])
    return None if body is None else pickle.loads(body)  # noqa: S301 - rule 2


def _framed(body: bytes) -> bytes:
    return LENGTH.pack(len(body)) + body


def _exactly(descriptor: int, size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
