"""Checks what a TOML file says against its JSON Schema, and says what is wrong in one sentence each.

The rules:

1. A schema in `schemas/` is the one definition of what a file may say; this reads the part of JSON Schema that ours use.
2. An unknown key names the nearest one. A date may be a TOML date, or the same as text.
3. Every fault names its place in the document, as keys and indexes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

from auditlog.wording import unknown

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
}
_SAID = {
    "object": "a table",
    "array": "an array",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
}


class Fault(NamedTuple):
    """One thing that is wrong."""

    path: tuple[str | int, ...]
    what: str


def faults(value: Any, schema: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[Fault]:
    """Give what is wrong with a value.

    Args:
        value: as `tomllib` read it.
        schema: what it should be.
        path: where it stands.
    """
    name = _name(path)
    if schema.get("format") == "date":
        if _date(value) is None:
            yield Fault(path, f"{name} is a date such as 2026-11-20, and not {_shown(value)}")
        return
    expected = schema.get("type")
    if expected is not None and (not isinstance(value, _TYPES[expected]) or isinstance(value, bool)):
        yield Fault(path, f"{name} is {_SAID[expected]}, and not {_shown(value)}")
        return
    yield from _limits(value, schema, path, name)
    match value:
        case dict():
            yield from _table(value, schema, path)
        case list():
            for index, item in enumerate(value):
                yield from faults(item, schema.get("items", {}), (*path, index))


def _limits(value: Any, schema: Mapping[str, Any], path: tuple[str | int, ...], name: str) -> Iterator[Fault]:
    if "enum" in schema and value not in schema["enum"]:
        yield Fault(path, f"{name} is one of {', '.join(map(str, schema['enum']))}, and not {_shown(value)}")
    if isinstance(value, int | float):
        low, above, high, below = (
            schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        )
        too_low = (low is not None and value < low) or (above is not None and value <= above)
        too_high = (high is not None and value > high) or (below is not None and value >= below)
        if too_low or too_high or value != value:  # noqa: PLR0124 - NaN
            bounds = (
                [f"at least {low}"] if low is not None else [f"above {above}"] if above is not None else []
            )
            bounds += (
                [f"at most {high}"] if high is not None else [f"below {below}"] if below is not None else []
            )
            yield Fault(path, f"{name} is {' and '.join(bounds)}, and not {value}")
    if isinstance(value, str):
        if len(value.strip()) < schema.get("minLength", 0):
            yield Fault(path, f"{name} is empty")
        elif "pattern" in schema and not re.search(schema["pattern"], value):
            yield Fault(path, f"{name} is {_form(schema)}, not {_shown(value)}")


def _form(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$comment") or schema.get("description") or "of another form")


def _table(
    value: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    known: Mapping[str, Any] = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for key in schema.get("required", ()):
        if key not in value:
            yield Fault(path, f"{_name((*path, key))} is missing")
    for key, item in value.items():
        if key in known:
            yield from faults(item, known[key], (*path, key))
        elif isinstance(others, dict):
            yield from faults(item, others, (*path, key))
        elif others is False:
            yield Fault((*path, key), unknown("key", key, known))


def as_date(value: Any) -> date:
    """Read a date that `faults` found in order."""
    found = _date(value)
    assert found is not None
    return found


def _date(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _name(path: tuple[str | int, ...]) -> str:
    said = ""
    for part in path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
    return said or "the file"


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
