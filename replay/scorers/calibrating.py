"""Calibrates a judge on a run that it has scored: reads labels, compares, keeps the result; and writes the sheet to label.

The rules:

1. The sheet holds what the judge scored, chosen by hash over good, bad and unscored alike, so that no verdict is rare in it;
   what the judge said is not in it.
2. A name with several configurations in one run cannot be calibrated by it: which one would be meant?
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from auditlog.errors import NotFoundError
from replay.errors import ScorerError
from replay.results.trials import case_trials
from replay.running.appending import keep
from replay.running.runs import load_manifest
from replay.scorers.judge.calibration import Calibration, calibrate, payload_of, read_labels, sheet
from replay.scorers.keeping import Cell, load_run_scores
from replay.scorers.model import Score, ScorerKey

if TYPE_CHECKING:
    from auditlog.store import Store


def calibrate_run(store: Store, run_id: str, name: str, labels: str) -> Calibration:
    """Compare a judge with people's labels, and keep the result.

    Raises:
        NotFoundError: there is no such run, or the judge has not scored it.
        ScorerError: the labels cannot be read, or are of something else.
        StoreError: the result cannot be written.
    """
    manifest = load_manifest(store, run_id)
    key, scores = _scores(store, manifest["run_id"], name)
    found = calibrate(manifest["run_id"], key, scores, read_labels(labels))
    keep(store, [payload_of(found)], "The calibration")
    return found


def sheet_of(store: Store, run_id: str, name: str, limit: int) -> tuple[str, int]:
    """Write executions for people to label, as CSV; and say how many.

    Raises:
        NotFoundError: there is no such run, or the judge has not scored it.
    """
    manifest = load_manifest(store, run_id)
    _, scores = _scores(store, manifest["run_id"], name)
    chosen = _chosen(scores, limit)
    rows = list(_rows(store, manifest, chosen))
    return sheet(rows), len(rows)


def calibration_lines(found: Calibration, *, as_json: bool) -> Iterator[str]:
    """Say what a calibration found."""
    if as_json:
        yield json.dumps(
            {**asdict(found), "key": found.key._asdict(), "secondary": found.why_secondary}, indent=2
        )
        return
    kappa = "not defined" if found.kappa is None else f"{found.kappa:.3f}"
    yield f"{found.key.scorer}: κ {kappa}, {found.confidence:.0%} interval {found.low:.3f} to {found.high:.3f}"
    yield f"{found.agreed} of {found.labels} labels agree; {found.unscored} were left unscored"
    for pair, count in sorted(found.counts.items()):
        people, _, judged = pair.partition("/")
        yield f"  people {people:<5} judge {judged:<9}{count:>6}"
    yield (
        f"The judge is secondary: {found.why_secondary}."
        if found.why_secondary
        else "The judge may be what the policy asks."
    )


def _scores(store: Store, run_id: str, name: str) -> tuple[ScorerKey, Mapping[Cell, Score]]:
    kept = load_run_scores(store, run_id)
    keys = [key for key in kept.scores if key.scorer == name]
    if not keys:
        known = ", ".join(sorted({key.scorer for key in kept.scores})) or "nothing"
        msg = f"Run {run_id} has no scores of {name!r}; it is scored by {known}. `auditlog replay score` asks a judge."
        raise NotFoundError(msg)
    if len(keys) > 1:
        msg = (
            f"{name!r} scored run {run_id} with {len(keys)} configurations. "
            f"Score under a name of its own: --scorer NAME={name}."
        )
        raise ScorerError(msg)
    return keys[0], kept.scores[keys[0]]


def _chosen(scores: Mapping[Cell, Score], limit: int) -> set[Cell]:
    """Choose by hash, taking turns over what the judge said, so that a rare verdict is not lost."""
    kinds: dict[str, list[Cell]] = defaultdict(list)
    for cell, score in scores.items():
        kinds["none" if score.value is None else "good" if score.value >= 0.5 else "bad"].append(cell)
    for cells in kinds.values():
        cells.sort(key=lambda cell: hashlib.sha256("\0".join(map(str, cell)).encode()).digest())
    chosen: list[Cell] = []
    while len(chosen) < limit and any(kinds.values()):
        chosen += [cells.pop() for cells in kinds.values() if cells]
    return set(chosen[:limit])


def _rows(store: Store, manifest: Mapping[str, Any], chosen: set[Cell]) -> Iterator[tuple[Cell, str, str]]:
    for tried in case_trials(store, manifest):
        for trial in tried.trials:
            cell = (tried.case.case_id, trial.arm, trial.repeat)
            if cell in chosen:
                yield cell, trial.turn.user_text, trial.turn.answer_text
