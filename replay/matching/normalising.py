"""What a declared rule does to the arguments of a call: one value in, the value that is compared out.

The rules:

1. A rule changes what its pointer points at, and nothing else. What is not there, or is of another type, stays as it is.
2. `*` in a pointer stands for every item of a list. A member of an object is named as it is.
3. An ignored member of an object counts as absent, wherever it stands; of an ignored item of a list the place counts.
4. The value that was recorded is never changed: what is compared is a copy along the pointer's way.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from auditlog.values import Json

How = Literal["ignore", "trim", "lower", "timezone", "round"]
HOWS: tuple[How, ...] = get_args(How)
"""In the order in which they are applied."""

EVERY_TOOL = "*"
EVERY_ITEM = "*"

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")
_GONE = object()


@dataclass(frozen=True, slots=True)
class MatchRule:
    """One declared difference that does not make two calls two."""

    tool: str
    """A tool's or retriever's name, or `*` for every one."""
    how: How
    path: str
    """An RFC 6901 pointer into the arguments, in which `*` stands for every item of a list."""
    option: str | int | None = None
    """For `round` the digits; for `timezone` the zone of moments that name none, or None to leave those alone."""

    def __str__(self) -> str:
        option = "" if self.option is None else f" {self.option}"
        return f"{self.how} {self.path}{option}"


def applied(rules: Sequence[MatchRule], arguments: Json) -> Json:
    """Give arguments as they are compared under these rules.

    Args:
        rules: those of one tool; the order they are given in does not matter.
        arguments: as recorded, or as asked for.
    """
    for rule in sorted(rules, key=lambda rule: (HOWS.index(rule.how), rule.path, str(rule.option))):
        change = _changes[rule.how](rule.option)
        arguments = _at(arguments, segments_of(rule.path), change)
    return arguments


def segments_of(path: str) -> tuple[str, ...]:
    """Split an RFC 6901 pointer into its unescaped segments."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:])


def instant(text: str, zone: str | None = None) -> str | None:
    """Give a moment in UTC; None for what is no moment, or names no offset where no zone is given.

    Args:
        text: such as `2026-05-01T12:00:00+02:00`.
        zone: that of a moment without an offset, such as `Europe/Berlin`.
    """
    if _MOMENT.match(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            if zone is None:
                return None
            moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone))
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return None


def _at(value: Json, segments: tuple[str, ...], change: Callable[[Any], Any]) -> Any:
    if not segments:
        return change(value)
    first, rest = segments[0], segments[1:]
    match value:
        case dict() if first in value:
            changed = _at(value[first], rest, change)
            return {
                key: changed if key == first else item
                for key, item in value.items()
                if key != first or changed is not _GONE
            }
        case list() if first == EVERY_ITEM:
            return [_place(_at(item, rest, change)) for item in value]
        case list() if first.isascii() and first.isdigit() and int(first) < len(value):
            index = int(first)
            changed = _place(_at(value[index], rest, change))
            return [*value[:index], changed, *value[index + 1 :]]
        case _:
            return value


def _place(item: Any) -> Any:
    return None if item is _GONE else item


def _text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, str) else value


def _rounded(digits: Any) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        try:
            return round(value, digits)
        except (OverflowError, ValueError):
            return value

    return change


_changes: dict[How, Callable[[Any], Callable[[Any], Any]]] = {
    "ignore": lambda _: lambda _value: _GONE,
    "trim": lambda _: _text(str.strip),
    "lower": lambda _: _text(str.lower),
    "timezone": lambda zone: _text(lambda text: instant(text, zone) or text),
    "round": _rounded,
}
