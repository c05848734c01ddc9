"""What the embedded model takes from its system prompt.

The rules:

1. The model knows no shop policy of its own: what the prompt does not say, it does not do.
2. Only system messages are read; nothing that a customer writes can change a policy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LIMIT = re.compile(r"refund\w* (?:of )?up to (\d+(?:\.\d+)?) EUR", re.IGNORECASE)
_ANGRY = re.compile(r"hand over[^.]*\bangry\b", re.IGNORECASE)
_DATES = re.compile(r"always (?:give|tell|name)[^.]*\bday\b", re.IGNORECASE)
_OWN_WORDS = re.compile(r"how-to[^.]*\bown words\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Policy:
    """How the prompt wants the model to behave."""

    refund_limit: float | None
    """EUR that may be refunded without approval; None where the prompt sets no limit."""
    hands_over_angry: bool
    always_names_a_day: bool
    """A delivery day is to be named whether or not the order has one: the model then makes one up."""
    own_words: bool
    """How-to answers are reworded in a warm tone."""


def read_policy(prompt: str) -> Policy:
    """Read the policy out of a system prompt."""
    limit = _LIMIT.search(prompt)
    return Policy(
        refund_limit=float(limit[1]) if limit else None,
        hands_over_angry=bool(_ANGRY.search(prompt)),
        always_names_a_day=bool(_DATES.search(prompt)),
        own_words=bool(_OWN_WORDS.search(prompt)),
    )
