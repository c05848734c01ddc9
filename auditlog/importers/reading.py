"""Reads a file to import: bytes, unzipped within bounds, as JSON documents.

The rules:

1. A file is read wholly and parsed wholly before anything is written: a bad file imports nothing.
2. A gzip file is known by its first bytes, not by its name, and unzips to at most `MAX_BYTES`.
3. A file is one JSON document, or a JSON document on each line. What is neither is an error that says where it ends
   to be JSON, and quotes nothing of it: a file may hold anybody's secrets.
"""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from auditlog.errors import ImportFileError
from auditlog.values import Json

MAX_BYTES = 1 << 30
"""The most that is read of one file, unzipped."""

_GZIP_MAGIC = b"\x1f\x8b"


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
        ImportFileError: it cannot be read, is empty, is larger than `MAX_BYTES`, or is no JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}. Give a file that exists and that you may read."
        raise ImportFileError(msg) from None
    if content.startswith(_GZIP_MAGIC):
        content = _unzipped(path, content)
    if len(content) > MAX_BYTES:
        msg = f"{path} holds more than {MAX_BYTES >> 20} MiB. Split it, and import its parts."
        raise ImportFileError(msg)
    if not content.strip():
        msg = f"{path} is empty. An export that failed leaves such a file: make it again."
        raise ImportFileError(msg)
    return SourceFile(path, _documents(path, content), modified_ns)


def _unzipped(path: Path, content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{path} begins like a gzip file and does not unzip ({type(error).__name__}): it is cut off or damaged."
        raise ImportFileError(msg) from None


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
    return f"{error.msg.split(':')[0]} (line {error.lineno}, column {error.colno})"


def _advice(content: bytes) -> str:
    if content.lstrip()[:1] in (b"{", b"["):
        if content.rstrip()[-1:] not in (b"}", b"]"):
            return "It ends inside a value: the file is cut off. Make or copy it again."
        return "Repair it, or make it again."
    return "A file to import is JSON, or JSON lines, plain or gzipped."
