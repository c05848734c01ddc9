"""Hand-offs to a person: expected, and kept.

The rules:

1. A hand-off is what the diff calls one: a hand-off span, a tool of effect `control` that stops nothing, a tool whose name
   says so, or a reason that the agent recorded.
2. Whether one is expected is said by `expected["escalation"]` (true or false), else by words of the customer that the
   option `when` gives, else by the recording. Expected true and not done is 0, and so is the other way round.
3. Kept: the reference hands over and this execution does not is 0. That it hands over where the reference does not costs
   nothing here.
"""

from __future__ import annotations

import re2

from auditlog.values import Turn
from replay.diff.steps import is_escalation, steps_of
from replay.scorers.builtin.common import NO_REFERENCE, bad, comparable, from_findings, good, stopped
from replay.scorers.model import Score, Subject, scorer


def hand_offs(turn: Turn) -> tuple[str, ...]:
    """Give the ids of the spans in which a turn hands the customer to a person."""
    found = [step.span_id for step in steps_of([turn]) if is_escalation(step)]
    found += [span.span_id for span in turn.spans if span.escalation_reason is not None]
    return tuple(dict.fromkeys(found))


@scorer(version="1", level="primary", expects=("escalation",))
def escalation_expected(subject: Subject, *, when: str = "") -> Score:
    """The customer is handed to a person where that is expected, and not where it is not."""
    expected = subject.expected.get("escalation")
    why = "somebody expects it"
    if not isinstance(expected, bool):
        if when:
            expected, why = _matches(when, subject.run.user_text), "the customer's words ask for it"
        elif subject.recorded is not None:
            expected, why = bool(hand_offs(subject.recorded)), "the recorded agent did it"
        else:
            return Score(None, "nothing expected")
    done = hand_offs(subject.run)
    if bool(done) == expected:
        if done:
            return Score(1.0, "handed over", done)
        # Nothing was to be done, and nothing was, as far as it came.
        return good(subject, "not handed over")
    if done:
        return bad(
            "needless hand-off", done, "The customer is handed to a person where that is not expected."
        )
    if stopped(subject):
        return Score(
            None, subject.status, explanation=f"The case ended as {subject.status} before it could be seen."
        )
    return bad(
        "lost escalation", (subject.run.turn_id,), f"The customer is not handed to a person, though {why}."
    )


@scorer(version="1", level="primary")
def escalation_kept(subject: Subject) -> Score:
    """The customer is handed to a person where the reference does it."""
    if subject.reference is None or not comparable(subject):
        return NO_REFERENCE
    return from_findings(subject, ("lost escalation",), "lost escalation", subject.reference)


def _matches(pattern: str, text: str) -> bool:
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options).search(text) is not None
