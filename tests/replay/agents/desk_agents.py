"""A desk that does what it is asked step by step, such as `stock A; order A`; recorded and replayed under other modes."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator
from typing import Any

import auditlog

WHERE = "DESK_WHERE"
"""The variable that says where a body runs: tests set it for replays only."""
_seen: list[str] = []


@auditlog.tool(effect="read")
def stock(item: str) -> dict[str, str]:
    """Say where something was counted."""
    return {"item": item, "counted": os.environ.get(WHERE, "recorded")}


@auditlog.tool(effect="read")
def price(item: str) -> int:
    """Give a price, where there is one."""
    if item in ("none", "nothing"):
        raise LookupError(item)
    return 7


@auditlog.tool(effect="read")
def pages(item: str) -> Iterator[str]:
    """Give pages one after the other; of a torn book two."""
    yield "one"
    yield "two"
    if item == "torn":
        raise LookupError("page three")
    yield "three"


def leaf(item: str) -> list[str]:
    """Read every page, and say where that fails."""
    read = []
    try:
        for page in pages(item):
            read.append(page)  # noqa: PERF402 - what was read before it failed counts
    except LookupError as error:
        read.append(f"no {error}")
    return read


def begin(item: str) -> str:
    """Read one page, and leave the rest."""
    return next(pages(item))


@auditlog.retriever
def notes(item: str) -> list[dict[str, str]]:
    """Find notes."""
    return [{"id": "n1", "content": os.environ.get(WHERE, "recorded")}]


@auditlog.tool(effect="write")
def order(item: str) -> str:
    """Order something, over the network where there is one."""
    if url := os.environ.get("DESK_URL"):
        urllib.request.urlopen(url, data=item.encode()).read()
    return "ordered"


@auditlog.tool(effect="write")
def cancel(item: str) -> str:
    """Cancel an order."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.model
def say(words: str, prompt: str = "plain") -> str:
    """Say something."""
    return f"{words} ({os.environ.get(WHERE, 'recorded')})"


@auditlog.tool
def gift(item: str) -> str:
    """Give something away; nobody declared what that does."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.tool("order", effect="read")
def order_called_a_read(item: str) -> str:
    """Order something."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.tool("gift", effect="read")
def gift_called_a_read(item: str) -> str:
    """Give something away."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.model("order")
def order_called_a_model(item: str) -> str:
    """Order something."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.model("stock")
def stock_called_a_model(item: str) -> str:
    """Say where something was counted."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.model("gift")
def gift_called_a_model(item: str) -> str:
    """Give something away."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


_STEPS = {
    "stock": stock,
    "price": price,
    "notes": notes,
    "order": order,
    "cancel": cancel,
    "say": say,
    "gift": gift,
    "begin": begin,
    "leaf": leaf,
}


def work(question: str, items: dict[str, str] | None = None, **more: Any) -> str:
    """Take each step, and tell what each gave."""
    told = []
    for step in question.split(";"):
        name, item = step.split()
        try:
            given: Any = _STEPS[name]((items or {}).get(item, item), **(more if name == "say" else {}))
        except LookupError as error:
            given = f"no {error}"
        told.append(str(given))
    return " | ".join(told)


@auditlog.agent("desk", version="1")
def desk(question: str) -> str:
    """Work as recorded."""
    return work(question)


@auditlog.agent("desk", version="2")
def mistaken(question: str) -> str:
    """Take one item for another."""
    return work(question, {"A": "B", "none": "nothing", "X": "Y"})


@auditlog.agent("desk", version="2")
def thorough(question: str) -> str:
    """Read to the end what was begun."""
    return work(question.replace("begin", "leaf"))


@auditlog.agent("desk", version="2")
def generous(question: str) -> str:
    """Order something else before the last step."""
    before, _, last = question.rpartition(";")
    return work(f"{before}; order more; {last}")


@auditlog.agent("desk", version="2")
def prompted(question: str) -> str:
    """Ask the model with another prompt."""
    return work(question, prompt="polite")


@auditlog.agent("desk", version="2")
def hurried(question: str) -> str:
    """Leave out all but the first step."""
    return work(question.split(";", maxsplit=1)[0])


@auditlog.agent("desk", version="2")
def remembering(question: str) -> str:
    """Say how often this process was asked."""
    _seen.append(question)
    return f"asked {len(_seen)} times"


@auditlog.retriever("order")
def order_called_a_retriever(item: str) -> str:
    """Order something."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.retriever("gift")
def gift_called_a_retriever(item: str) -> str:
    """Give something away."""
    return order.__wrapped__(item)  # type: ignore[attr-defined]


@auditlog.agent("desk", version="2")
def retrieving(question: str) -> str:
    """Do what is asked last, with tools that are called retrievers."""
    name = question.split(maxsplit=1)[0]
    found = order_called_a_retriever if "order" in question else gift_called_a_retriever
    return str(found(name))


@auditlog.agent("desk", version="2")
def modelling(question: str) -> str:
    """Do what is asked last, with tools that are called models."""
    asked = {"order": order_called_a_model, "gift": gift_called_a_model, "stock": stock_called_a_model}
    return next((asked[word](word) for word in question.split() if word in asked), "") or say(question)


_RELABELLED = {"order": order_called_a_read, "gift": gift_called_a_read}


@auditlog.agent("desk", version="2")
def relabelled(question: str) -> str:
    """Do the same with tools that are called reads."""
    name, item = question.split()
    return _RELABELLED.get(name, stock)(item)


@auditlog.agent("desk", version="2")
def relabelled_twice(question: str) -> str:
    """Do it twice."""
    return f"{relabelled.__wrapped__(question)} {relabelled.__wrapped__(question)}"  # type: ignore[attr-defined]


@auditlog.agent("desk", version="2")
def relabelled_elsewhere(question: str) -> str:
    """Take the tool that the item names, whatever is asked."""
    item = question.split()[1]
    return _RELABELLED[item](item)


def invented(name: str, arguments: dict[str, Any], nearest: dict[str, Any] | None) -> Any:
    """Stand in for a tool that nobody recorded."""
    if arguments["item"] == "Y":
        raise LookupError("invented")
    return {"invented": name, "near": nearest and nearest["arguments"]["item"]}
