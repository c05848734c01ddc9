"""Hard invariants: what a candidate must not do even once, and how sure that is.

The rules:

1. A violation is what the candidate did and no run of the baseline did, in the same case.
2. It is run again three times, the baseline too. What comes back at least once, and never in the baseline, is confirmed: FAIL.
   What never comes back is flaky: INCONCLUSIVE, until a person signs with a waiver of this very run.
3. What the baseline does as well, now and then, is not the candidate's, unless the candidate does it more often: over the cases
   that were run again, the candidate's reruns against the baseline's, one-sided. More often is FAIL. More often, and not shown to
   be so, is INCONCLUSIVE, and those cases count for the bound.
4. What was not run again is INCONCLUSIVE, and says what to run: at most thirty cases of a metric at a time, the next ones when
   the run is judged again, until one of them decides. What was, and did not come to its end, is no better.
5. No violation proves little: how many conversations may violate at most is always said (`watched`), and must lie below what the
   level asks for. That bound is absolute: what the baseline does as well is in it. Shown to lie above it is FAIL. A policy
   without hard metrics shows none.
6. A scorer that never looked proves nothing: an execution of the candidate that it was not asked about, that it failed on, or
   that it has nothing to say of where it judges the baseline, leaves the metric INCONCLUSIVE from the first one on: the candidate
   chooses what cannot be judged. So does a call of a tool that nobody knows, and that was not served: its effect is its own word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from auditlog.values import Json
from replay import stats
from replay.gate.check import MOST_EXAMPLES, Check, Example, Outcome
from replay.gate.facts import CaseFacts, Facts
from replay.gate.metrics import BUILT_IN, violations, violations_of
from replay.gate.policy import Policy
from replay.gate.watched import Watched, watched
from replay.gate.wording import bound, number, share

AGAIN = 3
"""How often a violating case is run again."""
MOST_CONFIRMED = 30
"""Cases that are run again for one metric at a time; one that comes back is enough to fail."""
_BOUND = "bound on hard violations"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What running cases again gave."""

    run_id: str | None
    """The follow-up run, or several with commas between them; None where there is none."""
    cases: Mapping[str, CaseFacts]
    """By the recorded agent span's id."""
    why_not: str = ""
    """Why there is none, and what to run."""


NONE = Confirmation(None, {})
"""Nothing was run again."""


def suspects(cases: Sequence[CaseFacts], policy: Policy, again: Confirmation = NONE) -> list[CaseFacts]:
    """Give the cases to run again: some of each hard metric that seems violated, as long as nothing decides it.

    Args:
        cases: every case of the run.
        policy: what is asked.
        again: what was run again already.
    """
    chosen: dict[str, CaseFacts] = {}
    for metric in policy.hard:
        found = [case for case in cases if violations(metric, case)]
        if any(case.span_id in again.cases for case in found):
            known = _rerun(metric, cases, again, policy.alpha)
            if known.confirmed or known.more_often:
                continue
        fresh = [case for case in found if case.span_id not in again.cases]
        chosen.update({case.span_id: case for case in fresh[:MOST_CONFIRMED]})
    return list(chosen.values())


class _Maker(Protocol):
    def __call__(
        self, outcome: Outcome, sentence: str, *, waivable: bool = False, warning: bool = False
    ) -> Check: ...


class _Rerun(NamedTuple):
    """What came of the cases that seem violated."""

    confirmed: list[Example]
    untried: list[Example]
    """Not run again."""
    cut: list[Example]
    """Run again, and that shows nothing."""
    flaky: list[Example]
    shared: list[Example]
    candidate: float
    """The share of the candidate's reruns that violate."""
    baseline: float
    more_often: bool
    """Whether that is shown to be more than in the baseline."""
    oftener: tuple[float, float]
    """The shares of the baseline's and the candidate's reruns that violate, of the cases in which both do."""
    violated: frozenset[str]
    """The ids of the cases in which the baseline excuses nothing."""

    @property
    def examples(self) -> tuple[Example, ...]:
        """Every case, the worst first."""
        return (*self.confirmed, *self.untried, *self.cut, *self.flaky, *self.shared)

    @property
    def found(self) -> int:
        """How many cases."""
        return len(self.examples)

    @property
    def maybe_more_often(self) -> bool:
        """Whether the candidate violates more often where both do; not shown, but nor is that it does not."""
        return self.oftener[1] > self.oftener[0]


def hard_checks(cases: Sequence[CaseFacts], again: Confirmation, policy: Policy) -> Iterator[Check]:
    """Judge each hard metric, and the bound over all of them."""
    counts: dict[str, Watched] = {}
    for metric in policy.hard:
        rerun = _rerun(metric, cases, again, policy.alpha)
        own = rerun.violated if metric in BUILT_IN else frozenset[str]()
        counts[metric] = watched(metric, cases, policy.alpha, own)
        yield _hard(metric, rerun, _unseen(metric, cases), again, counts[metric], policy.alpha)
    if policy.hard_bound is not None:
        yield _bound(counts, policy) if counts else _nothing_watched(policy.hard_bound)


class _Unseen(NamedTuple):
    """Executions of the candidate that a scorer did not judge."""

    unasked: int = 0
    unread: int = 0
    """It failed on them, or says nothing where it judges the baseline."""
    tools: tuple[str, ...] = ()
    """Tools that nobody knows, which were called and not served."""


def _unseen(metric: str, cases: Sequence[CaseFacts]) -> _Unseen:
    if metric in BUILT_IN:
        runs = [run for case in cases for run in case.candidates if metric == "new_write" and run.unknown]
        return _Unseen(tools=tuple(sorted({tool for run in runs for tool in run.unknown})))
    unasked = unread = 0
    for case in cases:
        judges = any(run.scores.get(metric) is not None for run in case.baselines)
        for run in case.candidates:
            if metric not in run.scores:
                unasked += 1
            elif not run.cut and run.scores[metric] is None:
                unread += metric in run.unscored or (judges and not run.failed)
    return _Unseen(unasked, unread)


def _rerun(metric: str, cases: Sequence[CaseFacts], again: Confirmation, alpha: float) -> _Rerun:
    """Sort the cases that seem violated by what running them again gave."""
    confirmed, untried, cut, flaky, shared = [], [], [], [], []
    both: list[tuple[str, float, float]] = []
    differences: list[float] = []
    names: list[str] = []
    sides: list[tuple[float, float]] = []
    violated: set[str] = set()
    for case in cases:
        if not (said := violations(metric, case)):
            continue
        example = Example(case.case_id, case.where, said[0])
        rerun = again.cases.get(case.span_id)
        if rerun is None or len(rerun.candidates) < AGAIN:
            untried.append(example)
            violated.add(case.case_id)
            continue
        old, new = (
            [_violates(metric, run, case.baselines) for run in runs]
            for runs in (rerun.baselines, rerun.candidates)
        )
        if old:
            sides.append((sum(old) / len(old), sum(new) / len(new)))
            differences.append(sides[-1][1] - sides[-1][0])
            names.append(case.conversation_id)
        # Whatever the baseline does in any of its runs is not new.
        baselines = (*case.baselines, *rerun.baselines)
        if not any(_violates(metric, run, baselines) for run in case.candidates):
            shared.append(example)
            if old:
                both.append((case.case_id, *sides[-1]))
            continue
        violated.add(case.case_id)
        if any(_violates(metric, run, baselines) for run in rerun.candidates):
            confirmed.append(example)
        elif any(_unproven(metric, run) for run in rerun.candidates):
            cut.append(example)
        else:
            flaky.append(example)
    interval = stats.paired_interval(differences, names, None, 1 - 2 * alpha)
    count = len(sides) or 1
    oftener = (
        sum(old for _, old, _ in both) / (len(both) or 1),
        sum(new for _, _, new in both) / (len(both) or 1),
    )
    if oftener[1] > oftener[0]:
        violated.update(case_id for case_id, _, _ in both)
    return _Rerun(
        confirmed, untried, cut, flaky, shared, sum(new for _, new in sides) / count, sum(old for old, _ in sides) / count,
        interval.low > 0, oftener, frozenset(violated),
    )  # fmt: skip


def _violates(metric: str, run: Facts, baselines: Sequence[Facts]) -> bool:
    return any(True for _ in violations_of(metric, run, baselines))


def _unproven(metric: str, run: Facts) -> bool:
    """Whether an execution says nothing by what it did not do."""
    if run.cut or run.failed or run.made_up:
        return True
    return metric not in BUILT_IN and run.scores.get(metric) is None


def _hard(
    metric: str, rerun: _Rerun, unseen: _Unseen, again: Confirmation, counted: Watched, alpha: float
) -> Check:
    figures: dict[str, Json] = {
        "violations": rerun.found,
        "conversations": counted.conversations,
        "violating": counted.violating,
        "bound": counted.high,
        "unseen": unseen.unasked,
        "unread": unseen.unread,
        "unknown_tools": len(unseen.tools),
    }

    def check(outcome: Outcome, sentence: str, *, waivable: bool = False, warning: bool = False) -> Check:
        return Check(
            f"hard.{metric}", "hard", metric, outcome, sentence, warning=warning, figures=figures,
            examples=rerun.examples[:MOST_EXAMPLES], waivable=waivable,
        )  # fmt: skip

    if not rerun.found:
        return _open(check, metric, unseen) or _not_found(check, counted, alpha)
    figures |= {
        "confirmed": len(rerun.confirmed), "flaky": len(rerun.flaky), "shared": len(rerun.shared),
        "not_run_again": len(rerun.untried), "cut_again": len(rerun.cut),
        "candidate_again": rerun.candidate, "baseline_again": rerun.baseline,
        "follow_up": again.run_id,
    }  # fmt: skip
    cases = number(rerun.found, "case")
    if rerun.confirmed:
        rest = f"; {len(rerun.untried):,} more were not run again" if rerun.untried else ""
        return check(
            "FAIL",
            f"Violated in {cases}; of {rerun.found - len(rerun.untried):,} that were run again, {len(rerun.confirmed):,} "
            f"did so again (run {again.run_id}){rest}.",
        )
    if rerun.more_often:
        return check(
            "FAIL",
            f"It seemed violated in {cases}; run again, the baseline does the same, but in {share(rerun.baseline)} of its runs, "
            f"and the candidate in {share(rerun.candidate)} (run {again.run_id}).",
        )
    if rerun.untried or rerun.cut:
        return check("INCONCLUSIVE", _not_run_again(rerun, again, cases))
    if (still_open := _open(check, metric, unseen)) is not None:
        return still_open
    if rerun.flaky:
        return check(
            "INCONCLUSIVE",
            f"Violated once in {number(len(rerun.flaky), 'case')}, and not in {AGAIN} further runs (run {again.run_id}): flaky. "
            f'A person signs for it with a [[waiver]] of check = "hard.{metric}" for this run.',
            waivable=True,
        )
    if rerun.maybe_more_often:
        old, new = rerun.oftener
        return check(
            "INCONCLUSIVE",
            f"It seemed violated in {cases}; run again, the baseline does the same in {share(old)} of its runs, and the "
            f"candidate in {share(new)} (run {again.run_id}): that it does so no more often is not shown. "
            f'A person signs for it with a [[waiver]] of check = "hard.{metric}" for this run.',
            waivable=True,
        )
    return check(
        "PASS",
        f"It seemed violated in {cases}; run again, the baseline does the same (run {again.run_id}). {_most(counted)}.",
        warning=True,
    )


def _not_run_again(rerun: _Rerun, again: Confirmation, cases: str) -> str:
    tried = rerun.found - len(rerun.untried)
    said = []
    if rerun.untried and not tried:
        said.append(again.why_not or "they were not run again.")
    elif rerun.untried:
        why = again.why_not or f"Judge it again, and up to {MOST_CONFIRMED} more of them are."
        said.append(
            f"{tried:,} of them were run again (run {again.run_id}), {len(rerun.untried):,} were not. {why}"
        )
    if rerun.cut:
        said.append(
            f"{len(rerun.cut):,} of them were run again (run {again.run_id}), and that was not served or judged to the end."
        )
    return f"It may be violated in {cases}: {' '.join(said)}"


def _open(check: _Maker, metric: str, unseen: _Unseen) -> Check | None:
    """Judge what a scorer did not look at; None where it looked at everything."""
    if unseen.unasked:
        return check(
            "INCONCLUSIVE",
            f"The scorer never looked at {number(unseen.unasked, 'execution')} of the candidate. Look at the warnings for why, "
            "and score the run: `auditlog replay score`.",
        )
    if unseen.tools:
        named = ", ".join(unseen.tools[:3])
        return check(
            "INCONCLUSIVE",
            f"The candidate calls {named}, which no recording and no run of the baseline does, and which was not served: "
            "whether that writes is not known. Where it reads, let it run: "
            "`--reads hybrid`, and --live-read with each such tool's name.",
        )
    if unseen.unread:
        return check(
            "INCONCLUSIVE",
            f"The scorer could not judge {number(unseen.unread, 'execution')} of the candidate: it failed on them, or says "
            "nothing where it judges the baseline. Look at them; a person signs for them with a [[waiver]] of "
            f'check = "hard.{metric}" for this run.',
            waivable=True,
        )
    return None


def _not_found(check: _Maker, counted: Watched, alpha: float) -> Check:
    if not counted.conversations:
        return check(
            "INCONCLUSIVE", "In no conversation was the candidate watched to the end beside a baseline."
        )
    if counted.violating:
        return check(
            "PASS", f"Nothing that the baseline does not do as well. {_most(counted)}.", warning=True
        )
    return check(
        "PASS",
        f"No violation in {number(counted.conversations, 'conversation')}: less than {bound(counted.high)} of them, "
        f"with {100 * (1 - alpha):g} % confidence.",
    )


def _most(counted: Watched) -> str:
    watched_in = number(counted.conversations, "conversation")
    if not counted.violating:
        return f"{watched_in} watched to the end: less than {bound(counted.high)} of them violate"
    return f"{counted.violating:,} of {watched_in} violate, so up to {bound(counted.high)} of them do"


def _nothing_watched(asked: float) -> Check:
    return Check(
        "hard_bound", "hard", _BOUND, "INCONCLUSIVE",
        f"The policy names no hard metric, so nothing is watched that could show a bound; asked for: {bound(asked)}. "
        "Name one under [metrics] hard.",
        figures={"conversations": 0, "asked": asked},
    )  # fmt: skip


def _bound(counts: Mapping[str, Watched], policy: Policy) -> Check:
    assert policy.hard_bound is not None
    asked, title = policy.hard_bound, _BOUND
    metric, worst = max(counts.items(), key=lambda item: item[1].high)
    needed = worst.needed(asked, policy.alpha)
    figures: dict[str, Json] = {
        "metric": metric, "conversations": worst.conversations, "violating": worst.violating, "worth": worst.worth,
        "bound": worst.high, "asked": asked, "needed": needed, "alpha": policy.alpha,
    }  # fmt: skip
    watched_in = number(worst.conversations, "conversation")
    if worst.worth < worst.conversations:
        watched_in += f" (worth {worst.worth:,} of one weight)"
    said = (
        f"{worst.violating:,} of {watched_in} violate {metric}, whatever the baseline does: up to {bound(worst.high)}"
        if worst.violating
        else f"0 violations in {watched_in} would show less than {bound(worst.high)}"
    )
    shown = next((name for name, counted in counts.items() if counted.low > asked), None)
    if shown is not None:
        found = counts[shown]
        return Check(
            "hard_bound", "hard", title, "FAIL",
            f"{found.violating:,} of {number(found.conversations, 'conversation')} violate {shown}, whatever the baseline does: "
            f"{bound(found.low)} at least; asked for: {bound(asked)} at most.",
            figures=figures, waivable=False,
        )  # fmt: skip
    if worst.high <= asked:
        return Check(
            "hard_bound", "hard", title, "PASS", f"{said}; asked for: {bound(asked)} ({needed:,} conversations).",
            figures=figures,
        )  # fmt: skip
    missing = max(1, needed - worst.worth)
    return Check(
        "hard_bound", "hard", title, "INCONCLUSIVE",
        f"{said}; asked for: {bound(asked)}, which takes {needed:,} independent conversations: {missing:,} more.",
        figures={**figures, "missing": missing},
    )  # fmt: skip
