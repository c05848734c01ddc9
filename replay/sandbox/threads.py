"""Threads that outlive their case.

The rules:

1. A case is over when its threads are: a thread that goes on could still act, and its acts would belong to nobody.
2. A thread counts however it was started: one of `_thread`, of which `threading` knows nothing, too.
3. An executor's idle worker is not going on: it waits for work inside `concurrent.futures`, and runs nothing of the agent's.
   An executor that was there before the case is watched like any other, since the case may have given it work.
4. Threads that ran already when the agent had been imported, such as a client's own, are not a case's.
"""

from __future__ import annotations

import _thread
import concurrent.futures.thread
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_POLL_SECONDS = 0.005
_HANDOVER_SECONDS = 0.001
"""Longer than a worker takes from being handed its work to beginning it."""

# An agent may put others in their place.
_sleep, _monotonic = time.sleep, time.monotonic
_frames = sys._current_frames  # noqa: SLF001 - the only way to see what threads do


_BEGINNING_SECONDS = 0.02
"""Longer than a thread of `_thread` takes from being started to being seen: nothing waits for it to begin."""
_bare_starts: list[None] = []


def notice_bare_starts() -> None:
    """Notice from now on what is started without `threading`, of which nothing tells."""

    def noticing(real: Callable[..., Any]) -> Callable[..., Any]:
        def start(*args: Any, **kwargs: Any) -> Any:
            _bare_starts.append(None)
            return real(*args, **kwargs)

        return start

    for name in ("start_new_thread", "start_new", "start_joinable_thread"):
        if hasattr(_thread, name):
            setattr(_thread, name, noticing(getattr(_thread, name)))


class Background:
    """The threads that are no case's; one that has ended is forgotten, since the system gives its number to another."""

    def __init__(self, idents: Iterable[int]) -> None:
        """Know the threads with these numbers, as they are now."""
        self._threads = {ident: _thread_of(ident) for ident in idents}

    def without(self, frames: Mapping[int, types.FrameType]) -> dict[int, types.FrameType]:
        """Give what runs and is none of these."""
        for ident, known in list(self._threads.items()):
            if ident not in frames or ((now := _thread_of(ident)) is not known and now is not None):
                del self._threads[ident]
        return {ident: frame for ident, frame in frames.items() if ident not in self._threads}


def _thread_of(ident: int) -> threading.Thread | None:
    return threading._active.get(ident)  # type: ignore[attr-defined] # noqa: SLF001 - by number, without a lock


def in_background() -> Background:
    """Give the threads that run, idle workers of executors left out; asked once, before the first case."""
    return Background(ident for ident, frame in _frames().items() if not _is_idle_worker(frame))


def outliving(background: Background, patience: float) -> tuple[str, ...]:
    """Wait for a case's threads to end, and name those that do not.

    Args:
        background: the threads that are no case's.
        patience: seconds to wait.
    """
    until = _monotonic() + patience
    if _bare_starts:
        _bare_starts.clear()
        _sleep(_BEGINNING_SECONDS)
    while True:
        frames = _frames()
        left = _left(frames, background)
        if not left:
            if not background.without(frames):
                return ()
            # An idle worker may have been handed its work this very moment.
            _sleep(_HANDOVER_SECONDS)
            left = _left(_frames(), background)
            if not left:
                return ()
        if _monotonic() >= until:
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            return tuple(sorted(names.get(ident, "a thread without a name") for ident in left))
        known = next((thread for thread in threading.enumerate() if thread.ident == left[0]), None)
        if known is None:
            _sleep(_POLL_SECONDS)
        else:
            known.join(_POLL_SECONDS)


def _left(frames: Mapping[int, types.FrameType], background: Background) -> list[int]:
    own = threading.get_ident()
    return [
        ident
        for ident, frame in background.without(frames).items()
        if ident != own and not _is_idle_worker(frame)
    ]


def _is_idle_worker(frame: types.FrameType | None) -> bool:
    # An idle worker's innermost Python frame is the loop that waits for work, with none in its hands and none waiting.
    if frame is None or frame.f_code is not concurrent.futures.thread._worker.__code__:  # noqa: SLF001
        return False
    held = frame.f_locals
    queue = held.get("work_queue")
    return held.get("work_item") is None and queue is not None and queue.qsize() == 0
