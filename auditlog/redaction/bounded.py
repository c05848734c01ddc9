"""Runs recognisers for a bounded time.

The rules:

1. A recogniser runs on a thread of its own, and whoever records waits for it `seconds` at most; then it is too late, and
   the part is not written.
2. Python cannot end a thread. One that hangs is left alone, and while it does, no other text is given to that recogniser: an
   agent waits once, and not at every call. When it comes back, it is used again.
3. The threads are daemons: none holds up the end of the process, and a forked child begins with none.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

SECONDS = 10.0
MAX_THREADS = 8
"""Texts that one recogniser looks at side by side."""


class TooLateError(Exception):
    """A recogniser did not answer in time, or hangs since an earlier text."""


class Bounded:
    """Calls one function on threads of its own."""

    def __init__(self, function: Callable[[str], list[Any]], seconds: float = SECONDS) -> None:
        """Prepare; threads are started when they are needed."""
        self._function = function
        self._seconds = seconds
        self._forget()

    def __call__(self, text: str) -> list[Any]:
        """Give what the function gives.

        Raises:
            TooLateError: it does not answer in time.
            Exception: what the function raises.
        """
        if self._process != os.getpid():
            self._forget()
        job = _Job(text)
        with self._lock:
            if any(time.monotonic() - began > self._seconds for began in self._busy.values()):
                raise TooLateError
            if self._idle == 0 and self._threads < MAX_THREADS:
                self._threads += 1
                threading.Thread(target=self._work, name="auditlog-recogniser", daemon=True).start()
            else:
                self._idle = max(0, self._idle - 1)
        self._jobs.put(job)
        if not job.done.wait(self._seconds):
            job.given_up = True
            raise TooLateError
        if job.error is not None:
            raise job.error
        return job.found

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._busy: dict[int, float] = {}
        self._threads = self._idle = 0

    def _work(self) -> None:
        me, jobs, lock, busy = threading.get_ident(), self._jobs, self._lock, self._busy
        while True:
            job = jobs.get()
            if not job.given_up:
                busy[me] = time.monotonic()
                try:
                    job.found = self._function(job.text)
                except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits for it
                    job.error = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
                finally:
                    busy.pop(me, None)
            job.done.set()
            with lock:
                self._idle += 1


class _Job:
    __slots__ = ("done", "error", "found", "given_up", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: list[Any] = []
        self.error: Exception | None = None
        self.given_up = False
        self.done = threading.Event()
