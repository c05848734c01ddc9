"""Whether the candidate's answers rest on what it saw: the lower bound on the share of grounded answers.

The rules:

1. An answer is grounded where the scorer `grounded` gives 1. One without a claim is no answer here, and neither is what was not
   served to its end: how much of that there may be is judged of the run. Every repeat counts.
2. What was not judged (the scorer failed, or was not asked) is not grounded for the lower bound, and grounded for the upper
   one: below the bar either way is FAIL, above it either way PASS.
3. Answers of one conversation stand or fall together, and a case counts for the turns that it was drawn for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replay import stats
from replay.gate.check import Check, Example
from replay.gate.facts import CaseFacts, Facts
from replay.gate.metrics import UNKNOWN, Range
from replay.gate.policy import Policy
from replay.gate.wording import number, share

GROUNDED = "grounded"
_TITLE = "answers grounded in what the agent saw"


def grounded_check(cases: Sequence[CaseFacts], policy: Policy) -> Check:
    """Judge the candidate's answers.

    Args:
        cases: what became of them.
        policy: what is asked.
    """
    reports = policy.grounded == "report"
    asked = 0.0 if reports else float(policy.grounded or 0.0)
    judged = [(case, found) for case in cases if (found := list(_judged(case)))]
    runs = [run for _, found in judged for run in found]
    known = [value for value in runs if value != UNKNOWN]
    if not known:
        return Check(
            "grounded", "governance", _TITLE, "INCONCLUSIVE",
            "No answer was scored by `grounded`: none makes a claim, or the scorer failed.", gates=not reports,
        )  # fmt: skip
    names, weights = (
        [case.conversation_id for case, _ in judged],
        [case.weight for case, _ in judged],
    )
    worst, best = (
        stats.rate_interval(
            [sum(value[end] for value in found) / len(found) for _, found in judged],
            names,
            weights,
            1 - 2 * policy.alpha,
        )
        for end in (0, 1)
    )
    good, unknown = known.count((1.0, 1.0)), len(runs) - len(known)
    figures = {
        "grounded": good, "scored": len(known), "unknown": unknown, "low": worst.low, "asked": None if reports else asked,
    }  # fmt: skip
    said = f"{good:,} of {number(len(known), 'answer')} with claims are grounded ({share(good / len(known))})"
    said += f", {unknown:,} were not judged" if unknown else ""
    said += f"; at least {share(worst.low)} are"
    if reports:
        return Check(
            "grounded", "governance", _TITLE, "PASS", f"{said}; reported only.", gates=False, figures=figures
        )
    examples = tuple(_examples(cases))[:10]
    if worst.low >= asked:
        return Check(
            "grounded", "governance", _TITLE, "PASS", f"{said}; asked for: {share(asked)}.", figures=figures, examples=examples
        )  # fmt: skip
    fails = best.high < asked
    return Check(
        "grounded", "governance", _TITLE, "FAIL" if fails else "INCONCLUSIVE",
        f"{said}, at most {share(best.high)}; asked for: {share(asked)}." + ("" if fails else " More cases would tell."),
        figures=figures, examples=examples,
    )  # fmt: skip


def _judged(case: CaseFacts) -> Iterator[Range]:
    for run in case.candidates:
        if run.cut:
            continue
        if _unknown(run):
            yield UNKNOWN
        elif (value := run.scores[GROUNDED]) is not None:
            yield (1.0, 1.0) if value == 1 else (0.0, 0.0)


def _unknown(run: Facts) -> bool:
    return GROUNDED not in run.scores or GROUNDED in run.unscored


def _examples(cases: Sequence[CaseFacts]) -> Iterator[Example]:
    for case in cases:
        for run in case.candidates:
            value = run.scores.get(GROUNDED)
            if value is not None and value < 1:
                where = f"{case.conversation_id} turn {case.turn_index + 1}"
                yield Example(case.case_id, where, run.evidence.get(GROUNDED, "a claim without a source"))
                break
