"""`auditlog.now()`, `auditlog.rng()`, `auditlog.uuid4()`: time, randomness and ids that a replay gives again.

The rules:

1. Outside of a recorded turn each is the plain thing.
2. Inside one, what is given is kept on the span of the innermost call: by kind, in the order of asking. Of a random generator
   that is its seed.
3. Where a replay put a source in, the source is asked first; where that has nothing, a fresh value is given. Nothing here
   raises into the agent.
4. A call that does not ask pays nothing, and one that asks without end keeps the first values only, and says how many it lost.
5. Values are kept as text in which redaction finds nothing: moments in ISO 8601, numbers in letters.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Literal

from auditlog import context

PinnedKind = Literal["now", "rng", "uuid4"]
Source = Callable[[context.Frame | None, PinnedKind, int], str | None]
"""Gives what was recorded for a call, a kind and a counter; None where nothing was."""

ATTRIBUTE = "auditlog.pinned"
"""On a span: the values that its body was given, by kind."""
DROPPED = "auditlog.pinned_dropped"
"""On a span: how many more there were."""
MOST = 4096
"""Values of one kind that one call keeps."""

_SEED_BITS = 64
_DIGITS, _LETTERS = "0123456789abcdef", "abcdefghijklmnop"
_TO_LETTERS, _TO_DIGITS = str.maketrans(_DIGITS, _LETTERS), str.maketrans(_LETTERS, _DIGITS)

_lock = threading.Lock()
_source: Source | None = None


def now(zone: tzinfo = UTC) -> datetime:
    """Give the time, aware: in a replay the recorded one.

    Args:
        zone: the time zone to give it in.
    """
    fresh = datetime.now(UTC)
    text = _pinned("now", fresh.isoformat)
    found = fresh if text is None else _moment(text, fresh)
    return found.astimezone(zone)


def rng() -> random.Random:
    """Give a random generator of its own: in a replay one that draws the same again. Not for secrets."""
    text = _pinned("rng", lambda: letters(random.SystemRandom().getrandbits(_SEED_BITS)))
    number = None if text is None else number_of(text)
    return random.Random() if number is None else random.Random(number)  # noqa: S311 - as the docstring says


def uuid4() -> uuid.UUID:
    """Give a random UUID: in a replay the recorded one."""
    fresh = uuid.uuid4()
    text = _pinned("uuid4", lambda: letters(fresh.int))
    number = None if text is None else number_of(text)
    return fresh if number is None or number >> 128 else uuid.UUID(int=number)


def serve_from(source: Source | None) -> None:
    """Ask a source before anything fresh is made, in this whole process; None asks nobody."""
    global _source  # noqa: PLW0603 - as an interceptor, it is the process's
    _source = source


def letters(number: int) -> str:
    """Write a number in letters."""
    return f"{number:x}".translate(_TO_LETTERS)


def number_of(text: str) -> int | None:
    """Read back what `letters` wrote; None where it is something else."""
    if not text or text.strip(_LETTERS):
        return None
    return int(text.translate(_TO_DIGITS), 16)


def _pinned(kind: PinnedKind, fresh: Callable[[], str]) -> str | None:
    """Give the value for this asking, and keep it; None outside of every turn."""
    frame, source = context.current(), _source
    if frame is None:
        if source is not None:
            source(None, kind, 0)
        return None
    # Two threads of one call must not be given the same counter.
    with _lock:
        kept = frame.facts.setdefault(ATTRIBUTE, {}).setdefault(kind, [])
        count = len(kept)
        if count >= MOST:
            frame.facts[DROPPED] = frame.facts.get(DROPPED, 0) + 1
            return None if source is None else source(frame, kind, count)
        text = None if source is None else source(frame, kind, count)
        if text is None:
            text = fresh()
        kept.append(text)
    return text


def _moment(text: str, otherwise: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return found if found.tzinfo is not None else otherwise
