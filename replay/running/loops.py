"""The event loop of a worker's cases.

The rules:

1. A case finds an event loop as a new one is. One that the case before left exactly so is used again, since making one
   costs more than many a case; one with anything left in it (a task, a timer, a connection, a thread, a handler, a setting)
   is closed with its case, as `asyncio.run` would.
2. Every field of the loop is looked at: the very object that was there, and a container as long as it was.
3. Each case runs in a context of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import operator
from asyncio import tasks
from collections.abc import Coroutine
from typing import Any, NamedTuple

_PLAIN = (type(None), bool, int, float, str)


class _Looked(NamedTuple):
    """What a fresh loop is known by: its fields, and those of them that have a length."""

    fields: dict[str, Any]
    names: tuple[str, ...]
    values: tuple[Any, ...]
    containers: tuple[Any, ...]
    lengths: tuple[int, ...]
    map: Any
    """What its selector watches."""
    watched: int


class Loops:
    """Runs coroutines of one case after the other."""

    def __init__(self) -> None:
        """Begin without a loop."""
        self._runner: asyncio.Runner | None = None
        self._policy: object = None
        self._fresh: _Looked | None = None

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine to its end, and what it left behind, too."""
        runner = self._ready()
        loop = runner.get_loop()
        try:
            # Not `Runner.run`, which looks after Ctrl-C each time: a worker has a session of its own.
            loop.run_until_complete(loop.create_task(coroutine, context=contextvars.copy_context()))
        finally:
            if _has_tasks(loop) or not _is_fresh(self._fresh):
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
            self._fresh = _looked(self._runner.get_loop())
        return self._runner


async def _nothing() -> None:
    """Run."""


def _has_tasks(loop: asyncio.AbstractEventLoop) -> bool:
    known = getattr(tasks, "_all_tasks", None)
    # Nearly always there is no task at all, and to count none costs less than to look through them.
    return known is None or bool(len(known) and asyncio.all_tasks(loop))


def _looked(loop: asyncio.AbstractEventLoop) -> _Looked | None:
    """Give what a new loop is known by; None for one of another make that does not say: it is never like another."""
    try:
        fields = vars(loop)
        watched = fields["_selector"].get_map()
    except (TypeError, KeyError, AttributeError):
        return None
    containers = tuple(
        value for value in fields.values() if not isinstance(value, _PLAIN) and _has_length(value)
    )
    return _Looked(
        fields,
        tuple(fields),
        tuple(fields.values()),
        containers,
        tuple(map(len, containers)),
        watched,
        len(watched),
    )


def _is_fresh(looked: _Looked | None) -> bool:
    if looked is None:
        return False
    fields, names, values, containers, lengths, watched, count = looked
    return (
        len(fields) == len(names)
        and all(map(operator.is_, map(fields.get, names), values))
        and tuple(map(len, containers)) == lengths
        and len(watched) == count
    )


def _has_length(value: Any) -> bool:
    try:
        len(value)
    except TypeError:
        return False
    return True
