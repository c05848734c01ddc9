"""A team of agents of an invented shop: sub-agents that run at the same time and ask the same question."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import auditlog

_asked = itertools.count(1)


@auditlog.tool(effect="read")
async def look(name: str) -> dict[str, Any]:
    """Look something up; the world answers differently each time."""
    return {"name": name, "seen": next(_asked)}


async def _check(topic: str, pauses: int, name: str) -> str:
    for _ in range(pauses):
        await asyncio.sleep(0.001)
    seen = [(await look(name))["seen"]]
    await asyncio.sleep(0.002)
    seen.append((await look(name))["seen"])
    return f"{topic}: {seen}"


@auditlog.agent
async def checker(topic: str, pauses: int = 0, name: str = "Ada") -> str:
    """Check one topic."""
    return await _check(topic, pauses, name)


@auditlog.agent("team")
async def v1(question: str) -> str:
    """Let one checker for each topic run, the first one first."""
    return "; ".join(await asyncio.gather(checker("price"), checker("stock")))


@auditlog.agent("team")
async def later(question: str) -> str:
    """The same, in which the first checker has to wait for the second."""

    async def waits() -> str:
        await asyncio.sleep(0.02)
        return await checker("price")

    first, second = waits(), checker("stock")
    return "; ".join(await asyncio.gather(first, second))


@auditlog.agent("team")
async def loud(question: str) -> str:
    """The same, with the name in capitals."""
    return "; ".join(await asyncio.gather(checker("price", name="ADA"), checker("stock", name="ADA")))
