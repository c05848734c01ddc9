"""Words that several sentences share: counts with their noun, and which known name a mistyped one is nearest to; pure."""

from __future__ import annotations

from collections.abc import Iterable

_ALIKE = 0.5
"""From here on two names are taken for one that was mistyped."""


def many(number: int, thing: str, things: str = "") -> str:
    """Count things: `1 span`, `1,200 spans`."""
    return f"{number:,} {thing if number == 1 else things or f'{thing}s'}"


def nearest(word: str, known: Iterable[str], alike: float = _ALIKE) -> str | None:
    """Give the known name that is most like a word; None where none is so much like it."""
    import difflib

    return next(iter(difflib.get_close_matches(word, list(known), 1, alike)), None)


def nearest_hint(word: str, known: Iterable[str], alike: float = _ALIKE) -> str:
    """Say in a sentence, after a space, which known name is nearest; nothing where none is."""
    near = nearest(word, known, alike)
    return "" if near is None else f" The nearest is {near!r}."


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, and which is nearest: `metric 'escalatoin' is unknown; nearest 'escalation'`."""
    names = list(known)
    near = nearest(name, names)
    hint = f"nearest {near!r}" if near is not None else f"there are {', '.join(sorted(names))}"
    return f"{kind} {name!r} is unknown; {hint}"
