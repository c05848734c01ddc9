"""Where in a TOML text something stands, for messages: Python's own reader keeps no lines.

The rules:

1. What is looked for was read from this very text, so it is there; the nearest place that is found is good enough.
2. The innermost of the path's parts that can be found gives the line: the value in its list, else its key, else its section.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADER = re.compile(r"\s*\[{1,2}\s*(?P<path>.+?)\s*\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(
    r"""\s*(?P<path>(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
_PART = re.compile(r""""((?:[^"\\]|\\.)*)"|'([^']*)'|([A-Za-z0-9_-]+)""")


def line_of(text: str, path: Sequence[str]) -> int:
    """Give the line, from 1, on which a key, or a value in its list, stands.

    Args:
        text: the file's.
        path: section, key and so on, from the outside in; the last may be a value.
    """
    wanted = list(path)
    best, depth, section = 1, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        if (header := _HEADER.match(line)) is not None:
            here = section = _parts(header["path"])
        elif (key := _KEY.match(line)) is not None:
            here = section + _parts(key["path"])
        else:
            here = []
        common = len(here) if here == wanted[: len(here)] else 0
        if common > depth:
            best, depth = number, common
        # A value inside what was found: quoted on the same line or on one that follows.
        if 0 < depth < len(wanted) and not header and _quoted(wanted[depth], line):
            best, depth = number, depth + 1
    return best


def _parts(path: str) -> list[str]:
    return ["".join(groups) for groups in _PART.findall(path)]


def _quoted(word: str, line: str) -> bool:
    return f'"{word}"' in line or f"'{word}'" in line
