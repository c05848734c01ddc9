"""Joins the records of one span: START and END, or one SPAN, make one entry and one set of parts.

The rules:

1. Pure: records in, the row's entry and parts out.
2. What an END says of a part wins; attributes are START's updated with END's, and vaults are put one behind the other.
3. Texts are spliced and not encoded again, unless a name stands in both; then numbers keep all their digits.
4. Nothing recorded is dropped: attributes that are no JSON object stay as the text of `auditlog.unreadable`.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from auditlog.record import Record

UNREADABLE = "auditlog.unreadable"


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
    tail = end.entry if end is not None else {}
    # What an OpenTelemetry span is called, and thereby its kind, may be known only when it ends.
    late = {name: tail[name] for name in ("kind", "name") if name in tail}
    entry = {**tail, **head.entry, **late}
    began, ended = entry["time"], tail.get("end", tail.get("time"))
    if start is None and end is not None and end.type == "end":
        began = ended
    facts = {
        "trace": entry["trace"],
        "span": entry["span"],
        "parent": entry.get("parent"),
        "turn": entry.get("turn"),
        "conversation": entry.get("conversation"),
        "kind": entry.get("kind", "other"),
        "name": entry.get("name", ""),
        "status": tail.get("status", "incomplete"),
        "start": began,
        "end": ended,
        "source": entry.get("source", "decorator"),
    }
    if start is None or end is None:
        return facts, head.parts
    parts = {**start.parts, **end.parts}
    for name, join in (("attributes", joined_objects), ("vault", joined_lists)):
        if name in start.parts and name in end.parts:
            parts[name] = join(start.parts[name], end.parts[name])
    return facts, parts


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
