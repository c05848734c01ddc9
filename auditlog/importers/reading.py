"""Reads a file to import: bytes, unzipped within bounds, as JSON documents.

The rules:

1. A file is read wholly and parsed wholly before anything is written: a bad file imports nothing.
2. Only a regular file is opened: whoever opens a FIFO waits for ever, and a device never ends.
3. A gzip file is known by its first bytes, not by its name. It unzips to at most `MAX_BYTES`, and beyond `FREE_BYTES` to
   at most `MAX_RATIO` times its size; what it holds may not be a gzip file again.
4. A file is one JSON document, or a JSON document on each line. What is neither is an error that says where it ends
   to be JSON, and quotes nothing of it: a file may hold anybody's secrets.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from auditlog.errors import ImportFileError
from auditlog.values import Json

MAX_BYTES = 1 << 30
"""The most that is read of one file, unzipped."""
FREE_BYTES = 64 << 20
"""How far any gzip file may unzip."""
MAX_RATIO = 200
"""How many times its size a larger gzip file may unzip to; traces come to 20 to 60, a bomb to 1,030."""

_GZIP_MAGIC = b"\x1f\x8b"
_PICKLE_MAGIC = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TOO_DEEP = "depth limit"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to import, parsed."""

    path: Path
    documents: tuple[Json, ...]
    """The JSON documents: one, or one for each line."""
    modified_ns: int
    """When the file was last changed, nanoseconds since the epoch."""

    @property
    def stem(self) -> str:
        """The file's name without its endings."""
        return self.path.name.split(".json", 1)[0]


def read_source(path: Path) -> SourceFile:
    """Read and parse a file.

    Raises:
        ImportFileError: it cannot be read, is no regular file, is empty, is larger than `MAX_BYTES`, or is no JSON.
    """
    try:
        content, modified_ns = _read(path)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}. Give a file that exists and that you may read."
        raise ImportFileError(msg) from None
    if content.startswith(_GZIP_MAGIC):
        content = _unzipped(path, content)
    if not content.strip():
        msg = f"{path} is empty. An export that failed leaves such a file: make it again."
        raise ImportFileError(msg)
    return SourceFile(path, _documents(path, content), modified_ns)


def _read(path: Path) -> tuple[bytes, int]:
    """Give a file's bytes, and when it was last changed."""
    # Without O_NONBLOCK the opening itself would wait for somebody to write into a FIFO.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise ImportFileError(f"{path} is a directory. Name the files in it.")
        if not stat.S_ISREG(found.st_mode):
            raise ImportFileError(
                f"{path} is a FIFO, a device or a socket, and only a file is imported. Write it into a file first."
            )
        if found.st_size > MAX_BYTES:
            raise _too_large(path)
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _too_large(path)
    return content, found.st_mtime_ns


def _too_large(path: Path) -> ImportFileError:
    return ImportFileError(f"{path} holds more than {MAX_BYTES >> 20} MiB. Split it, and import its parts.")


def _unzipped(path: Path, content: bytes) -> bytes:
    most = min(MAX_BYTES, max(FREE_BYTES, len(content) * MAX_RATIO))
    unzipped = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while piece := file.read(1 << 20):
                unzipped.write(piece)
                if unzipped.tell() > MAX_BYTES:
                    raise _too_large(path)
                if unzipped.tell() > most:
                    msg = (
                        f"{path} unzips to more than {MAX_RATIO} times its size, as a gzip bomb does and traces do not. "
                        "Unzip it yourself if you know what it is."
                    )
                    raise ImportFileError(msg)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{path} begins like a gzip file and does not unzip ({type(error).__name__}): it is cut off or damaged."
        raise ImportFileError(msg) from None
    found = unzipped.getvalue()
    if found.startswith(_GZIP_MAGIC):
        raise ImportFileError(
            f"{path} is a gzip file inside a gzip file. Unzip it once, and import what comes out."
        )
    return found


def _documents(path: Path, content: bytes) -> tuple[Json, ...]:
    try:
        return (orjson.loads(content),)
    except orjson.JSONDecodeError as error:
        whole = error
    lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    documents = []
    for number, line in lines:
        try:
            documents.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            if not documents:
                # The first line is no document by itself, so the file was meant to be one document.
                msg = f"{path} is not JSON: {_where(whole)}. {_advice(content)}"
                raise ImportFileError(msg) from None
            msg = (
                f"{path} is not JSON lines: line {number} of {lines[-1][0]} is no JSON document ({_where(error)}). "
                f"{_advice(line)} Nothing was imported."
            )
            raise ImportFileError(msg) from None
    return tuple(documents)


def _where(error: orjson.JSONDecodeError) -> str:
    if _TOO_DEEP in error.msg:
        return f"it is nested more than 1,024 levels deep (line {error.lineno}, column {error.colno})"
    return f"{error.msg.split(':')[0]} (line {error.lineno}, column {error.colno})"


def _advice(content: bytes) -> str:
    if content.startswith(_PICKLE_MAGIC):
        return "It looks like a Python pickle, which could run anything and is never loaded."
    if content.lstrip()[:1] in (b"{", b"["):
        if content.rstrip()[-1:] not in (b"}", b"]"):
            return "It ends inside a value: the file is cut off. Make or copy it again."
        return "Repair it, or make it again."
    return "A file to import is JSON, or JSON lines, plain or gzipped."
