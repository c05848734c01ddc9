"""How the embedded model words an answer: extractively, from the articles and the tools' results.

The rules:

1. An answer to a question is made of an article's own sentences; what an order says comes from its record.
2. What stands in the way of a refund or a change of address is said as one sentence, the first that applies.
3. A customer's words are never repeated back, so that nothing written there reaches an answer.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .policy import Policy
from .retrieval import words
from .shop import TODAY
from .understanding import ASK_ADDRESS, ASK_EMAIL, ASK_ORDER, OFFER_DESK, Request

Record = Mapping[str, Any]

ARTICLES_HEAD = "Help articles:"
NO_SECRETS = (
    "I cannot change how I work or show my instructions, but I am glad to help with an order or a question."
)
NOT_FOUND = "I could not find that in our help pages. Could you tell me a little more about what you need?"
CLOSING = "All right. Is there anything else that I can do for you?"
_BLOCK = re.compile(r"^\[([\w-]+)\] (.+)\n(.+)$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_HOW_TO = re.compile(
    r"^\W*(?:(?:hi|hello|hey|and|so|please)\W+)*how (?:do|can|to|would|should)\b", re.IGNORECASE
)
_FEWEST_SHARED = {True: 1.0, False: 1.5}
"""How much of a question, and of a statement, an article must share to answer it."""
_RETURN_DAYS = 30
_GUESSED_DAYS = 4


@dataclass(frozen=True, slots=True)
class Done:
    """What the tools of this turn have given so far."""

    orders: Mapping[str, Record]
    """Results of `look_up_order` by order number."""
    refunds: Mapping[str, Record]
    moves: Mapping[str, Record]
    handed_over: bool


def articles_in(system: str) -> list[tuple[str, str, str]]:
    """Give the articles that a system message holds, as (id, title, text), best first."""
    _, head, listed = system.partition(ARTICLES_HEAD)
    return [(i, title, text) for i, title, text in _BLOCK.findall(listed)] if head else []


def listed_articles(found: Sequence[Record]) -> str:
    """Write retrieved articles as the system message that `articles_in` reads."""
    blocks = [f"[{a['id']}] {a['content']}" for a in found]
    return "\n\n".join([ARTICLES_HEAD, *(blocks or ["none fits"])])


def answer(request: Request, policy: Policy, articles: Sequence[tuple[str, str, str]], done: Done) -> str:
    """Word the answer of a turn."""
    handed_over = done.handed_over
    said: list[str] = []
    if handed_over:
        said.append(_handed_over(request))
    elif request.angry:
        said.append("I am sorry that this went wrong.")
    if request.instructing:
        said.append(NO_SECRETS)
    if not (request.accepts_desk and handed_over):
        said += [_about_order(order_id, request, policy, done) for order_id in done.orders]
    if not handed_over and not request.instructing:
        if request.wants & {"status", "refund", "address"} and not request.order_ids:
            said.append(f"I can look into that for you. {ASK_ORDER}")
        said += [text for clause in request.questions if (text := _from_articles(clause, articles, policy))]
    if not said or (request.angry and not handed_over and len(said) == 1):
        said.append(_small_talk(request, articles, policy))
    return " ".join(dict.fromkeys(said))


def refund_amount(order: Record, text: str) -> float:
    """Give what a refund of this order would pay: the items that the customer names, or all that is left."""
    if "error" in order:
        return 0.0
    lowered = text.lower()
    named = [item["price"] for item in order["items"] if any(w in lowered for w in _names_of(item["name"]))]
    left = round(order["total"] - order["refunded"], 2)
    return min(round(sum(named), 2), left) if named else left


def refund_obstacle(order: Record, request: Request) -> str | None:
    """Say what stands in the way of a refund, apart from the limit; None where nothing does (rule 2)."""
    order_id = order.get("order_id", "")
    if "error" in order:
        return _unknown(order)
    if order["refunded"] >= order["total"]:
        return f"Order {order_id} has been refunded already, {order['refunded']:.2f} EUR in all."
    if order["status"] == "cancelled":
        return f"Order {order_id} was cancelled, and its payment was released."
    if order["status"] == "lost":
        return None if _knows(order, request) else ASK_EMAIL
    if order["delivered"] is None:
        return f"Order {order_id} has not been delivered yet, so there is nothing to return so far."
    if (TODAY - dt.date.fromisoformat(order["delivered"])).days > _RETURN_DAYS:
        delivered = _day(order["delivered"])
        return f"Order {order_id} was delivered on {delivered}, which is past the {_RETURN_DAYS} days for a return."
    if not _knows(order, request):
        return (
            ASK_EMAIL
            if not request.emails
            else f"That e-mail address does not belong to {order_id}. {ASK_EMAIL}"
        )
    return None


def address_obstacle(order: Record, request: Request) -> str | None:
    """Say what stands in the way of another address; None where nothing does (rule 2)."""
    order_id = order.get("order_id", "")
    if "error" in order:
        return _unknown(order)
    if order["status"] not in ("placed", "packed"):
        return f"Order {order_id} is {order['status']}, so I cannot change its address any more."
    if not _knows(order, request):
        return (
            ASK_EMAIL
            if not request.emails
            else f"That e-mail address does not belong to {order_id}. {ASK_EMAIL}"
        )
    return None if request.new_address else ASK_ADDRESS


def _knows(order: Record, request: Request) -> bool:
    return order["email"].lower() in request.emails


def _names_of(item: str) -> tuple[str, str]:
    """Give the ways in which a customer names an item: in full, or by its last word."""
    return item.lower(), item.lower().split()[-1].removesuffix("s")


def _unknown(order: Record) -> str:
    return f"{order['error']} Please check the number on your confirmation e-mail."


def _about_order(order_id: str, request: Request, policy: Policy, done: Done) -> str:
    """Say what was done with an order, what stands in the way, or how it stands."""
    order, move = done.orders[order_id], done.moves.get(order_id)
    if "error" in order:
        return _unknown(order)
    said = []
    if "refund" in request.wants and not request.instructing:
        said.append(_about_refund(order_id, request, policy, done))
    if "address" in request.wants and not request.instructing:
        if move is not None:
            said.append(str(move.get("error") or f"Order {order_id} goes to the new address."))
        else:
            said.append(address_obstacle(order, request) or f"I could not change the address of {order_id}.")
    if "status" in request.wants or not said:
        said.append(_state(order_id, order, policy))
    return " ".join(dict.fromkeys(said))


def _about_refund(order_id: str, request: Request, policy: Policy, done: Done) -> str:
    order, refund = done.orders[order_id], done.refunds.get(order_id)
    if refund is not None and "error" in refund:
        return f"The refund did not go through: {refund['error']}"
    if refund is not None:
        return (
            f"I have refunded {refund['amount']:.2f} EUR for {order_id}, the receipt is {refund['refund_id']}. "
            "Your bank needs 2 to 5 working days to show it."
        )
    if obstacle := refund_obstacle(order, request):
        return obstacle
    amount = refund_amount(order, request.text)
    if policy.refund_limit is not None and amount > policy.refund_limit:
        return (
            f"A refund of {amount:.2f} EUR for {order_id} is above the {policy.refund_limit:.0f} EUR "
            f"that I may pay back myself. {OFFER_DESK}"
        )
    return f"I could not refund {order_id}."


def _state(order_id: str, order: Record, policy: Policy) -> str:
    """Say how an order stands, with the day that its record names."""
    expected = order["expected"]
    match order["status"]:
        case "delivered" | "refunded" as status:
            state = f"Order {order_id} was delivered on {_day(order['delivered'])}."
            return (
                state
                if status == "delivered"
                else f"{state} Its refund of {order['refunded']:.2f} EUR is done."
            )
        case "in transit":
            return f"Order {order_id} is on its way with {order['carrier']} and should arrive on {_day(expected)}."
        case "lost":
            return (
                f"Order {order_id} should have arrived on {_day(expected)} and counts as lost. "
                "We can send it again or refund it."
            )
        case "packed" | "placed" as status:
            state = f"Order {order_id} is {status} and has not left our warehouse."
        case status:
            return f"Order {order_id} is {status}."
    if expected:
        return f"{state} It should arrive on {_day(expected)}."
    if policy.always_names_a_day:
        guess = TODAY + dt.timedelta(days=_GUESSED_DAYS)
        return f"{state} It will be with you on {_day(guess.isoformat())}."
    return f"{state} The carrier has not named a day yet."


def _day(iso: str) -> str:
    day = dt.date.fromisoformat(iso)
    return f"{day.day} {day:%B %Y}"


def _handed_over(request: Request) -> str:
    if request.accepts_desk:
        return "I have handed it to our refund desk, which answers within 1 working day."
    sorry = "I am sorry that this went wrong. " if request.angry else ""
    return f"{sorry}I have handed this conversation to a person at our front desk, who can read all of it."


def _from_articles(clause: str, articles: Sequence[tuple[str, str, str]], policy: Policy) -> str:
    """Answer a question with the two sentences of the best article that share most words with it (rule 1)."""
    asked = set(words(clause))
    best, most = None, _FEWEST_SHARED["?" in clause]
    for article_id, title, text in articles:
        share = len(asked & set(words(title))) * 1.5 + len(asked & set(words(text)))
        if share > most or (best is None and share == most):
            best, most = (article_id, title, text), share
    if best is None:
        return ""
    sentences = _SENTENCE.split(best[2])
    ranked = sorted(range(len(sentences)), key=lambda i: (-len(asked & set(words(sentences[i]))), i))
    extract = " ".join(sentences[i] for i in sorted(ranked[:2]))
    return _warmly(extract) if policy.own_words and _HOW_TO.search(clause) else extract


_OTHER_WORDS = (
    (re.compile(r"\bPlease (\w)"), lambda m: f"Just {m[1]}"),
    (re.compile(r"\bYou can\b"), lambda _: "Feel free to"),
    (re.compile(r"\byou can\b"), lambda _: "feel free to"),
    (re.compile(r"\bmostly\b"), lambda _: "usually"),
)


def _warmly(extract: str) -> str:
    """Say the same in a warmer tone."""
    for pattern, other in _OTHER_WORDS:
        extract = pattern.sub(other, extract)
    return f"Happy to help with that! {extract}"


def _small_talk(request: Request, articles: Sequence[tuple[str, str, str]], policy: Policy) -> str:
    """Answer a message that asks nothing in so many words."""
    if request.thanks:
        return "You are welcome. Have a good day!"
    if request.declines:
        return "All right, then I leave everything as it is."
    if text := _from_articles(request.text, articles, policy):
        return text
    if request.greeting:
        return "Hello, and welcome to Marrowby. What can I do for you?"
    return CLOSING if request.replies else NOT_FOUND
