"""Agents that ask for the time, randomness, ids and HTTP."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from datetime import UTC, date, datetime
from typing import Any

import httpx

import auditlog


def asked() -> list[Any]:
    """Ask for one of each."""
    return [auditlog.now().isoformat(), str(auditlog.uuid4()), auditlog.rng().random()]


@auditlog.agent("sub")
async def sub(name: str) -> list[Any]:
    """Ask in a branch of its own, after a while that differs."""
    await asyncio.sleep(random.random() / 100)
    return asked()


@auditlog.agent("bot")
async def branches(question: str) -> list[Any]:
    """Ask in three concurrent branches, and beside them."""
    found = await asyncio.gather(*(sub(name) for name in ("b", "a", "b")))
    return [asked(), *found, asked()]


@auditlog.agent("bot")
async def branches_otherwise(question: str) -> list[Any]:
    """The same with the branches begun in another order."""
    tasks = {name: asyncio.create_task(sub(name)) for name in ("a",)}
    await asyncio.sleep(0.01)
    found = [await sub("b"), await tasks["a"], await sub("b")]
    return [asked(), *found, asked()]


@auditlog.agent("bot")
async def asks_more(question: str) -> list[Any]:
    """Ask once more than was recorded."""
    return [await branches.__wrapped__(question), asked()]


@auditlog.agent("bot")
def draws(question: str) -> list[Any]:
    """Use what Python has, without asking."""
    return [random.random(), str(uuid.uuid4()), str(uuid.uuid4())]


@auditlog.agent("bot")
def clocks(question: str) -> list[Any]:
    """Read every clock."""
    before = time.monotonic()
    time.sleep(0.01)
    return [
        time.time(),
        time.time_ns() / 1e9,
        datetime.now(UTC).timestamp(),
        datetime.now().timestamp(),  # noqa: DTZ005
        date.today().isoformat(),  # noqa: DTZ011
        time.monotonic() - before,
    ]


@auditlog.agent("bot")
async def asks_shop(question: str, url: str) -> Any:
    """Ask a shop over HTTP, nothing decorated."""
    async with httpx.AsyncClient() as client:
        first, second = await asyncio.gather(
            client.get(f"{url}/orders/1"), client.get(f"{url}/orders/2", params={"full": 1})
        )
        if question == "refund":
            await client.post(f"{url}/refunds", json={"order": 1})
    return [first.json(), second.json()]


@auditlog.agent("bot")
async def asks_another(question: str, url: str) -> Any:
    """Ask for what was not recorded, and swallow what comes."""
    async with httpx.AsyncClient() as client:
        if question == "refund":
            return (await client.post(f"{url}/refunds", json={"order": 2})).json()
        return (await client.get(f"{url}/orders/3")).json()


@auditlog.agent("bot")
async def asks_in_executor(question: str, url: str) -> Any:
    """Ask on a thread that lost the context, and swallow what comes of it."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, httpx.get, f"{url}/orders/1")
    except BaseException as error:  # noqa: BLE001
        return type(error).__name__
