"""How the gate writes figures: shares, points, counts, moments."""

from __future__ import annotations

from datetime import datetime


def share(value: float | None, digits: int = 1) -> str:
    """Give a share in per cent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def points(value: float | None) -> str:
    """Give a difference of shares in percentage points, with its sign."""
    if value is None:
        return "–"
    said = f"{100 * value:+.1f} pp".replace("-", "−")
    return "0.0 pp" if said in ("+0.0 pp", "−0.0 pp") else said


def number(count: int, noun: str) -> str:
    """Give a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def bound(value: float) -> str:
    """Give an upper bound in per cent, with as many digits as it takes."""
    return f"{100 * value:.2f} %" if value < 0.1 else share(value)


def moment(when: datetime) -> str:
    """Give a moment to the minute, in UTC."""
    return f"{when:%Y-%m-%d %H:%M} UTC"
