"""Decodes JSON text that an instrumentation put into an attribute, where decoding changes nothing.

The rules:

1. A text is decoded when the value says all that the text says. Where it would not, the text stays as it is, and why is said.
2. Two keys of one name, a number that neither 64 bits nor a double hold, NaN and the infinities, and nesting beyond 1,024
   levels are such texts.
3. What is no JSON at all is text that somebody wrote, and nothing is wrong with it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

import orjson

# Begins with one set, which the engine skips through at the speed of C.
_LONG_NUMBER = re.compile(r"[0-9](?:[0-9.]{16}|[eE][+-]?[0-9]{2})")
_DEPTH = "depth limit"


class Decoded(NamedTuple):
    """What became of a text."""

    value: Any
    """The decoded value, or the text."""
    inexact: str | None = None
    """Why it stays text though it is JSON; None where nothing is lost."""


class _InexactError(ValueError):
    """The value would not say what the text says."""


def decode(text: str) -> Decoded:
    """Decode a JSON text, unless that would change what it says."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if _DEPTH in error.msg:
            return Decoded(text, "nested more than 1,024 levels deep")
        return Decoded(text, _refused(text))
    if _LONG_NUMBER.search(text) is None and _has_every_quote(text, value):
        return Decoded(value)
    why = _refused(text)
    return Decoded(text, why) if why else Decoded(value)


def _has_every_quote(text: str, value: Any) -> bool:
    """Say whether the value writes as many quotes as the text has: two keys of one name leave out at least two."""
    return "\\u0022" not in text and text.count('"') == orjson.dumps(value).count(b'"')


def _refused(text: str) -> str | None:
    """Say why a text is more than its value, by reading it again with the slow and exact reader; None where it is not."""
    try:
        json.loads(
            text, object_pairs_hook=_pairs, parse_int=_int, parse_float=_float, parse_constant=_constant
        )
    except _InexactError as error:
        return str(error)
    except RecursionError:
        return "nested more than 1,024 levels deep"
    except ValueError:
        return None
    return None


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise _InexactError("two keys of one name")


def _int(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**64:
        raise _InexactError("a whole number of more than 64 bits")
    return 0


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _InexactError("a number beyond what a double holds")
    return value


def _constant(name: str) -> float:
    raise _InexactError(f"{name}, which is no JSON")
