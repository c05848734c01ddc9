"""Which findings are the same finding.

The rules:

1. The same words, but for case, space and signs, with the same calls: the same finding.
2. Nearly the same words (`token_set_ratio` of 90 or more) that lead to the same calls for the same goal: the same finding.
3. Of several the shortest stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from replay.attack.model import Attempt

NEAR = 90.0


def normalised(text: str) -> str:
    """Give a text without case, signs and doubled spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", folded))


def distinct(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Leave one of each.

    Args:
        attempts: successful ones.
    """
    kept: list[Attempt] = []
    for attempt in sorted(attempts, key=lambda a: (len(a.attack.text), a.attack.attack_id)):
        if not any(same(attempt, other) for other in kept):
            kept.append(attempt)
    return kept


def same(one: Attempt, other: Attempt) -> bool:
    """Whether two successful attempts are one finding."""
    from rapidfuzz.fuzz import token_set_ratio

    if one.trace != other.trace or _goals(one) != _goals(other):
        return False
    if one.attack.cell.surface != other.attack.cell.surface:
        return False
    first, second = normalised(one.attack.text), normalised(other.attack.text)
    return first == second or token_set_ratio(first, second) >= NEAR


def _goals(attempt: Attempt) -> set[str]:
    return {sign.goal for sign in attempt.signs}
