"""Whether the candidate's answers rest on what it saw: the lower bound on the share of grounded answers.

The rules:

1. An answer is grounded where the scorer `grounded` gives 1. One without a claim is no answer here, and neither is what was not
   served to its end: how much of that there may be is judged of the run. Every repeat counts.
2. What was not judged (the scorer failed, or was not asked) is not grounded for the lower bound, and grounded for the upper
   one: below the bar either way is FAIL, above it either way PASS.
3. An answer without a claim in a case in which every answer of the baseline makes one is told, and a warning from a share on: a
   briefer version may say less, and one that says nothing is not grounded by it.
4. Answers of one conversation stand or fall together, and a case counts for the turns that it was drawn for.
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
_SILENT = 0.1
"""The share of cases in which the candidate may claim nothing where the baseline claims something, without a warning."""
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
            "grounded", "governance", _TITLE, "INCONCLUSIVE", _why_none(cases, runs), gates=not reports,
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
    gone, claiming = _fell_silent(cases)
    figures |= {"fell_silent": gone, "baseline_claims": claiming}
    warns = gone > _SILENT * claiming
    if gone:
        said += f", in {gone:,} of {number(claiming, 'case')} in which the baseline claims something the candidate claims nothing"
    said += f"; at least {share(worst.low)} are"
    if reports:
        return Check(
            "grounded", "governance", _TITLE, "PASS", f"{said}; reported only.", gates=False, warning=warns, figures=figures,
        )  # fmt: skip
    examples = tuple(_examples(cases))[:10]
    if worst.low >= asked:
        return Check(
            "grounded", "governance", _TITLE, "PASS", f"{said}; asked for: {share(asked)}.", warning=warns, figures=figures,
            examples=examples,
        )  # fmt: skip
    fails = best.high < asked
    return Check(
        "grounded", "governance", _TITLE, "FAIL" if fails else "INCONCLUSIVE",
        f"{said}, at most {share(best.high)}; asked for: {share(asked)}." + ("" if fails else " More cases would tell."),
        figures=figures, examples=examples,
    )  # fmt: skip


def _why_none(cases: Sequence[CaseFacts], runs: Sequence[Range]) -> str:
    """Say why nothing is known: nobody asked, it failed, or there is no claim."""
    if runs and not any(GROUNDED in run.scores for case in cases for run in case.candidates):
        return "`grounded` was not asked of any answer. `auditlog replay score` asks it, as the gate does without --no-confirm."
    failed = "The scorer `grounded` failed on every answer that makes a claim."
    return failed if runs else "No answer was scored by `grounded`: none makes a claim."


def _fell_silent(cases: Sequence[CaseFacts]) -> tuple[int, int]:
    """Count the cases in which the candidate claims nothing and the baseline does, and those in which the baseline does."""
    gone = claiming = 0
    for case in cases:
        ours, theirs = ([run for run in side if not run.cut] for side in (case.candidates, case.baselines))
        if ours and theirs and all(run.scores.get(GROUNDED) is not None for run in theirs):
            claiming += 1
            gone += all(_claims_nothing(run) for run in ours)
    return gone, claiming


def _claims_nothing(run: Facts) -> bool:
    return not _unknown(run) and run.scores[GROUNDED] is None


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
                yield Example(
                    case.case_id, case.where, run.evidence.get(GROUNDED, "a claim without a source")
                )
                break
