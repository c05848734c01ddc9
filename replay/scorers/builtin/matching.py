"""The answer is the expected one.

The rules:

1. What is expected is `expected["answer"]`, a text or several of which any will do; where nobody expects anything, the
   recorded answer. `against` chooses one of `expected`, `recorded`, `reference`.
2. Normalised: without case, spaces, punctuation and the marks on letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from replay.diff.values import clip
from replay.scorers.builtin.common import bad, stopped
from replay.scorers.model import Score, Subject, scorer

_NO_LETTER = re.compile(r"[\W_]+")


@scorer(version="1", level="secondary", expects=("answer",))
def exact_match(subject: Subject, *, against: str = "any") -> Score:
    """The answer is the expected one, sign by sign."""
    return _matched(subject, against, str)


@scorer(version="1", level="secondary", expects=("answer",))
def normalised_match(subject: Subject, *, against: str = "any") -> Score:
    """The answer is the expected one but for case, spaces and punctuation."""
    return _matched(subject, against, normalised)


def normalised(text: str) -> str:
    """Give a text without case, spaces, punctuation and the marks on letters."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _NO_LETTER.sub("", "".join(c for c in plain if not unicodedata.combining(c)))


def _matched(subject: Subject, against: str, form: Any) -> Score:
    if against not in ("any", "expected", "recorded", "reference"):
        msg = f"`against` is one of any, expected, recorded, reference, and not {against!r}."
        raise ValueError(msg)
    accepted = list(_accepted(subject, against))
    if not accepted:
        return Score(None, "nothing expected")
    if stopped(subject):
        return Score(None, subject.status)
    said = form(subject.run.answer_text)
    if any(said == form(text) for text in accepted):
        return Score(1.0, "matches")
    return bad("other answer", (subject.run.turn_id,), f"Expected “{clip(accepted[0], 120)}”.")


def _accepted(subject: Subject, against: str) -> Iterable[str]:
    if against in ("any", "expected"):
        match subject.expected.get("answer"):
            case str() as text:
                return [text]
            case [*texts] if texts:
                return [str(text) for text in texts]
    turn = {"any": subject.recorded, "recorded": subject.recorded, "reference": subject.reference}.get(
        against
    )
    return [] if turn is None else [turn.answer_text]
