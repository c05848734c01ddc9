"""How many workers a target has, and how much each takes at once.

The rules:

1. There is one worker for each core at first, and more only while cases wait and the ones under way take long: those wait
   for a model, and not for this machine. Never more than the run's concurrency.
2. No more workers start at the same time than there are cores: starting is this machine's work.
3. A worker is given so many cases at once that it has something to do for a moment, and one where a case takes longer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from replay.running.tasks import Tasks

SLOW_SECONDS = 0.1
"""A case that takes longer waits for something."""
A_MOMENT_SECONDS = 0.1
_LOOK_SECONDS = 0.1
_NEW = 0.2
"""The weight of the newest case in the mean."""


class Staff:
    """The workers of one target."""

    def __init__(self, most: int, queue: Tasks, at_first: int | None = None) -> None:
        """Begin with nobody.

        Args:
            most: the run's concurrency.
            queue: what they take their tasks from.
            at_first: how many begin; by default one a core of this machine.
        """
        self._most = most
        self._queue = queue
        self._cores = at_first or os.cpu_count() or 1
        self._mean: float | None = None
        self._heard_at = 0.0
        self.serving = 0
        self.starting = asyncio.Semaphore(self._cores)

    @property
    def at_once(self) -> int:
        """How many cases a worker is given together."""
        return 1 if self._mean is None else max(1, int(A_MOMENT_SECONDS / max(self._mean, 1e-6)))

    def took(self, seconds: float) -> None:
        """Learn how long a case took."""
        self._mean = seconds if self._mean is None else self._mean + _NEW * (seconds - self._mean)
        self._heard_at = asyncio.get_running_loop().time()

    async def hire(self, serve: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have workers serve until there is nothing more to do.

        Args:
            serve: one worker's part.
        """
        clock = asyncio.get_running_loop().time
        self._heard_at = clock()
        async with asyncio.TaskGroup() as group:
            while self.serving < min(self._most, self._cores):
                self.serving += 1
                group.create_task(serve())
            while self.serving < self._most and not self._queue.over:
                await asyncio.sleep(_LOOK_SECONDS)
                waits = self._mean if self._mean is not None else clock() - self._heard_at
                if len(self._queue) and waits > SLOW_SECONDS and not self.starting.locked():
                    self.serving += 1
                    group.create_task(serve())
