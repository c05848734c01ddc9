"""A report as JUnit XML, for CI systems.

The rules:

1. One test case a case; none is left out. A case that behaves differently is a failure.
2. A case that failed, left the sandbox, could not be compared, or was never run is an error: it says nothing good of
   the candidate. One that failed as its baseline did behaves the same, and passes.
3. An unstable case is skipped, with the reason: the baseline itself differs as much.
4. The XML is well-formed whatever was recorded: control characters, lone surrogates and the like are made visible,
   and markup is escaped.
"""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from auditlog.safe_text import safe_text
from replay.render.grouping import counts_of, differs
from replay.render.text import case_text
from replay.render.wording import where_line
from replay.results.report import CaseResult, Report

_Outcome = Literal["passed", "failure", "error", "skipped"]


def junit(report: Report) -> str:
    """Write a report as a JUnit XML document that ends in a newline."""
    cases = [(_outcome(case), case) for case in report.cases]
    not_run = counts_of(report).not_done
    counts = {
        name: sum(1 for outcome, _ in cases if outcome == name) for name in ("failure", "error", "skipped")
    }
    seconds = sum(_seconds(case) for _, case in cases)
    totals = (
        f'tests="{len(cases) + bool(not_run)}" failures="{counts["failure"]}" '
        f'errors="{counts["error"] + bool(not_run)}" skipped="{counts["skipped"]}" time="{seconds:.3f}"'
    )
    suite = _attribute(f"{report.run.kind} {report.run.run_id}")
    when = _attribute(f"{report.run.created:%Y-%m-%dT%H:%M:%S}")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="auditlog replay" {totals}>',
        f"  <testsuite name={suite} {totals} timestamp={when}>",
        *(line for outcome, case in cases for line in _testcase(report, outcome, case)),
    ]
    if not_run:
        lines += [
            f'    <testcase classname={_attribute(report.run.kind)} name="cases that were not run">',
            f'      <error type="not-run" message="{not_run} of {report.run.cases} cases were not run"/>',
            "    </testcase>",
        ]
    return "\n".join([*lines, "  </testsuite>", "</testsuites>", ""])


def _outcome(case: CaseResult) -> _Outcome:
    if case.diff.case_class in ("errored", "no-recording") or case.status in ("invalid", "unreplayable"):
        return "error"
    if case.diff.case_class == "unstable":
        return "skipped"
    return "failure" if differs(case) else "passed"


def _testcase(report: Report, outcome: _Outcome, case: CaseResult) -> list[str]:
    # A case id alone tells nobody anything, and the conversation alone is not unique.
    head = (
        f"    <testcase classname={_attribute(f'{report.run.kind}.{case.conversation_id}')} "
        f'name={_attribute(f"{case.case_id} {where_line(case)}")} time="{_seconds(case):.3f}"'
    )
    if outcome == "passed":
        return [head + "/>"]
    message = case.diff.summary or case.why or case.diff.case_class
    body = escape(safe_text(case_text(case, width=120), newlines=True))
    return [
        head + ">",
        f"      <{outcome} type={_attribute(case.diff.case_class)} message={_attribute(message)}>{body}</{outcome}>",
        "    </testcase>",
    ]


def _seconds(case: CaseResult) -> float:
    latency = case.diff.measures.get("latency_ms")
    return (latency.after or 0.0) / 1000 if latency is not None else 0.0


def _attribute(text: str) -> str:
    return quoteattr(safe_text(text, width=300))
