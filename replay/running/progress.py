"""How far a run is, as a value, and as one line on a terminal.

The rules:

1. The line is written to stderr, and only when that is a terminal: output that somebody keeps stays clean.
2. It is drawn at most ten times a second, and is taken away when the run ends.
3. It holds numbers only, so there is nothing in it that a recording could have said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from replay.diff.model import CaseStatus
from replay.running.limits import NOTHING_SPENT, Spend

_REDRAW_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[2K"
_SETTLED = 5
"""Executions before a rate is worth saying."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    """Executions that are in the store, those of an earlier process among them."""
    total: int
    before: int
    """Executions that were done when this process began."""
    seconds: float
    """Since this process began."""
    statuses: Mapping[CaseStatus, int]
    """Of this process's executions."""
    differing: int
    """Cases whose candidate made other calls than its baseline, so far."""
    spend: Spend = NOTHING_SPENT
    """What live model calls took, those of an earlier process among them."""

    @property
    def rate(self) -> float | None:
        """Executions a second; None before there are enough of them."""
        here = self.done - self.before
        return here / self.seconds if here >= _SETTLED and self.seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """How long the rest takes at this rate."""
        return (self.total - self.done) / self.rate if self.rate else None

    def line(self) -> str:
        """Say it in one line."""
        parts = [f"{self.done}/{self.total}"]
        if self.rate is not None:
            parts.append(f"{self.rate:.0f}/s" if self.rate >= 10 else f"{self.rate:.1f}/s")
        if self.eta_seconds is not None and self.done < self.total:
            parts.append(f"{_duration(self.eta_seconds)} left")
        if self.spend.usd:
            parts.append(f"${self.spend.usd:.2f}")
        if self.spend.tokens:
            parts.append(f"{self.spend.tokens:,} tokens")
        parts.append(f"{self.differing} differing")
        parts += [
            f"{count} {status}"
            for status, count in sorted(self.statuses.items())
            if status != "complete" and count
        ]
        return "  ".join(parts)


class ProgressLine:
    """Draws progress on a terminal; call it with each `Progress`, and `close` it."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Draw on a stream, by default stderr; on what is no terminal, draw nothing."""
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty()
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        """Draw the line anew."""
        now = time.monotonic()
        if not self._shown or (now - self._last < _REDRAW_SECONDS and progress.done < progress.total):
            return
        self._last = now
        self._stream.write(_CLEAR_LINE + progress.line())
        self._stream.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write(_CLEAR_LINE)
            self._stream.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )
