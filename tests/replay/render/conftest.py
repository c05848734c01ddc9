"""Reports of a few cases, kind or hostile."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from auditlog.values import Fault, Replay, Span, Turn
from replay.diff import CLASSES, compare, with_noise
from replay.results.compare import compare_conversations
from replay.results.report import CaseResult, Report, RunSummary

HOSTILE = (
    "\x1b[31mred\x07 \x00 \u202egnp.exe \ud800 ]]> </failure> <script>alert(1)</script> [x](http://evil) "
    "`` ``` @everyone | \n# head\r\n\t\ufffe"
)
"""Everything that some reader acts on."""


def turn(*calls, answer="Done.", user="Hello", latency_ms=5, failed=False):
    """Give a turn of calls: (name, arguments) or (name, arguments, match tier)."""
    agent = Span(
        trace_id="1" * 32,
        span_id="a" * 16,
        kind="agent",
        name="bot",
        start_ns=0,
        end_ns=latency_ms * 1_000_000,
        input={"message": user},
        output=answer,
        status="error" if failed else "ok",
        fault=Fault("ValueError", answer) if failed else None,
    )
    spans = [
        Span(
            trace_id="1" * 32,
            span_id=f"{number:016x}",
            parent_span_id="a" * 16,
            kind="tool",
            name=name,
            effect="write",
            input=arguments,
            start_ns=number,
            end_ns=number,
            replay=Replay("run", "candidate", match_tier=tier[0]) if tier else None,
        )
        for number, (name, arguments, *tier) in enumerate(calls, start=1)
    ]
    return Turn(agent, (agent, *spans), 0)


def case(number, before, after, status="complete", noise=None, why="", **fields):
    """Give a case of one turn on each side; `noise` is what the second baseline did."""
    known = compare([before], [noise]) if noise is not None else None
    return CaseResult(
        case_id=f"c{number}",
        conversation_id=fields.pop("conversation_id", f"conv-{number}"),
        turn_index=0,
        user_text=before.user_text,
        recorded=(before,),
        baseline=(before,),
        candidate=(after,),
        status=status,
        why=why,
        diff=with_noise(compare([before], [after], status), known),
        noise=known,
        **fields,
    )


def report(*cases, kind="replay", total=None, **fields):
    """Give a report of these cases."""
    classes = {name: sum(c.diff.case_class == name for c in cases) for name in CLASSES}
    summary = RunSummary(
        run_id=fields.pop("run_id", "20261123-run"),
        created=datetime(2026, 11, 23, 6, 0, tzinfo=UTC),
        kind=kind,
        candidate=fields.pop("candidate", "bot:v2"),
        baseline="bot:v1",
        where="agent:bot",
        cases=len(cases) if total is None else total,
        done=len(cases),
        status="complete",
        classes={name: count for name, count in classes.items() if count},
    )
    return Report(summary, tuple(cases), **fields)


@pytest.fixture(scope="session")
def make():
    """Give the builders of reports."""
    return SimpleNamespace(
        turn=turn, case=case, report=report, hostile=HOSTILE, compare=compare_conversations
    )


@pytest.fixture
def mixed():
    """Give a report with one case of most kinds."""
    look = ("look_up", {"id": 1})
    return report(
        case(1, turn(look), turn(look), noise=turn(look)),
        case(2, turn(look), turn(look, answer="It is done."), noise=turn(look)),
        case(
            3,
            turn(look),
            turn(look, ("refund", {"amount": 400}, "blocked"), answer=""),
            "blocked",
            why="refund",
        ),
        case(4, turn(("refund", {"amount": 40})), turn(("refund", {"amount": 400}))),
        case(5, turn(("refund", {"amount": 41})), turn(("refund", {"amount": 410}))),
        case(6, turn(look), turn(("look_up", {"id": 2})), noise=turn(("look_up", {"id": 3}))),
        case(7, turn(look), turn(look, answer="boom", failed=True), "errored", why="ValueError"),
        case(8, turn(look), turn(answer=""), "unreplayable", why="a lossy recording"),
    )


@pytest.fixture
def hostile():
    """Give a report in which everything recorded is hostile."""
    texts = {"x": HOSTILE, HOSTILE: HOSTILE}
    return report(
        case(
            1,
            turn((HOSTILE, texts), user=HOSTILE, answer=HOSTILE),
            turn((HOSTILE, {"x": "y"}), answer="14 March " + HOSTILE),
            why=HOSTILE,
            conversation_id=HOSTILE,
            outcomes={HOSTILE: "improved"},
        ),
        case(2, turn(user=HOSTILE), turn(answer=HOSTILE, failed=True), "errored", conversation_id=HOSTILE),
        candidate=HOSTILE,
        unpaired_baseline=(HOSTILE,),
    )
