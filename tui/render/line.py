"""What every renderer gives and every widget shows: a Line of Pieces, each with the name of its role.

The rules:

1. A piece is text without control characters and the role it plays; what a role looks like is the theme's matter.
2. Recorded text becomes a piece through `recorded`, `value` or `wrapped` only: they pass it through `safe_text`.
3. Widths are terminal cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from auditlog.safe_text import cell_width, clip, safe_text, wrap

ELLIPSIS = "…"


class Piece(NamedTuple):
    """A run of text in one role; several roles are parted by spaces, and a later one wins."""

    text: str
    role: str = ""


class Line(NamedTuple):
    """One line of a screen."""

    pieces: tuple[Piece, ...] = ()

    @property
    def text(self) -> str:
        """The line without its roles."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def width(self) -> int:
        """Terminal cells."""
        return sum(cell_width(piece.text) for piece in self.pieces)


BLANK = Line()


def line(*pieces: Piece | str | tuple[str, str]) -> Line:
    """Make a line of pieces, plain strings and (text, role) pairs; empty ones are left out."""
    made = (Piece(piece) if isinstance(piece, str) else Piece(*piece) for piece in pieces)
    return Line(tuple(piece for piece in made if piece.text))


def recorded(text: str | None, role: str = "", width: int | None = None) -> Piece:
    """Make one piece of recorded text, on one line, clipped to `width` cells."""
    return Piece(safe_text(text or "", width=width), role)


def wrapped(
    text: str,
    width: int,
    role: str = "",
    *,
    first: Piece | None = None,
    indent: int = 0,
    most: int | None = None,
) -> list[Line]:
    """Lay recorded text out in lines.

    Args:
        text: what was recorded; its line breaks are kept.
        width: the cells of a whole line, indent included.
        role: the role of the text.
        first: what stands before the first line, in place of its indent.
        indent: cells before each line.
        most: the most lines; a longer text ends in a line that says how much is left and which key opens it.
    """
    room = max(8, width - indent)
    shown = text if most is None else text[: (most + 1) * room * 4]
    laid = wrap(safe_text(shown, newlines=True), room)
    left = most is not None and (len(laid) > most or len(shown) < len(text))
    if most is not None and left:
        laid = laid[:most]
    lines = [line(" " * indent, (words, role)) for words in laid]
    if first is not None:
        lines[0] = line(first, " " * max(0, indent - cell_width(first.text)), (laid[0], role))
    if left:
        hidden = max(1, len(text) - sum(len(words) + 1 for words in laid))
        lines.append(
            line(
                " " * indent, (clip(f"{ELLIPSIS} {hidden:,} more characters: enter opens all", room), "muted")
            )
        )
    return lines


def fitted(made: Line, width: int) -> Line:
    """Cut a line to at most `width` cells."""
    if made.width <= width:
        return made
    pieces: list[Piece] = []
    left = width
    for piece in made.pieces:
        size = cell_width(piece.text)
        if size > left or (size == left and piece is not made.pieces[-1]):
            pieces.append(Piece(clip(piece.text + " " * (size <= left), left), piece.role))
            break
        pieces.append(piece)
        left -= size
    return Line(tuple(pieces))


def spread(left: Line, right: Line, width: int) -> Line:
    """Set one line at the left margin and one at the right; the right one gives way where both do not fit."""
    room = width - left.width - 1
    if room < 4:
        return fitted(left, width)
    right = fitted(right, room)
    return Line((*left.pieces, Piece(" " * (width - left.width - right.width)), *right.pieces))


def rule(title: Iterable[Piece], width: int, role: str = "rule") -> Line:
    """Make a heading: `── title ─────────`."""
    head = (Piece("── ", role), *title, Piece(" ", role))
    used = sum(cell_width(piece.text) for piece in head)
    return fitted(Line((*head, Piece("─" * max(0, width - used), role))), width)


def with_role(made: Line, role: str) -> Line:
    """Add a role to every piece of a line."""
    return Line(tuple(Piece(piece.text, f"{piece.role} {role}".strip()) for piece in made.pieces))


def finder(needle: str) -> re.Pattern[str] | None:
    """Compile what `/` looks for: the words as they are, upper and lower case alike; None for nothing."""
    return re.compile(re.escape(needle), re.IGNORECASE) if needle else None


def highlighted(made: Line, pattern: re.Pattern[str] | None) -> Line:
    """Give the role `match` to each place of a line in which the pattern occurs."""
    if pattern is None:
        return made
    hits = [match.span() for match in pattern.finditer(made.text) if match.end() > match.start()]
    if not hits:
        return made
    pieces: list[Piece] = []
    at = 0
    for piece in made.pieces:
        end, here = at + len(piece.text), at
        for first, last in hits:
            if last <= here or first >= end:
                continue
            first, last = max(first, here), min(last, end)  # noqa: PLW2901 - the part inside this piece
            pieces.append(Piece(piece.text[here - at : first - at], piece.role))
            pieces.append(Piece(piece.text[first - at : last - at], f"{piece.role} match".strip()))
            here = last
        pieces.append(Piece(piece.text[here - at :], piece.role))
        at = end
    return Line(tuple(piece for piece in pieces if piece.text))
