"""A report for a terminal.

The rules:

1. The summary comes first, then the groups of cases that differ, worst first, a few cases of each.
2. A case shows its steps up to the first divergence and folds what follows; its findings are never folded.
3. Every line passes `safe_text`, and is broken to the width, before colour is put around it. Sixty columns are enough.
4. Colour is the caller's choice and repeats what a sign says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from auditlog.safe_text import cell_width, pad, safe_text, wrap
from auditlog.wording import many
from replay.diff import Diff, DocumentsDiff, StepDiff, TextDiff
from replay.diff.findings import describe
from replay.render.grouping import Group, differs, finding_counts, groups_of, noise_of
from replay.render.scores import CaseScores, case_score_lines
from replay.render.wording import (
    SIGNS,
    consequence_text,
    headline,
    match_lines,
    mean,
    measure_lines,
    noise_line,
    percent,
    repeats_line,
    step_text,
    total_lines,
    where_line,
)
from replay.results.report import CaseResult, Report

NARROWEST = 40
"""Columns below which nothing is broken further."""

_STEPS_BEFORE = 3
"""Steps shown before the first divergence, where a case is not shown in full."""

_RESET = "\x1b[0m"
_COLOURS = {"bold": "\x1b[1m", "red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m", "dim": "\x1b[2m"}
_SIGN_COLOURS = {"-": "red", "+": "green", "~": "yellow", "↕": "yellow", "!": "red"}


class _Line(NamedTuple):
    """A line before it is made safe and broken to the width."""

    text: str = ""
    indent: int = 0
    colour: str = ""
    sign: str = ""
    """Stands before the text; lines that were broken align behind it."""


def text(
    report: Report, *, width: int = 80, colour: bool = False, everything: bool = False, per_group: int = 3
) -> str:
    """Write a report for a terminal.

    Args:
        report: what to write.
        width: columns.
        colour: whether escape sequences may be used; leave it off where nobody looks at a terminal.
        everything: every case in full, those that do not differ too.
        per_group: cases shown of each group, where not everything is; 0 for the groups' names alone.

    Returns:
        Lines that end in a newline; without `colour` nothing in them acts on a terminal.
    """
    return _written([*_summary_lines(report), *_body(report, everything, per_group)], width, colour=colour)


def not_pinned_text(report: Report, *, width: int = 80, colour: bool = False) -> str:
    """Write what of a run was not held still.

    Args:
        report: the run's.
        width: columns.
        colour: as for `text`.
    """
    lines = [_Line("not pinned", colour="bold"), *(_Line(found.text) for found in report.not_pinned)]
    return _written(lines, width, colour=colour)


def case_text(case: CaseResult, *, width: int = 80, colour: bool = False, scores: CaseScores = ()) -> str:
    """Write one case in full: every step, every change, the words that differ.

    Args:
        case: what to write.
        width: columns.
        colour: as for `text`.
        scores: what scorers said of the case.
    """
    said = [
        _Line(line, 2, "red" if is_bad else "dim", "score " if not is_bad else "score! ")
        for line, is_bad in case_score_lines(scores)
    ]
    return _written([*_case_lines(case, full=True), *said], width, colour=colour)


def _summary_lines(report: Report) -> Iterator[_Line]:
    run = report.run
    yield _Line(
        f"{run.kind} {run.run_id} · {run.status} · {run.done} of {many(run.cases, 'case')}", colour="bold"
    )
    chosen = "paired by" if run.kind == "compare" else "where"
    for name, said in (("candidate", run.candidate), ("baseline", run.baseline), (chosen, run.where)):
        if said:
            yield _Line(f"{name:<10}{said}")
            lines = next((side.lines for side in run.sides if side.arm == name), ())
            yield from (_Line(f"{'':<10}{what}", colour="dim") for what in lines)
    yield from (_Line(said, colour="yellow") for said in report.unreached)
    if said := repeats_line(run):
        yield _Line(said, colour="dim")
    yield _Line()
    yield _Line(headline(report), colour="bold")
    if noise := noise_line(report):
        yield _Line(noise)
    yield _Line()
    yield from _class_lines(report)
    if report.evaluations:
        yield _Line()
        yield from _evaluation_lines(report)
    if report.totals is not None:
        yield _Line()
        yield from (_Line(f"{name:<15}{said}") for name, said in total_lines(report.totals))
    for side, ids in (("baseline", report.unpaired_baseline), ("candidate", report.unpaired_candidate)):
        if ids:
            yield _Line()
            yield _Line(f"{many(len(ids), 'conversation')} of the {side} without a partner: {', '.join(ids)}")
    if findings := finding_counts(report):
        yield _Line()
        yield _Line(
            "findings, in how many cases: " + ", ".join(f"{kind} {count}" for kind, count in findings)
        )


def _class_lines(report: Report) -> Iterator[_Line]:
    table = noise_of(report)
    with_noise = report.run.kind != "compare"
    head = f"{'class':<14}{'candidate':>15}"
    yield _Line(head + (f"{'baseline again':>20}" if with_noise else ""), colour="dim")
    for row in table.rows:
        line = f"{row.case_class:<14}{row.candidate:>7,}{percent(row.candidate, table.cases):>8}"
        noise = f"{row.noise:>12,}{percent(row.noise, table.sampled):>8}" if table.sampled else f"{'-':>20}"
        yield _Line(line + (noise if with_noise else ""))


def _evaluation_lines(report: Report) -> Iterator[_Line]:
    yield _Line(
        f"{'evaluation':<17}{'base':>6}{'cand':>7}{'improved':>9}{'regressed':>10}{'unchanged':>10}",
        colour="dim",
    )
    for row in report.evaluations:
        name = pad(safe_text(row.name), 17)
        yield _Line(
            f"{name}{mean(row.baseline_mean):>6}{mean(row.candidate_mean):>7}"
            f"{row.improved:>9,}{row.regressed:>10,}{row.unchanged:>10,}"
        )
        if row.unjudged:
            yield _Line(f"judged on one side only: {many(row.unjudged, 'pair')}", indent=2, colour="dim")


def _body(report: Report, everything: bool, per_group: int) -> Iterator[_Line]:
    for number, group in enumerate(groups_of(report.cases), start=1):
        if number == 1 or per_group or everything:
            yield _Line()
        yield from _group_lines(number, group, len(group.cases) if everything else per_group, full=everything)
    if everything:
        for case in report.cases:
            if not differs(case):
                yield _Line()
                yield from _case_lines(case, full=True)


def _group_lines(number: int, group: Group, shown: int, *, full: bool) -> Iterator[_Line]:
    yield _Line(f"{number}. {group.name} · {many(len(group.cases), 'case')}", colour="bold")
    for case in group.cases[:shown]:
        yield from _case_lines(case, full=full, indent=3)
    if 0 < shown < len(group.cases):
        yield _Line(f"… and {many(len(group.cases) - shown, 'case')} more", indent=3, colour="dim")


def _case_lines(case: CaseResult, *, full: bool, indent: int = 0) -> Iterator[_Line]:
    diff = case.diff
    yield _Line(f"case {case.case_id} · {where_line(case)} · {diff.case_class}", indent)
    if case.user_text:
        yield _Line(safe_text(case.user_text, width=200), indent + 2, "dim", "» ")
    if case.why:
        yield _Line(f"{case.status}: {case.why}", indent + 2)
    for name, outcome in case.outcomes.items():
        if outcome != "unchanged" or full:
            yield _Line(f"{name}: {outcome}", indent + 2)
    yield from _steps_lines(diff, indent + 2, full=full)
    for finding in diff.findings:
        yield _Line(f"{finding.kind}: {finding.detail}", indent + 2, "red", "! ")
    if full:
        yield from (_Line(f"{name} {said}", indent + 2, "dim") for name, said in measure_lines(case))


def _steps_lines(diff: Diff, indent: int, *, full: bool) -> Iterator[_Line]:
    before = 0 if full else max((diff.first_divergence or 0) - _STEPS_BEFORE, 0)
    if before:
        yield _Line(f"… {many(before, 'step')} before", indent, "dim")
    for number, step in enumerate(diff.steps, start=1):
        if number > before and (full or not step.consequence):
            mark = " ◄ first divergence" if number - 1 == diff.first_divergence else ""
            yield from _step_lines(number, step, mark, indent, full=full)
            if step.text is not None and step.text.changed and (full or diff.first_divergence is None):
                yield from _word_lines(step.text, indent + 5)
    folded = [step for step in diff.steps if step.consequence]
    if folded and not full:
        yield _Line(f"… {consequence_text(folded)}", indent, "dim")


def _step_lines(number: int, step: StepDiff, mark: str, indent: int, *, full: bool) -> Iterator[_Line]:
    sign = SIGNS[step.op]
    yield _Line(step_text(step) + mark, indent, _SIGN_COLOURS.get(sign, ""), f"{number:>2} {sign} ")
    if full:
        for change in step.changes[3:]:
            yield _Line(describe(change), indent + 5)
        yield from (_Line(said, indent + 5) for said in match_lines(step))
        if step.documents is not None and (step.documents.added or step.documents.removed):
            yield _Line(_documents_text(step.documents), indent + 5)


def _documents_text(found: DocumentsDiff) -> str:
    ids = [f"+{name}" for name in found.added] + [f"-{name}" for name in found.removed]
    return f"documents {', '.join(ids)} (overlap {found.overlap:.2f}, RBO {found.rbo:.2f})"


def _word_lines(found: TextDiff, indent: int) -> Iterator[_Line]:
    for hunk in found.hunks:
        if hunk.op == "equal":
            continue
        for sign, said in (("-", hunk.before), ("+", hunk.after)):
            if said:
                yield _Line(safe_text(said, newlines=True), indent, _SIGN_COLOURS[sign], f"{sign} ")


def _written(lines: list[_Line], width: int, *, colour: bool) -> str:
    written = []
    for line in lines:
        margin = " " * line.indent
        sign = safe_text(line.sign)
        hanging = " " * cell_width(sign)
        room = max(width - len(margin) - len(hanging), NARROWEST // 2)
        for number, piece in enumerate(wrap(safe_text(line.text, newlines=True), room)):
            shown = (sign if number == 0 else hanging) + piece
            painted = (
                f"{_COLOURS[line.colour]}{shown}{_RESET}"
                if colour and line.colour and shown.strip()
                else shown
            )
            written.append((margin + painted).rstrip())
    return "\n".join(written) + "\n"
