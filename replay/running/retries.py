"""What is tried again, and when.

The rules:

1. A worker that something kills while it starts is started again, a few times; then the run gives up.
2. What failed because of the model's infrastructure is tried again, later and later, and not all of it at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol, TypeVar

from replay.errors import RunError

START_ATTEMPTS = 3
"""How often a worker is started before its run gives up."""
BACKOFF_SECONDS = 1.0
"""Before the first time that an execution is tried again; about twice as much before each that follows."""
MOST_BACKOFF_SECONDS = 60.0


class Starts(Protocol):
    """A worker, here or elsewhere."""

    async def start(self) -> object:
        """Start it."""
        ...

    async def kill(self) -> None:
        """End it."""
        ...


W = TypeVar("W", bound=Starts)


async def started(make: Callable[[], W]) -> W:
    """Start a worker (rule 1); whoever is interrupted here leaves none behind.

    Raises:
        TargetError: its target is not importable.
        RunError: it does not start.
    """
    for left in reversed(range(START_ATTEMPTS)):
        worker = make()
        try:
            await worker.start()
        except RunError:
            await worker.kill()
            if not left:
                raise
        except BaseException:
            await worker.kill()
            raise
        else:
            return worker
    raise AssertionError


def pause_before(attempt: int) -> float:
    """Give the seconds before an execution is tried again (rule 2): `attempt` is how often it has failed."""
    pause = min(BACKOFF_SECONDS * 2 ** (attempt - 1), MOST_BACKOFF_SECONDS)
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 - so that not all come back at once
