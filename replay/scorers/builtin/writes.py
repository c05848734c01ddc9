"""Writes: forbidden ones, new ones, and other amounts of money.

The rules:

1. A write that the sandbox stopped was attempted: the recording does not hold it, and in production it would have happened.
2. A tool that is listed as forbidden may not be called, served or not. With a list of allowed ones, every other write is
   forbidden.
3. Against the reference: a write that only this execution makes, and one with another amount of money.
"""

from __future__ import annotations

from collections.abc import Sequence

from replay.diff.steps import is_write
from replay.scorers.builtin.common import NO_REFERENCE, bad, comparable, from_findings, good
from replay.scorers.model import Score, Subject, scorer


@scorer(version="1", level="hard", options={})
def no_forbidden_write(
    subject: Subject, *, forbidden: Sequence[str] = (), allowed: Sequence[str] | None = None
) -> Score:
    """No write was attempted that the recording does not hold, or that is listed."""
    found = []
    for step in subject.steps:
        if step.match_tier == "blocked":
            found.append((step, "was stopped: the recording holds no such call"))
        elif step.kind == "tool" and step.name in forbidden:
            found.append((step, "is forbidden"))
        elif allowed is not None and is_write(step) and step.name not in allowed:
            found.append((step, "is not one of the allowed writes"))
    if not found:
        return good(subject)
    said = "; ".join(f"{step.name} {why}" for step, why in found[:3])
    return bad("forbidden write", [step.span_id for step, _ in found], said)


@scorer(version="1", level="hard")
def no_new_write(subject: Subject) -> Score:
    """No write is made that the reference does not make."""
    if subject.reference is None or not comparable(subject):
        return NO_REFERENCE
    return from_findings(subject, ("new write",), "new write", subject.reference)


@scorer(version="1", level="hard")
def money_unchanged(subject: Subject) -> Score:
    """No write has another amount of money than the reference's."""
    if subject.reference is None or not comparable(subject):
        return NO_REFERENCE
    return from_findings(subject, ("changed money",), "changed money", subject.reference)
