"""The entries of decorated calls, as text: what is the same in each call is encoded once, the rest is put between.

The rules:

1. What stands here is what `record.encode_record` would write of the same fields, byte for byte.
2. Ids are hex digits and need no escapes; a conversation's id is the user's text and is encoded.
3. A record of a call has the parts that its entry names, in that order.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import orjson

from auditlog.record import FORMAT


def start_tail(kind: str, name: str, parts: Iterable[str]) -> str:
    """Encode what is the same in the START entries of one function: how they end."""
    fields = {"kind": kind, "name": name, "source": "decorator", "v": FORMAT, "parts": list(parts)}
    return orjson.dumps(fields).decode()[1:]


def start_head(
    time_ns: int,
    trace: str,
    span: str,
    parent: str | None,
    turn: str | None,
    conversation: str | None,
    tail: str,
) -> bytes:
    """Give a START entry."""
    above = "null" if parent is None else f'"{parent}"'
    around = "null" if turn is None else f'"{turn}"'
    said = "null" if conversation is None else json_of(conversation)
    return (
        f'{{"type":"start","time":{time_ns},"trace":"{trace}","span":"{span}","parent":{above},'
        f'"turn":{around},"conversation":{said},{tail}'
    ).encode()


def end_head(time_ns: int, trace: str, span: str, status: str, parts: tuple[str, ...]) -> bytes:
    """Give an END entry."""
    return (
        f'{{"type":"end","time":{time_ns},"trace":"{trace}","span":"{span}","status":"{status}",{_end_tail(parts)}'
    ).encode()


@functools.cache
def _end_tail(parts: tuple[str, ...]) -> str:
    named = {"v": FORMAT, "parts": parts} if parts else {"v": FORMAT}
    return orjson.dumps(named).decode()[1:]


@functools.lru_cache(1024)
def json_of(text: str) -> str:
    """Give a text as JSON has it."""
    return orjson.dumps(text).decode()
