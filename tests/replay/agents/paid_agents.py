"""Agents whose models cost something, and fail now and then."""

from __future__ import annotations

import asyncio
import os
import pathlib
from typing import Any

import auditlog


class RateLimitError(Exception):
    """What clients raise for a 429."""


class ConfusedError(Exception):
    """An error of the agent's own."""


@auditlog.model("asked")
def ask(messages: list[dict[str, str]]) -> str:
    """Answer, for ten tokens and a cent."""
    auditlog.annotate(input_tokens=6, output_tokens=4, cost_usd=0.01)
    return f"Answer: {messages[-1]['content']}"


@auditlog.model("asked")
def fail_once(messages: list[dict[str, str]]) -> str:
    """Fail with a rate limit the first time that this process asks for a question."""
    auditlog.annotate(input_tokens=6, output_tokens=4, cost_usd=0.01)
    mark = pathlib.Path(os.environ["TMPDIR"], "asked-" + messages[-1]["content"])
    if not mark.exists():
        mark.touch()
        raise RateLimitError("Error code: 429")
    return f"Answer: {messages[-1]['content']}"


@auditlog.model("asked")
async def ask_later(messages: list[dict[str, str]]) -> str:
    """Answer from a coroutine."""
    return f"Answer: {messages[-1]['content']}"


def _said(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


@auditlog.agent("paid", version="1")
def paid(question: str, history: Any = None) -> str:
    """Ask the model."""
    return ask(_said(question))


@auditlog.agent("paid", version="2")
def limited(question: str, history: Any = None) -> str:
    """Ask a model that is limited at first."""
    return fail_once(_said(question))


@auditlog.agent("paid", version="2")
def limited_later(question: str, history: Any = None) -> str:
    """Ask twice, the second time a model that is limited at first."""
    ask(_said(question))
    return fail_once(_said(question))


@auditlog.agent("paid", version="3")
def confused(question: str, history: Any = None) -> str:
    """Fail after a model call that went well."""
    ask(_said(question))
    raise ConfusedError("Error code: 429")


@auditlog.agent("paid", version="4")
async def at_once(question: str, history: Any = None) -> str:
    """Ask twice at once, and say whether anything else went on meanwhile."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await asyncio.gather(ask_later(_said(question)), ask_later(_said(question)))
    ticking.cancel()
    return "went on" if ticks > 5 else "stood still"
