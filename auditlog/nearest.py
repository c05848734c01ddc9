"""Says which known name a mistyped one is nearest to; pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ALIKE = 0.5
"""From here on two names are taken for one that was mistyped."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Give the known name that is most like a word; None where none is like it."""
    return next(iter(difflib.get_close_matches(word, list(known), 1, _ALIKE)), None)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, and which is nearest: `metric 'escalatoin' is unknown; nearest 'escalation'`."""
    names = list(known)
    near = nearest(name, names)
    hint = f"nearest {near!r}" if near is not None else f"there are {', '.join(sorted(names))}"
    return f"{kind} {name!r} is unknown; {hint}"
