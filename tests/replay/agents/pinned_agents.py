"""Agents that ask for the time, randomness, ids and HTTP."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import openai

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
def asks_rate(question: str, url: str, token: str = "first-token") -> Any:
    """Ask for a rate, with a token that is not recorded."""
    return httpx.get(f"{url}/rate", params={"access_token": token}).json()


@auditlog.agent("bot")
def asks_rate_of_another(question: str, url: str, token: str = "") -> Any:
    """Ask for the same with another token."""
    return asks_rate.__wrapped__(question, url, f"another {token}")  # type: ignore[attr-defined]


@auditlog.agent("bot")
async def asks_in_executor(question: str, url: str) -> Any:
    """Ask on a thread that lost the context, and swallow what comes of it."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, httpx.get, f"{url}/orders/1")
    except BaseException as error:  # noqa: BLE001
        return type(error).__name__


@auditlog.model("draw", provider="dice")
def draw(messages: list[dict[str, str]], model: str = "dice") -> str:
    """Answer with something new each time."""
    auditlog.annotate(input_tokens=3, output_tokens=5, cost_usd=0.25)
    return secrets.token_hex(8)


@auditlog.model("stream", provider="dice")
def stream(messages: list[dict[str, str]], model: str = "dice") -> Iterator[str]:
    """Answer with something new each time, in pieces."""
    for _ in range(3):
        yield secrets.token_hex(2)


@auditlog.agent("bot")
def asks_model(question: str) -> list[Any]:
    """Ask the same twice, and something in a stream."""
    messages = [{"role": "user", "content": question}]
    return [draw(messages), draw(messages), list(stream(messages))]


@auditlog.agent("bot")
def asks_model_otherwise(question: str) -> list[Any]:
    """Ask something else, and then what the other asks first."""
    other = draw([{"role": "user", "content": f"Really: {question}"}])
    return [other, draw([{"role": "user", "content": question}])]


def ask(url: str, *, streams: bool = False, **asked: Any) -> Any:
    """Ask a served model through its client."""
    messages = [{"role": "user", "content": asked.pop("content")}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as plain:
        client = auditlog.wrap(plain)
        answer = client.chat.completions.create(model="small", messages=messages, stream=streams, **asked)
        if streams:
            return [chunk.choices[0].delta.content for chunk in answer if chunk.choices]
        return answer.choices[0].message.content


@auditlog.agent("bot")
def served(question: str, url: str) -> list[Any]:
    """Ask twice the same, and once in a stream."""
    return [
        ask(url, content=question),
        ask(url, content=question),
        ask(url, content=question, streams=True),
    ]


@auditlog.agent("bot")
def served_otherwise(question: str, url: str) -> list[Any]:
    """Another version: it asks the first the same, and the rest in other words or with another header."""
    return [
        ask(url, content=question),
        ask(url, content=f"Really: {question}"),
        ask(url, content=question, streams=True, extra_headers={"x-beta": "on"}),
    ]


@auditlog.agent("bot")
def unwrapped(question: str, url: str) -> Any:
    """Ask a served model through a client that nobody wrapped."""
    messages: Any = [{"role": "user", "content": question}]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(model="small", messages=messages)
        return answer.choices[0].message.content
