"""What `auditlog replay` prints of a run, in the format that was asked for.

The rules:

1. A report is written by `replay.render`; this module chooses how much of it, and where it goes.
2. JSON is the whole report, whatever the command: a program picks what it wants.
3. A case is found by its id, by a beginning of it, or by its conversation's id.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auditlog.cli.formats import Column, count, moment, table_lines
from auditlog.cli.output import destination, has_colour, narrate, require_stdout, terminal_width
from auditlog.errors import NotFoundError
from auditlog.wording import nearest_hint
from replay.diff import CaseClass
from replay.render.grouping import differs
from replay.render.wording import FILE_WIDTH
from replay.results.report import CaseResult, Report, RunSummary

if TYPE_CHECKING:
    from replay.scorers.keeping import RunScores


def _found(classes: Mapping[CaseClass, int]) -> str:
    other = [f"{number} {name}" for name, number in classes.items() if name != "identical"]
    return ", ".join(other) or ("all identical" if classes else "")


RUN_COLUMNS = (
    Column("run_id", "RUN"),
    Column("created", "BEGAN", 4, show=moment),
    Column("kind", "KIND", 3),
    Column("status", "STATUS", 1),
    Column("cases", "CASES", 5, right=True, show=count),
    Column("candidate", "CANDIDATE", 0, shrinks=True),
    Column("baseline", "BASELINE", 2, shrinks=True),
    Column("where", "WHERE", 6, shrinks=True),
    Column("classes", "FOUND", 0, shrinks=True, least=20, show=_found),
)
"""The columns of `auditlog replay ls`."""

_CASE_COLUMNS = (
    Column("case_id", "CASE", 3),
    Column("conversation_id", "CONVERSATION", 0, shrinks=True),
    Column("turn", "TURN", 1, right=True),
    Column("class", "CLASS", 0),
    Column("summary", "FIRST DIVERGENCE", 0, shrinks=True, least=24),
)


def run_row(summary: RunSummary) -> dict[str, Any]:
    """Make a row of a run."""
    row: dict[str, Any] = {field.name: getattr(summary, field.name) for field in dataclasses.fields(summary)}
    del row["sides"]
    return {**row, "classes": dict(summary.classes)}


def write_summary(
    report: Report,
    *,
    as_json: bool,
    cases: bool = False,
    words: str = "",
    scores: RunScores | None = None,
) -> None:
    """Print a run's figures and groups.

    Args:
        report: the run's.
        as_json: the whole report as JSON instead.
        cases: list the cases that differ, too.
        words: what another command needs to find the store again.
        scores: what scorers said of the run.
    """
    if as_json:
        _write(_json(report, scores), None)
        return
    from replay.render.text import text

    width = terminal_width()
    written = text(report, width=width, colour=has_colour(), per_group=0)
    different = [_case_row(case) for case in report.cases if differs(case)]
    if cases and different:
        written += "\n" + "".join(f"{line}\n" for line in table_lines(different, _CASE_COLUMNS, width))
    if cases and report.not_pinned:
        from replay.render.text import not_pinned_text

        written += "\n" + not_pinned_text(report, width=width, colour=has_colour())
    if scores is not None and scores.scorers:
        from replay.render.scores import scores_lines

        written += "\n" + "".join(f"{line}\n" for line in scores_lines(scores))
    _write(written, None)
    if different:
        run_id = report.run.run_id
        narrate(
            f"`auditlog replay diff {run_id}{words}` prints them, `auditlog tui --run {run_id}{words}` opens them."
        )


def write_report(
    report: Report,
    form: str,
    output: str | None,
    *,
    everything: bool = False,
    examples: int = 3,
    scores: RunScores | None = None,
) -> None:
    """Write a report's differences to stdout or a file.

    Args:
        report: what to write.
        form: `text`, `json`, `md` or `junit`.
        output: a file's path; None for stdout.
        everything: the cases that do not differ, too, and each in full.
        examples: cases shown of each group, where not everything is.
        scores: what scorers said of the run; JSON has them.
    """
    match form:
        case "json":
            written = _json(report, scores)
        case "md":
            from replay.render.markdown import markdown

            written = markdown(report)
        case "junit":
            from replay.render.junit import junit

            written = junit(report)
        case _:
            from replay.render.text import text

            width = FILE_WIDTH if output else terminal_width()
            written = text(
                report,
                width=width,
                colour=output is None and has_colour(),
                everything=everything,
                per_group=examples,
            )
    _write(written, output)


def write_case(
    report: Report, wanted: str, form: str, output: str | None, *, scores: RunScores | None = None
) -> Report:
    """Write one case in full, or each case of one conversation, and give the report of them alone.

    Args:
        report: the run's.
        wanted: the case's id, a beginning of it, or its conversation's id.
        form: as for `write_report`.
        output: a file's path; None for stdout.
        scores: what scorers said of the run.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    narrowed = _only(report, wanted)
    if form == "text":
        from replay.render.text import case_text

        width, colour = (FILE_WIDTH, False) if output else (terminal_width(), has_colour())
        said = {} if scores is None else scores.by_case()
        written = (
            case_text(case, width=width, colour=colour, scores=said.get(case.case_id, ()))
            for case in narrowed.cases
        )
        _write("\n".join(written), output)
    else:
        write_report(narrowed, form, output, everything=True, scores=scores)
    return narrowed


def _only(report: Report, wanted: str) -> Report:
    cases = [case for case in report.cases if wanted in (case.case_id, case.conversation_id)]
    if not cases:
        cases = [case for case in report.cases if case.case_id.startswith(wanted)]
        if len(cases) > 1:
            raise NotFoundError(f"{wanted!r} is the beginning of {len(cases)} cases. Write more of it.")
    if not cases:
        known = [name for case in report.cases for name in (case.case_id, case.conversation_id)]
        hint = nearest_hint(wanted, known)
        run_id = report.run.run_id
        raise NotFoundError(
            f"Run {run_id} has no case {wanted!r}.{hint} `auditlog replay show {run_id}` lists them."
        )
    return dataclasses.replace(report, cases=tuple(cases))


def _case_row(case: CaseResult) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "conversation_id": case.conversation_id,
        "turn": None if case.turn_index is None else case.turn_index + 1,
        "class": case.diff.case_class,
        "summary": case.diff.summary,
    }


def _json(report: Report, scores: RunScores | None) -> str:
    from replay.render.json import json

    return json(report, scores)


def _write(written: str, output: str | None) -> None:
    if output is None:
        require_stdout().write(written)
        return
    with destination(output) as file:
        file.write(written.encode())
