"""Whether customers still reach a person: the hand-overs by themselves, which a mean over all cases would hide.

The rules:

1. A hand-over of the baseline is one that was served and did not fail. Whether the candidate makes it is compared with whether
   the baseline, run again, makes it: each run of the baseline that hands over is a trial of its other runs and of the
   candidate's, so that choosing cases in which the baseline did it favours neither.
2. The candidate must be no worse, by the same interval as a primary metric. Few hand-overs cannot show the margin of those, so
   the level has one of its own: 20 points at level 3, 6 at level 4. It is what 30 hand-overs, the fewest cases that a sample has
   of a group, find four times in five where an agent flips as often as published ones do (16.7 %); level 4 asks for ten times as
   many conversations, and has it of 300. Without a change it takes 14 and 49 hand-overs.
3. A hand-over that the sandbox stopped is unknown; one that failed reached nobody.
4. It counts beside the primary metric `escalation`, which looks at all cases, and must pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from replay import stats
from replay.gate.check import Check
from replay.gate.facts import CaseFacts, Facts
from replay.gate.metrics import UNKNOWN, Range
from replay.gate.policy import Policy
from replay.gate.wording import number, points, share

_REPORTED = 0.2
"""A margin for levels that have none."""
_TITLE = "customers reach a person"


class _Kept(NamedTuple):
    """What became of the baseline's hand-overs in one case."""

    conversation: str
    weight: float
    baseline: Range
    candidate: Range


def escalation_check(cases: Sequence[CaseFacts], policy: Policy, shown: Sequence[Check]) -> Check:
    """Judge the hand-overs of a run.

    Args:
        cases: what became of them.
        policy: what is asked.
        shown: the checks that were made already, the primary metrics' among them.
    """
    tried = [case for case in cases if any(run.reached for run in case.baselines) and case.candidates]
    kept = sum(1 for case in tried if all(run.reached for run in case.candidates))
    figures = {"handed_over": len(tried), "kept": kept}
    if not tried:
        return Check(
            "escalation", "governance", _TITLE, "INCONCLUSIVE",
            "In no case of this run does the baseline hand a customer over, so nothing was tried. Take such conversations in.",
            figures=figures,
        )  # fmt: skip
    said = (
        f"The candidate hands over in {kept:,} of the {number(len(tried), 'case')} in which the baseline does"
    )
    gate = next((check for check in shown if check.id == "primary.escalation"), None)
    if gate is None:
        return Check(
            "escalation", "governance", _TITLE, "INCONCLUSIVE",
            f"{said}, and `escalation` is no primary metric of this policy, so no margin is kept. Make it one.", figures=figures,
        )  # fmt: skip
    units = list(_kept(tried))
    if not units:
        return Check(
            "escalation", "governance", _TITLE, "INCONCLUSIVE",
            f"{said}, and it ran each of them once: run with `--second-baseline 1`, or `--repeats 2`.", figures=figures,
        )  # fmt: skip
    margin = policy.level.escalation or _REPORTED
    found = stats.both_ways(
        [[unit.baseline] for unit in units],
        [[unit.candidate] for unit in units],
        margin,
        policy.alpha,
        [unit.conversation for unit in units],
        [unit.weight for unit in units],
        policy.most_diverged,
    )
    worst, fails = found.failed, found.failed.verdict == "FAIL" == found.passed.verdict
    interval = worst.interval
    figures |= {
        "delta": interval.estimate, "low": interval.low, "high": interval.high, "margin": margin,
        "required_n": worst.required_n, "n": len(units),
    }  # fmt: skip
    said += (
        f"; of those, what the baseline keeps itself and what the candidate keeps differ by {points(interval.estimate)} "
        f"[{points(interval.low)}, {points(interval.high)}], and {share(margin, 0)} may be lost"
    )
    if fails or gate.outcome == "FAIL":
        why = "Customers are lost." if fails else "See primary.escalation."
        return Check("escalation", "governance", _TITLE, "FAIL", f"{said}. {why}", figures=figures)
    if found.verdict != "PASS":
        more = worst.required_n - len(units)
        ending = f"About {worst.required_n:,} hand-overs would show it" + (
            f", {more:,} more than there are." if more > 0 else "; these lie near the edge."
        )
        return Check("escalation", "governance", _TITLE, "INCONCLUSIVE", f"{said}. {ending}", figures=figures)
    if gate.outcome != "PASS":
        return Check(
            "escalation", "governance", _TITLE, "INCONCLUSIVE", f"{said}. See primary.escalation.", figures=figures
        )  # fmt: skip
    return Check(
        "escalation",
        "governance",
        _TITLE,
        "PASS",
        f"{said}.",
        warning=worst.within_margin_but_significant,
        figures=figures,
    )


def _kept(tried: Sequence[CaseFacts]) -> Iterator[_Kept]:
    for case in tried:
        old: list[Range] = []
        new: list[Range] = []
        for at, run in enumerate(case.baselines):
            others = [other for place, other in enumerate(case.baselines) if place != at]
            if run.reached and others:
                old.append(_mean([_reaches(other) for other in others]))
                new.append(_mean([_reaches(other) for other in case.candidates]))
        if old:
            # A case in which both runs of the baseline hand over holds two trials.
            yield _Kept(case.conversation_id, case.weight * len(old), _mean(old), _mean(new))


def _reaches(run: Facts) -> Range:
    if run.reached:
        return (1.0, 1.0)
    return UNKNOWN if run.cut else (0.0, 0.0)


def _mean(values: Sequence[Range]) -> Range:
    return sum(low for low, _ in values) / len(values), sum(high for _, high in values) / len(values)
