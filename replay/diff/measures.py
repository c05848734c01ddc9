"""What a behaviour took, before and after: cost, time, tokens, calls.

The rules:

1. A quantity that no span of a side reported is None, never 0.
2. Tokens and cost are the model calls'; only where no model call reports any do the agent span's count, so that
   nothing is counted twice.
3. Time is the sum of the turns' durations, in milliseconds, and None where a turn has no end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from auditlog.values import Span, Turn
from replay.diff.model import Measure

MEASURES = ("cost_usd", "latency_ms", "input_tokens", "output_tokens", "model_calls", "tool_calls")


def measures_of(before: Sequence[Turn], after: Sequence[Turn]) -> Mapping[str, Measure]:
    """Give every measure of two behaviours by name."""
    sides = quantities(before), quantities(after)
    return {name: Measure(sides[0][name], sides[1][name]) for name in MEASURES}


def quantities(turns: Sequence[Turn]) -> dict[str, float | None]:
    """Give every measure of one behaviour by name; None where nobody reported it, or there is no turn."""
    if not turns:
        return dict.fromkeys(MEASURES)
    reporting = [(turn.of_kind("model", "embedding"), (turn.agent,)) for turn in turns]
    return {
        "cost_usd": _reported(reporting, lambda span: span.cost_usd),
        "latency_ms": _sum_if_all(turn.agent.duration_ms for turn in turns),
        "input_tokens": _reported(reporting, lambda span: span.usage.input_tokens),
        "output_tokens": _reported(reporting, lambda span: span.usage.output_tokens),
        "model_calls": float(sum(span.kind == "model" for models, _ in reporting for span in models)),
        "tool_calls": float(sum(span.kind == "tool" for turn in turns for span in turn.spans)),
    }


def tool_errors(turns: Iterable[Turn]) -> int:
    """Count the tool calls that failed."""
    return sum(
        1
        for turn in turns
        for span in turn.of_kind("tool")
        if span.status == "error" or span.fault is not None
    )


_Reporting = tuple[Sequence[Span], Sequence[Span]]
"""A turn's calls of models, and its agent."""


def _reported(reporting: Iterable[_Reporting], quantity: Callable[[Span], float | None]) -> float | None:
    totals = [total for sides in reporting if (total := _of_turn(sides, quantity)) is not None]
    return sum(totals) if totals else None


def _of_turn(sides: _Reporting, quantity: Callable[[Span], float | None]) -> float | None:
    for spans in sides:
        found = [value for span in spans if (value := quantity(span)) is not None]
        if found:
            return sum(found)
    return None


def _sum_if_all(values: Iterable[float | None]) -> float | None:
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total
