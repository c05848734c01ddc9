"""Keeps a comparison of recorded conversations as a run, and reads it back.

The rules:

1. Nothing is copied: the run's manifest holds the ids of the pairs, and the conversations are read when it is.
2. A comparison is complete when it is written.
3. A conversation that is not in the store any more leaves its pair out of the report, and counts as not done.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from auditlog.values import Conversation
from replay.results.compare import Comparison, ConversationPair, compare_pairs
from replay.results.report import CaseResult, Report, RunSummary
from replay.running.appending import keep
from replay.running.case_lists import case_records, without_cases
from replay.running.records import MANIFEST, RUN_END, run_span

if TYPE_CHECKING:
    from auditlog.store import Store

_BATCH = 32


def save_comparison(store: Store, comparison: Comparison, *, baseline: str, candidate: str) -> str:
    """Keep a comparison as a run.

    Args:
        store: where.
        comparison: what was compared.
        baseline: the filter that chose the one side.
        candidate: the filter that chose the other.

    Returns:
        The run's id.

    Raises:
        StoreError: it cannot be written.
    """
    created = datetime.now(UTC)
    run_id = f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    manifest = {
        "run_id": run_id,
        "kind": "compare",
        "created": created.isoformat(),
        "candidate": candidate,
        "baseline": baseline,
        "where": comparison.by,
        "cases": [
            [pair.key, pair.baseline.conversation_id, pair.candidate.conversation_id]
            for pair in comparison.pairs
        ],
        "case_count": len(comparison.pairs),
        "unpaired_baseline": list(comparison.unpaired_baseline),
        "unpaired_candidate": list(comparison.unpaired_candidate),
    }
    end = {"cases": len(comparison.pairs), "classes": dict(comparison.classes)}
    records = (
        *case_records(manifest),
        run_span(MANIFEST, run_id, without_cases(manifest)),
        run_span(RUN_END, run_id, end),
    )
    keep(store, records, "The comparison")
    return run_id


def report(store: Store, manifest: Mapping[str, Any], summary: RunSummary) -> Report:
    """Compare the pairs of a kept comparison again.

    Args:
        store: where the conversations are.
        manifest: the run's.
        summary: the run, as a list shows it.
    """
    pairs = []
    wanted = [tuple(case) for case in manifest["cases"]]
    for first in range(0, len(wanted), _BATCH):
        batch = wanted[first : first + _BATCH]
        found = _conversations(store, {name for _, *both in batch for name in both})
        pairs += [
            (key, found[one], found[other]) for key, one, other in batch if one in found and other in found
        ]
    comparison = compare_pairs(
        pairs,
        by=summary.where,
        unpaired_baseline=manifest.get("unpaired_baseline") or (),
        unpaired_candidate=manifest.get("unpaired_candidate") or (),
    )
    return Report(
        run=replace(summary, classes=comparison.classes, done=len(comparison.pairs)),
        cases=tuple(_case(pair) for pair in comparison.pairs),
        evaluations=comparison.evaluations,
        totals=comparison.totals,
        unpaired_baseline=comparison.unpaired_baseline,
        unpaired_candidate=comparison.unpaired_candidate,
    )


def _case(pair: ConversationPair) -> CaseResult:
    turns = pair.candidate.turns or pair.baseline.turns
    return CaseResult(
        case_id=pair.key if pair.trial is None else f"{pair.key}/{pair.trial}",
        conversation_id=pair.candidate.conversation_id,
        turn_index=None,
        user_text=turns[0].user_text if turns else "",
        recorded=pair.baseline.turns,
        baseline=pair.baseline.turns,
        candidate=pair.candidate.turns,
        status="complete",
        why="",
        diff=pair.diff,
        outcomes=pair.outcomes,
    )


def _conversations(store: Store, names: set[str]) -> dict[str, Conversation]:
    from auditlog.store.build import conversations_of

    ordered = sorted(names)
    marks = ", ".join("?" * len(ordered))
    return conversations_of(store.spans(f"conversation_id IN ({marks})", ordered))
