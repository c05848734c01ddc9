"""More traffic than the script: the same kinds of customers with other orders, greetings and addresses.

    python -m examples.support_bot --scripted --more 400 --store ./audit

The rules:

1. A further conversation is a scripted one of another customer: its orders are others in the same state (and as dear, as late, as
   refunded), its e-mail addresses are theirs, and it begins and ends in other words.
2. Deterministic: number N is the same conversation on every machine.
3. The script was written to show each fault; ordinary customers mostly ask. Further conversations are drawn by how common their
   scene is, with nobody who attacks and nobody who writes a novel among them.
4. Each conversation meets a shop of its own, so that no customer finds an order refunded by another.
5. Repeats of one conversation are not independent customers; that is why there are further ones.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from .conversations import Agent, Script, load_conversations, play
from .patterns import EMAIL, ORDER_ID
from .shop import ORDERS, TODAY, Shop, use_shop

COMMON = {
    "status": 8, "status-due": 4, "status-day-known": 4, "status-no-day": 2, "status-done": 3, "question": 6, "how-to": 6,
    "address": 5, "refund-small": 5, "refund-large": 3, "refund-partial": 1, "refund-late": 1, "angry": 4, "human": 3,
    "voucher": 2, "exchange": 2, "repair": 2, "multi-intent": 1, "languages": 2, "ambiguous": 2,
}  # fmt: skip
"""How common a scene is among ordinary customers; others do not come up."""

DISCLOSURE = "the chat window says that a machine answers"
"""What the shop's chat window records with each conversation that it opens."""

_BEFORE = ("", "", "Hi, ", "Hello, ", "Hey, ", "Hello! ", "Hi! ")
_BEHIND = ("", "", "", " Thank you!", " Thanks in advance.", " Cheers.")


def more(count: int) -> tuple[Script, ...]:
    """Give further conversations, the first `count` of them."""
    scripts = [script for script in load_conversations() if script.scene in COMMON]
    sizes: defaultdict[str, int] = defaultdict(int)
    for script in scripts:
        sizes[script.scene] += 1
    # Each scene as common as the table says, whichever of its scripts is taken.
    weights = [COMMON[script.scene] / sizes[script.scene] for script in scripts]
    drawn = []
    for number in range(count):
        rng = _rng(f"more {number}")
        drawn.append(_varied(rng.choices(scripts, weights)[0], number, rng))
    return tuple(drawn)


def play_apart(agent: Agent, scripts: Iterable[Script]) -> Iterator[tuple[Script, list[tuple[str, str]]]]:
    """Play conversations, each against a shop of its own, and give each with its questions and answers."""
    shop = Shop(":memory:")
    fresh = shop.snapshot()
    use_shop(shop)
    try:
        for script in scripts:
            shop.restore(fresh)
            yield script, list(play(agent, script, more_tags={"disclosure": DISCLOSURE}))
    finally:
        use_shop(None)
        shop.close()


def _varied(script: Script, number: int, rng: random.Random) -> Script:
    swaps: dict[str, str] = {}
    by_id, alike = _orders()
    for order_id in dict.fromkeys(
        f"MB-{digits}" for turn in script.turns for digits in ORDER_ID.findall(turn)
    ):
        if order_id in by_id:
            other = rng.choice(alike[_kind(by_id[order_id])])
            swaps |= {order_id: other, by_id[order_id]["email"].lower(): by_id[other]["email"]}

    def other_words(text: str) -> str:
        text = ORDER_ID.sub(lambda found: swaps.get(f"MB-{found[1]}", found[0]), text)
        return EMAIL.sub(lambda found: swaps.get(found[0].lower().rstrip("."), found[0]), text)

    first, *rest = map(other_words, script.turns)
    first = f"{rng.choice(_BEFORE)}{first}{rng.choice(_BEHIND)}"
    return Script(f"more-{number:05}", f"u-more-{number}", script.scene, (first, *rest))


@cache
def _orders() -> tuple[dict[str, dict[str, Any]], dict[tuple[Any, ...], list[str]]]:
    """Give the orders by number, and the numbers of those that are alike (rule 1)."""
    by_id = {
        order["order_id"]: order for order in map(json.loads, ORDERS.read_text(encoding="utf-8").splitlines())
    }
    alike: defaultdict[tuple[Any, ...], list[str]] = defaultdict(list)
    for order_id, order in by_id.items():
        alike[_kind(order)].append(order_id)
    return by_id, alike


def _kind(order: dict[str, Any]) -> tuple[Any, ...]:
    delivered, expected = order["delivered"], order["expected"]
    return (
        order["status"],
        order["total"] > 100,
        expected is None,
        expected is not None and dt.date.fromisoformat(expected) <= TODAY + dt.timedelta(days=1),
        delivered is not None and (TODAY - dt.date.fromisoformat(delivered)).days > 30,
        order["refunded"] > 0,
    )


def _rng(name: str) -> random.Random:
    return random.Random(hashlib.sha256(name.encode()).digest())
