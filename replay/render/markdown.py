"""A report as one Markdown comment, such as on a pull request.

The rules:

1. The summary comes first and gives no verdict: that is the gate's.
2. At most ten cases, the worst, and at most two of one group as long as other groups wait.
3. Recorded text stands in code spans only, where no link, mention, image or markup lives; the span's fence is longer
   than any run of backticks inside. Nothing recorded stands in a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditlog.safe_text import safe_text
from auditlog.wording import many
from replay.render.grouping import finding_counts, groups_of, noise_of
from replay.render.wording import (
    SIGNS,
    consequence_text,
    headline,
    mean,
    noise_line,
    percent,
    repeats_line,
    step_text,
    total_lines,
    where_line,
)
from replay.results.report import CaseResult, Report

MOST_CASES = 10
_PER_GROUP = 2
_LONGEST = 200
"""Cells of a recorded text."""


def markdown(report: Report) -> str:
    """Write a report as one Markdown comment that ends in a newline."""
    return "\n".join(_lines(report)) + "\n"


def code(text: str, width: int = _LONGEST) -> str:
    """Put recorded text into a code span that it cannot leave."""
    shown = safe_text(text, width=width) or " "
    fence = "`" * (max((len(run) for run in re.findall(r"`+", shown)), default=0) + 1)
    space = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{space}{shown}{space}{fence}"


def _lines(report: Report) -> Iterator[str]:
    run = report.run
    yield f"### {headline(report)}"
    yield ""
    yield f"Run {code(run.run_id)} ({run.kind}, {run.status}): {code(run.candidate)} against {code(run.baseline)}."
    if said := repeats_line(run):
        yield said
    if noise := noise_line(report):
        yield noise
    yield ""
    yield from _class_table(report)
    if report.evaluations:
        yield ""
        yield from _evaluations(report)
    if report.totals is not None:
        yield ""
        yield from (f"- {name}: {said}" for name, said in total_lines(report.totals))
    for side, ids in (("baseline", report.unpaired_baseline), ("candidate", report.unpaired_candidate)):
        if ids:
            shown = ", ".join(code(name, 60) for name in ids[:MOST_CASES])
            rest = f" and {len(ids) - MOST_CASES} more" if len(ids) > MOST_CASES else ""
            yield ""
            yield f"{many(len(ids), 'conversation')} of the {side} without a partner: {shown}{rest}."
    if findings := finding_counts(report):
        yield ""
        yield (
            "Findings, in how many cases: "
            + ", ".join(f"{kind} **{count}**" for kind, count in findings)
            + "."
        )
    yield from _worst(report)


def _class_table(report: Report) -> Iterator[str]:
    table = noise_of(report)
    if report.run.kind == "compare":
        yield "| class | pairs | |"
        yield "|---|--:|--:|"
        yield from (
            f"| {r.case_class} | {r.candidate} | {percent(r.candidate, table.cases)} |" for r in table.rows
        )
        return
    yield "| class | candidate | | baseline again | |"
    yield "|---|--:|--:|--:|--:|"
    for row in table.rows:
        noise = f"{row.noise} | {percent(row.noise, table.sampled)}" if table.sampled else "- | -"
        yield f"| {row.case_class} | {row.candidate} | {percent(row.candidate, table.cases)} | {noise} |"


def _evaluations(report: Report) -> Iterator[str]:
    for row in report.evaluations:
        unjudged = f", {row.unjudged} judged on one side only" if row.unjudged else ""
        yield (
            f"- {code(row.name, 60)}: mean {mean(row.baseline_mean)} → {mean(row.candidate_mean)}, "
            f"{row.improved} improved, {row.regressed} regressed, {row.unchanged} unchanged{unjudged}"
        )


def _worst(report: Report) -> Iterator[str]:
    chosen = _chosen(report)
    if not chosen:
        return
    groups = groups_of(report.cases)
    total = sum(len(group.cases) for group in groups)
    yield ""
    yield f"#### The {'differing' if len(chosen) == total else 'worst'} {many(len(chosen), 'case')} of {total}"
    sizes = {group.name: len(group.cases) for group in groups}
    for case in chosen:
        yield ""
        yield from _case(case, sizes[case.diff.group])


def _chosen(report: Report) -> list[CaseResult]:
    """Choose the cases to show: two of each group in turn, until ten are chosen or none is left."""
    waiting = [list(group.cases) for group in groups_of(report.cases)]
    chosen: list[CaseResult] = []
    while len(chosen) < MOST_CASES and any(waiting):
        for cases in waiting:
            chosen += [cases.pop(0) for _ in range(min(_PER_GROUP, len(cases), MOST_CASES - len(chosen)))]
    return chosen


def _case(case: CaseResult, alike: int) -> Iterator[str]:
    diff = case.diff
    others = f" · {alike} cases alike" if alike > 1 else ""
    yield f"- **{diff.case_class}** {code(where_line(case), 80)}{others}<br>{code(diff.summary)}"
    if case.user_text:
        yield f"  - customer: {code(case.user_text)}"
    yield from (f"  - {name_of_outcome}: {said}" for name_of_outcome, said in _outcomes(case))
    yield from (f"  - **{finding.kind}**: {code(finding.detail)}" for finding in diff.findings[:5])
    if len(diff.findings) > 5:
        yield f"  - and {many(len(diff.findings) - 5, 'finding')} more"
    if diff.first_divergence is not None:
        step = diff.steps[diff.first_divergence]
        yield f"  - step {diff.first_divergence + 1}: {code(f'{SIGNS[step.op].strip()} {step_text(step)}'.strip())}"
        folded = [later for later in diff.steps if later.consequence]
        if folded:
            yield f"  - then {code(consequence_text(folded))}"


def _outcomes(case: CaseResult) -> Iterator[tuple[str, str]]:
    for name, outcome in case.outcomes.items():
        if outcome != "unchanged":
            yield code(name, 60), outcome
