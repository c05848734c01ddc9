"""Reads a point in time as people write it: `yesterday`, `2h`, `2026-11-22`, `2026-11-22T09:30`.

The rules:

1. `today` and `yesterday` begin at midnight of the local time zone, and so does a date without a time.
2. `90m`, `2h`, `3d`, `1w` (and `30s`) count back from now; a number may have a fraction, such as `1.5h`.
3. An ISO date and time without a zone is local; `Z` or an offset is obeyed.
4. As an end (`until`), a day means all of it: `--until yesterday` is up to midnight.
5. What is none of these raises FilterError.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NoReturn

from auditlog.errors import FilterError
from auditlog.wording import nearest

_BACK = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|min|h|d|w)(?:\s+ago)?")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}|\d{8}|\d{4}-W\d{2}(-\d)?")
_WORDS = ("now", "today", "yesterday")


def parse_when(text: str, *, now: datetime | None = None, end: bool = False) -> datetime:
    """Turn what somebody wrote into an aware datetime.

    Args:
        text: `now`, `today`, `yesterday`, a time back from now (`2h`), or an ISO date or datetime.
        now: the present moment, aware; the clock's where it is None. Its zone is the local one.
        end: the moment ends a range, so that a day stands for its last moment.

    Raises:
        FilterError: the text is no point in time.
    """
    present = datetime.now().astimezone() if now is None else now
    written = text.strip().lower()
    midnight = present.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        match written:
            case "now":
                return present
            case "today":
                return present if end else _at_midnight(midnight, 0, now)
            case "yesterday":
                return _at_midnight(midnight, 0 if end else -1, now)
        if found := _BACK.fullmatch(written):
            return present - float(found[1]) * _UNITS[found[2]]
        moment = datetime.fromisoformat(text.strip())
        if _DAY.fullmatch(text.strip()):
            return _at_midnight(moment, int(end), now)
        return _local(moment, now) if moment.tzinfo is None else moment
    except (ValueError, OverflowError):
        _fail(text, written)


def _at_midnight(day: datetime, later: int, now: datetime | None) -> datetime:
    # By the calendar and not by 24 hours: a day on which clocks change has 23 or 25.
    return _local(day.replace(tzinfo=None) + timedelta(days=later), now)


def _local(moment: datetime, now: datetime | None) -> datetime:
    return moment.astimezone() if now is None else moment.replace(tzinfo=now.tzinfo)


def _fail(text: str, written: str) -> NoReturn:
    from auditlog.safe_text import safe_text

    near = nearest(written, _WORDS)
    hint = "" if near is None else f"; the nearest is `{near}`"
    raise FilterError(
        f"'{safe_text(text, width=40)}' is no point in time{hint}. "
        "Write yesterday, today, 90m, 2h, 3d, 1w, 2026-11-22 or 2026-11-22T09:30."
    )
