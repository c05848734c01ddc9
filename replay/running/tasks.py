"""The tasks of one target that wait for a worker.

The rules:

1. There is room for some; who feeds waits while there is none.
2. A worker takes several at once, and not so many that another one has nothing to do. What is to be alone is taken alone.
3. It is over when everything was fed, and nothing is under way or waits to be tried again; or when the run stops.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from replay.running.jobs import Task


class Tasks:
    """What waits to be run; for one event loop."""

    def __init__(self, room: int, alone: Callable[[Task], bool] = lambda _: False) -> None:
        """Begin empty.

        Args:
            room: how many may wait before who feeds waits.
            alone: whether a task is to be taken with no other.
        """
        self._room = room
        self._alone = alone
        self._waiting: deque[Task] = deque()
        self._changed = asyncio.Condition()
        self._fed = self._stopped = False
        self._under_way = 0
        self._later = 0

    def __len__(self) -> int:
        """How many wait for a worker."""
        return len(self._waiting)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to take."""
        return self._stopped or (self._fed and not (self._waiting or self._under_way or self._later))

    async def feed(self, tasks: Sequence[Task]) -> None:
        """Add tasks, when there is room for them."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._room)
            self._waiting.extend(tasks)
            self._changed.notify_all()

    async def fed(self) -> None:
        """Say that there are no more to come."""
        async with self._changed:
            self._fed = True
            self._changed.notify_all()

    async def take(self, most: int, takers: int) -> list[Task]:
        """Take tasks as soon as there are some; none when it is over.

        Args:
            most: how many at most.
            takers: how many take them.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting or self.over)
            if self._stopped or not self._waiting:
                return []
            fair = max(1, len(self._waiting) // max(1, takers)) if self._fed else len(self._waiting)
            taken = [self._waiting.popleft()]
            while (
                len(taken) < min(most, fair)
                and self._waiting
                and not any(map(self._alone, (taken[0], self._waiting[0])))
            ):
                taken.append(self._waiting.popleft())
            self._under_way += len(taken)
            return taken

    async def give_back(self, done: int, again: Iterable[Task] = ()) -> None:
        """Say what became of tasks that were taken.

        Args:
            done: how many of them are done.
            again: those that have not begun, and wait again.
        """
        async with self._changed:
            left = list(again)
            self._under_way -= done + len(left)
            self._waiting.extendleft(reversed(left))
            if left or self.over or len(self._waiting) < self._room:
                self._changed.notify_all()

    def later(self, task: Task, seconds: float) -> asyncio.Task[None]:
        """Add a task in front of the others, after some time."""
        self._later += 1
        return asyncio.ensure_future(self._bring_back(task, seconds))

    async def _bring_back(self, task: Task, seconds: float) -> None:
        await asyncio.sleep(seconds)
        async with self._changed:
            # In one step: who looks between the two would take it for over.
            self._later -= 1
            if not self._stopped:
                self._waiting.appendleft(task)
            self._changed.notify_all()

    def stop(self) -> asyncio.Task[None]:
        """Hand out nothing more, from this moment on."""
        self._stopped = True
        return asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        async with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
