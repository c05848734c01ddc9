"""A run's figures, as text and as JSON: what `auditlog replay run`, `show` and `compare` print.

The rules:

1. Every case is counted, however it ended; what has not run yet is said.
2. Differences are grouped by their first divergence, the most frequent first; noise stands beside them.
3. Recorded text passes `safe_text`, and lines fit the terminal.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditlog.cli.formats import Column, count, json_text, moment, table_lines
from auditlog.cli.output import destination, print_line, styled, terminal_width
from auditlog.errors import NotFoundError
from auditlog.safe_text import clip, safe_text, wrap
from replay.diff import CaseClass
from replay.report import CaseResult, Report, RunSummary

if TYPE_CHECKING:
    from auditlog.store import Store

RUN_COLUMNS = (
    Column("run_id", "RUN"),
    Column("created", "BEGAN", 4, show=moment),
    Column("kind", "KIND", 3),
    Column("status", "STATUS", 1),
    Column("cases", "CASES", 1, right=True, show=count),
    Column("candidate", "CANDIDATE", 0, shrinks=True),
    Column("baseline", "BASELINE", 2, shrinks=True),
    Column("where", "WHERE", 6, shrinks=True),
    Column("classes", "FOUND", 0, shrinks=True, show=lambda classes: _classes(classes)),
)
_CASE_COLUMNS = (
    Column("case_id", "CASE", 3),
    Column("conversation_id", "CONVERSATION", 0, shrinks=True),
    Column("turn", "TURN", 1, right=True),
    Column("class", "CLASS", 0),
    Column("noise", "NOISE", 4),
    Column("summary", "FIRST DIVERGENCE", 0, shrinks=True),
)
_GROUPS_SHOWN = 20


def run_row(summary: RunSummary) -> dict[str, Any]:
    """Make a row of a run."""
    row: dict[str, Any] = {field.name: getattr(summary, field.name) for field in dataclasses.fields(summary)}
    return {**row, "classes": dict(summary.classes)}


def print_summary(store: Store, run_id: str, *, as_json: bool = False, cases: bool = False) -> None:
    """Print what a run found.

    Args:
        store: where it is.
        run_id: its id, an unambiguous beginning of it, or `last`.
        as_json: as JSON instead of text.
        cases: list the cases that differ, too.

    Raises:
        NotFoundError: there is no such run.
    """
    from replay.loading import load_report

    report = load_report(store, run_id)
    if as_json:
        print_line(json_text(summary_object(report), indent=True))
        return
    for line in summary_lines(report, terminal_width(), cases=cases):
        print_line(line)


def summary_object(report: Report) -> dict[str, Any]:
    """Give a run's figures as JSON."""
    differing = [case for case in report.cases if case.diff.behaves_differently]
    return {
        **run_row(report.run),
        "differing": len(differing),
        "groups": [{"first_divergence": group, "cases": number} for group, number in _groups(report)],
        "findings": dict(Counter(finding.kind for case in report.cases for finding in case.diff.findings)),
        "evaluations": [dataclasses.asdict(evaluation) for evaluation in report.evaluations],
        "totals": None if report.totals is None else dataclasses.asdict(report.totals),
        "unpaired_baseline": list(report.unpaired_baseline),
        "unpaired_candidate": list(report.unpaired_candidate),
        "cases_differing": [
            {
                "case_id": case.case_id,
                "conversation_id": case.conversation_id,
                "turn_index": case.turn_index,
                "class": case.diff.case_class,
                "status": case.status,
                "summary": case.diff.summary,
            }
            for case in differing
        ],
    }


def summary_lines(report: Report, width: int, *, cases: bool = False) -> Iterator[str]:
    """Give a run's figures as lines of text."""
    run = report.run
    yield styled(safe_text(f"Run {run.run_id}", width=width), bold=True)
    for label, value in (
        ("candidate", run.candidate),
        ("baseline", run.baseline),
        ("paired by" if run.kind == "compare" else "where", run.where),
        ("began", moment(run.created)),
        (
            "status",
            run.status
            if run.done == run.cases
            else f"{run.status}, {run.done} of {run.cases} cases are done",
        ),
    ):
        if value:
            yield safe_text(f"  {label:<10} {value}", width=width)
    yield ""
    differing = sum(case.diff.behaves_differently for case in report.cases)
    what = "conversation" if run.kind == "compare" else "case"
    yield from wrap(
        f"{_many(len(report.cases), what)}, {differing} behaving differently: {_classes(run.classes) or 'none is done'}.",
        width,
    )
    yield from _noise(report, width)
    yield from _outcomes(report, width)
    if differing:
        yield ""
        yield styled("First divergences", bold=True)
        groups = _groups(report)
        for group, number in groups[:_GROUPS_SHOWN]:
            yield clip(f"  {number:>5}  {safe_text(group)}", width)
        if len(groups) > _GROUPS_SHOWN:
            yield f"         and {len(groups) - _GROUPS_SHOWN} more"
        if cases:
            yield ""
            yield from table_lines(
                [_case_row(case) for case in report.cases if case.diff.behaves_differently],
                _CASE_COLUMNS,
                width,
            )
        yield ""
        yield f"`auditlog replay diff {run.run_id}` prints them, `auditlog tui --run {run.run_id}` opens them."


def _noise(report: Report, width: int) -> Iterator[str]:
    sampled = [case.noise for case in report.cases if case.noise is not None]
    if sampled:
        unlike = sum(noise.behaves_differently for noise in sampled)
        yield from wrap(
            f"Noise: the baseline behaves unlike itself in {unlike} of {_many(len(sampled), 'sampled case')}.",
            width,
        )


def _outcomes(report: Report, width: int) -> Iterator[str]:
    if report.evaluations:
        yield ""
        columns = [
            Column("name", "EVALUATION", shrinks=True),
            *(
                Column(name, name.upper().replace("_", " "), 1, right=True, show=_number)
                for name in _EVALUATION_FIGURES
            ),
        ]
        yield from table_lines([dataclasses.asdict(found) for found in report.evaluations], columns, width)
    if report.totals is not None:
        yield ""
        rows = [
            {"name": field.name.replace("_", " "), **dataclasses.asdict(getattr(report.totals, field.name))}
            for field in dataclasses.fields(report.totals)
        ]
        columns = [
            Column("name", "TOTAL"),
            Column("baseline", "BASELINE", right=True, show=_number),
            Column("candidate", "CANDIDATE", right=True, show=_number),
            Column("pairs", "PAIRS", 1, right=True),
        ]
        yield from table_lines([row for row in rows if row["pairs"]], columns, width)
    for side, names in (("baseline", report.unpaired_baseline), ("candidate", report.unpaired_candidate)):
        if names:
            yield safe_text(
                f"{_many(len(names), 'conversation')} of the {side} without a partner: {', '.join(names)}",
                width=width,
            )


_EVALUATION_FIGURES = ("baseline_mean", "candidate_mean", "improved", "regressed", "unchanged", "unjudged")


def _number(value: float) -> str:
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.4f}".rstrip("0")


def _groups(report: Report) -> list[tuple[str, int]]:
    found = Counter(
        case.diff.group or case.diff.case_class for case in report.cases if case.diff.behaves_differently
    )
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def _case_row(case: CaseResult) -> dict[str, Any]:
    return {
        "case_id": case.case_id,
        "conversation_id": case.conversation_id,
        "turn": None if case.turn_index is None else case.turn_index + 1,
        "class": case.diff.case_class,
        "noise": None if case.noise is None else case.noise.case_class,
        "summary": case.diff.summary or "; ".join(finding.detail for finding in case.diff.findings),
    }


def _classes(classes: Mapping[CaseClass, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in classes.items())


def only_case(report: Report, wanted: str) -> Report:
    """Leave one case in a report, or those of one conversation.

    Raises:
        NotFoundError: there is none; the message names the nearest.
    """
    cases = [case for case in report.cases if wanted in (case.case_id, case.conversation_id)]
    if not cases:
        cases = [case for case in report.cases if case.case_id.startswith(wanted)]
        if len({case.case_id for case in cases}) > 1:
            raise NotFoundError(f"{wanted!r} is the beginning of several cases. Write more of it.")
    if not cases:
        known = [name for case in report.cases for name in (case.case_id, case.conversation_id)]
        nearest = difflib.get_close_matches(wanted, known, 1, 0.0)
        hint = f" The nearest is {nearest[0]!r}." if nearest else ""
        run_id = report.run.run_id
        raise NotFoundError(
            f"Run {run_id} has no case {wanted!r}.{hint} `auditlog replay show {run_id}` lists them."
        )
    return dataclasses.replace(report, cases=tuple(cases))


def write_report(report: Report, format: str, output: str | None, *, everything: bool, one: bool) -> None:
    """Write a report's differences to stdout or a file.

    Args:
        report: what to write.
        format: `text`, `json`, `md` or `junit`.
        output: a file's path; None for stdout.
        everything: the cases that behave the same, too.
        one: the report is narrowed to one case.
    """
    raise NotImplementedError(format, output, everything, one)


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _lines(found: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in found).encode()


_ = destination
