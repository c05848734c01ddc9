"""Writes conversations as JSON lines, one conversation a line, for people and scripts.

The rules:

1. The fields are those of the values in `auditlog.values`, under their own names; a field that holds nothing is left
   out.
2. Times are given twice: in nanoseconds since the epoch, and in ISO 8601, UTC.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from auditlog.encoding.encode import encode
from auditlog.values import Conversation, Span, Turn, utc


def lines(conversations: Iterable[Conversation]) -> Iterator[bytes]:
    """Give a line for each conversation."""
    for conversation in conversations:
        yield encode(conversation_object(conversation)).text + b"\n"


def conversation_object(conversation: Conversation) -> dict[str, Any]:
    """Give a conversation as a JSON object."""
    return {
        "conversation_id": conversation.conversation_id,
        "tags": conversation.tags,
        "turns": [_turn(turn) for turn in conversation.turns],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    return {
        "index": turn.index,
        "turn_id": turn.turn_id,
        "user_text": turn.user_text,
        "answer_text": turn.answer_text,
        "status": turn.status,
        "spans": [_span(span) for span in turn.spans],
    }


def _span(span: Span) -> dict[str, Any]:
    times = {"start": utc(span.start_ns).isoformat()}
    if span.end_ns is not None:
        times["end"] = utc(span.end_ns).isoformat()
    return times | _fields(span)


def _fields(value: Any) -> dict[str, Any]:
    fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    return {name: _plain(found) for name, found in fields if found not in (None, "", (), {}, [])}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value
