"""Plots as inline SVG, made by hand: intervals against their margins, and the bound on hard violations.

The rules:

1. No script, no style sheet, no font and no link: shapes and text, which print as they look.
2. Every text is passed through `safe_text` and escaped. Each plot has a title that says what it shows.
3. Colour never says anything alone: each row has its figures beside it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from auditlog.safe_text import safe_text
from replay.gate.wording import bound, points

_ROW, _LEFT, _RIGHT, _PLOT = 34, 190, 200, 360
_WIDTH = _LEFT + _PLOT + _RIGHT
_INK = {"PASS": "#2c6b3f", "FAIL": "#a12622", "INCONCLUSIVE": "#8a5a00"}


class Row(NamedTuple):
    """One interval."""

    label: str
    estimate: float
    low: float
    high: float
    margin: float | None
    outcome: str


def intervals(rows: Sequence[Row], title: str) -> str:
    """Draw differences with their intervals, 0 and the margins."""
    edges = [value for row in rows for value in (row.low, row.high, -(row.margin or 0.0))]
    low, high = min(0.0, *edges), max(0.0, *edges)
    pad = max((high - low) * 0.08, 0.005)
    low, high = low - pad, high + pad

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * _PLOT

    height = _ROW * len(rows) + 40
    parts = [_line(x(0), 10, x(0), height - 26, "#1c2127", 1.2), _text(x(0), height - 10, "0", "middle")]
    for number, row in enumerate(rows):
        y = 26 + _ROW * number
        ink = _INK[row.outcome]
        parts += [
            _text(_LEFT - 10, y + 4, row.label, "end"),
            _line(x(row.low), y, x(row.high), y, ink, 2.4),
            _line(x(row.low), y - 5, x(row.low), y + 5, ink, 1.6),
            _line(x(row.high), y - 5, x(row.high), y + 5, ink, 1.6),
            f'<circle cx="{x(row.estimate):.1f}" cy="{y}" r="4.2" fill="{ink}"/>',
            _text(
                _LEFT + _PLOT + 10,
                y + 4,
                f"{points(row.estimate)} [{points(row.low)}, {points(row.high)}]".replace(" pp", ""),
                "start",
            ),
        ]
        if row.margin is not None:
            parts.append(_line(x(-row.margin), y - 13, x(-row.margin), y + 13, "#5a6472", 1.4, dashed=True))
    return _svg(height, title, parts)


def bound_curve(n: int, asked: float | None, alpha: float, title: str) -> str:
    """Draw the upper bound that n conversations without a violation show, and where this run stands."""
    most = max(n * 2, 60)
    if asked is not None:
        most = max(most, math.ceil(math.log(alpha) / math.log1p(-asked) * 1.2))
    top, height, base = 0.12, 230, 190

    def at(count: float) -> tuple[float, float]:
        value = 1 - alpha ** (1 / max(count, 1))
        return _LEFT + count / most * _PLOT, base - min(value, top) / top * 160

    curve = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(most * step / 120) for step in range(1, 121)))
    here = at(n)
    parts = [
        _line(_LEFT, base, _LEFT + _PLOT, base, "#5a6472", 1),
        _line(_LEFT, base - 165, _LEFT, base, "#5a6472", 1),
        f'<polyline points="{curve}" fill="none" stroke="#2f5d8a" stroke-width="2"/>',
        f'<circle cx="{here[0]:.1f}" cy="{here[1]:.1f}" r="4.5" fill="#1c2127"/>',
        _text(here[0] + 8, here[1] - 8, f"{n:,}: {bound(1 - alpha ** (1 / max(n, 1)))}", "start"),
        _text(_LEFT + _PLOT, base + 18, f"{most:,} conversations", "end"),
        _text(_LEFT, base + 18, "0", "middle"),
        _text(_LEFT - 8, base - 160, "12 %", "end"),
        _text(_LEFT - 8, base, "0 %", "end"),
    ]
    if asked is not None:
        y = base - min(asked, top) / top * 160
        parts += [
            _line(_LEFT, y, _LEFT + _PLOT, y, "#a12622", 1.2, dashed=True),
            _text(_LEFT + _PLOT + 10, y + 4, f"asked for: {bound(asked)}", "start"),
        ]
    return _svg(height, title, parts)


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" xmlns="http://www.w3.org/2000/svg" width="100%">'
        f"<title>{_escaped(title)}</title>\n{body}\n</svg>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, ink: str, width: float, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{ink}" stroke-width="{width}"{dash}/>'


def _text(x: float, y: float, said: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="12" font-family="sans-serif">{_escaped(said)}</text>'


def _escaped(text: str) -> str:
    return html.escape(safe_text(text, width=60))
