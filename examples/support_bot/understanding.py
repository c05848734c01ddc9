"""What a customer wants, read from the words by rules.

The rules:

1. A message is read clause by clause, so that one message can want several things.
2. Wishes, order numbers and e-mail addresses come only from what the customer wrote, never from an article, an
   order's note or the agent's own words.
3. A bare reply to the agent's question (`yes`, an e-mail address, an order number) takes up the wish that the
   question was about.
4. A message that tries to instruct the agent is marked; it can ask, but changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import patterns

Want = Literal["status", "refund", "address", "human"]

ASK_ORDER = "What is the order number? It begins with MB and has five digits."
ASK_EMAIL = "Which e-mail address was the order placed with?"
ASK_ADDRESS = "What is the whole new address?"
OFFER_DESK = "Shall I hand it to our refund desk?"
_QUESTIONS = (ASK_ORDER, ASK_EMAIL, ASK_ADDRESS)

_ABOUT_AN_ORDER: frozenset[Want] = frozenset(("status", "refund", "address"))


@dataclass(frozen=True, slots=True)
class Request:
    """What the last message of a conversation asks for."""

    text: str
    wants: frozenset[Want] = frozenset()
    questions: tuple[str, ...] = ()
    """Clauses that ask something of the help articles."""
    order_ids: tuple[str, ...] = ()
    """In the order in which they were named; from an earlier message where this one names none and needs one."""
    named_here: bool = False
    """This message itself names an order."""
    emails: tuple[str, ...] = ()
    """Every e-mail address that the customer gave, lower case."""
    new_address: str | None = None
    angry: bool = False
    instructing: bool = False
    accepts_desk: bool = False
    thanks: bool = False
    greeting: bool = False
    declines: bool = False
    replies: bool = False
    """The agent said something before, and this message asks nothing."""


def understand(messages: Sequence[Mapping[str, Any]]) -> Request:
    """Read the last user message of a conversation of `{"role", "content"}` messages, with what came before."""
    spoken = [m for m in messages if m["role"] in ("user", "assistant") and m.get("content") is not None]
    said = [(str(m["role"]), str(m["content"])) for m in spoken]
    last = max(i for i, (role, _) in enumerate(said) if role == "user")
    text, before = said[last][1], said[:last]
    wants, questions = _read(text)
    asked = before[-1][1] if before and before[-1][0] == "assistant" else ""
    earlier = [words for role, words in before if role == "user"]
    accepts_desk = OFFER_DESK in asked and bool(patterns.YES.search(text))
    if not wants and not questions and not patterns.NO.search(text) and any(q in asked for q in _QUESTIONS):
        wants = _open_wish(before) or wants
    ids = _order_ids(text)
    named_here = bool(ids)
    if not ids and (wants & _ABOUT_AN_ORDER or accepts_desk):
        ids = next((found for words in reversed(earlier) if (found := _order_ids(words))), ())
    if not wants and not questions and named_here:
        wants = frozenset[Want](("status",))
    return Request(
        text=text,
        wants=wants,
        questions=questions,
        order_ids=ids,
        named_here=named_here,
        emails=tuple(
            e.lower().rstrip(".") for words in [*earlier, text] for e in patterns.EMAIL.findall(words)
        ),
        new_address=_new_address([*earlier, text], bare=ASK_ADDRESS in asked) if "address" in wants else None,
        angry=bool(patterns.ANGRY.search(text)) or _shouts(text),
        instructing=bool(patterns.INSTRUCTING.search(text)),
        accepts_desk=accepts_desk,
        thanks=bool(patterns.THANKS.search(text)),
        greeting=bool(patterns.GREETING.search(text)),
        replies=bool(asked) and "?" not in text,
        declines=bool(asked) and "?" not in text and bool(patterns.NO.search(text)),
    )


def _read(text: str) -> tuple[frozenset[Want], tuple[str, ...]]:
    """Find the wishes and the general questions of one message, clause by clause (rule 1)."""
    wants: set[Want] = set()
    questions: list[str] = []
    names_an_order = bool(patterns.ORDER_ID.search(text))
    separated = patterns.JOINED_QUESTION.sub("? ", text) if "?" in text else text
    for clause in (c.strip() for c in patterns.CLAUSE.findall(separated)):
        general = bool(patterns.GENERAL.search(clause)) and not patterns.ORDER_ID.search(clause)
        found: set[Want] = set()
        if patterns.HUMAN.search(clause):
            found.add("human")
        if patterns.REFUND.search(clause) and not general:
            found.add("refund")
        if (
            patterns.NEW_ADDRESS_WISH.search(clause)
            and not general
            and (names_an_order or not clause.endswith("?"))
        ):
            found.add("address")
        asks_of_order = bool(patterns.ORDER_ID.search(clause)) and clause.endswith("?")
        if (patterns.STATUS.search(clause) or asks_of_order) and not general and not found:
            found.add("status")
        wants |= found
        if not found and clause.rstrip().endswith("?") and len(clause.split()) > 2:
            questions.append(clause)
    return frozenset(wants), tuple(questions)


def _open_wish(before: Sequence[tuple[str, str]]) -> frozenset[Want]:
    """Find the wish that the agent's question was about: the latest that the customer uttered (rule 3)."""
    for role, words in reversed(before):
        wants = _read(words)[0] & _ABOUT_AN_ORDER if role == "user" else frozenset()
        if wants:
            return wants
    return frozenset()


def _order_ids(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"MB-{digits}" for digits in patterns.ORDER_ID.findall(text)))


def _new_address(texts: Sequence[str], *, bare: bool) -> str | None:
    in_reply = (patterns.ADDRESS, patterns.BARE_ADDRESS) if bare else (patterns.ADDRESS,)
    for number, text in enumerate(reversed(texts)):
        for pattern in in_reply if number == 0 else (patterns.ADDRESS,):
            if found := pattern.search(text):
                return " ".join(found[1].split()).rstrip(" .,")
    return None


def _shouts(text: str) -> bool:
    """Tell whether most of a message of several words is in capitals."""
    letters = [c for c in patterns.ORDER_ID.sub("", text) if c.isalpha()]
    return len(letters) >= 12 and sum(c.isupper() for c in letters) > 0.7 * len(letters)
