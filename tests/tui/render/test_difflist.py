"""The groups of a run and their cases, as lines."""

import pytest

from auditlog.values import Span, Turn
from replay.diff import compare
from replay.render.grouping import groups_of
from replay.results.report import CaseResult
from tui.render.difflist import blocks


def case(user_text):
    """Give a case in which a call vanished."""

    def turn(*tools):
        agent = Span(trace_id="1" * 32, span_id="a" * 16, kind="agent", name="bot", start_ns=0, end_ns=1)
        calls = tuple(
            Span(trace_id="1" * 32, span_id="b" * 16, kind="tool", name=tool, start_ns=0, end_ns=1)
            for tool in tools
        )
        return Turn(agent, (agent, *calls))

    before, after = turn("look_up"), turn()
    diff = compare([before], [after])
    return CaseResult("c1", "conv-1", 0, user_text, (before,), (before,), (after,), "complete", "", diff)


@pytest.mark.parametrize(
    ("user_text", "wide", "lines"), [("Hello?", False, 2), ("", False, 1), ("Hello?", True, 1)]
)
def test_a_case_takes_the_lines_that_it_fills(user_text, wide, lines):
    """What the user said stands below in a narrow window; nothing does where nobody said anything."""
    _, block = blocks(groups_of([case(user_text)]), frozenset(), wide=wide)
    drawn = block.draw(70)
    assert (lines, lines) == (len(drawn), block.height)
    assert all(line.text.strip() for line in drawn)
