"""How a message lies on the pipes between a run and its workers.

The rules:

1. A frame is a JSON object, and bytes behind it that are nobody's to encode: records travel as they are.
2. The worker's side blocks. The run's side is told when something has come, and takes all that is there at once.
3. Where answers come one after the other at once, the run looks for them every `NAP_SECONDS` and not at each: waking up
   costs more than reading.
4. What is no frame ends the talk.

::

    u32 length of the JSON | u32 length of the bytes, little-endian | JSON | bytes
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from replay.pipes import HEAD, read_exactly, write_all

MAX_MESSAGE_BYTES = 1 << 30

NAP_SECONDS = 0.02
PIPE_BYTES = 1 << 20
"""What a pipe holds while nobody looks, as far as the system gives it: a worker goes on meanwhile."""


class Frame(NamedTuple):
    """A message, and the bytes that came with it."""

    message: dict[str, Any]
    blob: bytes = b""


def pack(message: Mapping[str, Any], blob: bytes = b"") -> bytes:
    """Frame a message."""
    body = orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
    return b"".join((HEAD.pack(len(body), len(blob)), body, blob))


def write_message(descriptor: int, message: Mapping[str, Any], blob: bytes = b"") -> None:
    """Write a whole message; for the worker's side.

    Raises:
        OSError: the run is gone.
    """
    write_all(descriptor, pack(message, blob))


def read_message(descriptor: int) -> Frame | None:
    """Read a whole message; None at the end of the talk. For the worker's side."""
    head = read_exactly(descriptor, HEAD.size)
    if head is None:
        return None
    size, more = HEAD.unpack(head)
    body = read_exactly(descriptor, size)
    blob = read_exactly(descriptor, more) if more else b""
    return None if body is None or blob is None else Frame(orjson.loads(body), blob)


def widen(descriptor: int) -> None:
    """Let a pipe hold what comes between two looks at it; where it may not, it holds less."""
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class Pipes(asyncio.Protocol):
    """The run's side of the talk with one worker."""

    def __init__(self) -> None:
        """Begin unconnected."""
        self.closed = False
        self.nonsense = False
        """What came was no frame."""
        self._buffer = bytearray()
        self._frames: list[Frame] = []
        self._waiting: asyncio.Future[None] | None = None
        self._reading: asyncio.ReadTransport | None = None
        self._writing: asyncio.WriteTransport | None = None
        self.naps = False
        """Many answers are awaited, one right after the other."""

    @classmethod
    async def connect(cls, reading: int, writing: int) -> Pipes:
        """Take over both descriptors."""
        loop, made = asyncio.get_running_loop(), cls()
        made._reading, _ = await loop.connect_read_pipe(lambda: made, os.fdopen(reading, "rb", 0))
        made._writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
        return made

    def say(self, message: Mapping[str, Any], blob: bytes = b"") -> None:
        """Send a message; a worker that is gone is noticed when it does not answer."""
        if self._writing is not None and not self._writing.is_closing():
            self._writing.write(pack(message, blob))

    async def hear(self) -> list[Frame]:
        """Wait for messages, and take all that are there; none at the end of the talk."""
        if not self._frames and not self.closed:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        taken, self._frames = self._frames, []
        return taken

    def close(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.close()
        if self._writing is not None and not self._writing.is_closing():
            self._writing.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came; tell who waits once there is a whole frame."""
        self._buffer += data
        if not self._cut():
            self.nonsense = True
            self.connection_lost(None)
        if self._frames:
            self._wake()
            if self.naps and self._reading is not None:
                self._reading.pause_reading()
                asyncio.get_running_loop().call_later(NAP_SECONDS, self._look_again)

    def eof_received(self) -> None:
        """End the talk."""
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio has it
        """End the talk."""
        self.closed = True
        self._wake()

    def _look_again(self) -> None:
        with contextlib.suppress(RuntimeError):
            if self._reading is not None and not self._reading.is_closing():
                self._reading.resume_reading()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _cut(self) -> bool:
        """Take whole frames off the buffer; say whether what is there may be frames."""
        at, buffer = 0, self._buffer
        while len(buffer) - at >= HEAD.size:
            size, more = HEAD.unpack_from(buffer, at)
            end = at + HEAD.size + size + more
            if size + more > MAX_MESSAGE_BYTES:
                return False
            if len(buffer) < end:
                break
            body = at + HEAD.size
            try:
                message = orjson.loads(memoryview(buffer)[body : body + size])
            except orjson.JSONDecodeError:
                return False
            if not isinstance(message, dict):
                return False
            self._frames.append(Frame(message, bytes(memoryview(buffer)[body + size : end])))
            at = end
        if at:
            del buffer[:at]
        return True
