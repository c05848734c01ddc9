"""What a run says, as values: RunSummary, CaseResult, Report.

The rules:

1. Pure values: a report is what screens, renderers and the gate read, whoever made it.
2. Every case of a run is in its report, however it ended: the denominator never shrinks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from auditlog.values import Turn
from replay.diff import CaseClass, CaseStatus, Diff
from replay.pinned.not_pinned import NotPinned
from replay.results.compare import EvaluationComparison, Outcome, Totals
from replay.results.sides import Side

RunKind = Literal["replay", "verify", "control", "fork", "compare"]
RunStatus = Literal["running", "complete", "interrupted", "budget"]
"""`budget`: a limit of what it may take ended it."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, as a list shows it."""

    run_id: str
    created: datetime
    """Aware, UTC."""
    kind: RunKind
    candidate: str
    """What was tried: an agent's import path, or the filter of a comparison's candidate side."""
    baseline: str
    """What it was compared with, likewise."""
    where: str
    """The filter that chose the conversations; in a comparison, the tag that pairs them."""
    cases: int
    done: int
    status: RunStatus
    classes: Mapping[CaseClass, int]
    """Finished cases by class, in the order of `CLASSES`."""
    repeats: int = 1
    """How often each case ran in each of its arms; a report shows the first of them."""
    sides: tuple[Side, ...] = ()
    """What both sides were, where their names do not say it all."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case of a run: what was recorded, what both arms did, and how they differ."""

    case_id: str
    conversation_id: str
    turn_index: int | None
    """None where a case is a whole conversation, as in a comparison."""
    user_text: str
    recorded: tuple[Turn, ...]
    baseline: tuple[Turn, ...]
    candidate: tuple[Turn, ...]
    status: CaseStatus
    why: str
    """Why the case did not complete; empty where it did."""
    diff: Diff
    noise: Diff | None = None
    """The second baseline against the baseline; None where the case was not sampled."""
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    """In a comparison: whether the candidate did better, by judgement."""

    def opened(self) -> CaseResult:
        """Give the case with everything in it, read from the store where it was not."""
        return self


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a run found."""

    run: RunSummary
    cases: tuple[CaseResult, ...]
    evaluations: tuple[EvaluationComparison, ...] = ()
    """In a comparison: each judgement on both sides."""
    totals: Totals | None = None
    """In a comparison: what both sides took."""
    unpaired_baseline: tuple[str, ...] = ()
    """In a comparison: ids of the baseline's conversations without a partner."""
    unpaired_candidate: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    """What of the sides' overrides reached nothing, a sentence each."""
    not_pinned: tuple[NotPinned, ...] = ()
    """What of the run was not held still."""
