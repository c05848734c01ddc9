"""Where something stands in a TOML file, so that an error can name its line and column.

The rules:

1. Only finds; what the file means is `tomllib`'s to say. Where a place is not found, that of what is around it is given.
2. Text in strings and comments is not taken for keys or tables.
3. Lines and columns count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_HEADER = re.compile(rf"^\s*(\[\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]")
_ASSIGNMENT = re.compile(rf"^\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*=")
_PART = re.compile(_KEY)
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|' r"'''.*?'''|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'|" r"#[^\n]*", re.DOTALL
)

Path = Sequence[str | int]


class Place(NamedTuple):
    """A place in a file."""

    line: int
    column: int


def place_of(text: str, path: Path) -> Place:
    """Find where a key, or a value of an array, stands.

    Args:
        text: the file.
        path: keys, and indexes into arrays, from the outermost on.
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
        if shared == len(found) and shared > depth:
            best, depth = Place(number, at + 1), shared
            if shared == len(path) - 1 and isinstance(path[-1], int):
                best = _item(text, offset + line.find("=") + 1, path[-1]) or best
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
            line = text.count("\n", 0, found.start()) + 1
            return Place(line, found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1)
    return None


def _without_strings(text: str) -> str:
    """Put blanks in the place of what stands in strings and comments."""
    return _STRING.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
