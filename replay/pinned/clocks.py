"""Sets the clocks of a worker to the recorded turn's time, and lets them go on from there.

The rules:

1. All clocks of the wall at once, in C, below every library: `time.time`, `datetime.now`, `date.today`, `strftime` and
   their like (time-machine). Clocks that only measure (`monotonic`, `perf_counter`) are left alone.
2. Records of the replay keep the machine's time: a replay of last year's turn did not happen last year.
3. Only in a worker, which runs one case at a time: a process has one wall clock.
"""

from __future__ import annotations

import time
from typing import Any

from auditlog import clock

_travelling: list[Any] = []


def begin(start_ns: int) -> None:
    """Set the clocks to a moment.

    Args:
        start_ns: nanoseconds since the epoch.
    """
    import time_machine

    end()
    # A moment with a time zone would set the process's zone, too.
    travel = time_machine.travel(start_ns / 1e9, tick=True)
    travel.start()
    # The time goes on from the first look at it.
    time.time()
    _travelling.append(travel)
    clock.time_ns = time_machine.escape_hatch.time.time_ns


def end() -> None:
    """Set the clocks to the machine's time again."""
    clock.time_ns = time.time_ns
    while _travelling:
        _travelling.pop().stop()
