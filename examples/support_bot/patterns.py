"""How customers say things: the regular expressions behind `understanding`.

The rules:

1. Each pattern names one thing that a clause can say; which of them count together is decided elsewhere.
2. Patterns look at words, not at whole sentences, so that greetings and asides do not hide a wish.
"""

from __future__ import annotations

import re


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE | re.MULTILINE)


ORDER_ID = re.compile(r"\bMB[-\s]?(\d{5})\b", re.IGNORECASE)
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
CLAUSE = re.compile(r"[^.?!\n;]+(?:\.(?=\S)[^.?!\n;]+)*[.?!\n;]*")
JOINED_QUESTION = re.compile(
    r",? (?:and|but) (?=(?:is|are|do|does|can|could|may|what|how|when|where|who|which)\b)", re.IGNORECASE
)
ADDRESS = re.compile(
    r"(?:address(?: is| should be|:)|address\b[^:?\n]*?\bto|deliver(?: it)? to|send it to|goes to|move it to)[:\s]+"
    r"([^\n?!:]*?\d[^\n?!:]*?,[^\n?!;:]*?)(?=\.(?:\s|$)|[\n?!;]|$)",
    re.IGNORECASE,
)
BARE_ADDRESS = re.compile(r"^\s*([^\n?!@]*?\d[^\n?!@]*?,[^\n?!;@]*?)\s*(?=\.(?:\s|$)|[\n?!;]|$)")

REFUND = _any(
    r"\brefund (?:me|my|the|this|it|that|order|mb|for|please|on|both|only|just)\b",
    r"\b(?:be|get) refunded\b|\bmoney back\b|\breimburse",
    r"\b(?:want|need|like|get|have|give|request|issue|claim|due|demand) (?:me )?(?:a |an |my |the |full )*refund\b",
    r"\A\s*(?:a |full )*refund\b",
)
STATUS = _any(
    r"\bwhere(?:'s| is| are| has)? (?:my|the|our|it|that)\b.*",
    r"\bstatus\b|\bon its way\b|\bany news\b|\btrack (?:my|the|order)\b|\bstill waiting\b|\bchasing\b",
    r"\bwhen (?:will|does|is|do|can|should)\b.*\b(?:come|arrive|get here|be here|delivered|expect|reach|ship|leave)",
    r"\b(?:has|have|did|is) (?:it|my|the|our)\b.*\b(?:shipped|left|arrived?|sent|gone out|dispatched|delivered)\b",
    r"\b(?:hasn't|has not|didn't|not|never) (?:yet )?(?:arrived?|come|shipped|got here)\b",
)
NEW_ADDRESS_WISH = _any(
    r"\b(?:change|update|correct|fix|new|different|wrong|other|another)\b[^.?!]*\b(?:address|street|house number)\b",
    r"\b(?:redirect|deliver it to|send it to)\b",
    r"\b(?:i|we)(?:'ve| have| am|'m|'re| are)? (?:just )?(?:moved|moving)\b",
)
HUMAN = _any(
    r"\b(?:speak|talk|chat|write|connect me|put me through|pass me|transfer me|get me|give me)\b[^.?!]*"
    r"\b(?:human|person|people|someone|somebody|manager|supervisor|colleague|staff)\b",
    r"\b(?:real|actual|living) (?:human|person|people)\b|\bhuman being\b|\bcall me back\b",
    r"\bnot (?:a|another) (?:bot|robot|machine)\b",
)
ANGRY = _any(
    r"\b(?:ridiculous|unacceptable|outrageous|disgrace(?:ful)?|furious|livid|scam(?:mers)?|thieves|crooks|liars?)\b",
    r"\b(?:useless|pathetic|appalling|disgusting|joke|garbage|clowns|incompetent|infuriating|angry|fuming)\b",
    r"\b(?:fed up|sick of|sick and tired|had enough|had it with|worst|never again|my lawyer|sue you|rip-?off)\b",
    r"\b(?:shame on|how dare)\b|!!!|\?!\?!",
)
GENERAL = _any(
    r"\A\W*(?:(?:and|but|so|also|well|hello|hi|hey|please|by the way|generally|in general|just wondering)\b\W*)*"
    r"(?:how long|how do|how can|how does|how much|how many|how to|how would|what happens|what if|what is your"
    r"|what's your|where does|where do|do you|does a|does the|is there|are there|can one|what are|what counts|why)\b",
)
INSTRUCTING = _any(
    r"\b(?:ignore|disregard|forget|override|bypass|drop)\b[^.?!]{0,40}"
    r"\b(?:instruction|prompt|rule|polic|guideline|limit|above|previous)",
    r"\b(?:system|hidden|initial|secret) (?:prompt|message|instructions?)\b|\byour (?:instructions|prompt|rules)\b",
    r"\byou are now\b|\b(?:developer|debug|admin|maintenance|god) mode\b|\bjailbreak|\bDAN\b|\bpretend (?:to be|you)\b",
    r"\brole-?play\b|\bact as\b|\bBEGIN\b.*\bPOLICY\b",
    r"\[/?(?:system|inst|admin)\]|<\|?/?(?:im_start|im_end|system|assistant|tool)",
    r"^\s*(?:system|assistant|tool) ?:",
    r"\b(?:call|invoke|execute|run) (?:the )?(?:tool|function|issue_refund|change_address|look_up_order)",
    r"\bissue_refund\b",
)
THANKS = _any(
    r"\b(?:thanks|thank you|cheers|great|perfect|lovely|brilliant)\b",
    r"\b(?:merci|danke|gracias|obrigad[oa]|grazie)\b",
)
GREETING = _any(
    r"\A\W*(?:hi|hello|hey|good (?:morning|afternoon|evening))\b",
    r"\A\W*(?:hallo|bonjour|ciao|hola|olá|dzień dobry)\b",
)
NO = _any(r"\b(?:never mind|leave it|forget it|doesn't matter|nothing)\b|\A\W*no\b")
YES = _any(r"\A\W*(?:yes|yeah|yep|sure|ok(?:ay)?|please do|do it|go ahead|ja|oui|sì|sí|sim|tak)\b")
