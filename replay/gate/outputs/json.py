"""A verdict as JSON, whole.

The rules:

1. Everything that the other outputs show is in it, with each case that a check names; the shape is `gate-verdict`, version 1, and
   only grows.
2. A figure that is no finite number, or one beyond 64 bits, is null.
"""

from __future__ import annotations

from typing import Any

import orjson

from replay.gate.check import Verdict, storable


def json(verdict: Verdict) -> str:
    """Write a verdict as JSON that ends in a newline."""
    # What is no finite number it writes as null.
    return orjson.dumps(_plain(document(verdict)), option=orjson.OPT_INDENT_2).decode() + "\n"


def document(verdict: Verdict) -> dict[str, Any]:
    """Give a verdict as plain values."""
    return {
        "format": "gate-verdict",
        "version": 1,
        "verdict": verdict.outcome,
        "run_id": verdict.run_id,
        "judged": verdict.judged.isoformat(),
        "level": verdict.level,
        "level_name": verdict.level_name,
        "owner": verdict.owner,
        "policy": {"path": verdict.policy_path, "digest": verdict.policy_digest},
        "cases_digest": verdict.cases_digest,
        "cases": verdict.cases,
        "conversations": verdict.conversations,
        "candidate": verdict.candidate,
        "baseline": verdict.baseline,
        "facts": dict(verdict.facts),
        "checks": [
            {
                "id": check.id,
                "group": check.group,
                "title": check.title,
                "outcome": check.outcome,
                "counts_as": check.counts,
                "gates": check.gates,
                "warning": check.warning,
                "sentence": check.sentence,
                "figures": storable(dict(check.figures)),
                "examples": [
                    {"case_id": example.case_id, "where": example.where, "what": example.what}
                    for example in check.examples
                ],
                "waiver": None
                if check.waiver is None
                else {
                    "owner": check.waiver.owner,
                    "reason": check.waiver.reason,
                    "expires": check.waiver.expires.isoformat(),
                },
            }
            for check in verdict.checks
        ],
        "diffs": [
            {
                "name": diff.name,
                "cases": diff.count,
                "class": diff.case_class,
                "findings": list(diff.findings),
                "summary": diff.summary,
                "example": {
                    "case_id": diff.example.case_id,
                    "where": diff.example.where,
                    "what": diff.example.what,
                },
            }
            for diff in verdict.diffs
        ],
        "warnings": list(verdict.warnings),
        "waivers": [
            {
                "check": w.check,
                "owner": w.owner,
                "reason": w.reason,
                "expires": w.expires.isoformat(),
                "run": w.run,
            }
            for w in verdict.waivers
        ],
        "record": verdict.record,
    }


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case str():
            # A lone surrogate of a recording is no JSON.
            return value.encode("utf-8", "backslashreplace").decode()
        case _:
            return value
