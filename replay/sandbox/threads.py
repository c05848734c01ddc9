"""Threads that outlive their case.

The rules:

1. A case is over when its threads are: a thread that goes on could still act, and its acts would belong to nobody.
2. An executor's idle worker is not going on: it waits for work inside `concurrent.futures`, and runs nothing of the agent's.
   An executor that was there before the case is watched like any other, since the case may have given it work.
3. Threads that ran already when the agent had been imported, such as a client's own, are not a case's.
"""

from __future__ import annotations

import concurrent.futures.thread
import sys
import threading
import time
import types
from collections.abc import Collection

_POLL_SECONDS = 0.005
_HANDOVER_SECONDS = 0.001
"""Longer than a worker takes from being handed its work to beginning it."""


def in_background() -> frozenset[threading.Thread]:
    """Give the threads that run, idle workers of executors left out; asked once, before the first case."""
    frames = sys._current_frames()  # noqa: SLF001 - the only way to see what a thread does
    return frozenset(t for t in threading.enumerate() if not _is_idle_worker(frames.get(t.ident or 0)))


def outliving(background: frozenset[threading.Thread], patience: float) -> tuple[str, ...]:
    """Wait for a case's threads to end, and name those that do not.

    Args:
        background: the threads that are no case's.
        patience: seconds to wait.
    """
    until = time.monotonic() + patience
    while True:
        left = _left(background)
        if not left:
            if background.issuperset(threading.enumerate()):
                return ()
            # An idle worker may have been handed its work this very moment.
            time.sleep(_HANDOVER_SECONDS)
            left = _left(background)
            if not left:
                return ()
        if time.monotonic() >= until:
            return tuple(sorted(thread.name for thread in left))
        left[0].join(_POLL_SECONDS)


def _left(background: Collection[threading.Thread]) -> list[threading.Thread]:
    frames = sys._current_frames()  # noqa: SLF001
    return [
        thread
        for thread in threading.enumerate()
        if thread not in background
        and thread is not threading.current_thread()
        and not _is_idle_worker(frames.get(thread.ident or 0))
    ]


def _is_idle_worker(frame: types.FrameType | None) -> bool:
    # An idle worker's innermost Python frame is the loop that waits for work, with none in its hands and none waiting.
    if frame is None or frame.f_code is not concurrent.futures.thread._worker.__code__:  # noqa: SLF001
        return False
    held = frame.f_locals
    queue = held.get("work_queue")
    return held.get("work_item") is None and queue is not None and queue.qsize() == 0
