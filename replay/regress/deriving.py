"""What a recorded turn lets expect by itself: its writes, its hand-off, its refusal, and what a person changed.

The rules:

1. The recorded turn did right, where nobody says otherwise: its writes are expected, with their arguments, and no others; its
   hand-off, or that there is none; and that it declined, where it did and wrote nothing.
2. Where a person changed the agent's draft, the person was right: claims, speech acts and longer phrases that the draft has
   and the final text has not are forbidden; claims that the person added are expected.
3. Words that a person put better are no expectation: another agent may put them better still.
4. Only what was recorded as it was is taken: a write whose arguments were lost is expected by its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from auditlog.values import Json, Turn, text_of
from replay.canonical import lost_something
from replay.diff.grounding import Sources, claims_in
from replay.diff.model import Step
from replay.diff.steps import is_escalation, is_write, steps_of
from replay.diff.text import text_diff
from replay.regress.expectations import CallPattern, Expectations
from replay.scorers.speech_acts import acts, acts_in

REVIEW = "review"
"""The name of the span that `auditlog.review` records."""

_PHRASE_WORDS = 4
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable to|not able to|not possible to|not allowed to|must decline|"
    r"have to decline|won't be able|kann\b[^.!?]{0,40}\bnicht|leider nicht|nicht möglich|nicht erlaubt)\b",
    re.IGNORECASE,
)


class Review(NamedTuple):
    """What a person made of a draft."""

    draft: str
    final: str


def derived(turn: Turn) -> Expectations:
    """Give what a recorded turn, and what a person made of it, let expect."""
    found = from_turn(turn)
    for review in reviews_of(turn):
        if review.draft != review.final:
            found = found.joined(from_review(review))
    return found


def from_turn(turn: Turn) -> Expectations:
    """Give what the turn did as what is expected."""
    steps = steps_of([turn])
    writes = [step for step in steps if is_write(step)]
    escalated = any(map(is_escalation, steps)) or turn.escalation_reason is not None
    refused = not writes and declines(turn.answer_text)
    return Expectations(
        must_call=tuple(_pattern(step) for step in writes if step.fault is None),
        other_writes=False,
        escalation=escalated,
        refuses=True if refused else None,
    )


def from_review(review: Review) -> Expectations:
    """Give what a person's change of a draft lets expect."""
    draft, final = Sources(), Sources()
    draft.add([review.draft])
    final.add([review.final])
    added = draft.unsupported(review.final)
    removed = final.unsupported(review.draft)
    known = acts()
    done = {act.act for act in acts_in(review.draft, known)} - {
        act.act for act in acts_in(review.final, known)
    }
    return Expectations(
        facts=tuple(claim.text for claim in added),
        not_facts=tuple(claim.text for claim in removed),
        must_not_match=tuple(dict.fromkeys(_phrases(review))),
        # That a machine answers is no fault: taking it out is a matter of style.
        not_acts=tuple(sorted(done - {"machine_disclosure"})),
    )


def reviews_of(turn: Turn) -> list[Review]:
    """Give what people made of the turn's drafts, in order."""
    found = []
    for span in turn.spans:
        if span.kind == "other" and span.name == REVIEW:
            match span.input:
                case {"draft": draft, "final": final}:
                    found.append(Review(_text(draft), _text(final)))
                case _:
                    pass
    return found


def was_changed(turn: Turn) -> bool:
    """Whether a person changed a draft of the turn."""
    return any(review.draft != review.final for review in reviews_of(turn))


def declines(text: str) -> bool:
    """Whether an answer declines something, by its words."""
    return _REFUSAL.search(text.replace("’", "'")) is not None


def _pattern(step: Step) -> CallPattern:
    arguments = step.arguments
    known = isinstance(arguments, dict) and not lost_something(arguments)
    return CallPattern(step.name, dict(arguments) if known and isinstance(arguments, dict) else None)


def _phrases(review: Review) -> Iterator[str]:
    """Give longer runs of words that a person took out, as patterns."""
    for hunk in text_diff(review.draft, review.final).hunks:
        if hunk.op in ("delete", "replace"):
            words = hunk.before.split()
            # A phrase that holds a claim is forbidden by the claim, whatever stands around it.
            if len(words) >= _PHRASE_WORDS and not claims_in(hunk.before):
                yield r"\s+".join(re.escape(word) for word in words)


def _text(value: Json) -> str:
    return text_of(value) or (json.dumps(value, ensure_ascii=False, default=str) if value is not None else "")
