"""The event loop of a worker's cases.

The rules:

1. A case finds an event loop as a new one is. One that the case before left exactly so is used again, since making one
   costs more than many a case; one with anything left in it (a task, a timer, a connection, a thread, a handler, a setting)
   is closed with its case, as `asyncio.run` would.
2. Each case runs in a context of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

_PLAIN = (type(None), bool, int, float, str)


class Loops:
    """Runs coroutines of one case after the other."""

    def __init__(self) -> None:
        """Begin without a loop."""
        self._runner: asyncio.Runner | None = None
        self._policy: object = None
        self._fresh: dict[str, Any] = {}

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine to its end, and what it left behind, too."""
        runner = self._ready()
        loop = runner.get_loop()
        try:
            # Not `Runner.run`, which looks after Ctrl-C each time: a worker has a session of its own.
            loop.run_until_complete(loop.create_task(coroutine, context=contextvars.copy_context()))
        finally:
            if asyncio.all_tasks(loop) or _state(loop) != self._fresh:
                self._runner = None
                runner.close()

    def _ready(self) -> asyncio.Runner:
        policy = asyncio.get_event_loop_policy()
        if self._runner is not None and self._policy is not policy:
            self._runner.close()
            self._runner = None
        if self._runner is None:
            self._runner, self._policy = asyncio.Runner(), policy
            # What a loop sets up when it first runs is there before it is looked at.
            self._runner.run(_nothing(), context=contextvars.Context())
            self._fresh = _state(self._runner.get_loop())
        return self._runner


async def _nothing() -> None:
    """Run."""


def _state(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    """Give what tells a loop from a new one; a loop of another make that does not say is never like another."""
    try:
        fields = vars(loop)
        watched = len(fields["_selector"].get_map())
    except (TypeError, KeyError, AttributeError):
        return {"": object()}
    state = {name: _shape(value) for name, value in fields.items()}
    state["_selector"] = watched
    return state


def _shape(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    try:
        return len(value)
    except TypeError:
        return id(value)
