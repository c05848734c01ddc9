"""Finds values in text, with RE2: in linear time, whatever the text.

The rules:

1. One pass of a set of all patterns decides which of them are worth a search; clean text costs that pass alone.
2. A pattern's gate is in the data: what must not touch the value, and the check that it must pass.
3. Of values that overlap one is kept, and it covers them all: the longest, and of equals the first kind in the data.
4. What is a token already is looked through by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import re2

from auditlog.redaction.kinds import Kind, Pattern
from auditlog.redaction.token import TOKEN
from auditlog.redaction.view import has_folded

_MEMORY = 64 << 20
_SHORT = 64
"""Bytes of a candidate inside which another is looked for."""
MAX_REFUSED = 200_000
"""Candidates of one text that turn out to be no value; a second of work."""
_GAP = re.compile(rb"[^0-9A-Za-z]")
_ESCAPED = re.compile(rb"\\[/u]")


class TooManyCandidatesError(Exception):
    """A text is made to keep the redactor busy."""


class Span(NamedTuple):
    """Where a value stands, in bytes."""

    start: int
    end: int
    kind: str


class Scanner:
    """Looks for some kinds of values."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        """Compile the patterns of some kinds; without any, nothing is found."""
        options = re2.Options()
        options.max_mem = _MEMORY
        options.log_errors = False
        self._patterns: list[tuple[str, Pattern, Any, int]] = []
        self._set = re2.Set.SearchSet(options)
        for kind in kinds:
            for pattern in kind.patterns:
                regexp = re2.compile(pattern.pattern, options)
                self._patterns.append((kind.name, pattern, regexp, regexp.groupindex.get("value", 0)))
                self._set.Add(pattern.pattern)
        if self._patterns:
            self._set.Compile()
        self._rank = {kind.name: rank for rank, kind in enumerate(kinds)}

    def clean(self, raw: bytes) -> bool:
        """Say of JSON bytes, cheaply, that there is nothing in them."""
        if not self._patterns:
            return True
        if has_folded(raw):
            return False
        if b"\\" in raw:
            # Any other escape could hide a character of a value.
            if _ESCAPED.search(raw):
                return False
            # An escaped line end is a gap, and not a letter that touches what follows; a quote is one at any depth.
            raw = raw.replace(b"\\n", b"  ").replace(b"\\t", b"  ").replace(b"\\r", b"  ").replace(b"\\", b"")
        return not self._set.Match(raw)

    def find(self, text: bytes) -> list[Span]:
        """Give the values in UTF-8 text, in order, without overlaps.

        Raises:
            TooManyCandidatesError: the text holds more that looks like a value than any text of people.
        """
        if not self._patterns:
            return []
        if b"<" in text:
            text = TOKEN.sub(_blank, text)
        found: list[Span] = []
        refused = 0
        for index in self._set.Match(text) or ():
            kind, pattern, regexp, group = self._patterns[index]
            at = 0
            while (match := regexp.search(text, at)) is not None:
                start, end = match.span(group)
                end = _accepted(text, start, end, pattern)
                if end > start:
                    found.append(Span(start, end, kind))
                    at = end
                else:
                    # A value may begin inside what is none; a long one is passed over, or time would grow with its square.
                    first, last = match.span()
                    gap = _GAP.search(text, first, last) if last - first <= _SHORT else None
                    at = gap.end() if gap else last
                    refused += 1
                    if refused > MAX_REFUSED:
                        raise TooManyCandidatesError
        return self.apart(found)

    def apart(self, found: Iterable[Span]) -> list[Span]:
        """Keep spans apart (rule 3), in order."""
        kept: list[Span] = []
        for span in sorted(found):
            if span.start >= span.end:
                continue
            if not kept or span.start >= kept[-1].end:
                kept.append(span)
                continue
            last = kept[-1]
            better = max(
                last, span, key=lambda one: (one.end - one.start, -self._rank.get(one.kind, 1 << 20))
            )
            kept[-1] = Span(last.start, max(last.end, span.end), better.kind)
        return kept


def _accepted(text: bytes, start: int, end: int, pattern: Pattern) -> int:
    """Give the end of a candidate as its gate leaves it; 0 where it is no value."""
    if start and pattern.not_before and _touches(text[max(0, start - 4) : start], -1, pattern.not_before):
        return 0
    if pattern.check is not None:
        value = text[start:end].decode("utf-8", "replace")
        taken = pattern.check(value)
        if not taken:
            return 0
        if taken < len(value):
            end = start + len(value[:taken].encode())
    return 0 if pattern.not_after and _touches(text[end : end + 4], 0, pattern.not_after) else end


def _touches(near: bytes, index: int, forbidden: frozenset[int]) -> bool:
    """Say whether the first or last character of a few bytes must not touch a value."""
    if not near:
        return False
    if near[index] < 128:
        return near[index] in forbidden
    character = near.decode("utf-8", "ignore")[index:][:1]
    return character.isalnum() and ord("a") in forbidden


def _blank(match: re.Match[bytes]) -> bytes:
    return b"\x01" * (match.end() - match.start())
