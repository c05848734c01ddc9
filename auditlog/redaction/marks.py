"""Redacts what the encoder wrote as base64: bytes, and texts that are no Unicode.

The rules:

1. What the recorder itself put out of sight is looked through like everything else: the bytes are read as the text that they
   mostly are, and written again without the values.
2. What holds no value stays as it was, to the byte. What a program had in base64 itself is its own, and is not opened.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import orjson

_MARK = "$auditlog"
_OPENED = frozenset({"bytes", "text"})
_SURROGATES = dict.fromkeys(range(55296, 57344), 65533)


class _Redacted(Protocol):
    @property
    def text(self) -> bytes: ...
    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def originals(self) -> dict[str, str]: ...


class Opened(NamedTuple):
    """JSON text whose marks hold no values."""

    text: bytes
    counts: dict[str, int]
    originals: dict[str, str]


def stand_in(raw: bytes) -> bool:
    """Whether marks may stand in JSON text."""
    return b'"base64":' in raw and b'"$auditlog":' in raw


def redacted(raw: bytes, redact: Callable[[bytes], _Redacted]) -> Opened | None:
    """Take values out of the marks in JSON text; None where there are none."""
    value = orjson.loads(raw)
    counts: dict[str, int] = {}
    originals: dict[str, str] = {}
    level: list[Any] = [value]
    while level:
        item = level.pop()
        if isinstance(item, list):
            level += item
        elif isinstance(item, dict):
            if item.get(_MARK) in _OPENED and isinstance(item.get("base64"), str):
                _open(item, redact, counts, originals)
            else:
                level += item.values()
    return Opened(orjson.dumps(value), counts, originals) if counts else None


def _open(
    mark: dict[str, Any],
    redact: Callable[[bytes], _Redacted],
    counts: dict[str, int],
    originals: dict[str, str],
) -> None:
    try:
        content = base64.b64decode(mark["base64"], validate=True)
    except (binascii.Error, ValueError):
        return
    lenient = "surrogatepass" if mark[_MARK] == "text" else "surrogateescape"
    try:
        text = content.decode("utf-8", lenient)
    except UnicodeDecodeError:
        return
    # Half a surrogate pair has no JSON; a sign of the same length stands for it while values are looked for.
    found = redact(orjson.dumps(text.translate(_SURROGATES)))
    if not found.counts:
        return
    for kind, number in found.counts.items():
        counts[kind] = counts.get(kind, 0) + number
    originals.update(found.originals)
    clean = orjson.loads(found.text)
    mark["base64"] = base64.b64encode(clean.encode()).decode()
    if "text" in mark:
        mark["text"] = clean
