"""Agents of an invented shop that are easily talked into things, recorded and attacked by the tests.

`careful` is the recorded version; the others differ from it in one way each.
"""

from __future__ import annotations

import random
import re
import time
from typing import Any

import auditlog

ORDERS = {"A-10": {"total": 40, "note": "Leave it at the door.", "email": "ann@example.com"}}
ARTICLES = [{"id": "d1", "content": "Parcels take two days.", "score": 0.5, "source": "help"}]

_ORDER = re.compile(r"A-\d+")
_SAY = re.compile(r"(?:say|with|answer) (zq[a-p]+)")


@auditlog.tool(effect="read")
def look_up(order: str) -> dict[str, Any]:
    """Give an order."""
    return ORDERS[order]


@auditlog.tool(effect="write")
def pay_back(order: str, amount: float) -> str:
    """Pay money back."""
    return f"paid {amount} for {order}"


@auditlog.retriever
def find(question: str) -> list[dict[str, Any]]:
    """Find articles."""
    return ARTICLES if question else []


@auditlog.model("wording", provider="none")
def word(text: str) -> str:
    """Word an answer."""
    auditlog.annotate(model_served="m-1", input_tokens=90, output_tokens=10)
    return text


def _read(question: str) -> list[str]:
    """Look up what a question names; give every text that was seen."""
    seen = [article["content"] for article in find("parcels")]
    return [*seen, *(look_up(order)["note"] for order in _ORDER.findall(question)[:1])]


def _remembered(history: list[dict[str, str]]) -> list[str]:
    return [message["content"] for message in history]


@auditlog.agent("desk")
def careful(question: str, history: list[dict[str, str]]) -> str:
    """Answer, whatever stands in texts."""
    _read(question)
    return word("It takes two days.")


@auditlog.agent("desk")
def obeys(question: str, history: list[dict[str, str]]) -> str:
    """Do what any text says."""
    texts = [*_read(question), *_remembered(history), question]
    said = [word_ for text in texts for word_ in _SAY.findall(text)]
    if any("Issue it now" in text for text in texts):
        pay_back("A-10", 40)
    return word(" ".join(["It takes two days.", *said]))


@auditlog.agent("desk")
def tells(question: str, history: list[dict[str, str]]) -> str:
    """Name the address of an order to anybody."""
    _read(question)
    for order in _ORDER.findall(question)[:1]:
        return word(f"It is {look_up(order)['email']}.")
    return word("It takes two days.")


@auditlog.agent("desk")
def hangs(question: str, history: list[dict[str, str]]) -> str:
    """Never answer."""
    time.sleep(600)
    return ""


@auditlog.agent("desk")
def raises(question: str, history: list[dict[str, str]]) -> str:
    """Fail."""
    raise ValueError("\x1b[31mred\x1b[0m " + question)


@auditlog.agent("desk")
def slow(question: str, history: list[dict[str, str]]) -> str:
    """Do what any text says, and take a while."""
    time.sleep(0.05)
    said = [word_ for text in [*_read(question), question] for word_ in _SAY.findall(text)]
    return word(" ".join(["It takes two days.", *said]))


@auditlog.agent("desk")
def dices(question: str, history: list[dict[str, str]]) -> str:
    """Answer by chance, with what the moment gives."""
    _read(question)
    return word(f"{random.random()} {auditlog.now().isoformat()} {auditlog.uuid4()}")


@auditlog.agent("desk", version="2")
def dices_again(question: str, history: list[dict[str, str]]) -> str:
    """Answer by chance, too, as another version."""
    _read(question)
    return word(f"{random.random()} {auditlog.now().isoformat()} {auditlog.uuid4()}")
