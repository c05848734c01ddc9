"""Scores as words and as JSON.

The rules:

1. A scorer's line says its level, its mean on each arm, over how many executions, and how many were not scored.
2. Of a case, each scorer that finds something, with its value on each arm and what it says; the others by name.
3. What a scorer says quotes recorded text: every line passes `safe_text` before it reaches a terminal.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeAlias

from auditlog.safe_text import safe_text
from auditlog.values import Json

if TYPE_CHECKING:
    from replay.scorers.keeping import Cell, RunScores, ScorerInfo
    from replay.scorers.model import Score
    from replay.scorers.scoring import ScoringReport

CaseScores: TypeAlias = "Sequence[tuple[ScorerInfo, Cell, Score]]"

_ARMS = ("baseline", "baseline_2", "candidate")


def scores_lines(found: RunScores) -> Iterator[str]:
    """Say of each scorer what it found, on each arm."""
    for key, info in found.scorers.items():
        cells = found.scores.get(key, {})
        parts = [said for arm in _ARMS if (said := _arm_text(arm, cells))]
        parts += [f"{arm} {_number(score)}" for arm, score in found.set_scores.get(key, {}).items()]
        note = f" ({info.note})" if info.note else ""
        yield safe_text(f"{info.level:<9} {key.scorer}: {' · '.join(parts) or 'no scores'}{note}")


def tally_lines(report: ScoringReport) -> Iterator[str]:
    """Say what went wrong in a scoring."""
    for tally in report.scorers:
        if tally.error:
            yield safe_text(f"! {tally.spec}: {tally.error}")
        elif tally.failed and tally.info is not None:
            count = f"{tally.failed} of {tally.scored + tally.unscored + tally.failed}"
            yield safe_text(f"! {tally.info.key.scorer} failed on {count}: {tally.first_failure}")


def case_score_lines(found: CaseScores) -> Iterator[tuple[str, bool]]:
    """Say what scorers gave a case, as lines, and whether each is worse than good: those first, and the others in few.

    Args:
        found: the case's scores, as `RunScores.by_case` gives them.
    """
    by_scorer: dict[str, list[tuple[ScorerInfo, Cell, Score]]] = defaultdict(list)
    for info, cell, score in found:
        by_scorer[f"{info.key}"].append((info, cell, score))
    plain: dict[str, list[str]] = {"1": [], "unscored": []}
    for said in by_scorer.values():
        worst = min((s.value for _, _, s in said if s.value is not None), default=None)
        if worst is None or worst >= 1:
            plain["1" if worst is not None else "unscored"].append(said[0][0].key.scorer)
            continue
        values = ", ".join(f"{_where(cell)} {_number(score)}" for _, cell, score in said)
        why = next((s for _, _, s in reversed(said) if s.value is not None and s.value < 1), said[-1][2])
        words = " · ".join(part for part in (values, why.label, why.explanation) if part)
        yield f"{said[0][0].key.scorer} ({said[0][0].level}): {words}", True
    for value, names in plain.items():
        if names:
            yield f"{value}: {', '.join(dict.fromkeys(names))}", False


def case_scores(found: CaseScores) -> list[Json]:
    """Give a case's scores as plain JSON values."""
    return [
        {**info.key._asdict(), "level": info.level, "arm": cell[1], "repeat": cell[2], **_score(score)}
        for info, cell, score in found
    ]


def summary_object(found: RunScores) -> list[Json]:
    """Give what each scorer found on each arm as plain JSON values."""
    listed: list[Json] = []
    for key, info in found.scorers.items():
        cells = found.scores.get(key, {})
        listed.append(
            {
                **key._asdict(),
                "level": info.level,
                "kind": info.kind,
                "summary": info.summary,
                "note": info.note,
                "arms": {
                    arm: _arm_object([score for cell, score in cells.items() if cell[1] == arm])
                    for arm in _ARMS
                    if any(cell[1] == arm for cell in cells)
                },
                "sets": {arm: _score(score) for arm, score in found.set_scores.get(key, {}).items()},
            }
        )
    return listed


def scores_json(found: RunScores, report: ScoringReport) -> str:
    """Write what a scoring did, and what the run's scores are, as one JSON object and a newline."""
    told = [
        {
            "scorer": str(tally.spec),
            "error": tally.error,
            "scored": tally.scored,
            "unscored": tally.unscored,
            "failed": tally.failed,
            "kept": tally.kept,
            "first_failure": tally.first_failure,
            "cost_usd": tally.cost_usd,
            "tokens": tally.tokens,
        }
        for tally in report.scorers
    ]
    return (
        json.dumps(
            {
                "run_id": report.run_id,
                "executions": report.executions,
                "asked": told,
                "scorers": summary_object(found),
            },
            indent=2,
        )
        + "\n"
    )


def _arm_text(arm: str, cells: object) -> str:
    assert isinstance(cells, dict)
    scores = [score for cell, score in cells.items() if cell[1] == arm]
    if not scores:
        return ""
    said = _arm_object(scores)
    mean = said["mean"]
    parts = ["unscored" if mean is None else f"{mean:.3f} of {said['scored']:,}"]
    parts += [f"{said[name]:,} {name}" for name in ("unscored", "failed") if said[name] and mean is not None]
    return f"{arm} {', '.join(parts)}"


def _arm_object(scores: list[Score]) -> dict[str, Json]:
    values = [score.value for score in scores if score.value is not None]
    failed = sum(score.failed for score in scores)
    return {
        "mean": sum(values) / len(values) if values else None,
        "scored": len(values),
        "unscored": len(scores) - len(values) - failed,
        "failed": failed,
        "below": sum(value < 1 for value in values),
    }


def _score(score: Score) -> dict[str, Json]:
    return {**asdict(score), "evidence": list(score.evidence)}


def _where(cell: Cell) -> str:
    _, arm, repeat = cell
    return f"{arm}.{repeat}" if repeat else arm


def _number(score: Score) -> str:
    if score.value is None:
        return score.label or "unscored"
    return f"{score.value:.3g}"
