"""The kinds of values that redaction knows: schemas/redaction.json, read and checked.

The rules:

1. A kind is what a token says (`<email:…>`), and the patterns that find it.
2. Patterns, examples and gates are data. A check or a normal form that the data names must exist.
3. Of a name that is no kind, the message says which is nearest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from auditlog.errors import ConfigurationError
from auditlog.redaction.validators import CHECKS, NORMALS, Check, Normal, schema
from auditlog.wording import nearest_hint

DEFAULT = "default"
"""The name that stands for every kind that is on by default."""

_ALNUM = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\x01"
"""Letters and digits; and what stands for a token, which touches a value as they do."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way in which a kind shows."""

    name: str
    pattern: str
    """RE2 syntax; the group `value`, else the whole match, is what is replaced."""
    check: Check | None
    not_before: frozenset[int]
    """Bytes that must not stand right before the value."""
    not_after: frozenset[int]
    examples: tuple[str, ...]
    counter_examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value."""

    name: str
    doc: str
    default: bool
    """Whether `redact=True` looks for it."""
    normal: Normal
    """Makes the spellings of one value equal."""
    patterns: tuple[Pattern, ...]


@cache
def known_kinds() -> Mapping[str, Kind]:
    """Give every kind by name, in the order that decides between two that find the same."""
    return {kind["kind"]: _kind(kind) for kind in schema()["kinds"]}


def chosen(names: Iterable[str], more: Iterable[str] = ()) -> tuple[str, ...]:
    """Give the names of kinds without repeats, `default` written out.

    Args:
        names: what was asked for.
        more: kinds that recognisers add.

    Raises:
        ConfigurationError: a name is no kind.
    """
    known = {*known_kinds(), *more}
    found: dict[str, None] = {}
    for name in names:
        if name == DEFAULT:
            found.update((kind.name, None) for kind in known_kinds().values() if kind.default)
        elif name in known:
            found[name] = None
        else:
            hint = nearest_hint(str(name), [*known, DEFAULT])
            raise ConfigurationError(
                f"{name!r} is no kind of value to redact.{hint} The kinds are {', '.join(sorted(known))}; "
                f"{DEFAULT!r} stands for those that are on by default."
            )
    return tuple(found)


def _kind(data: Mapping[str, Any]) -> Kind:
    return Kind(
        name=data["kind"],
        doc=data["doc"],
        default=data["default"],
        normal=NORMALS[data["normalise"]],
        patterns=tuple(_pattern(pattern) for pattern in data["patterns"]),
    )


def _pattern(data: Mapping[str, Any]) -> Pattern:
    return Pattern(
        name=data["name"],
        pattern=data["pattern"],
        check=CHECKS[data["validator"]] if "validator" in data else None,
        not_before=_bytes(data.get("not_before", "")),
        not_after=_bytes(data.get("not_after", "")),
        examples=tuple(data["examples"]),
        counter_examples=tuple(data["counter_examples"]),
    )


def _bytes(characters: str) -> frozenset[int]:
    if characters.startswith("alnum"):
        return frozenset(_ALNUM + characters.removeprefix("alnum").encode())
    return frozenset(characters.encode())
