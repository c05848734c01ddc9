"""A case's executions as what scorers judge.

The rules:

1. The candidate is compared with the baseline's execution of the same repeat; where no baseline was run, with the recording.
2. `baseline_2` is compared with the baseline, and the baseline with `baseline_2`, or with its own next repeat: so a
   comparative scorer says of the baseline how much it agrees with itself. Where neither ran there is no reference.
3. What somebody expects of a case belongs to its recorded turn, by that turn's span id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from auditlog.values import Json
from replay.results.trials import CaseTrials, Trial
from replay.scorers.model import Subject

Expectations = Mapping[str, Mapping[str, Json]]
"""What is expected, by the recorded agent span's id, and then by name."""


def subjects_of(
    tried: CaseTrials, *, has_baseline: bool, expectations: Expectations | None = None
) -> Iterator[Subject]:
    """Give what scorers judge, execution by execution.

    Args:
        tried: a case and its executions.
        has_baseline: whether the run has a baseline that was run again.
        expectations: what is expected of its cases.
    """
    expected = (expectations or {}).get(tried.case.span_id, {})
    for trial in tried.trials:
        beside = _beside(tried, trial) if has_baseline else None
        recorded = tried.recorded if not has_baseline else None
        yield Subject(
            case=tried.case,
            run=trial.turn,
            reference=recorded if beside is None else beside.turn,
            recorded=tried.recorded,
            history=tried.history,
            arm=trial.arm,
            repeat=trial.repeat,
            status=trial.status,
            reference_status="complete" if beside is None else beside.status,
            expected=dict(expected),
        )


def _beside(tried: CaseTrials, trial: Trial) -> Trial | None:
    if trial.arm != "baseline":
        return _repeat(tried.of("baseline"), trial.repeat)
    again = _repeat(tried.of("baseline_2"), trial.repeat)
    if again is not None:
        return again
    own = [other for other in tried.of("baseline") if other.repeat != trial.repeat]
    later = [other for other in own if other.repeat > trial.repeat]
    return next(iter(later or own), None)


def _repeat(trials: tuple[Trial, ...], repeat: int) -> Trial | None:
    same = next((trial for trial in trials if trial.repeat == repeat), None)
    return same or next(iter(trials), None)
