"""JSON of which a parser would lose something: found, and told as text.

The rules:

1. A number that no double and no integer of 64 bits holds, and a name that stands twice in one object, are lost by parsing: two
   bodies that differ only in them would be one. Nothing else is: `1.10` is `1.1`, and the order of names says nothing.
2. What is told as text has the same secrets masked as JSON has, and nothing else changed but the space between things.
3. Looking closely costs several times what parsing does, so it is done only where there may be such.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from auditlog.http_secrets import DEEPEST, is_secret
from auditlog.masks import Masker

_DIGITS_ALIKE = bytes.maketrans(b"123456789.E", b"0000000000e")
_MAY_BE_LOST = (b"0" * 16, b"0e000", b"0e+000", b"0e-000")
"""What stands where a number may be one that is lost, once all digits are one."""
_MOST_DIGITS = 20
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


class _LostError(ValueError):
    """Parsing loses something."""


class _Number(str):
    """A number, as it is written."""

    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    """An object's names and values, all of them."""

    __slots__ = ()


def loses(content: bytes, parsed: Any) -> bool:
    """Say whether parsing lost something.

    Args:
        content: JSON.
        parsed: what it was parsed to.

    Raises:
        RecursionError: it is nested more deeply than anybody writes it.
    """
    alike = content.translate(_DIGITS_ALIKE, b" \t\r\n")
    # In a text, too, a quote may stand before a colon: there may be more of them than names, and never less.
    if not any(sign in alike for sign in _MAY_BE_LOST) and alike.count(b'":') == _names(parsed):
        return False
    try:
        json.loads(content, object_pairs_hook=_once, parse_int=_whole, parse_float=_fraction)
    except ValueError:
        return True
    return False


def exact_text(content: bytes, masker: Masker) -> str:
    """Tell JSON as text, masked.

    Raises:
        RecursionError: it is nested more deeply than anybody writes it.
    """
    parsed = json.loads(content, object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number)
    return _written(parsed, masker, 0)


def _names(parsed: Any) -> int:
    """Count the names of all objects."""
    found, level = 0, [parsed]
    while level:
        below: list[Any] = []
        for item in level:
            if type(item) is dict:
                found += len(item)
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
        level = below
    return found


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _LostError


def _whole(text: str) -> None:
    if len(text) > _MOST_DIGITS or not _LEAST <= int(text) <= _MOST:
        raise _LostError


def _fraction(text: str) -> None:
    told = repr(float(text))
    if told == text:
        return
    try:
        same = Decimal(text) == Decimal(told)
    except ArithmeticError:
        same = False
    if not same:
        raise _LostError


def _written(value: Any, masker: Masker, depth: int, *, secret: bool = False) -> str:
    if depth > DEEPEST:
        raise RecursionError
    match value:
        case _Object():
            pairs = (
                f"{json.dumps(name)}:{_written(item, masker, depth + 1, secret=_is_secret(name, item))}"
                for name, item in value
            )
            return "{" + ",".join(pairs) + "}"
        case list():
            return "[" + ",".join(_written(item, masker, depth + 1, secret=secret) for item in value) + "]"
        case _ if secret:
            return json.dumps(masker.mask(str(value) if isinstance(value, _Number) else value))
        case _Number():
            return str(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _is_secret(name: str, value: Any) -> bool:
    """Say it of a value as it would be parsed."""
    match value:
        case _Number():
            return is_secret(name, 1)
        case _Object():
            return is_secret(name, dict(value))
        case _:
            return is_secret(name, value)
