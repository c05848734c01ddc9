"""The list of replay runs: one line each."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from auditlog.safe_text import safe_text
from replay.results.report import RunSummary
from tui.render import columns, formats, outcomes
from tui.render.columns import Column
from tui.render.formats import State
from tui.render.line import Line, Piece

COLUMNS = (
    Column("time", "created", 11, 0),
    Column("run", "run", 22, 3),
    Column("kind", "kind", 8, 7),
    Column("status", "status", 13, 0),
    Column("done", "done", 9, 2, right=True),
    Column("same", "ident.", 6, 4, right=True),
    Column("worded", "cosm.", 5, 5, right=True),
    Column("behaved", "steps≠", 6, 1, right=True),
    Column("unmatched", "unmat.", 6, 8, right=True),
    Column("errored", "error", 5, 6, right=True),
    Column("baseline", "baseline", 24, 9),
    Column("where", "where", 22, 10),
    Column("candidate", "candidate", 23, 0, grows=True),
)
STATES = {
    "running": State("◌", "running", "accent"),
    "complete": State("✓", "complete", "ok"),
    "interrupted": State("!", "interrupted", "warn"),
    "budget": State("!", "budget", "warn"),
}


@functools.lru_cache(64)
def fit(width: int) -> list[Column]:
    """Choose the columns for a width."""
    return columns.fit(COLUMNS, width)


def heading(width: int) -> Line:
    """Write the column titles."""
    return columns.heading(fit(width))


def row(run: RunSummary, fits: Sequence[Column]) -> Line:
    """Write one run in fitted columns."""
    state = STATES[run.status]
    found = outcomes.counts_of_classes(run.classes)
    width = {column.name: column.width for column in fits}
    cells = {
        "time": Piece(formats.moment(run.created), "muted"),
        "status": Piece(state.text, state.role),
        "kind": Piece(run.kind, "muted"),
        "done": Piece(f"{run.done}/{run.cases}"),
    }
    for name, number in found.items():
        cells[name] = Piece(formats.count(number), outcomes.ROLES[name] if number else "muted")
    for name, text in (
        ("run", run.run_id),
        ("candidate", run.candidate),
        ("baseline", run.baseline),
        ("where", run.where),
    ):
        if name in width:
            cells[name] = Piece(
                safe_text(text, width=width[name]), "" if name in ("run", "candidate") else "muted"
            )
    return columns.row(fits, cells)
