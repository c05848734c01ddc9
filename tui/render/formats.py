"""How numbers, times and states are written: short, in fixed widths, and never by colour alone.

The rules:

1. A state is a glyph, a word and a role, always together.
2. Times are UTC, as the store counts them.
3. What nobody reported is `–`, which is not nought.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from auditlog.values import Kind, Span, Status

UNKNOWN = "–"


class State(NamedTuple):
    """How something stands."""

    glyph: str
    word: str
    role: str

    @property
    def text(self) -> str:
        """Glyph and word."""
        return f"{self.glyph} {self.word}"


STATES = {
    "error": State("✗", "error", "error"),
    "incomplete": State("◌", "incomplete", "warn"),
    "escalated": State("▲", "escalated", "warn"),
    "tool error": State("!", "tool error", "error"),
    "lossy": State("~", "lossy", "muted"),
    "ok": State("✓", "ok", "ok"),
}
"""By name, the gravest first."""

KIND_GLYPHS: dict[Kind, str] = {
    "agent": "◆",
    "model": "◇",
    "tool": "●",
    "retriever": "≡",
    "embedding": "∴",
    "guardrail": "■",
    "handoff": "▲",
    "other": "·",
}


def state_of(status: Status, why: Iterable[str] = ()) -> State:
    """Give the gravest of a status and the reasons that something stands out."""
    names = {status, *why}
    return next(state for name, state in STATES.items() if name in names)


def other_reasons(status: Status, why: Iterable[str]) -> str:
    """Name the reasons that the state does not name."""
    shown = state_of(status, why).word
    return ", ".join(reason for reason in why if reason != shown)


def duration(milliseconds: float | None) -> str:
    """Write a duration in at most seven cells: `85 ms`, `1.2 s`, `2m 05s`, `3h 20m`."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 999.5:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60}m {int(seconds) % 60:02}s"
    if seconds < 360_000:
        return f"{int(seconds) // 3600}h {int(seconds) % 3600 // 60:02}m"
    return f"{seconds / 86400:.0f} d"


def cost(dollars: float | None) -> str:
    """Write a price in at most eight cells: `$0.0021`, `$12.40`."""
    if dollars is None:
        return UNKNOWN
    if dollars and abs(dollars) < 1:
        return f"${dollars:.4f}"
    return f"${dollars:.2f}" if abs(dollars) < 10_000 else f"${dollars:.0f}"


def count(number: float | None) -> str:
    """Write a count: `7`, `1,204`, `12.4k`, `3.1M`."""
    if number is None:
        return UNKNOWN
    if abs(number) < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1000:.1f}k" if abs(number) < 1_000_000 else f"{number / 1_000_000:.1f}M"


def tokens(read: int | None, written: int | None) -> str:
    """Write token counts: `512→88`."""
    if read is None and written is None:
        return UNKNOWN
    return f"{count(read)}→{count(written)}"


def moment(when: datetime | None) -> str:
    """Write a point in time for a list: `11-22 09:14`."""
    return UNKNOWN if when is None else f"{when:%m-%d %H:%M}"


def clock(when: datetime | None) -> str:
    """Write a point in time of a conversation: `09:14:03`."""
    return UNKNOWN if when is None else f"{when:%H:%M:%S}"


def full(when: datetime | None) -> str:
    """Write a point in time for evidence: `2026-11-22 09:14:03.120 UTC`."""
    return UNKNOWN if when is None else f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03} UTC"


def summed(numbers: Iterable[float | None]) -> float | None:
    """Add what was reported; None where nothing was."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def usage_of(spans: Iterable[Span]) -> tuple[int | None, int | None]:
    """Add the input and output tokens of model calls."""
    used = [span.usage for span in spans]
    read = summed(usage.input_tokens for usage in used)
    written = summed(usage.output_tokens for usage in used)
    return (None if read is None else int(read), None if written is None else int(written))
