"""How the work of an event loop ends before it is done: by a signal, or by an error of one of its tasks."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


async def interruptible(work: Coroutine[object, object, T]) -> T:
    """Await work that SIGINT and SIGTERM cancel.

    Raises:
        CancelledError: one of them came.
    """
    working = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, working.cancel)
        except (RuntimeError, ValueError):
            # Not the main thread: whoever runs us there has signals of their own.
            break
    return await working


def first_error(group: BaseExceptionGroup) -> BaseException:
    """Give the error that ended the tasks: the first that is not another group."""
    error = group.exceptions[0]
    return first_error(error) if isinstance(error, BaseExceptionGroup) else error
