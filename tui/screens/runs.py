"""Runs: every replay, newest first."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult

from auditlog.wording import many
from replay.results.report import RunSummary
from tui import reports
from tui.actions import bindings
from tui.bars import Bar
from tui.lines import LineView
from tui.reading import Seen
from tui.render import runs as drawing
from tui.render.line import Line, line
from tui.rows import PagedRows
from tui.screens.base import AuditScreen


class RunsScreen(AuditScreen):
    """The replay runs of the store."""

    SCREEN = "runs"
    TITLE_TEXT = "Runs"
    BINDINGS = bindings("runs")

    def __init__(self) -> None:
        super().__init__()
        self.rows: PagedRows[RunSummary] = PagedRows(0, self._draw)

    def body(self) -> ComposeResult:
        """Put the column titles above the list."""
        yield Bar(id="heading")
        yield LineView(id="main", empty="Reading…")

    def begin(self) -> None:
        """Read the runs."""
        self.query_one("#heading", Bar).show(lambda width: [line(" ", *drawing.heading(width - 2).pieces)])
        self.ask("runs", reports.runs, seen=lambda runs: Seen("replay ls", rows=len(runs)))

    def got_runs(self, runs: list[RunSummary]) -> None:
        """Show them."""
        view = self.query_one("#main", LineView)
        view.empty = line(
            ("No replay has been run on this store. R on a conversation shows the command.", "muted")
        )
        self.rows = PagedRows(len(runs), self._draw, lambda run: run.run_id)
        self.rows.put(0, runs)
        view.show(self.rows, keep=True)
        self.refresh_bars()

    def _draw(self, run: RunSummary | None, width: int) -> Line:
        return Line() if run is None else drawing.row(run, drawing.fit(width))

    def title_facts(self) -> list[tuple[str, str]]:
        """Say how many there are."""
        return [(f" {many(self.rows.items, 'run')}", "muted")] if self.rows.items else []

    def action_refresh(self) -> None:
        """Read what was recorded since."""
        self.ask("runs", reports.runs_refreshed, key="runs")

    @on(LineView.Opened)
    def _open(self) -> None:
        run = self.rows.value(self.query_one("#main", LineView).cursor)
        if run is not None:
            self.audit.open_run(run.run_id)

    def twin(self) -> str:
        """Give the command that prints this list."""
        return f"auditlog replay ls{self.audit.store_option}"

    def clear_more(self) -> bool:
        """Nothing else to end: escape goes back."""
        return False
