"""How recorded values are shown inside one line of a summary.

The rules:

1. A value is shown as JSON on one line, and clipped; line breaks and other control characters never survive, since
   JSON escapes them and clipping replaces what it did not escape.
2. These lines are still recorded content: whoever prints them passes them through `auditlog.safe_text`.
"""

from __future__ import annotations

import json

from auditlog.values import Json

LONGEST_VALUE = 40
"""Characters of a value in a summary."""

_MOST_PARTS = 12
"""Parts of a container that is written out; of a larger one only the size is told."""


def clip(text: str, longest: int = LONGEST_VALUE) -> str:
    """Give a text on one line and within a length; what was cut shows as an ellipsis."""
    # Only the beginning is looked at: recorded text may be megabytes long.
    line = " ".join(
        "".join(c if c.isprintable() or c.isspace() else "�" for c in text[: longest * 4]).split()
    )
    return line if len(line) <= longest and len(text) <= longest * 4 else line[: longest - 1] + "…"


def show(value: Json, longest: int = LONGEST_VALUE) -> str:
    """Give a JSON value on one line and within a length."""
    match value:
        case dict():
            return (
                clip(f"{{…}} ({len(value)} keys)", longest)
                if _is_large(value)
                else clip(_json(value), longest)
            )
        case list():
            return (
                clip(f"[…] ({len(value)} items)", longest)
                if _is_large(value)
                else clip(_json(value), longest)
            )
        case str():
            return clip(_json(value[: longest * 4]), longest)
        case _:
            return clip(_json(value), longest)


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _is_large(value: Json) -> bool:
    """Whether a container would not fit, without walking all of it."""
    waiting, seen = [value], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if seen + len(waiting) > _MOST_PARTS:
            return True
        if isinstance(item, dict | list):
            if len(item) > _MOST_PARTS:
                return True
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return False
