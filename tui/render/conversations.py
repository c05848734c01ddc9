"""The list of conversations: one line each, and the histogram above it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from auditlog.safe_text import safe_text
from auditlog.values import ConversationSummary
from tui.render import columns, formats
from tui.render.columns import Column
from tui.render.line import Line, Piece, fitted, line

COLUMNS = (
    Column("mark", " ", 1, 0),
    Column("time", "started", 11, 0),
    Column("state", "state", 12, 0),
    Column("turns", "turns", 5, 1, right=True),
    Column("tools", "tools", 5, 7, right=True),
    Column("duration", "took", 7, 6, right=True),
    Column("cost", "cost", 8, 5, right=True),
    Column("version", "version", 8, 2),
    Column("agent", "agent", 12, 3),
    Column("model", "model", 14, 9),
    Column("why", "also", 16, 8),
    Column("id", "conversation", 14, 4),
    Column("text", "last user text", 24, 0, grows=True),
)
"""The columns of the list; the time is UTC."""

BARS = " ▁▂▃▄▅▆▇█"
WORDS = 50
"""Cells that the histogram leaves to its words."""


@functools.lru_cache(64)
def fit(width: int) -> list[Column]:
    """Choose the columns for a width."""
    return columns.fit(COLUMNS, width)


def heading(width: int) -> Line:
    """Write the column titles."""
    return columns.heading(fit(width))


def row(summary: ConversationSummary, fits: Sequence[Column], *, marked: bool = False) -> Line:
    """Write one conversation in fitted columns."""
    state = formats.state_of(summary.status, summary.why)
    tools = f"{summary.tool_calls}!{summary.tool_errors}" if summary.tool_errors else str(summary.tool_calls)
    width = {column.name: column.width for column in fits}

    def text(name: str, value: str | None, role: str = "") -> Piece:
        # A column that is not shown needs no text; a cell never needs more than its own width of it.
        return (
            Piece(safe_text(value or formats.UNKNOWN, width=width[name]), role)
            if name in width
            else Piece("")
        )

    return columns.row(
        fits,
        {
            "mark": Piece("●" if marked else " ", "accent"),
            "time": Piece(formats.moment(summary.start), "muted"),
            "state": Piece(state.text, state.role),
            "turns": Piece(formats.count(summary.turns)),
            "tools": Piece(tools, "error" if summary.tool_errors else ""),
            "duration": Piece(formats.duration(summary.duration_ms), "muted"),
            "cost": Piece(formats.cost(summary.cost_usd), "muted"),
            "version": text("version", summary.agent_version),
            "agent": text("agent", summary.agent_name),
            "model": text("model", summary.model, "muted"),
            "why": Piece(formats.other_reasons(summary.status, summary.why), "warn"),
            "id": text("id", summary.conversation_id, "muted"),
            "text": text("text", summary.last_user_text, "user"),
        },
    )


def waiting(fits: Sequence[Column]) -> Line:
    """Write the row that stands in for one which has not been read yet."""
    return columns.row(fits, {"time": Piece("…", "muted")})


class Histogram(NamedTuple):
    """Conversations, and failures among them, in equal spans of time."""

    first: datetime
    last: datetime
    volume: tuple[int, ...]
    failures: tuple[int, ...]


def histogram(counts: Histogram | None, width: int) -> list[Line]:
    """Draw volume above failures, one cell a span of time; the numbers beside them say what a full cell is."""
    if counts is None or not any(counts.volume):
        return [Line(), Line()]
    room = max(12, min(len(counts.volume), width - WORDS))
    volume, failures = _merged(counts.volume, room), _merged(counts.failures, room)
    peak = max(volume)
    failed = sum(failures)
    period = f"{formats.moment(counts.first)} to {formats.moment(counts.last)} UTC"
    share = f"{failed} of {sum(volume):,} failed" if failed else "none failed"
    return [
        fitted(
            line(
                ("volume ", "muted"), (_bars(volume, peak), "accent"), (f" peak {peak:,} · {period}", "muted")
            ),
            width,
        ),
        fitted(
            line(("failed ", "muted"), (_bars(failures, peak, "·"), "error"), (f" {share}", "muted")), width
        ),
    ]


def _merged(values: Sequence[int], room: int) -> list[int]:
    """Add neighbours up until there are `room` of them."""
    size = len(values)
    return [sum(values[i * size // room : (i + 1) * size // room]) for i in range(room)]


def _bars(values: Sequence[int], peak: int, nought: str = " ") -> str:
    return "".join(BARS[max(1, round(value * 8 / peak))] if value else nought for value in values)
