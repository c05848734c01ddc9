"""Recorded JSON as text: on one line inside a conversation, on several as evidence."""

from __future__ import annotations

import orjson

from auditlog.safe_text import safe_text
from auditlog.values import Json
from tui.render.line import Line, Piece, line, wrapped

_INDENT = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS


def compact(value: Json, width: int = 2000) -> str:
    """Write a value on one line, clipped, clean."""
    if isinstance(value, str) and len(value) > width * 4:
        value = value[: width * 4]
    return safe_text(dumped(value), width=width)


def dumped(value: Json, *, indent: bool = False) -> str:
    """Write a value as JSON, as it was recorded: not yet clean."""
    try:
        return orjson.dumps(value, option=_INDENT if indent else orjson.OPT_NON_STR_KEYS).decode()
    except (orjson.JSONEncodeError, TypeError):
        return str(value)


def arguments(values: Json, width: int) -> str:
    """Write a call's arguments on one line: `order="A-1" amount=40`."""
    if not isinstance(values, dict):
        return compact(values, width) if values is not None else ""
    written: list[str] = []
    left = width
    for name, value in values.items():
        if left <= 0:
            break
        text = f"{safe_text(str(name), width=40)}={compact(value, left)}"
        written.append(text)
        left -= len(text) + 1
    return safe_text(" ".join(written), width=width)


def pretty(
    value: Json, width: int, *, indent: int = 0, most: int | None = None, role: str = ""
) -> list[Line]:
    """Lay a value out in lines: texts as they read, everything else as indented JSON."""
    text = value if isinstance(value, str) else dumped(value, indent=True)
    return wrapped(text, width, role, indent=indent, most=most)


def field(name: str, text: str, width: int, *, role: str = "", label: int = 11) -> list[Line]:
    """Write a name and its clean or recorded text, the text wrapped beside the name; nothing for an empty text."""
    if not text:
        return []
    return wrapped(text, width, role, first=Piece(name, "muted"), indent=label, most=6)


def searchable(*values: Json) -> str:
    """Give all text of some values, for `/`."""
    return "\n".join(
        value if isinstance(value, str) else dumped(value) for value in values if value not in (None, "")
    )


def section(title: str) -> Line:
    """Write a heading inside evidence."""
    return line((title, "heading"))
