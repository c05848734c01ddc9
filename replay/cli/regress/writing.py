"""What `auditlog regress` prints of cases and verdicts.

The rules:

1. Of a sealed case only its id and how it came out are printed.
2. What passed is counted and not listed.
3. Recorded text is made safe for a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlog.cli.output import print_line
from auditlog.safe_text import safe_text

if TYPE_CHECKING:
    from replay.regress.judging import RegressionResults
    from replay.regress.keeping import RegressionCase

SEALED = "(sealed)"


def write_results(results: RegressionResults, format: str) -> None:
    """Print what became of each case, and the verdict."""
    import json

    if format == "json":
        print_line(json.dumps(_object(results), indent=1, ensure_ascii=False))
        return
    counts = results.counts
    said = ", ".join(
        f"{counts[name]} {name}" for name in ("failed", "unstable", "unjudged", "passed") if counts.get(name)
    )
    print_line(
        f"{results.verdict} · {said or 'no cases'} · version {results.version}, digest {results.digest[:12]}"
    )
    if results.unstable_too_often:
        print_line(
            f"The unstable cases fail more often than their known rates explain (p = {results.excess_p:.2g})."
        )
    for verdict in results.cases:
        if verdict.status == "passed":
            continue
        case = verdict.case
        if case.sealed:
            print_line(f"  {verdict.status:<9} {case.case_id} {SEALED}")
            continue
        where = f"{safe_text(case.conversation_id)} turn {case.turn_index + 1}"
        print_line(f"  {verdict.status:<9} {case.case_id} {where}: {safe_text(verdict.why)}")


def _object(results: RegressionResults) -> dict[str, Any]:
    return {
        "run_id": results.run_id,
        "verdict": results.verdict,
        "version": results.version,
        "digest": results.digest,
        "counts": dict(results.counts),
        "excess_p": results.excess_p,
        "cases": [
            {
                "case": verdict.case.case_id,
                "conversation": None if verdict.case.sealed else verdict.case.conversation_id,
                "sealed": verdict.case.sealed,
                "status": verdict.status,
                "level": verdict.level or None,
                "why": verdict.why,
                "evidence": list(verdict.evidence),
                "candidate": verdict.candidate._asdict(),
                "baseline": verdict.known._asdict(),
                "flake_rate": verdict.flake_rate,
            }
            for verdict in results.cases
        ],
    }


def say_case(case: RegressionCase, done: str, version: int) -> None:
    """Print what was done with a case, and what is expected of it."""
    from replay.regress.expectations import words

    where = SEALED if case.sealed else f"{safe_text(case.conversation_id)} turn {case.turn_index + 1}"
    print_line(f"{done} {case.case_id} · {where} · version {version}")
    for said in () if case.sealed else words(case.expected):
        print_line(f"  {safe_text(said)}")


def case_row(case: RegressionCase) -> dict[str, object]:
    """Make a row of a case."""
    if case.sealed:
        return {"case": case.case_id, "conversation": SEALED}
    return {
        "case": case.case_id,
        "conversation": case.conversation_id,
        "turn": case.turn_index + 1,
        "expected": case.expected.count,
        "reviewed": "yes" if case.reviewed else "",
        "reason": case.reason,
    }
