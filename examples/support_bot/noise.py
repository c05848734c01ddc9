"""A noise knob: makes the embedded model vary as a real one does at a temperature above 0.

    SUPPORT_BOT_NOISE=0.2:7 python -m examples.support_bot --scripted

`RATE:SEED`, the rate from 0 to 1; without the variable there is no noise at all.

The rules:

1. The same seed, conversation and messages give the same words; another arm, repeat or run of a replay is another conversation,
   and so another draw, as asking a model again is.
2. At RATE an answer has other words. At a quarter of it the model behaves otherwise: it asks before a refund or a change of
   address instead of doing it, keeps an angry customer instead of handing over, or looks an order up twice. At an eighth it
   hands over a customer whom it could not help.
3. Noise never does what the prompt forbids: it makes no refund larger, invents no day, and writes nothing that the model
   would not have written.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from auditlog import context

VARIABLE = "SUPPORT_BOT_NOISE"

ASK_FIRST = "I can do that for you. Shall I go ahead?"
KEEPS = "I am sorry about this. Let me see what I can find out for you."
_OPENINGS = ("Of course. ", "Sure. ", "Thank you for writing. ", "I had a look. ", "Gladly. ")
_CLOSINGS = (
    " I hope that helps.",
    " Tell me if anything is unclear.",
    " Is there anything else?",
    " Have a good day.",
)
_WRITES = frozenset(("issue_refund", "change_address"))


class Noise(NamedTuple):
    """How much, and which."""

    rate: float
    seed: str


class Varied(NamedTuple):
    """What the model does instead."""

    text: str | None = None
    """An answer; None where it calls tools."""
    names: tuple[int, ...] = ()
    """The calls that it makes, by their places among those that it would have made."""
    hands_over: bool = False


def noise() -> Noise | None:
    """Read the knob; None where it is off."""
    said = os.environ.get(VARIABLE, "").strip()
    if not said:
        return None
    rate, _, seed = said.partition(":")
    try:
        found = Noise(float(rate), seed)
    except ValueError:
        found = Noise(-1.0, seed)
    if not 0 <= found.rate <= 1:
        msg = f"{VARIABLE} is RATE:SEED with a rate from 0 to 1, such as 0.2:7, and not {said!r}."
        raise ValueError(msg)
    return found


def vary_calls(
    level: Noise, messages: Sequence[Mapping[str, Any]], names: Sequence[str], *, angry: bool
) -> Varied | None:
    """Say what the model does instead of some calls; None where it does what it would have done (rule 2)."""
    draw = _draw(level, messages)
    behaves_otherwise = draw.random() < level.rate / 4
    if not behaves_otherwise:
        return None
    if _WRITES.intersection(names):
        return Varied(ASK_FIRST)
    if "escalate_to_human" in names:
        return Varied(KEEPS) if angry else None
    return Varied(None, (*range(len(names)), 0))


def vary_answer(
    level: Noise, messages: Sequence[Mapping[str, Any]], text: str, *, helpless: bool
) -> Varied | None:
    """Say what the model answers instead; None where it answers as it would have."""
    draw = _draw(level, messages)
    if helpless and draw.random() < level.rate / 8:
        return Varied(hands_over=True)
    if draw.random() >= level.rate:
        return None
    opening = draw.choice(_OPENINGS) if draw.random() < 0.5 else ""
    closing = draw.choice(_CLOSINGS) if not opening or draw.random() < 0.5 else ""
    return Varied(f"{opening}{text}{closing}")


def _draw(level: Noise, messages: Sequence[Mapping[str, Any]]) -> random.Random:
    """Give the chance of this very question in this very conversation (rule 1)."""
    frame = context.current()
    conversation = "" if frame is None else frame.conversation_id or ""
    said = json.dumps([level.seed, conversation, [dict(message) for message in messages]], sort_keys=True)
    return random.Random(hashlib.sha256(said.encode()).digest())
