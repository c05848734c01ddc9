"""How many writes stand before a recorded call: its write-epoch.

The rules:

1. A write stands before a call that began after it, and after one that began before it.
2. Where the branches in which the two stand ran at the same time, either order could have been: such a call belongs to every
   epoch from the one without the concurrent writes to the one with all of them.
3. Only outermost calls count, those inside of which something was written among them, because a replay serves the outer call
   without entering it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from auditlog.values import Span


class Epochs(NamedTuple):
    """The write-epochs that a call may stand in."""

    first: int
    last: int


def epochs_of(spans: Sequence[Span], agent: Span, writes: Sequence[Span]) -> Mapping[str, Epochs]:
    """Give the epochs of every call of a recorded turn, by span id.

    Args:
        spans: the turn's, in the order in which they began.
        agent: the turn's agent span.
        writes: the outermost among them that wrote, in the same order.
    """
    if not writes:
        return {span.span_id: Epochs(0, 0) for span in spans}
    by_id = {span.span_id: span for span in spans if span.span_id != agent.span_id}
    lines = {span.span_id: _line(span, by_id) for span in spans}
    positions = {span.span_id: position for position, span in enumerate(spans)}
    found = {}
    for span in spans:
        before = concurrent = 0
        for write in writes:
            branches = _parted(lines[span.span_id], lines[write.span_id])
            if branches is not None and _overlap(*branches):
                concurrent += 1
            elif positions[write.span_id] < positions[span.span_id]:
                before += 1
        found[span.span_id] = Epochs(before, before + concurrent)
    return found


def _line(span: Span, spans: Mapping[str, Span]) -> list[Span]:
    """Give a span and what stands around it below the agent, the outermost first."""
    line, seen = [span], {span.span_id}
    while (parent := spans.get(line[-1].parent_span_id or "")) is not None and parent.span_id not in seen:
        line.append(parent)
        seen.add(parent.span_id)
    return line[::-1]


def _parted(one: Sequence[Span], other: Sequence[Span]) -> tuple[Span, Span] | None:
    """Give the two branches in which two spans stand; None where one stands inside the other."""
    for mine, yours in zip(one, other, strict=False):
        if mine.span_id != yours.span_id:
            return mine, yours
    return None


def _overlap(one: Span, other: Span) -> bool:
    # A branch whose end was never recorded is taken to have ended at once: nothing says that it went on.
    ends = [span.end_ns if span.end_ns is not None else span.start_ns for span in (one, other)]
    return one.start_ns < ends[1] and other.start_ns < ends[0]
