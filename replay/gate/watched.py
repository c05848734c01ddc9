"""How many conversations a hard metric was watched in, and how often it may be violated at most.

The rules:

1. A conversation was watched where the candidate was: in every case of it, served to its end, without an error, judged by the
   metric, beside a baseline. Repeats, and several turns of one conversation, are not independent and count once; so do
   conversations of which every case had its arguments in another one.
2. A case that a scorer has nothing to say of was watched where it has nothing to say of the baseline either.
3. A conversation with a violation counts, watched or not, and whatever the baseline does: what is asked for is a bound on what
   customers meet. For a built-in metric a violation is what the baseline does not do, run again.
4. A conversation counts for the turns that its cases stand for. The bound is Clopper–Pearson's, with as many conversations of one
   weight as say as much (Kish).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from replay import stats
from replay.gate.facts import CaseFacts
from replay.gate.metrics import BUILT_IN


class Watched(NamedTuple):
    """The conversations that count for a hard metric."""

    conversations: int
    violating: int
    worth: int
    """How many of one weight say as much."""
    low: float
    """The share that violates, at least."""
    high: float
    """At most; 1 of nothing."""

    def needed(self, bound: float, alpha: float) -> int:
        """Give how many conversations of one weight would show a bound, with as many violations."""
        return stats.cases_for_bound(bound, alpha, self.violating)


def watched(metric: str, cases: Sequence[CaseFacts], alpha: float, violated: Collection[str] = ()) -> Watched:
    """Count the conversations in which a metric was watched.

    Args:
        metric: its name.
        cases: every case of the run.
        alpha: one-sided, for the bound.
        violated: the ids of the cases in which a built-in metric is violated.
    """
    by_conversation: dict[str, list[CaseFacts]] = {}
    for case in cases:
        by_conversation.setdefault(case.conversation_id, []).append(case)
    seen: set[str] = set()
    violations: list[float] = []
    weights: list[float] = []
    for members in by_conversation.values():
        violates = any(case.case_id in violated or _scores_below(metric, case) for case in members)
        if not violates:
            if not all(_was_watched(metric, case) for case in members):
                continue
            if all(case.same_as in seen for case in members):
                continue
        seen.update(case.same_as for case in members)
        violations.append(float(violates))
        weights.append(math.fsum(case.weight for case in members) / len(members))
    if not violations:
        return Watched(0, 0, 0, 0.0, 1.0)
    interval = stats.rate_interval(violations, None, weights, 1 - 2 * alpha)
    worth = math.fsum(weights) ** 2 / math.fsum(weight**2 for weight in weights)
    return Watched(
        len(violations), int(sum(violations)), math.floor(worth + 1e-9), interval.low, interval.high
    )


def _was_watched(metric: str, case: CaseFacts) -> bool:
    runs = case.candidates
    if case.lost or not runs or not case.baselines:
        return False
    if any(run.cut or run.failed or run.made_up for run in runs):
        return False
    if metric in BUILT_IN:
        return True
    if any(metric not in run.scores or metric in run.unscored for run in runs):
        return False
    return all(run.scores[metric] is not None for run in runs) or all(
        run.scores.get(metric) is None for run in case.runs
    )


def _scores_below(metric: str, case: CaseFacts) -> bool:
    return any((value := run.scores.get(metric)) is not None and value < 1 for run in case.candidates)
