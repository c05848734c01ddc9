"""Tables that fit their width: what matters most is shown first, and one column takes what is left.

The rules:

1. A column has a rank; columns are taken by rank as long as the growing column keeps its least width.
2. Columns stand in the order they are listed in, whatever their rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from auditlog.safe_text import pad
from tui.render.line import Line, Piece

GAP = 1


class Column(NamedTuple):
    """One column of a table."""

    name: str
    title: str
    width: int
    """Cells; of the growing column, the least."""
    rank: int
    """0 stands in every table, however narrow."""
    right: bool = False
    grows: bool = False


def fit(columns: Sequence[Column], width: int) -> list[Column]:
    """Choose the columns that fit, and give the growing one what is left."""
    chosen = {column.name for column in columns if column.rank == 0}
    used = sum(column.width + GAP for column in columns if column.rank == 0) - GAP
    for column in sorted((c for c in columns if c.rank), key=lambda c: c.rank):
        if used + GAP + column.width > width:
            break
        chosen.add(column.name)
        used += GAP + column.width
    return [
        column._replace(width=max(1, column.width + width - used)) if column.grows else column
        for column in columns
        if column.name in chosen
    ]


def heading(columns: Sequence[Column]) -> Line:
    """Write the titles of fitted columns."""
    return row(columns, {column.name: Piece(column.title, "heading") for column in columns})


def row(columns: Sequence[Column], cells: Mapping[str, Piece]) -> Line:
    """Write one row of fitted columns; a cell that is missing is blank. Cells are clean text."""
    pieces: list[Piece] = []
    for index, column in enumerate(columns):
        cell = cells.get(column.name, Piece(""))
        # The gap belongs to the cell before it: fewer pieces are painted faster.
        gap = " " * GAP if index < len(columns) - 1 else ""
        pieces.append(Piece(pad(cell.text, column.width, right=column.right) + gap, cell.role))
    return Line(tuple(pieces))
