"""What a run can show and may cost, said before it runs.

The rules:

1. The smallest change that this many cases find, and the number of cases that three points take, are for two flip rates, since
   how often an agent disagrees with itself is known only afterwards: 16.7 %, the median of published agents, and 5 %.
2. Both are the best that can be: turns of one conversation say less than as many of their own.
3. Whether a gate could judge the run at all is said, too, and for which level of exposure its conversations are enough at best.
4. Dollars are what the turns cost when they were recorded, and are said only where a cost was recorded and models are live.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replay.running.cases import Case
    from replay.running.run_plan import RunPlan

MARGIN = 0.03
STEADY, USUAL = 0.05, 0.167


def outlook(plan: RunPlan) -> Iterator[str]:
    """Give the lines to print before a run.

    Args:
        plan: of a run that compares two versions; of another one there is nothing to say.
    """
    from auditlog.wording import many

    cases = plan.cases
    if plan.sampling.size is not None and len(cases) < plan.sampling.turns:
        strata = len({case.stratum for case in cases if case.stratum})
        conversations = len({case.conversation_id for case in cases})
        yield (
            f"A sample of {len(cases):,} of {plan.sampling.turns:,} turns, of {strata} strata, "
            f"from {many(conversations, 'conversation')}."
        )
    if plan.baseline is None or not cases:
        return
    from replay.stats import minimum_detectable_effect, required_n

    counted = _worth(cases)
    found = [_points(minimum_detectable_effect(counted, rate)) for rate in (STEADY, USUAL)]
    needed = [required_n(rate, MARGIN) for rate in (STEADY, USUAL)]
    each = plan.executions / len(cases)
    yield (
        f"{many(len(cases), 'case')} at best find a change of {found[0]} four times in five if {STEADY:.0%} of the cases "
        f"flip by chance, of {found[1]} if {USUAL:.1%} do; {_points(MARGIN)} take {needed[0]:,} or {needed[1]:,} cases "
        f"({math.ceil(needed[0] * each):,} or {math.ceil(needed[1] * each):,} executions)."
    )
    if plan.kind == "replay":
        yield _for_a_gate(plan)
    cost = plan.sampling.cost_usd
    if cost and plan.modes.model != "recorded":
        yield (
            f"At what a turn cost when it was recorded (${cost:.4f}), this run costs about {_dollars(cost * plan.executions)}, "
            f"and {_points(MARGIN)} {_dollars(cost * needed[0] * each)} or {_dollars(cost * needed[1] * each)}."
        )


def _for_a_gate(plan: RunPlan) -> str:
    from auditlog.wording import many
    from replay.gate.levels import levels
    from replay.stats import cases_for_bound

    if plan.repeats < 2 and not all(case.sampled for case in plan.cases):
        return (
            "A gate could not judge this run: it needs the baseline twice in every case. "
            "Run it with --second-baseline 1, or --repeats 2."
        )
    conversations = len({case.conversation_id for case in plan.cases})
    needed = {
        level.number: cases_for_bound(level.hard_bound)
        for level in levels().values()
        if level.hard_bound is not None
    }
    enough = [f"level {number} ({least:,})" for number, least in needed.items() if conversations >= least]
    short = [f"level {number} ({least:,})" for number, least in needed.items() if conversations < least]
    said = ", ".join(
        part
        for part in (
            f"enough at best for {' and '.join(enough)}" if enough else "",
            f"too few for {' and '.join(short)}" if short else "",
        )
        if part
    )
    return f"To a gate, {many(conversations, 'conversation')} {'is' if conversations == 1 else 'are'} {said}."


def _worth(cases: Sequence[Case]) -> int:
    """Give how many cases of one weight would say as much (Kish)."""
    total = math.fsum(case.weight for case in cases)
    return math.floor(total**2 / math.fsum(case.weight**2 for case in cases) + 1e-9)


def _points(share: float) -> str:
    return f"{share * 100:.3g} points"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.01 else f"${amount:.4f}"
