"""Diff: how one case behaves differently, from its first divergence on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult

from auditlog.safe_text import safe_text
from auditlog.values import Turn
from replay.diff import Diff, Finding, StepDiff, compare
from replay.results.report import CaseResult
from replay.results.stored import StoredCase
from tui import reports
from tui.actions import bindings
from tui.lines import LineView
from tui.promoting import PromotingScreen
from tui.reading import Seen
from tui.render import diff as drawing
from tui.render.diff import Arms
from tui.rows import Sheet
from tui.screens.text import TextScreen, as_json

PAIRS = (("baseline", "candidate"), ("recorded", "candidate"), ("recorded", "baseline"))
"""What `b` goes through."""


class DiffScreen(PromotingScreen):
    """Two behaviours, step by step."""

    SCREEN = "diff"
    TITLE_TEXT = "Diff"
    BINDINGS = bindings("diff")

    def __init__(self) -> None:
        super().__init__()
        self.cases: list[CaseResult] = []
        self.case: CaseResult | None = None
        """As its list has it."""
        self.full: CaseResult | None = None
        """The same with everything in it."""
        self.run_id = ""
        self.asked: tuple[str, str] | None = None
        self.turns: dict[str, tuple[Turn, ...]] = {}
        self.pairs: list[tuple[str, str]] = []
        self.shown = 0
        self.scores: list[tuple[str, bool]] = []
        self.diff: Diff | None = None
        self.folded = True
        self.side: bool | None = None

    @classmethod
    def of_cases(cls, cases: Sequence[CaseResult], case: CaseResult, run_id: str) -> DiffScreen:
        """Show a case of a run; `]` and `[` go through the others."""
        made = cls()
        made.cases, made.run_id = list(cases), run_id
        made.case = case
        return made

    @classmethod
    def of_conversations(cls, before: str, after: str) -> DiffScreen:
        """Compare two recorded conversations."""
        made = cls()
        made.asked = (before, after)
        return made

    def body(self) -> ComposeResult:
        """One list."""
        yield LineView(id="main", empty="Reading…")

    def begin(self) -> None:
        """Show the case, or read the two conversations."""
        self.main = self.query_one("#main", LineView)
        if self.case is not None:
            self._take(self.case)
        elif self.asked is not None:
            before, after = self.asked
            self.ask(
                "pair",
                lambda store: reports.pair(store, before, after),
                seen=lambda _: Seen("diff", ids=(before, after), rows=2),
            )

    def failed(self, topic: str, error: str) -> None:
        """Say why there is nothing to see."""
        self.main.show_empty("✗ Nothing to show; the status line says why.", "error")
        super().failed(topic, error)

    def got_pair(self, pair: reports.Pair) -> None:
        """Show two conversations."""
        assert self.asked is not None
        before, after = self.asked
        self.turns = {before: pair.before, after: pair.after}
        self.pairs = [(before, after), (after, before)]
        self.diff = pair.diff
        self._show(at_divergence=True)

    def _take(self, case: CaseResult) -> None:
        """Show a case, once the store has told what its list does not."""
        self.case = case
        self.diff = None
        if isinstance(case, StoredCase):
            self.ask("case", lambda _: reports.opened(case))
        else:
            self.got_case(case)

    def got_case(self, case: CaseResult) -> None:
        """Show a case in full."""
        if self.case is None or case.case_id != self.case.case_id:
            return
        self.full = case
        self.turns = {"recorded": case.recorded, "baseline": case.baseline, "candidate": case.candidate}
        known = {name for name, turns in self.turns.items() if turns}
        self.pairs = [pair for pair in PAIRS if known.issuperset(pair)] or [PAIRS[0]]
        if PAIRS[0] not in self.pairs:
            # The run's own comparison is shown whatever an arm holds: it says why there is nothing.
            self.pairs.insert(0, PAIRS[0])
        self.shown = 0
        self.folded = True
        self.diff = case.diff
        self.scores = []
        self._show(at_divergence=True)
        if self.run_id:
            run_id = self.run_id
            self.ask("scores", lambda store: reports.scores(store, run_id, case))

    def got_scores(self, answer: tuple[str, list[tuple[str, bool]]]) -> None:
        """Show what scorers said of the case."""
        case_id, self.scores = answer
        if self.scores and self.case is not None and self.case.case_id == case_id:
            self._show()

    def got_diff(self, answer: tuple[int, Diff]) -> None:
        """Show another pair of arms."""
        shown, diff = answer
        if shown == self.shown:
            self.diff = diff
            self._show(at_divergence=True)

    # Drawing.

    @property
    def arms(self) -> Arms:
        """The names of what is compared."""
        return Arms(*self.pairs[self.shown]) if self.pairs else Arms("", "")

    @property
    def beside(self) -> bool:
        """Whether both stand side by side."""
        return self.side if self.side is not None else self.size.width >= self.WIDE

    @property
    def recorded_turn(self) -> Turn | None:
        """The turn that the case is of; a pair of whole conversations has none."""
        if self.case is None or self.case.turn_index is None or self.full is None:
            return None
        return next(iter(self.full.recorded), None)

    def _show(self, *, at_divergence: bool = False) -> None:
        if self.diff is None:
            return
        arms = self.arms
        noise = self.full.noise if self.full is not None and self.shown == 0 else None
        blocks = drawing.blocks(
            self.diff,
            Arms(safe_text(arms.before, width=30), safe_text(arms.after, width=30)),
            folded=self.folded,
            side=self.beside,
            turns=(*self.turns[arms.before], *self.turns[arms.after]),
            noise=noise,
            scores=self.scores if self.shown == 0 else (),
        )
        self.main.show(Sheet(blocks), keep=not at_divergence)
        if at_divergence:
            self.call_after_refresh(self._to_divergence)
        self.refresh_bars()

    def _to_divergence(self) -> None:
        if self.diff is None:
            return
        item = self.main.rows.item_of(f"step/{self.diff.first_divergence}")
        if item is not None:
            self.main.bring(item)

    def on_resize(self, event: events.Resize) -> None:
        """Use the width there is."""
        del event
        self._show()

    def title_facts(self) -> list[tuple[str, str]]:
        """Say which case, and what is compared."""
        facts: list[tuple[str, str]] = []
        if self.case is not None:
            turn = "" if self.case.turn_index is None else f" turn {self.case.turn_index + 1}"
            facts.append((f" {safe_text(self.case.conversation_id, width=24)}{turn}", "accent"))
        if self.pairs:
            arms = self.arms
            facts.append(
                (f" {safe_text(arms.before, width=20)} → {safe_text(arms.after, width=20)}", "strong")
            )
        if len(self.cases) > 1 and self.case is not None:
            facts.append((f" {self.cases.index(self.case) + 1}/{len(self.cases)}", "muted"))
        return facts

    def status_facts(self) -> list[tuple[str, str]]:
        """Say why a case ended early, and what the keys would show."""
        facts: list[tuple[str, str]] = []
        if self.case is not None and self.case.status != "complete":
            facts.append((f"{self.case.status}: {safe_text(self.case.why, width=80)}  ", "warn"))
        if self.case is not None and not self.needle:
            said = safe_text(self.case.user_text, width=60)
            facts.append((f"“{said}”" if said else "", "muted"))
        return facts + self.search_facts()

    # Actions.

    def action_pair(self) -> None:
        """Compare two others of the arms."""
        if len(self.pairs) < 2:
            self.say("There is nothing else to compare in this case.")
            return
        self.shown = (self.shown + 1) % len(self.pairs)
        shown, (before, after) = self.shown, self.pairs[self.shown]
        if shown == 0 and self.full is not None:
            self.got_diff((0, self.full.diff))
            return
        one, other = self.turns[before], self.turns[after]
        status = self.case.status if self.case is not None and after == "candidate" else "complete"
        self.ask("diff", lambda _: (shown, compare(one, other, status)))

    def action_fold(self) -> None:
        """Fold or unfold what follows from the first divergence."""
        self.folded = not self.folded
        self._show()

    def action_divergence(self) -> None:
        """Go to the first divergence."""
        self._to_divergence()

    def action_side(self) -> None:
        """Set both behaviours side by side, or one below the other."""
        self.side = not self.beside
        self._show()

    def _other_case(self, step: int) -> None:
        if self.case is None or self.case not in self.cases:
            return
        index = self.cases.index(self.case) + step
        if 0 <= index < len(self.cases):
            self._take(self.cases[index])

    def action_next_case(self) -> None:
        """Go to the next case of the list."""
        self._other_case(1)

    def action_previous_case(self) -> None:
        """Go to the case before."""
        self._other_case(-1)

    @on(LineView.Opened)
    def _open(self) -> None:
        rows = self.main.rows
        assert isinstance(rows, Sheet)
        if rows.key(self.main.cursor) == "folded":
            self.action_fold()
            return
        match self.main.target:
            case Finding(step=int(index)):
                self.folded = False
                self._show()
                self.main.go(rows.item_of(f"step/{index}") or self.main.rows.item_of(f"step/{index}") or 0)
            case StepDiff() as step:
                self._open_step(step)

    def _open_step(self, step: StepDiff) -> None:
        arms = self.arms
        parts: list[str] = []
        for name, one in ((arms.before, step.before), (arms.after, step.after)):
            if one is None:
                continue
            span = next((s for t in self.turns[name] for s in t.spans if s.span_id == one.span_id), None)
            if one.kind == "answer" or span is None:
                parts.append(f"{name}\n\n{one.text or as_json(one)}")
            else:
                parts.append(f"{name}\n\n{as_json(span)}")
        self.audit.push_screen(TextScreen("step", "\n\n".join(parts), self.twin(), self.needle))

    def clear_more(self) -> bool:
        """Nothing else to end: escape goes back."""
        return False

    def twin(self) -> str:
        """Give the command that prints this difference."""
        if self.case is not None:
            case = shlex.quote(self.case.case_id)
            return f"auditlog replay diff {shlex.quote(self.run_id)} --case {case}{self.audit.store_option}"
        before, after = self.asked or ("", "")
        return (
            f"auditlog show {shlex.quote(before)}{self.audit.store_option}\n"
            f"auditlog show {shlex.quote(after)}{self.audit.store_option}"
        )
