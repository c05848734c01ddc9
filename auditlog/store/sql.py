"""Runs a user's own SQL over a store, in a process of its own that is locked down and limited.

The rules:

1. One statement, and it only reads: SELECT, FROM, VALUES, DESCRIBE. Anything else is refused by name.
2. The query runs in a child process, which can open the files that the ledger lists and no other. It gets the live rows
   as Arrow, and gives its result back as Arrow.
3. The child has limits that the kernel enforces: memory, processor time, and no byte written to any file. It is asked to
   stop when its time is up, and killed a second later whatever it does.
4. The result is limited too, in rows and in bytes, so that no query can fill the asker's memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

import orjson

from auditlog.errors import FilterError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlog.sealing.content_key import ContentKey

MEMORY = 2 << 30
"""What the engine may use, in bytes."""
SECONDS = 60.0
LIMIT = 10_000
MOST_BYTES = 512 << 20
"""Of a result."""

HEAD = struct.Struct("<cI")
"""Before each message of the child: what it is, and how many bytes follow."""
READY, BATCHES, DONE, REFUSED, DAMAGED = b"R", b"B", b"D", b"E", b"S"

_START_SECONDS = 60.0
_GRACE_SECONDS = 1.0
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
_CHILD = "import sys; sys.path[:] = {path!r}; from auditlog.store.sql_child import main; main()"


class Query:
    """A query under way in its child process; `with` ends the process, whatever happened."""

    def __init__(self) -> None:
        """Start the process; it loads its engine while the caller reads the store."""
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _CHILD.format(path=[str(Path(p).absolute()) for p in sys.path])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        self._timer: threading.Timer | None = None
        self._is_late = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._watch(None)
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._process.wait()

    def run(
        self,
        root: Path,
        paths: Sequence[str],
        live: pa.Table,
        text: str,
        limit: int,
        seconds: float,
        key: ContentKey | None = None,
    ) -> pa.Table:
        """Run one SELECT.

        Args:
            root: the store.
            paths: its sealed files, absolute.
            live: the rows of its journals.
            text: the user's SQL.
            limit: how many rows at most.
            seconds: how long at most.
            key: of its content; None where nothing is encrypted.

        Raises:
            FilterError: the text is not one SELECT, does not run, reaches for what it may not, or for too much.
            StoreError: a sealed file cannot be read.
        """
        import pyarrow as pa

        try:
            text.encode()
        except UnicodeEncodeError:
            raise FilterError("The query holds bytes that are not UTF-8. Write it in UTF-8.") from None
        asked = {
            "root": str(root),
            "paths": list(paths),
            "text": text,
            "limit": limit,
            "seconds": seconds,
            "memory": MEMORY,
            "key": None
            if key is None
            else {"id": key.id, "secret": key.secret.hex() if key.secret is not None else None},
        }
        self._watch(_START_SECONDS)
        with contextlib.suppress(BrokenPipeError):
            self._send(orjson.dumps(asked), live)
        result = io.BytesIO()
        for kind, payload in self._messages():
            match kind:
                case b"R":
                    self._watch(seconds + _GRACE_SECONDS)
                case b"B":
                    result.write(payload)
                    if result.tell() > MOST_BYTES:
                        msg = (
                            f"The result has more than {MOST_BYTES >> 20} MB. Ask for less: fewer columns, a LIMIT, "
                            "or a beginning of long texts, such as left(input, 200)."
                        )
                        raise FilterError(msg)
                case b"D":
                    result.seek(0)
                    return pa.ipc.open_stream(result).read_all()
                case b"E":
                    raise FilterError(payload.decode())
                case _:
                    raise StoreError(payload.decode())
        if self._is_late:
            raise FilterError(too_late(seconds))
        msg = (
            "The query was stopped at the limit of its memory or its processor time. "
            "Ask for less: fewer columns, a day, a LIMIT."
        )
        raise FilterError(msg)

    def _send(self, asked: bytes, live: pa.Table) -> None:
        import pyarrow as pa

        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(struct.pack("<I", len(asked)) + asked)
        with pa.ipc.new_stream(stdin, live.schema) as stream:
            stream.write_table(live)
        # It stays open: its end tells the child that nobody waits any more.
        stdin.flush()

    def _messages(self) -> Iterator[tuple[bytes, bytes]]:
        stdout = self._process.stdout
        assert stdout is not None
        while len(head := _read(stdout, HEAD.size)) == HEAD.size:
            kind, size = HEAD.unpack(head)
            payload = _read(stdout, size)
            if len(payload) < size:
                return
            yield kind, payload

    def _watch(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._end)
            self._timer.daemon = True
            self._timer.start()

    def _end(self) -> None:
        self._is_late = True
        self._process.kill()


def too_late(seconds: float) -> str:
    """Say that a query took too long."""
    return (
        f"The query took longer than {seconds:g} seconds and was stopped. "
        "Ask for less: fewer columns, a day, a LIMIT."
    )


def _read(stream: IO[bytes], size: int) -> bytes:
    return stream.read(size) if size else b""
