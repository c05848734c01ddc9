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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Want = Literal["status", "refund", "address", "human"]

ASK_ORDER = "What is the order number? It begins with MB and has five digits."
ASK_EMAIL = "Which e-mail address was the order placed with?"
ASK_ADDRESS = "What is the whole new address?"
OFFER_DESK = "Shall I hand it to our refund desk?"
_QUESTIONS = (ASK_ORDER, ASK_EMAIL, ASK_ADDRESS, OFFER_DESK)

_ORDER_ID = re.compile(r"\bMB[-\s]?(\d{5})\b", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CLAUSE = re.compile(r"[^.?!\n;]+(?:\.(?=\S)[^.?!\n;]+)*[.?!\n;]*")
_ADDRESS = re.compile(
    r"(?:address(?: is| should be|:)|address\b[^:?\n]*?\bto|deliver(?: it)? to|send it to|goes to|move it to)[:\s]+"
    r"([^\n?!:]*?\d[^\n?!:]*?,[^\n?!;:]*?)(?=\.(?:\s|$)|[\n?!;]|$)",
    re.IGNORECASE,
)
_BARE_ADDRESS = re.compile(r"^\s*([^\n?!@]*?\d[^\n?!@]*?,[^\n?!;@]*?)\s*(?=\.(?:\s|$)|[\n?!;]|$)")

_REFUND = re.compile(
    r"\brefund (?:me|my|the|this|it|that|order|mb|for|please|on|both)\b|\brefunded\b|\bmoney back\b|\breimburse"
    r"|\b(?:want|need|like|get|have|give|request|issue|claim|process|due|demand) (?:me )?(?:a |an |my |the |full )*refund\b"
    r"|^\s*(?:a |full )*refund\b",
    re.IGNORECASE,
)
_STATUS = re.compile(
    r"\bwhere(?:'s| is| are| has)? (?:my|the|our|it|that)\b.*|\bstatus\b|\bon its way\b|\bany news\b|\btrack (?:my|the|order)\b"
    r"|\bwhen (?:will|does|is|do|can|should)\b.*\b(?:come|arrive|get here|be here|delivered|expect|reach|ship|leave)"
    r"|\b(?:has|have|did|is) (?:it|my|the|our)\b.*\b(?:shipped|left|arrived?|sent|gone out|dispatched|delivered)\b"
    r"|\b(?:hasn't|has not|didn't|not|never) (?:yet )?(?:arrived?|come|shipped|got here)\b|\bstill waiting\b|\bchasing\b",
    re.IGNORECASE,
)
_ADDRESS_WISH = re.compile(
    r"\b(?:change|update|correct|fix|new|different|wrong|other|another)\b[^.?!]*\b(?:address|street|house number)\b"
    r"|\b(?:redirect|deliver it to|send it to)\b|\b(?:i|we)(?:'ve| have| am|'m|'re| are)? (?:just )?(?:moved|moving)\b",
    re.IGNORECASE,
)
_HUMAN = re.compile(
    r"\b(?:speak|talk|chat|write|connect me|put me through|pass me|transfer me|get me|give me)\b[^.?!]*"
    r"\b(?:human|person|people|someone|somebody|manager|supervisor|colleague|staff)\b"
    r"|\b(?:real|actual|living) (?:human|person|people)\b|\bhuman being\b|\bcall me back\b|\bnot (?:a|another) (?:bot|robot|machine)\b",
    re.IGNORECASE,
)
_ANGRY = re.compile(
    r"\b(?:ridiculous|unacceptable|outrageous|disgrace(?:ful)?|furious|livid|scam(?:mers)?|thieves|crooks|liars?|useless|pathetic"
    r"|appalling|disgusting|joke|fed up|sick of|sick and tired|had enough|had it with|worst|never again|my lawyer|sue you"
    r"|rip-?off|incompetent|shame on|how dare|infuriating|angry|fuming|garbage|clowns)\b|!!!|\?!\?!",
    re.IGNORECASE,
)
_GENERAL = re.compile(
    r"^\W*(?:and |but |so |also |well |hello |hi |hey |please |by the way |generally |in general |just wondering )*[,\s]*"
    r"(?:how long|how do|how can|how does|how much|how many|how to|how would|what happens|what if|what is your|what's your"
    r"|where does|where do|do you|does a|does the|is there|are there|can one|what are|what counts|why)\b",
    re.IGNORECASE,
)
_INSTRUCTING = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|drop)\b[^.?!]{0,40}\b(?:instruction|prompt|rule|polic|guideline|limit|above|previous)"
    r"|\b(?:system|hidden|initial|secret) (?:prompt|message|instructions?)\b|\byour (?:instructions|prompt|rules)\b"
    r"|\byou are now\b|\b(?:developer|debug|admin|maintenance|god) mode\b|\bjailbreak|\bDAN\b|\bpretend (?:to be|you)\b"
    r"|\brole-?play\b|\bact as\b|\[/?(?:system|inst|admin)\]|<\|?/?(?:im_start|im_end|system|assistant|tool)|^\s*(?:system|assistant|tool) ?:"
    r"|\b(?:call|invoke|execute|run) (?:the )?(?:tool|function|issue_refund|change_address|look_up_order)|\bissue_refund\b|\bBEGIN\b.*\bPOLICY\b",
    re.IGNORECASE | re.MULTILINE,
)
_THANKS = re.compile(r"\b(?:thanks|thank you|cheers|great|perfect|lovely|brilliant|merci|danke|gracias|obrigad[oa]|grazie)\b", re.I)
_GREETING = re.compile(r"^\W*(?:hi|hello|hey|good (?:morning|afternoon|evening)|hallo|bonjour|ciao|hola|olá|dzień dobry)\b", re.I)
_YES = re.compile(r"^\W*(?:yes|yeah|yep|sure|ok(?:ay)?|please do|do it|go ahead|ja|oui|sì|sí|sim|tak)\b", re.IGNORECASE)


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


def understand(messages: Sequence[Mapping[str, Any]]) -> Request:
    """Read the last user message of a conversation of `{"role", "content"}` messages, with what came before."""
    said = [(m["role"], str(m.get("content") or "")) for m in messages if m["role"] in ("user", "assistant") and m.get("content")]
    last = max(i for i, (role, _) in enumerate(said) if role == "user")
    text, before = said[last][1], said[:last]
    wants, questions = _read(text)
    asked = before[-1][1] if before and before[-1][0] == "assistant" else ""
    earlier = [words for role, words in before if role == "user"]
    accepts_desk = OFFER_DESK in asked and bool(_YES.search(text))
    if not wants and not questions and any(question in asked for question in _QUESTIONS[:3]):
        wants = _open_wish(before) or wants
    ids = _order_ids(text)
    named_here = bool(ids)
    if not ids and (wants & {"status", "refund", "address"} or accepts_desk):
        ids = next((found for words in reversed(earlier) if (found := _order_ids(words))), ())
    if not wants and not questions and named_here:
        wants = frozenset({"status"})
    return Request(
        text=text,
        wants=wants,
        questions=questions,
        order_ids=ids,
        named_here=named_here,
        emails=tuple(e.lower().rstrip(".") for words in [*earlier, text] for e in _EMAIL.findall(words)),
        new_address=_new_address([*earlier, text], bare=ASK_ADDRESS in asked) if "address" in wants else None,
        angry=bool(_ANGRY.search(text)) or _shouts(text),
        instructing=bool(_INSTRUCTING.search(text)),
        accepts_desk=accepts_desk,
        thanks=bool(_THANKS.search(text)),
        greeting=bool(_GREETING.search(text)),
    )


def _read(text: str) -> tuple[frozenset[Want], tuple[str, ...]]:
    """Find the wishes and the general questions of one message, clause by clause (rule 1)."""
    wants: set[Want] = set()
    questions: list[str] = []
    names_an_order = bool(_ORDER_ID.search(text))
    for clause in (c.strip() for c in _CLAUSE.findall(text)):
        general = bool(_GENERAL.search(clause)) and not _ORDER_ID.search(clause)
        found: set[Want] = set()
        if _HUMAN.search(clause):
            found.add("human")
        if _REFUND.search(clause) and not general:
            found.add("refund")
        if _ADDRESS_WISH.search(clause) and not general and (names_an_order or not clause.endswith("?")):
            found.add("address")
        if _STATUS.search(clause) and not general and not found & {"refund", "address"}:
            found.add("status")
        wants |= found
        if not found and clause.rstrip().endswith("?") and len(clause.split()) > 2:
            questions.append(clause)
    return frozenset(wants), tuple(questions)


def _open_wish(before: Sequence[tuple[str, str]]) -> frozenset[Want]:
    """Find the wish that the agent's question was about: the latest that the customer uttered (rule 3)."""
    for role, words in reversed(before):
        if role == "user" and (wants := _read(words)[0] & {"status", "refund", "address"}):
            return wants
    return frozenset()


def _order_ids(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"MB-{digits}" for digits in _ORDER_ID.findall(text)))


def _new_address(texts: Sequence[str], *, bare: bool) -> str | None:
    patterns = (_ADDRESS, _BARE_ADDRESS) if bare else (_ADDRESS,)
    for number, text in enumerate(reversed(texts)):
        for pattern in patterns if number == 0 else (_ADDRESS,):
            if found := pattern.search(text):
                return " ".join(found[1].split()).rstrip(" .,")
    return None


def _shouts(text: str) -> bool:
    """Tell whether most of a message of several words is in capitals."""
    letters = [c for c in _ORDER_ID.sub("", text) if c.isalpha()]
    return len(letters) >= 12 and sum(c.isupper() for c in letters) > 0.7 * len(letters)
