"""Scorers: what judges an execution of a case, and what it says.

    from replay.scorers import Score, Subject, scorer

    @scorer(name="polite", version="1", level="secondary")
    def polite(subject: Subject) -> bool:
        return "please" in subject.run.answer_text.lower()

Every name here is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replay.scorers.keeping import load_scores
    from replay.scorers.model import (
        LEVELS,
        Level,
        Score,
        Scorer,
        ScorerKey,
        ScorerReturn,
        Subject,
        scorer,
        set_scorer,
    )
    from replay.scorers.scoring import score_run

__all__ = [
    "LEVELS",
    "Level",
    "Score",
    "Scorer",
    "ScorerKey",
    "ScorerReturn",
    "Subject",
    "load_scores",
    "score_run",
    "scorer",
    "set_scorer",
]

_HOME = {**dict.fromkeys(__all__, "model"), "load_scores": "keeping", "score_run": "scoring"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'replay.scorers' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"replay.scorers.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
