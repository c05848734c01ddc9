"""How an execution ended, and whether that is how the reference ended.

The rules:

1. An execution is completed when the agent gave an answer without failing. One that the sandbox could not serve
   (`diverged`, `unreplayable`) says nothing of the agent; one that attempted a write, or to leave the sandbox, does.
2. An outcome is the set of writes with their arguments, whether the customer was handed to a person, and whether the agent
   failed. Two outcomes agree, or they do not; the words do not count.
"""

from __future__ import annotations

from auditlog.values import Turn
from replay.canonical import match_key
from replay.diff.steps import is_write, steps_of
from replay.scorers.builtin.common import NO_REFERENCE, bad, comparable, stopped
from replay.scorers.builtin.handoffs import hand_offs
from replay.scorers.model import Score, Subject, scorer


@scorer(version="1", level="primary")
def completed(subject: Subject) -> Score:
    """The agent came to an answer without failing."""
    match subject.status:
        case "complete" if subject.run.answer_text or subject.run.agent.output not in (None, "", [], {}):
            return Score(1.0, "complete", (subject.run.turn_id,))
        case "complete":
            return bad("no answer", (subject.run.turn_id,), "The agent ended without an answer.")
        case "diverged" | "unreplayable":
            return Score(None, subject.status)
        case _:
            return bad(subject.status, (subject.run.turn_id,), f"The case ended as {subject.status}.")


@scorer(version="1", level="primary")
def outcome_agreement(subject: Subject) -> Score:
    """The same writes, the same hand-off and the same kind of end as the reference."""
    if subject.reference is None or not comparable(subject):
        return NO_REFERENCE
    if stopped(subject) and subject.status != "blocked":
        return Score(None, subject.status)
    old, new = _outcome(subject.reference), _outcome(subject.run)
    if old == new and subject.status != "blocked":
        return Score(1.0, "agrees", (subject.run.turn_id, subject.reference.turn_id))
    names = ("writes", "hand-off", "failure")
    said = [name for name, one, other in zip(names, old, new, strict=True) if one != other] or ["writes"]
    return bad(
        f"other {said[0]}",
        (subject.run.turn_id, subject.reference.turn_id),
        f"The {' and the '.join(said)} differ from the reference's.",
    )


def _outcome(turn: Turn) -> tuple[tuple[str, ...], bool, bool]:
    writes = [step for step in steps_of([turn]) if is_write(step)]
    keys = sorted(match_key(step.kind, step.name, step.arguments) for step in writes)
    return tuple(keys), bool(hand_offs(turn)), turn.status == "error"
