"""Dates and times as ISO text.

The rules:

1. A time zone is asked for its offset only where it is one of Python's own, or of pytz or dateutil. Of any other, whose code may
   raise or never end, the time is written as its clock shows it, and is not exact.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from auditlog.encoding.encode import type_name

_ZONES = frozenset({"datetime.timezone", "zoneinfo.ZoneInfo"})
_ZONE_LIBRARIES = frozenset({"pytz", "dateutil"})


def moment_text(value: Any) -> tuple[str, bool]:
    """Give the ISO text of a date, time or datetime or of one of a subclass, and whether it says all that it is."""
    base: Any = next(base for base in (dt.datetime, dt.date, dt.time) if issubclass(type(value), base))
    zone = None if base is dt.date else base.tzinfo.__get__(value)
    name = type_name(type(zone))
    if zone is None or name in _ZONES or name.partition(".")[0] in _ZONE_LIBRARIES:
        return base.isoformat(value), True
    shown = base.replace(value, tzinfo=None) if type(value) is base else _bare(value, base)
    return base.isoformat(shown), False


def _bare(value: Any, base: Any) -> Any:
    """Give the clock's time of a subclass without asking it for anything."""
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    taken = names if base is dt.datetime else names[3:]
    return base(**{name: getattr(base, name).__get__(value) for name in taken})
