"""When the calls of a turn ran: one bar each, fitted to the window."""

from __future__ import annotations

from functools import partial

from auditlog.safe_text import pad
from auditlog.values import Span, Turn
from tui.render import formats
from tui.render.block import Block
from tui.render.line import Line, fitted, line, recorded

NAME = 26
TOOK = 8


def blocks(turn: Turn) -> list[Block]:
    """Lay out a turn's calls; the bars share one scale, from the turn's first start to its last end."""
    first = min(span.start_ns for span in turn.spans)
    last = max([span.end_ns or span.start_ns for span in turn.spans] + [first + 1])
    return [Block(span.span_id, partial(_bar, span, first, last), span.name, span) for span in turn.spans]


def _bar(span: Span, first: int, last: int, width: int) -> list[Line]:
    name_width = min(NAME, max(10, width // 3))
    room = max(4, width - name_width - TOOK - 2)
    scale = room / (last - first)
    left = min(room - 1, int((span.start_ns - first) * scale))
    end = span.end_ns if span.end_ns is not None else last
    size = max(1, min(room - left, round((end - span.start_ns) * scale)))
    state = formats.state_of(span.status)
    role = "bar" if span.status == "ok" else state.role
    name = recorded(f"{formats.KIND_GLYPHS[span.kind]} {span.name or span.kind}", role, name_width)
    body = "█" * size if span.end_ns is not None else "░" * size
    took = pad(formats.duration(span.duration_ms), TOOK, right=True)
    flag = f" {state.glyph}" if span.status != "ok" else ""
    return [
        fitted(
            line(
                (pad(name.text, name_width), name.role),
                " ",
                (" " * left + body + " " * (room - left - size), role),
                (took, "muted"),
                (flag, state.role),
            ),
            width,
        )
    ]
