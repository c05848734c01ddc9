"""Small agents of an invented shop, recorded and replayed by the tests.

`v1` is the recorded version; the others differ from it in one way each.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import auditlog

ORDERS = {"A1": {"total": 40, "status": "late"}, "A2": {"total": 70, "status": "sent"}}
REFUNDED: list[Any] = []


class OrderNotFoundError(LookupError):
    """There is no such order."""


@auditlog.tool(effect="read")
def look_up(order: str) -> dict[str, Any]:
    """Give an order."""
    if order not in ORDERS:
        raise OrderNotFoundError(order)
    return ORDERS[order]


@auditlog.tool(effect="write")
def refund(order: str, amount: float) -> dict[str, Any]:
    """Pay money back."""
    REFUNDED.append((order, amount))
    return {"paid": amount}


@auditlog.tool(effect="control")
def call_person(reason: str) -> str:
    """Hand over."""
    auditlog.escalate(reason, to="front desk")
    return "handed over"


@auditlog.retriever
def find(question: str) -> list[dict[str, Any]]:
    """Find articles."""
    return [{"id": "d1", "content": f"About {question}", "score": 0.5, "source": "help"}]


@auditlog.model("wording", provider="none")
def word(messages: list[dict[str, str]], model: str = "m") -> Iterator[str]:
    """Word an answer, in a stream."""
    auditlog.annotate(model_served="m-1", input_tokens=3, output_tokens=2)
    yield "Answer: "
    yield messages[-1]["content"]


class Reply:
    """What some client gives: an object, with a dump."""

    def __init__(self, text: str) -> None:
        self.text = text

    def model_dump(self, **_options: Any) -> dict[str, Any]:
        """Give the fields."""
        return {"text": self.text}


@auditlog.model
def think(messages: list[dict[str, str]]) -> Reply:
    """Answer with an object."""
    return Reply(messages[-1]["content"].upper())


def respond(question: str, *, limit: float = 50, persons: bool = True, look_twice: bool = False) -> str:
    """Answer a question the way the shop does."""
    find(question)
    if question.startswith("angry") and persons:
        call_person(reason="angry customer")
        return "A person will call you."
    if question.startswith("refund"):
        order = question.split()[1]
        try:
            found = look_up(order)
        except OrderNotFoundError as error:
            return f"There is no order {error}."
        if look_twice:
            look_up(order)
        if found["total"] <= limit:
            return f"Paid {refund(order, found['total'])['paid']}."
        return "Someone must agree to that."
    if question.startswith("crash"):
        raise OrderNotFoundError(question)
    return (
        "".join(word([{"role": "user", "content": question}]))
        + think([{"role": "user", "content": "ok"}]).text
    )


@auditlog.agent("shop", version="v1")
def v1(question: str, history: list[dict[str, str]]) -> str:
    """Answer as recorded."""
    return respond(question)


@auditlog.agent("shop", version="v2")
def generous(question: str, history: list[dict[str, str]]) -> str:
    """Refund more than was recorded."""
    return respond(question, limit=100)


@auditlog.agent("shop", version="v2")
def no_persons(question: str, history: list[dict[str, str]]) -> str:
    """Call nobody."""
    return respond(question, persons=False)


@auditlog.agent("shop", version="v2")
def looks_twice(question: str, history: list[dict[str, str]]) -> str:
    """Look orders up twice."""
    return respond(question, look_twice=True)


@auditlog.agent("shop", version="v2")
def reworded(question: str, history: list[dict[str, str]]) -> str:
    """Say it in other words."""
    return respond(question) + " Have a nice day."


@auditlog.agent("shop", version="v2")
async def in_async(question: str, history: list[dict[str, str]]) -> str:
    """Answer from a coroutine."""
    return respond(question)


@auditlog.agent("shop", version="v2")
def streaming(question: str, history: list[dict[str, str]]) -> Iterator[str]:
    """Answer in a stream."""
    yield respond(question)


@auditlog.agent("shop", version="v2")
async def streaming_async(question: str, history: list[dict[str, str]]) -> AsyncIterator[str]:
    """Answer in an asynchronous stream."""
    yield respond(question)


class Shop:
    """An agent that is a method."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    @auditlog.agent("shop", version="v2")
    def answer(self, question: str, history: list[dict[str, str]]) -> str:
        """Answer with this shop's limit."""
        return respond(question, limit=self.limit)


shop = Shop(50)


def plain(arguments: dict[str, Any]) -> str:
    """Answer as an adapter: one mapping in, the answer out."""
    return respond(arguments["question"])


@auditlog.agent("shop", version="v1")
def slow(question: str, history: list[dict[str, str]]) -> str:
    """Answer as recorded, a little later."""
    time.sleep(0.02)
    return respond(question)


@auditlog.agent("shop", version="v1")
def mortal(question: str, history: list[dict[str, str]]) -> str:
    """Die on one question."""
    if question.startswith("refund A2"):
        signal.raise_signal(signal.SIGKILL)
    return respond(question)


@auditlog.agent("shop", version="v1")
def hanging(question: str, history: list[dict[str, str]]) -> str:
    """Hang on one question."""
    if question.startswith("refund A2"):
        time.sleep(60)
    return respond(question)


@auditlog.agent("other", version="v1")
def other(question: str) -> str:
    """Answer as another agent."""
    return question
