"""Diff list: what a run found, the verdict first.

What `x` and `X` accept is kept as long as the screen is open, and says so: a release is decided by the gate, not here.
"""

from __future__ import annotations

import re
import shlex

from textual import events, on
from textual.app import ComposeResult

from auditlog.safe_text import safe_text
from auditlog.wording import many
from replay.results.report import CaseResult, Report
from tui import reports
from tui.actions import bindings
from tui.bars import Bar
from tui.lines import LineView
from tui.reading import Seen
from tui.render import difflist as drawing
from tui.render import formats, outcomes
from tui.render.difflist import Group
from tui.render.line import Line, line
from tui.rows import Sheet
from tui.screens.base import AuditScreen


class DiffListScreen(AuditScreen):
    """The cases of one run, grouped by what they first did differently."""

    SCREEN = "diff-list"
    TITLE_TEXT = "Run"
    BINDINGS = bindings("diff-list")

    def __init__(self, run_id: str) -> None:
        """Show a run, by its id, an unambiguous beginning of it, or `last`."""
        super().__init__()
        self.run_id = run_id
        self.report: Report | None = None
        self.unchanged = False
        self.accepted: set[str] = set()
        self.folded: set[str] = set()

    def body(self) -> ComposeResult:
        """Put the verdict above the list."""
        yield Bar(id="verdict", lines=2, most=8)
        yield LineView(id="main", empty="Reading…")

    def begin(self) -> None:
        """Read the run."""
        self.view_list = self.query_one("#main", LineView)
        self.query_one("#verdict", Bar).show(self._verdict)
        run_id = self.run_id
        if (known := self.audit.reports.get(run_id)) is not None:
            self.got_report(known)
        else:
            self.ask(
                "report",
                lambda store: reports.report_in_steps(store, run_id),
                seen=lambda _: Seen("replay diff", ids=(run_id,)),
            )

    def failed(self, topic: str, error: str) -> None:
        """Say why there is nothing to see."""
        if self.report is None:
            self.view_list.show_empty("✗ Nothing to show; the status line says why.", "error")
        super().failed(topic, error)

    def got_report_progress(self, read: tuple[int, int]) -> None:
        """Say how far the reading is."""
        self.view_list.show_empty(f"Reading… {read[0]} of {many(read[1], 'case')}")

    def got_report(self, report: Report) -> None:
        """Show it."""
        self.report = report
        self.run_id = report.run.run_id
        if report.run.status == "complete":
            self.audit.reports[self.run_id] = report
        self._show(keep=False)

    def _show(self, *, keep: bool = True) -> None:
        if self.report is None:
            return
        groups = drawing.groups(self.report.cases, unchanged=self.unchanged)
        hidden = sum(outcomes.outcome_of(case.diff) == "same" for case in self.report.cases)
        self.view_list.empty = line((f"{many(hidden, 'case')} stayed the same: u shows them.", "muted"))
        wide = self.view_list.room >= drawing.ONE_LINE_FROM
        self.view_list.show(Sheet(drawing.blocks(groups, self.accepted, self.folded, wide=wide)), keep=keep)
        self.refresh_bars()

    def on_resize(self, event: events.Resize) -> None:
        """Use the width there is."""
        del event
        self.call_after_refresh(self._show)

    def _verdict(self, width: int) -> list[Line]:
        return drawing.head(self.report, width) if self.report is not None else []

    def title_facts(self) -> list[tuple[str, str]]:
        """Say which run."""
        run = self.report.run if self.report is not None else None
        facts = [(f" {safe_text(self.run_id, width=30)}", "accent")]
        if run is not None:
            facts.append((f" {run.kind} · {formats.moment(run.created)}", "muted"))
        return facts

    def status_facts(self) -> list[tuple[str, str]]:
        """Say what is hidden and accepted."""
        facts: list[tuple[str, str]] = []
        if self.report is not None and not self.unchanged:
            hidden = sum(outcomes.outcome_of(case.diff) == "same" for case in self.report.cases)
            if hidden:
                facts.append((f"{many(hidden, 'unchanged case')} hidden · u shows them  ", "muted"))
        if self.accepted:
            facts.append((f"✓ {len(self.accepted)} accepted, until this screen closes  ", "ok"))
        return facts + self.search_facts()

    # Actions.

    def cases(self) -> list[CaseResult]:
        """Give the cases that are shown, in order."""
        rows = self.view_list.rows
        assert isinstance(rows, Sheet)
        return [block.target for block in rows.blocks if isinstance(block.target, CaseResult)]

    @on(LineView.Opened)
    def _open(self) -> None:
        from tui.screens.diff import DiffScreen

        match self.view_list.target:
            case CaseResult() as case:
                self.audit.push_screen(DiffScreen.of_cases(self.cases(), case, self.run_id))
            case Group() as group:
                self.audit.push_screen(DiffScreen.of_cases(list(group.cases), group.cases[0], self.run_id))

    def action_same(self) -> None:
        """Show or hide the cases that stayed the same."""
        self.unchanged = not self.unchanged
        self._show()

    def action_fold(self) -> None:
        """Fold or unfold the group that the cursor is in."""
        group = self._group()
        if group is not None:
            self.folded ^= {group.name}
            item = self.view_list.rows.item_of(f"group/{group.name}")
            self.view_list.go(item or 0)
            self._show()

    def _group(self) -> Group | None:
        match self.view_list.target:
            case Group() as group:
                return group
            case CaseResult() as case:
                groups = drawing.groups(self.report.cases if self.report else (), unchanged=self.unchanged)
                return next(group for group in groups if case in group.cases)
            case _:
                return None

    def action_accept(self) -> None:
        """Accept the case's change, or take the acceptance back."""
        match self.view_list.target:
            case CaseResult() as case:
                self._toggle([case])
                self.view_list.action_down()
            case Group() as group:
                self._toggle(list(group.cases))

    def action_accept_group(self) -> None:
        """Accept the changes of the whole group, or take the acceptance back."""
        if (group := self._group()) is not None:
            self._toggle(list(group.cases))

    def _toggle(self, cases: list[CaseResult]) -> None:
        names = {case.case_id for case in cases}
        self.accepted = self.accepted - names if names <= self.accepted else self.accepted | names
        self._show()

    def action_export(self) -> None:
        """Write the differences into a Markdown file."""
        run_id = self.run_id
        self.ask(
            "markdown",
            lambda store: reports.markdown(store, run_id),
            seen=lambda _: Seen("replay diff --format md", ids=(run_id,)),
        )

    def got_markdown(self, text: str) -> None:
        """Write the file."""
        name = re.sub(r"[^0-9A-Za-z-]", "", self.run_id)[:40] or "run"
        self.write_file(f"replay-{name}", ".md", text)

    def clear_more(self) -> bool:
        """Nothing else to end: escape goes back."""
        return False

    def twin(self) -> str:
        """Give the command that prints this run."""
        return f"auditlog replay diff {shlex.quote(self.run_id)}{self.audit.store_option}"
