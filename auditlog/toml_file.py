"""Reads a TOML file that people write, and says where in it something stands: `gate.toml:6:23`.

The rules:

1. What the file means is `tomllib`'s to say. Where a place is not found, that of what is around it is given.
2. Text in strings and comments is not taken for keys or tables.
3. Lines and columns count from 1.
4. Which error a reader raises is its own; every reader names a place in the same way.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from auditlog.errors import AuditlogError

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_PART = re.compile(_KEY)
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|' r"'''.*?'''|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'|" r"#[^\n]*", re.DOTALL
)

_BEGINS = re.compile(r"^[ \t\w.-]*=|^[ \t]*\[\[?[\s\w.-]+\]", re.MULTILINE)
"""Where the next key or table begins, where strings are blank."""

Path = Sequence[str | int]


class Place(NamedTuple):
    """A place in a file."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A file that was read."""

    name: str
    text: str
    document: Mapping[str, Any]

    def at(self, path: Path) -> str:
        """Say where a key, or a value of an array, stands."""
        where = place_of(self.text, path)
        return f"{self.name}:{where.line}:{where.column}"


def parse_toml(text: str, name: str, error: type[AuditlogError]) -> TomlFile:
    """Read a file's text.

    Args:
        text: the file's.
        name: what messages call the file.
        error: what is raised where it is no TOML.
    """
    try:
        return TomlFile(name, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as wrong:
        raise error(f"{name} is no TOML: {wrong}.") from None


def place_of(text: str, path: Path) -> Place:
    """Find where a key, or a value of an array, stands.

    Args:
        text: the file.
        path: keys, and indexes into arrays, from the outermost on; the last may be a text in an array, or a key of an inline
            table.
    """
    blank = _without_strings(text)
    best, depth = Place(1, 1), 0
    inside: list[str | int] = []
    counts: dict[str, int] = {}
    offset = 0
    for number, (line, seen) in enumerate(
        zip(text.splitlines(keepends=True), blank.splitlines(keepends=True), strict=True), start=1
    ):
        if seen.strip() and (header := _HEADER.match(line)) and seen.lstrip().startswith("["):
            inside = _parts(header[2])
            if header[1] == "[[":
                name = ".".join(map(str, inside))
                counts[name] = counts.get(name, -1) + 1
                inside = [*inside, counts[name]]
            found, at = inside, header.start(2)
        elif seen.strip() and (key := _ASSIGNMENT.match(line)) and "=" in seen:
            found, at = [*inside, *_parts(key[1])], key.start(1)
        else:
            offset += len(line)
            continue
        shared = _shared(found, path)
        if shared in (len(found), len(path)) and shared > depth:
            best, depth = Place(number, at + 1), shared
            if shared == len(path) - 1:
                best = _inside(text, blank, offset + line.find("=") + 1, path[-1]) or best
        offset += len(line)
    return best


def _shared(found: Path, path: Path) -> int:
    count = 0
    for one, other in zip(found, path, strict=False):
        if one != other:
            return count
        count += 1
    return count


def _parts(key: str) -> list[str | int]:
    return [part.strip("\"'") for part in _PART.findall(key)]


def _inside(text: str, blank: str, start: int, last: str | int) -> Place | None:
    """Find what a path ends with in the value that begins at `start`."""
    if isinstance(last, int):
        return _item(text, start, last)
    end = _BEGINS.search(blank, text.find("\n", start) + 1 or len(text))
    found = re.compile(rf"""(["'])?(?<![\w-]){re.escape(last)}(?![\w-])""").search(
        text, start, end.start() if end else len(text)
    )
    return None if found is None else _place(text, found.start())


def _place(text: str, offset: int) -> Place:
    return Place(text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset))


def _item(text: str, start: int, index: int) -> Place | None:
    """Find an item of an array of strings."""
    opening = text.find("[", start)
    if opening < 0:
        return None
    seen = -1
    for found in _STRING.finditer(text, opening):
        if found[0].startswith("#"):
            continue
        if "]" in _without_strings(text[opening : found.start()]):
            return None
        seen += 1
        if seen == index:
            return _place(text, found.start())
    return None


def _without_strings(text: str) -> str:
    """Put blanks in the place of what stands in strings and comments."""
    return _STRING.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
