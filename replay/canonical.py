"""When two calls are the same call: the canonical form of arguments, and the match key.

The rules:

1. One canonical form, for the match and for the diff, so that what matches and what differs can never disagree: the order of
   keys does not matter, `1` and `1.0` are one number, `true` is not `1`, text is compared code point by code point.
2. The key is SHA-256(kind ‖ name ‖ canonical arguments). The definition's digest is *not* part of it: a docstring
   that was reworded must not turn every call of a release into a miss. That the definition changed is recorded
   beside the match.
3. Where the encoder in C gives that very text, it is asked: nearly always. Where it might not, the text is made in Python.
4. Arguments in which something was lost when they were recorded equal nothing, not even themselves.
"""

from __future__ import annotations

import hashlib
import json
import re

import orjson

from auditlog.encoding.encode import MARK
from auditlog.values import Json

DEEPEST = 32
"""Below this nesting values are compared as wholes, so that hostile content cannot exhaust the stack."""

_WHOLE_MARKS = frozenset({"bytes", "float", "int", "ndarray", "text"})
"""Substitutions that still tell one value from another."""


_QUICK = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_OTHERWISE = re.compile(rb"\d(?:\.0(?!\d)|e)")
"""Where a float may be integral, or is written in another way by each encoder."""
_MARK_BYTES = MARK.encode()


def canonical(value: Json) -> str:
    """Give the one text that equal JSON values share: sorted keys, no spaces, integral floats as integers."""
    quick = _quick(value)
    if quick is not None:
        return quick.decode()
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def _quick(value: Json) -> bytes | None:
    """Give the canonical text as bytes; None where only Python is sure of it."""
    try:
        text = orjson.dumps(value, option=_QUICK)
    except TypeError:
        return None
    # At most so many brackets are not nested deeper than `DEEPEST`; and what is no number is written as null.
    if text.count(b"{") + text.count(b"[") > DEEPEST or _OTHERWISE.search(text) is not None:
        return None
    return None if b"null" in text and orjson.loads(text) != value else text


def match_key(kind: str, name: str, arguments: Json) -> str:
    """Give what two calls share when they are the same call, as 64 hex digits.

    Args:
        kind: `tool`, `retriever` or `model`.
        name: the operation's name.
        arguments: the arguments by name, as recorded.
    """
    quick = _quick(arguments)
    if quick is not None:
        return hashlib.sha256(f"{kind}\0{name}\0".encode("utf-8", "surrogatepass") + quick).hexdigest()
    text = "\0".join((kind, name, canonical(arguments)))
    # A lone surrogate cannot be encoded strictly, and is a difference like any other.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def digest_of(value: Json) -> str:
    """Give the SHA-256, in hex, of a JSON value's canonical form."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def lost_something(value: Json) -> bool:
    """Whether the encoder put a mark somewhere in a value that does not tell the original."""
    quick = _quick(value)
    if quick is not None and _MARK_BYTES not in quick:
        return False
    pending = [value]
    while pending:
        match pending.pop():
            case {**fields} as item if MARK in fields:
                if fields[MARK] not in _WHOLE_MARKS:
                    return True
                pending.extend(item.values())
            case dict() as item:
                pending.extend(item.values())
            case list() as item:
                pending.extend(item)
            case _:
                pass
    return False


def first_words(value: Json, most: int = 60) -> str:
    """Clip a value's canonical form for a message.

    Args:
        value: any JSON.
        most: the length in characters.
    """
    text = canonical(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(value: Json, depth: int = 0) -> Json:
    match value:
        case dict() if depth < DEEPEST:
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() if depth < DEEPEST:
            return [_plain(item, depth + 1) for item in value]
        case dict() | list() | tuple():
            return _deep_text(value)
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def _deep_text(value: Json) -> str:
    """Give a text that equal values share without recursion: keys and sizes, then the members in order."""
    texts: list[Json] = []
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as item:
                keys = sorted(item, key=str, reverse=True)
                texts.append({"keys": keys})
                waiting.extend(item[key] for key in keys)
            case list() | tuple() as item:
                texts.append({"items": len(item)})
                waiting.extend(reversed(item))
            case scalar:
                texts.append(_plain(scalar))
    return json.dumps(texts, ensure_ascii=False, default=str)
