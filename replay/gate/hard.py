"""Hard invariants: what a candidate must not do even once, and how sure that is.

The rules:

1. A violation is what the candidate did and no run of the baseline did, in the same case.
2. It is run again three times, the baseline too. What comes back at least once, and never in the baseline, is confirmed: FAIL.
   What the baseline does as well is not the candidate's. What never comes back is flaky: INCONCLUSIVE, until a person signs
   with a waiver of this very run.
3. What cannot be run again is INCONCLUSIVE, and says what to run.
4. No violation proves little: the bound 1 − α^{1/n} is always said, and must lie below what the level asks for.
5. n counts conversations in which the candidate was watched to the end, once for equal arguments: repeats, and several turns
   of one conversation, are not independent. What was cut short, simulated or invalid does not count, nor what the metric's
   scorer failed on.
6. A scorer that never looked proves nothing: an execution that it was not asked about leaves the metric INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auditlog.values import Json
from replay import stats
from replay.gate.check import Check, Example
from replay.gate.facts import CaseFacts, Facts
from replay.gate.metrics import BUILT_IN, violations, violations_of
from replay.gate.policy import Policy
from replay.gate.wording import bound, number

AGAIN = 3
"""How often a violating case is run again."""
MOST_CONFIRMED = 30
"""Cases that are run again for one metric; one that comes back is enough to fail."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What running cases again gave."""

    run_id: str | None
    """The follow-up run; None where there is none."""
    cases: Mapping[str, CaseFacts]
    """By the recorded agent span's id."""
    why_not: str = ""
    """Why there is none, and what to run."""


def suspects(cases: Sequence[CaseFacts], policy: Policy) -> list[CaseFacts]:
    """Give the cases to run again: some of each hard metric that seems violated."""
    chosen: dict[str, CaseFacts] = {}
    for metric in policy.hard:
        found = [case for case in cases if violations(metric, case)]
        chosen.update({case.span_id: case for case in found[:MOST_CONFIRMED]})
    return list(chosen.values())


def hard_checks(cases: Sequence[CaseFacts], again: Confirmation, policy: Policy) -> Iterator[Check]:
    """Judge each hard metric, and the bound over all of them."""
    counts = {metric: watched([case for case in cases if _judged(metric, case)]) for metric in policy.hard}
    for metric, n in counts.items():
        yield _hard(metric, cases, again, n, policy.alpha)
    if policy.hard_bound is not None and policy.hard:
        n = min(counts.values())
        yield _bound(n, stats.rule_of_three(n, policy.alpha), policy)


def _judged(metric: str, case: CaseFacts) -> bool:
    """Whether a metric was looked at in every execution of the candidate."""
    return metric in BUILT_IN or all(
        metric in run.scores and metric not in run.unscored for run in case.candidates
    )


def _unproven(metric: str, run: Facts) -> bool:
    """Whether an execution says nothing by what it did not do."""
    if run.cut or run.failed or run.simulated:
        return True
    return metric not in BUILT_IN and run.scores.get(metric) is None


def watched(cases: Sequence[CaseFacts]) -> int:
    """Count the conversations of rule 5."""
    seen: set[str] = set()
    conversations: set[str] = set()
    for case in cases:
        runs = case.candidates
        if (
            case.lost
            or not runs
            or not case.baselines
            or any(run.cut or run.simulated for run in runs)
            or case.same_as in seen
        ):
            continue
        seen.add(case.same_as)
        conversations.add(case.conversation_id)
    return len(conversations)


def _hard(metric: str, cases: Sequence[CaseFacts], again: Confirmation, n: int, alpha: float) -> Check:
    upper = stats.rule_of_three(n, alpha)
    unseen = 0 if metric in BUILT_IN else sum(metric not in run.scores for c in cases for run in c.candidates)
    found = [(case, said) for case in cases if (said := violations(metric, case))]
    bounded = f"{number(n, 'conversation')} watched to the end; if none of them violates, the bound is {bound(upper)}"
    title = metric
    figures: dict[str, Json] = {
        "violations": len(found),
        "conversations": n,
        "bound": upper,
        "unseen": unseen,
    }
    if not found and unseen:
        return Check(
            f"hard.{metric}", "hard", title, "INCONCLUSIVE",
            f"The scorer never looked at {number(unseen, 'execution')} of the candidate. Look at the warnings for why, and score "
            "the run: `auditlog replay score`.", figures=figures, waivable=False,
        )  # fmt: skip
    if not found and not n:
        return Check(
            f"hard.{metric}", "hard", title, "INCONCLUSIVE",
            "In no conversation was the candidate watched to the end beside a baseline.", figures=figures, waivable=False,
        )  # fmt: skip
    if not found:
        return Check(
            f"hard.{metric}", "hard", title, "PASS",
            f"No violation in {number(n, 'conversation')}: less than {bound(upper)} of them, with {100 * (1 - alpha):g} % confidence.",
            figures=figures,
        )  # fmt: skip
    confirmed, flaky, shared, untried = [], [], [], []
    for case, said in found:
        example = Example(case.case_id, _where(case), said[0])
        rerun = again.cases.get(case.span_id)
        if rerun is None or len(rerun.candidates) < AGAIN:
            untried.append(example)
            continue
        # Whatever the baseline does in any of its runs is not new.
        baselines = (*case.baselines, *rerun.baselines)
        if not any(True for run in case.candidates for _ in violations_of(metric, run, baselines)):
            shared.append(example)
        elif any(True for run in rerun.candidates for _ in violations_of(metric, run, baselines)):
            confirmed.append(example)
        elif any(_unproven(metric, run) for run in rerun.candidates):
            untried.append(example)
        else:
            flaky.append(example)
    figures |= {
        "confirmed": len(confirmed), "flaky": len(flaky), "shared": len(shared), "not_run_again": len(untried),
        "follow_up": again.run_id,
    }  # fmt: skip
    counted = number(len(found), "case")
    examples = tuple((*confirmed, *untried, *flaky, *shared)[:10])
    if confirmed:
        rest = f"; {len(untried):,} more were not run again" if untried else ""
        sentence = (
            f"Violated in {counted}; of {len(found) - len(untried):,} that were run again, {len(confirmed):,} did so again "
            f"(run {again.run_id}){rest}."
        )
        return Check(
            f"hard.{metric}", "hard", title, "FAIL", sentence, figures=figures, examples=examples, waivable=False
        )  # fmt: skip
    if untried:
        why = again.why_not or "they were not run again"
        sentence = f"It may be violated in {counted}: {why}"
        return Check(
            f"hard.{metric}", "hard", title, "INCONCLUSIVE", sentence, figures=figures, examples=examples, waivable=False
        )  # fmt: skip
    if flaky:
        sentence = (
            f"Violated once in {number(len(flaky), 'case')}, and not in {AGAIN} further runs (run {again.run_id}): flaky. "
            f'A person signs for it with a [[waiver]] of check = "hard.{metric}" for this run.'
        )
        return Check(
            f"hard.{metric}", "hard", title, "INCONCLUSIVE", sentence, figures=figures, examples=examples
        )  # fmt: skip
    sentence = f"It seemed violated in {counted}; run again, the baseline does the same (run {again.run_id}). {bounded}."
    return Check(
        f"hard.{metric}", "hard", title, "PASS", sentence, warning=True, figures=figures, examples=examples
    )  # fmt: skip


def _bound(n: int, upper: float, policy: Policy) -> Check:
    assert policy.hard_bound is not None
    needed = stats.cases_for_bound(policy.hard_bound, policy.alpha)
    figures = {"conversations": n, "bound": upper, "asked": policy.hard_bound, "needed": needed}
    said = f"0 violations in {number(n, 'conversation')} would show less than {bound(upper)}"
    if upper <= policy.hard_bound:
        return Check(
            "hard_bound", "hard", "bound on hard violations", "PASS",
            f"{said}; asked for: {bound(policy.hard_bound)} ({needed:,} conversations).", figures=figures,
        )  # fmt: skip
    return Check(
        "hard_bound", "hard", "bound on hard violations", "INCONCLUSIVE",
        f"{said}; asked for: {bound(policy.hard_bound)}, which takes {needed:,} independent conversations: "
        f"{needed - n:,} more.",
        figures={**figures, "missing": needed - n},
    )  # fmt: skip


def _where(case: CaseFacts) -> str:
    return f"{case.conversation_id} turn {case.turn_index + 1}"
