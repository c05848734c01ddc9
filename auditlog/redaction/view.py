r"""JSON text as a reader sees it: without escapes, and with the way back to the bytes.

The rules:

1. An escape counts at any depth, since tool arguments are JSON inside JSON: `\n`, `\\n` and `\\\\n` are one line's end.
2. Signs that do not show are left out, full-width and Arabic digits are digits: who hides a value so has not hidden it.
3. Every place in the view leads to one place in the bytes, so what is replaced there is replaced exactly, and nothing
   else of the bytes changes.
4. A replaced number becomes a string, quoted as deeply as what stands around it, so that the JSON stays JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate

import re2

_FOLDED = (
    # Signs that do not show, full-width letters and digits, Arabic digits, percent signs that are encoded themselves, "@".
    rb"\xe2\x80[\x8b-\x8f]|\xe2\x81[\xa0-\xa4]|\xef\xbb\xbf|\xc2\xad|\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]"
    rb"|\xd9[\xa0-\xa9]|\xdb[\xb0-\xb9]|%(?:25)+(?=[0-9a-fA-F]{2})|&(?:#64|#x40|commat);"
)
_FOLD = re.compile(rb"(" + _FOLDED + rb")")
_ESCAPE = re.compile(rb'(\\+(?:u[0-9a-fA-F]{4}|["/bfnrt])?|' + _FOLDED + rb")")
_LATIN = re2.Options()
_LATIN.encoding = re2.Options.Encoding.LATIN1
_UNSEEN = re2.compile(_FOLDED.partition(b"|%")[0], _LATIN)
_MOST_ESCAPES = 1_000
_PLAIN = {b"n": b"\n", b"r": b"\n", b"t": b"\t", b"b": b" ", b"f": b" ", b'"': b'"', b"/": b"/"}
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BEFORE_NUMBER = re.compile(rb'(\\*)"\s*:\s*(?:\[[-+.\deE,\s]*)?$')
_NUMBER_AROUND = re.compile(rb"[-+.\deE]*")
_LOOK_BACK = 200


def has_folded(raw: bytes) -> bool:
    """Whether signs may stand in some text that the view shows as others."""
    if (b"%" in raw and b"%25" in raw) or (b"&" in raw and (b"&#" in raw or b"&commat;" in raw)):
        return True
    return not raw.isascii() and _UNSEEN.search(raw) is not None


def _folded(sign: bytes) -> bytes:
    """Give what a sign stands for; itself where it is no such sign."""
    if not _FOLD.fullmatch(sign):
        return b"%" if sign.startswith(b"%25") else sign
    if sign.startswith(b"&"):
        return b"@"
    character = sign.decode()
    if character.isdecimal():
        return str(int(character)).encode()
    code = ord(character)
    return bytes([code - 0xFEE0]) if code > 0xFF00 else b""


class _Decoded(dict[bytes, bytes]):
    """What escapes stand for; there are few different ones."""

    def __missing__(self, escape: bytes) -> bytes:
        kind = escape.lstrip(b"\\")
        if not kind:
            plain = b"\\"
        elif escape[:1] != b"\\":
            plain = _folded(escape)
        elif kind[:1] == b"u":
            code = int(kind[1:], 16)
            # Half of a pair stands for a sign that is in no value we look for.
            plain = b"?" if 0xD800 <= code < 0xE000 else b" " if code < 32 else _folded(chr(code).encode())
        else:
            plain = _PLAIN[kind]
        if len(self) < _MOST_ESCAPES:
            self[escape] = plain
        return plain


_decoded = _Decoded()


class View:
    """The text of some JSON bytes without escapes, as UTF-8."""

    __slots__ = ("_after", "_deltas", "_points", "_sizes", "text")

    def __init__(self, raw: bytes, *, escapes: bool = True) -> None:
        """Take the escapes out of JSON bytes.

        Args:
            raw: the bytes.
            escapes: whether a backslash escapes; False for a text that is no JSON.
        """
        self._points: list[int] | None = None
        self._deltas: list[int] = []
        escapes = escapes and b"\\" in raw
        if not escapes and not has_folded(raw):
            self.text = raw
            self._points = []
            return
        pieces = (_ESCAPE if escapes else _FOLD).split(raw)
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


def quoted(
    raw: bytes, start: int, end: int, replacement: bytes, inside: Callable[[int], bool]
) -> tuple[int, int, bytes]:
    """Widen a replacement of bare digits to the whole JSON number, and put it in quotes.

    What stands inside a string is left as it is.

    Args:
        raw: JSON bytes.
        start: where the value begins.
        end: the place behind it.
        replacement: what stands in its place.
        inside: says whether a place stands in a string.
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
    if follows in (b",", b"]", b"") and not inside(first):
        return first, last, b'"' + replacement + b'"'
    return start, end, replacement


def strings(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the content of each JSON string, escapes and all, and where it begins."""
    for match in _STRING.finditer(raw):
        yield match.start(1), match[1]


class Inside:
    """Says whether a place of some JSON bytes stands in a string; the strings are looked for once, when first asked."""

    __slots__ = ("_begins", "_ends", "_raw")

    def __init__(self, raw: bytes) -> None:
        """Look at nothing yet."""
        self._raw = raw
        self._begins: list[int] | None = None
        self._ends: list[int] = []

    def __call__(self, at: int) -> bool:
        """Say it of one place."""
        if self._begins is None:
            spans = [match.span() for match in _STRING.finditer(self._raw)]
            self._begins, self._ends = [start for start, _ in spans], [end for _, end in spans]
        index = bisect_right(self._begins, at) - 1
        # A quote that begins a string is not in it.
        return index >= 0 and self._begins[index] < at < self._ends[index]
