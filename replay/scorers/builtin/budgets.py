"""Time, tokens and cost within a budget.

The rules:

1. A measure is no score: how much something took stays in the diff, as a ratio. What is scored is whether it stays within.
2. The budget is absolute, or the reference's own measure times a factor. A measure that a side did not report is left out;
   where nothing is left, the execution is unscored.
3. Within the budget is 1; beyond it, the budget as a share of what was taken: twice the budget is 0.5.
4. Latency counts only where a limit for it is given: a replay serves its tools at once.
"""

from __future__ import annotations

from replay.diff.measures import quantities
from replay.scorers.builtin.common import comparable, stopped
from replay.scorers.model import Score, Subject, scorer

_RELATIVE = ("cost_usd", "input_tokens", "output_tokens", "model_calls", "tool_calls")


@scorer(version="1", level="secondary")
def within_budget(
    subject: Subject,
    *,
    factor: float | None = 1.5,
    latency_ms: float | None = None,
    cost_usd: float | None = None,
    input_tokens: float | None = None,
    output_tokens: float | None = None,
) -> Score:
    """Latency, tokens and cost stay within the reference's, times a factor."""
    if stopped(subject):
        return Score(None, subject.status)
    taken = quantities([subject.run])
    limits: dict[str, float] = {}
    if factor is not None and subject.reference is not None and comparable(subject):
        beside = quantities([subject.reference])
        limits |= {name: most * factor for name in _RELATIVE if (most := beside[name]) is not None}
    given = {
        "latency_ms": latency_ms,
        "cost_usd": cost_usd,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
    }
    limits |= {name: limit for name, limit in given.items() if limit is not None}
    used = {name: (took, limits[name]) for name in limits if (took := taken[name]) is not None}
    if not used:
        return Score(None, "nothing reported")
    worst = min(used, key=lambda name: _share(*used[name]))
    took, limit = used[worst]
    value = _share(took, limit)
    label = "within" if value == 1 else f"over {worst}"
    return Score(value, label, (subject.run.turn_id,), f"{worst}: {took:,.6g} of {limit:,.6g}")


def _share(took: float, limit: float) -> float:
    return 1.0 if took <= limit else max(limit, 0.0) / took
