"""Grounding: what an answer claims stands in something that the agent saw.

The rules:

1. Claims are numbers, ids, dates and times, as `replay.diff.grounding` finds them, which also says what supports one.
2. An execution's sources are its tool results, retrieved documents, prompts and inputs, what it wrote, and the conversation
   before it. What it asked tools for, and what it said to itself, is no source.
3. The value is the share of claims that are supported; `strict` makes it 0 where one is not. An answer that claims nothing
   checkable is unscored, and not grounded.
"""

from __future__ import annotations

from collections.abc import Iterator

from replay.diff.findings import unsupported_claims
from replay.diff.grounding import Claim, claims_in
from replay.diff.values import clip
from replay.scorers.builtin.common import stopped
from replay.scorers.model import Score, Subject, scorer


@scorer(version="2", level="primary")
def grounded(subject: Subject, *, strict: bool = True) -> Score:
    """Every number, date and id in the answer stands in what the agent saw."""
    claims = claims_in(subject.run.answer_text)
    if not claims:
        label = subject.status if stopped(subject) else "claims nothing"
        return Score(None, label)
    invented = list(_invented(subject))
    if not invented:
        return Score(1.0, "grounded", (subject.run.turn_id,))
    value = 0.0 if strict else 1 - len(invented) / len(claims)
    said = ", ".join(f"“{clip(claim.text)}”" for claim in invented[:3])
    return Score(
        max(value, 0.0),
        f"unsupported {invented[0].kind}",
        (subject.run.turn_id,),
        f"{len(invented)} of {len(claims)} claims stand in nothing that the agent saw: {said}",
    )


def _invented(subject: Subject) -> Iterator[Claim]:
    for turn, claim in unsupported_claims((*subject.history, subject.run)):
        if turn is subject.run:
            yield claim
