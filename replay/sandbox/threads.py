"""Threads that outlive their case.

The rules:

1. A case is over when its threads are: a thread that goes on could still act, and its acts would belong to nobody.
2. An executor's idle worker is not going on: it waits for work inside `concurrent.futures`, and runs nothing of the agent's.
3. Threads that were there before the case, started when the agent was imported, are not the case's.
"""

from __future__ import annotations

import concurrent.futures.thread
import sys
import threading
import time
from collections.abc import Collection

_POLL_SECONDS = 0.005


def running() -> frozenset[threading.Thread]:
    """Give the threads there are."""
    return frozenset(threading.enumerate())


def outliving(before: Collection[threading.Thread], patience: float) -> tuple[str, ...]:
    """Wait for a case's threads to end, and name those that do not.

    Args:
        before: the threads there were before the case.
        patience: seconds to wait.
    """
    until = time.monotonic() + patience
    while left := _left(before):
        if time.monotonic() >= until:
            return tuple(sorted(thread.name for thread in left))
        left[0].join(_POLL_SECONDS)
    return ()


def _left(before: Collection[threading.Thread]) -> list[threading.Thread]:
    frames = sys._current_frames()  # noqa: SLF001 - the only way to see what a thread does
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before
        and thread is not threading.current_thread()
        and not _is_idle_worker(frames.get(thread.ident or 0))
    ]


def _is_idle_worker(frame: object) -> bool:
    # An idle worker's innermost Python frame is the loop that waits for work.
    return getattr(frame, "f_code", None) is concurrent.futures.thread._worker.__code__  # noqa: SLF001
