"""What a decorator's `redact=` keeps out of the text of an error.

The rules:

1. An error's message and its stack go through the function one by one, as text. Where it fails, or gives no text, a mark
   stands in their place.
2. A function that knows arguments by name knows nothing of a text. So whatever it took out of the arguments is taken out of
   the text as well, wherever it stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

WITHHELD = "(withheld)"
_SHORTEST = 3
"""Shorter texts stand in other words by chance."""
_MOST = 10_000


def allowed_error(
    told: dict[str, str], redact: Callable[[Any], Any], withheld: tuple[bytes, bytes] | None
) -> tuple[dict[str, str], Exception | None]:
    """Give what may be recorded of an error, and what went wrong with the function.

    Args:
        told: type, message, stack.
        redact: the decorator's function.
        withheld: the JSON of the arguments, before and after the function.
    """
    values = _taken_out(*withheld) if withheld is not None else []
    allowed, fault = dict(told), None
    for name in ("message", "stack"):
        if not (text := told.get(name)):
            continue
        for value in values:
            text = text.replace(value, WITHHELD)
        try:
            found = redact(text)
        except Exception as error:  # noqa: BLE001 - rule 1
            found, fault = None, error
        allowed[name] = found if type(found) is str else WITHHELD
    return allowed, fault


def _taken_out(before: bytes, after: bytes) -> list[str]:
    """Give the texts and numbers that stood in a value and do not any more, the longest first."""
    kept = after.decode()
    found = {text for text in _leaves(orjson.loads(before)) if len(text) >= _SHORTEST and text not in kept}
    return sorted(found, key=len, reverse=True)[:_MOST]


def _leaves(value: Any) -> Iterator[str]:
    level = [value]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            level += item.values()
        elif isinstance(item, list):
            level += item
        elif isinstance(item, str | int | float) and not isinstance(item, bool):
            yield str(item)
