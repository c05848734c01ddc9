"""What the screens of replays ask; each function runs on the reader's thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auditlog.values import Turn
from replay.diff import CLASSES, Diff, compare

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.results.report import CaseResult, Report, RunSummary

TOLD_EVERY = 16
"""Cases."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two conversations and how they differ."""

    before: tuple[Turn, ...]
    after: tuple[Turn, ...]
    diff: Diff


def runs(store: Store) -> list[RunSummary]:
    """Read the runs, newest first."""
    from replay.results.loading import load_runs

    return load_runs(store)


def runs_refreshed(store: Store) -> list[RunSummary]:
    """Read what was recorded since, then the runs."""
    store.refresh()
    return runs(store)


def report(store: Store, run_id: str) -> Report:
    """Read what a run found."""
    from replay.results.loading import load_report

    return load_report(store, run_id)


def report_in_steps(store: Store, run_id: str) -> Generator[tuple[int, int], None, Report]:
    """Read what a run found; yield how many of how many cases are read."""
    from replay.results.loading import case_results, load_report, summary_of
    from replay.results.report import Report
    from replay.running.runs import load_manifest

    manifest = load_manifest(store, run_id)
    if manifest["kind"] == "compare":
        return load_report(store, run_id)
    cases: list[CaseResult] = []
    for case in case_results(store, manifest):
        cases.append(case)
        if len(cases) % TOLD_EVERY == 0:
            yield len(cases), len(manifest["cases"])
    found = Counter(case.diff.case_class for case in cases)
    classes = {name: found[name] for name in CLASSES if found[name]}
    return Report(replace(summary_of(store, manifest["run_id"]), classes=classes), tuple(cases))


def scores(store: Store, run_id: str, case: CaseResult) -> tuple[str, list[tuple[str, bool]]]:
    """Say what scorers gave a case, as lines, and whether each is worse than good."""
    from replay.render.scores import case_score_lines
    from replay.scorers.keeping import load_case_scores

    found = load_case_scores(store, run_id, case.case_id, case.conversation_id)
    return case.case_id, list(case_score_lines(found))


def opened(case: CaseResult) -> CaseResult:
    """Read all of a case."""
    return case.opened()


def pair(store: Store, before: str, after: str) -> Pair:
    """Compare two conversations."""
    one, other = store.conversation(before).turns, store.conversation(after).turns
    return Pair(one, other, compare(one, other))


def markdown(store: Store, run_id: str) -> str:
    """Write a run's differences as Markdown."""
    from replay.render.markdown import markdown as written

    return written(report(store, run_id))
