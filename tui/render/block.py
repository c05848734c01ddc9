"""A block: one thing on a screen that the cursor stops at, however many lines it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.render.line import Line

MOST_GUESSED = 15


@dataclass(frozen=True, slots=True)
class Block:
    """One message, call, heading or difference."""

    key: str
    """What it is, so that the cursor finds it again when the screen is laid out anew."""
    draw: Callable[[int], list[Line]]
    """Lays it out in so many cells: at least one line."""
    text: str | Callable[[], str] = ""
    """All of its recorded text, for `/`, also what the lines clip; or what gives it."""
    target: object = None
    """What enter opens: a span, a turn, a case; None for nothing."""
    height: int = 0
    """Its lines where they are the same in every width: it is then drawn only when it is seen."""

    @property
    def whole_text(self) -> str:
        """All of its recorded text."""
        return self.text if isinstance(self.text, str) else self.text()

    def estimate(self, width: int) -> int:
        """Guess its lines without drawing it."""
        length = len(self.text) if isinstance(self.text, str) else 0
        return self.height or min(MOST_GUESSED, 1 + length // width)
