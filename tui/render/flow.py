"""Text in several roles, broken into lines as one text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from auditlog.safe_text import cell_width, wrap
from tui.render.line import Line, Piece

_TOKENS = re.compile(r"\n|[^\S\n]+|\S+")


def flow(pieces: Iterable[Piece], width: int) -> list[Line]:
    r"""Lay pieces of clean text out in lines of at most `width` cells; a `\n` in them breaks the line."""
    width = max(2, width)
    lines: list[list[Piece]] = [[]]
    taken = 0
    for piece in pieces:
        for word in _TOKENS.findall(piece.text):
            if word == "\n":
                lines.append([])
                taken = 0
                continue
            size = cell_width(word)
            if taken + size > width:
                if word.isspace():
                    lines.append([])
                    taken = 0
                    continue
                if taken:
                    lines.append([])
                    taken = 0
                for part in wrap(word, width)[:-1] if size > width else []:
                    lines[-1].append(Piece(part, piece.role))
                    lines.append([])
                    word = word[len(part) :]  # noqa: PLW2901 - what is left of it
                    size = cell_width(word)
            lines[-1].append(Piece(word, piece.role))
            taken += size
    return [Line(_joined(line[:-1] if line and line[-1].text.isspace() else line)) for line in lines]


def _joined(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Join neighbours of one role."""
    made: list[Piece] = []
    for piece in pieces:
        if made and made[-1].role == piece.role:
            made[-1] = Piece(made[-1].text + piece.text, piece.role)
        else:
            made.append(piece)
    return tuple(made)
