"""What ways to a canary have in common: the canary, the decorated tools, and the table of ways.

A way is a function of a `Canary`: it touches it however it can. `@way` says how its case ends behind the locks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import auditlog

BLOCKED = "blocked", r"was blocked: the recording holds no call"
LEAK = "invalid", r"tried to call tool write_tool outside of the case's context \(auditlog.propagate"
UNSEEN = "complete|errored", r""
"""Native code is refused by the kernel, which tells nobody: the agent sees an error, or looks away."""


@dataclass(frozen=True)
class Canary:
    """What must not be touched."""

    url: str
    port: int
    path: str
    unix: str
    shared: str
    pid: int
    """Of a process that writes the file when it is signalled."""
    pipe: str
    terminal: str


class Way(NamedTuple):
    """A way to touch a canary, and what becomes of it."""

    function: Callable[[Canary], Any]
    status: str
    """How its case ends behind the locks; several with `|` between."""
    why: str
    """A pattern that the reason fits."""


WAYS: dict[str, Way] = {}


def way(status: str, why: str) -> Callable[[Callable[[Canary], Any]], Callable[[Canary], Any]]:
    """Add a function to the ways."""

    def added(function: Callable[[Canary], Any]) -> Callable[[Canary], Any]:
        WAYS[function.__name__] = Way(function, status, why)
        return function

    return added


def touch(path: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("touched")


@auditlog.tool(effect="write")
def write_tool(path: str) -> str:
    """Touch the canary; a replay must not enter this."""
    touch(path)
    return "done"


@auditlog.tool
def undeclared_tool(path: str) -> str:
    """Touch the canary without saying so."""
    touch(path)
    return "done"


@auditlog.tool(effect="read")
def read_tool(path: str) -> str:
    """Touch the canary although it says that it only reads."""
    touch(path)
    return "done"


@auditlog.tool(effect="control")
def control_tool(path: str) -> str:
    """Touch the canary by handing off."""
    touch(path)
    return "done"


@auditlog.retriever
def retriever(path: str) -> list[dict[str, Any]]:
    """Touch the canary while looking something up."""
    touch(path)
    return []


@auditlog.tool(effect="write")
def streaming_tool(path: str) -> Iterator[str]:
    """Touch the canary bit by bit."""
    touch(path)
    yield "done"


@auditlog.tool(effect="write")
async def async_tool(path: str) -> str:
    """Touch the canary asynchronously."""
    touch(path)
    return "done"


@auditlog.tool(effect="write")
async def async_streaming_tool(path: str) -> AsyncIterator[str]:
    """Touch the canary asynchronously, bit by bit."""
    touch(path)
    yield "done"
