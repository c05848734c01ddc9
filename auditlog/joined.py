"""Joins the records of one span: START and END, or one SPAN, make one entry and one set of parts.

The rules:

1. Pure: records in, the row's entry and parts out.
2. What an END says of a part wins; attributes are START's updated with END's, and vaults are put one behind the other.
3. Texts are spliced and not encoded again, unless a name stands in both; then numbers keep all their digits.
4. Of the parts that we know nothing is dropped: attributes that are no JSON object stay as the text of `auditlog.unreadable`.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from auditlog.record import PARTS, Record

UNREADABLE = "auditlog.unreadable"

_KNOWN = frozenset(PARTS)


def joined(start: Record | None, end: Record | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Make one span's entry and parts of its records.

    Args:
        start: the START record; None when it is lost, or when `end` is a SPAN record.
        end: the END or SPAN record; None for a call whose end was never recorded.

    Returns:
        What is never erased, and the content by part name. Turn and conversation are as recorded, or None.
    """
    head = start or end
    assert head is not None
    known, tail = head.entry, {} if end is None else end.entry

    def told(name: str, otherwise: str | None = None) -> Any:
        return known[name] if name in known else tail.get(name, otherwise)

    facts = {
        "trace": known["trace"],
        "span": known["span"],
        "parent": told("parent"),
        "turn": told("turn"),
        "conversation": told("conversation"),
        # What an OpenTelemetry span is called, and thereby its kind, may be known only when it ends.
        "kind": tail["kind"] if "kind" in tail else known.get("kind", "other"),
        "name": tail["name"] if "name" in tail else known.get("name", ""),
        "status": tail.get("status", "incomplete"),
        "start": began(start, end),
        "end": None if end is None else _ended(end),
        "source": told("source", "decorator"),
    }
    parts = head.parts if start is None or end is None else _both(start.parts, end.parts)
    if not parts.keys() <= _KNOWN:
        parts = {name: parts[name] for name in parts if name in _KNOWN}
    return facts, parts


def began(start: Record | None, end: Record | None) -> int:
    """Give the moment at which a span began, as far as it is known, in nanoseconds since the epoch."""
    if start is not None:
        return start.entry["time"]
    assert end is not None
    return end.entry["time"] if end.type == "span" else _ended(end)


def _ended(end: Record) -> int:
    told = end.entry.get("end")
    return told if isinstance(told, int) else end.entry["time"]


def _both(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes]:
    parts = {**before, **after}
    for name, join in (("attributes", joined_objects), ("vault", joined_lists)):
        if name in before and name in after:
            parts[name] = join(before[name], after[name])
    return parts


def joined_objects(before: bytes, after: bytes) -> bytes:
    """Update one JSON object with another."""
    first, then = _loaded(before), _loaded(after)
    if isinstance(first, dict) and isinstance(then, dict):
        if not first:
            return after
        if not then:
            return before
        if first.keys().isdisjoint(then):
            return before.strip()[:-1] + b"," + after.strip()[1:]
    return json.dumps({**_exact(before), **_exact(after)}, separators=(",", ":")).encode()


def joined_lists(before: bytes, after: bytes) -> bytes:
    """Put one JSON list behind another; what is no list counts as its only item."""
    pieces = [text.strip()[1:-1] if text.strip()[:1] == b"[" else text for text in (before, after)]
    return b"[" + b",".join(piece for piece in pieces if piece.strip()) + b"]"


def _loaded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _exact(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {UNREADABLE: text.decode("utf-8", "backslashreplace")}
