r"""JSON text as a reader sees it: without escapes, and with the way back to the bytes.

The rules:

1. An escape counts at any depth, since tool arguments are JSON inside JSON: `\n`, `\\n` and `\\\\n` are one line's end.
2. Every place in the view leads to one place in the bytes, so what is replaced there is replaced exactly, and nothing
   else of the bytes changes.
3. A replaced number becomes a string, quoted as deeply as what stands around it, so that the JSON stays JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

_ESCAPE = re.compile(rb'(\\+(?:u[0-9a-fA-F]{4}|["/bfnrt])?)')
_MOST_ESCAPES = 1_000
_PLAIN = {b"n": b"\n", b"r": b"\n", b"t": b"\t", b"b": b" ", b"f": b" ", b'"': b'"', b"/": b"/"}
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BEFORE_NUMBER = re.compile(rb'(\\*)"\s*:\s*(?:\[[-+.\deE,\s]*)?$')
_NUMBER_AROUND = re.compile(rb"[-+.\deE]*")
_LOOK_BACK = 200


class _Decoded(dict[bytes, bytes]):
    """What escapes stand for; there are few different ones."""

    def __missing__(self, escape: bytes) -> bytes:
        kind = escape.lstrip(b"\\")
        if not kind:
            plain = b"\\"
        elif kind[:1] == b"u":
            code = int(kind[1:], 16)
            # Half of a pair stands for a sign that is in no value we look for.
            plain = b"?" if 0xD800 <= code < 0xE000 else b" " if code < 32 else chr(code).encode()
        else:
            plain = _PLAIN[kind]
        if len(self) < _MOST_ESCAPES:
            self[escape] = plain
        return plain


_decoded = _Decoded()


class View:
    """The text of some JSON bytes without escapes, as UTF-8."""

    __slots__ = ("_after", "_deltas", "_points", "_sizes", "text")

    def __init__(self, raw: bytes) -> None:
        """Take the escapes out of JSON bytes."""
        self._points: list[int] | None = None
        self._deltas: list[int] = []
        if b"\\" not in raw:
            self.text = raw
            self._points = []
            return
        pieces = _ESCAPE.split(raw)
        self._sizes = list(map(len, pieces))
        pieces[1::2] = map(_decoded.__getitem__, pieces[1::2])
        self._after = list(map(len, pieces))
        self.text = b"".join(pieces)

    def raw(self, at: int) -> int:
        """Give the place in the bytes of a place in the view."""
        if self._points is None:
            # Behind each escape, what stands there and how far the bytes are ahead.
            self._points = list(accumulate(self._after))[1::2]
            self._deltas = [
                there - here
                for there, here in zip(list(accumulate(self._sizes))[1::2], self._points, strict=True)
            ]
        index = bisect_right(self._points, at)
        return at + self._deltas[index - 1] if index else at


def quoted(raw: bytes, start: int, end: int, replacement: bytes) -> tuple[int, int, bytes]:
    """Widen a replacement of bare digits to the whole JSON number, and put it in quotes.

    What stands inside a string is left as it is.
    """
    if raw[start] not in b"-+0123456789":
        return start, end, replacement
    first = start
    while first and raw[first - 1] in b"-+.0123456789eE":
        first -= 1
    found = _NUMBER_AROUND.match(raw, end)
    last = found.end() if found else end
    before = _BEFORE_NUMBER.search(raw[max(0, first - _LOOK_BACK) : first])
    follows = raw[last:].lstrip()[:1] if last < len(raw) and raw[last] in b" \n\t\r" else raw[last : last + 1]
    if before is not None and follows in (b",", b"}", b"]", b"", b"\\"):
        quote = before[1] + b'"'
        return first, last, quote + replacement + quote
    if follows in (b",", b"]", b"") and _outside_strings(raw, first):
        return first, last, b'"' + replacement + b'"'
    return start, end, replacement


def strings(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the content of each JSON string, escapes and all, and where it begins."""
    for match in _STRING.finditer(raw):
        yield match.start(1), match[1]


def _outside_strings(raw: bytes, at: int) -> bool:
    for match in _STRING.finditer(raw):
        if match.start() >= at:
            return True
        if match.end() > at:
            return False
    return True
