"""A report as JSON, for programs.

The rules:

1. One object with the format's name and version; names are those of the values, so a reader of the code knows them.
2. Every case is in it, with every step. Arguments and what changed are whole; results and documents stay in the store,
   where their span ids lead.
3. The text is ASCII: every other character is an escape, so that printing it to a terminal is safe. A number that
   JSON does not have (NaN, infinity) is null, and what is nested too deeply is left out and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from typing import TYPE_CHECKING

from auditlog.values import Json
from replay.diff import Diff, Step, StepDiff
from replay.render.grouping import counts_of, differs, groups_of, noise_of
from replay.render.scores import case_scores, summary_object
from replay.results.report import CaseResult, Report

if TYPE_CHECKING:
    from replay.scorers.keeping import RunScores

FORMAT = "auditlog-replay-report"
VERSION = 1

DEEPEST = 100
"""Levels of nesting that are written; many readers refuse more, and hostile content would exhaust the stack."""


def json(report: Report, scores: RunScores | None = None) -> str:
    """Write a report, and what scorers said of its run, as one JSON object and a newline."""
    return dumps(_finite(report_object(report, scores)), indent=2, default=str) + "\n"


def report_object(report: Report, scores: RunScores | None = None) -> dict[str, Json]:
    """Give a report as plain JSON values."""
    run = report.run
    of_cases = {} if scores is None else scores.by_case()
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": {
            "run_id": run.run_id,
            "created": run.created.isoformat(),
            "kind": run.kind,
            "candidate": run.candidate,
            "baseline": run.baseline,
            "where": run.where,
            "cases": run.cases,
            "done": run.done,
            "status": run.status,
            "classes": dict(run.classes),
            "repeats": run.repeats,
            "sides": {side.arm: list(side.lines) for side in run.sides},
        },
        "counts": counts_of(report)._asdict(),
        "noise": asdict(noise_of(report)),
        "evaluations": [asdict(evaluation) for evaluation in report.evaluations],
        "totals": asdict(report.totals) if report.totals is not None else None,
        "unreached": list(report.unreached),
        "not_pinned": [asdict(found) for found in report.not_pinned],
        "unpaired_baseline": list(report.unpaired_baseline),
        "unpaired_candidate": list(report.unpaired_candidate),
        "groups": [
            {"group": group.name, "cases": [case.case_id for case in group.cases]}
            for group in groups_of(report.cases)
        ],
        "scores": [] if scores is None else summary_object(scores),
        "cases": [
            {**_case(case), "scores": case_scores(of_cases.get(case.case_id, ()))} for case in report.cases
        ],
    }


def _case(case: CaseResult) -> dict[str, Json]:
    return {
        "case_id": case.case_id,
        "conversation_id": case.conversation_id,
        "turn_index": case.turn_index,
        "user_text": case.user_text,
        "status": case.status,
        "why": case.why,
        "differs": differs(case),
        "outcomes": dict(case.outcomes),
        **_diff(case.diff),
        "noise": _short(case.noise) if case.noise is not None else None,
    }


def _short(diff: Diff) -> dict[str, Json]:
    return {
        "case_class": diff.case_class,
        "behaves_differently": diff.behaves_differently,
        "first_divergence": diff.first_divergence,
        "summary": diff.summary,
        "group": diff.group,
        "findings": [asdict(finding) for finding in diff.findings],
    }


def _diff(diff: Diff) -> dict[str, Json]:
    return {
        **_short(diff),
        "steps": [_step_diff(step) for step in diff.steps],
        "measures": {name: asdict(measure) for name, measure in diff.measures.items()},
    }


def _step_diff(step: StepDiff) -> dict[str, Json]:
    return {
        "op": step.op,
        "consequence": step.consequence,
        "before": _step(step.before),
        "after": _step(step.after),
        "changes": [
            {"path": change.path, "op": change.op, "before": change.before, "after": change.after}
            for change in step.changes
        ],
        "result_changes": [change.path for change in step.result_changes],
        "documents": asdict(step.documents) if step.documents is not None else None,
        "text": [asdict(hunk) for hunk in step.text.hunks]
        if step.text is not None and step.text.changed
        else None,
    }


def _step(step: Step | None) -> dict[str, Json] | None:
    if step is None:
        return None
    return {
        "kind": step.kind,
        "name": step.name,
        "arguments": step.arguments,
        "documents": [document.id for document in step.documents],
        "fault": {"type": step.fault.type, "message": step.fault.message} if step.fault else None,
        "effect": step.effect,
        "text": step.text,
        "span_id": step.span_id,
        "match_tier": step.match_tier,
        "match": asdict(step.match) if step.match is not None else None,
    }


def _finite(value: Json, depth: int = 0) -> Json:
    match value:
        case float() if not math.isfinite(value):
            return None
        case Mapping() | list() | tuple() if depth > DEEPEST:
            return f"nested deeper than {DEEPEST} levels"
        case Mapping():
            return {str(key): _finite(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item, depth + 1) for item in value]
        case _:
            return value
