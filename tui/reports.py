"""What the screens of replays ask; each function runs on the reader's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditlog.values import Turn
from replay.diff import Diff, compare

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.report import Report, RunSummary


@dataclass(frozen=True, slots=True)
class Pair:
    """Two conversations and how they differ."""

    before: tuple[Turn, ...]
    after: tuple[Turn, ...]
    diff: Diff


def runs(store: Store) -> list[RunSummary]:
    """Read the runs, newest first."""
    from replay.loading import load_runs

    return load_runs(store)


def runs_refreshed(store: Store) -> list[RunSummary]:
    """Read what was recorded since, then the runs."""
    store.refresh()
    return runs(store)


def report(store: Store, run_id: str) -> Report:
    """Read what a run found."""
    from replay.loading import load_report

    return load_report(store, run_id)


def pair(store: Store, before: str, after: str) -> Pair:
    """Compare two conversations."""
    one, other = store.conversation(before).turns, store.conversation(after).turns
    return Pair(one, other, compare(one, other))


def markdown(store: Store, run_id: str) -> str | None:
    """Write a run's differences as Markdown; None where this version cannot."""
    try:
        from replay.render.markdown import markdown as written
    except ImportError:
        return None
    return written(report(store, run_id))
