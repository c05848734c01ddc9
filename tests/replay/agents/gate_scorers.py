"""Scorers of the gate's tests."""

from __future__ import annotations

from replay.scorers import Subject, scorer


@scorer(name="boom", version="1", level="primary")
def boom(subject: Subject) -> float:
    """Nothing is judged."""
    raise RuntimeError(subject.run.answer_text)


@scorer(name="short", version="1", level="hard")
def short(subject: Subject) -> bool:
    """The answer is short."""
    return "Paid" not in subject.run.answer_text
