"""Conversation: the turns, what was said and called, and the evidence behind it."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical

from auditlog.safe_text import safe_text
from auditlog.values import Conversation, Span, Turn
from auditlog.wording import many
from tui import reading
from tui.actions import bindings
from tui.lines import LineView
from tui.promoting import PromotingScreen
from tui.reading import Seen
from tui.render import evidence, transcript, waterfall
from tui.render.block import Block
from tui.render.transcript import Whole
from tui.rows import Sheet
from tui.screens.text import TextScreen

if TYPE_CHECKING:
    from auditlog.store.reveal import Revealed

TURNS_FROM = 80
"""Columns from which on the turns stand beside the conversation."""


class ConversationScreen(PromotingScreen):
    """One conversation, whole."""

    SCREEN = "conversation"
    TITLE_TEXT = "Conversation"
    BINDINGS = bindings("conversation")
    AUTO_FOCUS = "#main"

    def __init__(self, conversation_id: str, needle: str = "") -> None:
        """Show a conversation.

        Args:
            conversation_id: its id, or an unambiguous beginning.
            needle: what the list was searched for; the cursor goes to the first place that holds it.
        """
        super().__init__()
        self.conversation_id = conversation_id
        self.conversation: Conversation | None = None
        self.needle = needle
        self.revealed_until: datetime | None = None
        """Until when what redaction took out is shown; None where it is not."""
        self._recorded_conversation: Conversation | None = None
        self._proven: dict[str, str] | None = None
        self.side: bool | None = None
        """Whether the evidence is shown; None as long as nobody asked: then the width decides."""
        self._turn_of: dict[str, Turn] = {}
        self._timeline_of: str | None = None
        self._evidence_of: object = None

    def body(self) -> ComposeResult:
        """Put the turns left, the transcript centre, the evidence right, the timeline below."""
        with Horizontal(id="panes"):
            yield LineView(id="turns")
            with Container(id="body"):
                with Vertical(id="centre"):
                    yield LineView(id="main", empty="Reading…")
                    yield LineView(id="timeline", pointing=False)
                yield LineView(id="evidence", pointing=False)

    def begin(self) -> None:
        """Read the conversation."""
        self.main = self.query_one("#main", LineView)
        self.turns = self.query_one("#turns", LineView)
        self.timeline = self.query_one("#timeline", LineView)
        self.evidence = self.query_one("#evidence", LineView)
        self.timeline.display = False
        self._arrange(self.size.width)
        conversation_id = self.conversation_id
        self.ask(
            "conversation",
            lambda store: store.conversation(conversation_id),
            seen=lambda found: Seen(
                "show", ids=(found.conversation_id,), rows=sum(len(turn.spans) for turn in found.turns)
            ),
        )

    def failed(self, topic: str, error: str) -> None:
        """Say why there is nothing to see."""
        self.main.show_empty("✗ Nothing to show; the status line says why.", "error")
        super().failed(topic, error)

    def got_conversation(self, conversation: Conversation) -> None:
        """Show it."""
        self.conversation_id = conversation.conversation_id
        self._recorded_conversation = conversation
        self._show(conversation)
        if self.needle:
            self.main.find(1, here=True)

    def _show(self, conversation: Conversation, *, keep: bool = False) -> None:
        self.conversation = conversation
        self._evidence_of = self._timeline_of = None
        self._turn_of = {span.span_id: turn for turn in conversation.turns for span in turn.spans}
        self.turns.show(Sheet(transcript.turn_list(conversation)), keep=keep)
        self.main.show(Sheet(transcript.blocks(conversation)), keep=keep)
        if self.needle:
            for view in self.query(LineView):
                view.search(self.needle)
        self.refresh_bars()

    # Panes.

    def on_resize(self, event: events.Resize) -> None:
        """Arrange the panes in the new width."""
        self._arrange(event.size.width)

    def _arrange(self, width: int) -> None:
        wide = width >= self.WIDE
        self.query_one("#turns").display = width >= TURNS_FROM
        self.query_one("#evidence").display = wide if self.side is None else self.side
        self.query_one("#panes").set_class(not wide, "-narrow")
        self._evidence_of = None
        self.call_after_refresh(self._show_evidence)

    def action_side(self) -> None:
        """Show or hide the evidence: beside the conversation where there is room, below it where not."""
        self.side = not self.query_one("#evidence").display
        self._arrange(self.size.width)

    def action_waterfall(self) -> None:
        """Show or hide when the turn's calls ran."""
        self.timeline.display = not self.timeline.display
        self._timeline_of = None
        self._show_timeline()
        if not self.timeline.display:
            self.main.focus()

    @on(LineView.Moved, "#main")
    def _moved(self) -> None:
        turn = self.turn
        if turn is not None and not self.turns.has_focus:
            item = self.turns.rows.item_of(turn.turn_id)
            if item is not None:
                self.turns.go(item)
        self._show_evidence()
        self._show_timeline()

    @on(LineView.Moved, "#turns")
    def _turn_chosen(self, event: LineView.Moved) -> None:
        if self.turns.has_focus and isinstance(self.main.rows, Sheet):
            turn = self.turns.target
            if isinstance(turn, Turn) and turn is not self.turn:
                self._go_to_turn(turn)
        event.stop()

    def _go_to_turn(self, turn: Turn) -> None:
        item = self.main.rows.item_of(f"{turn.turn_id}/turn")
        if item is not None:
            self.main.go(self.main.rows.items - 1)
            self.main.go(item)

    def _step_turn(self, step: int) -> None:
        if self.conversation is None or self.turn is None:
            return
        index = self.turn.index + step
        if 0 <= index < len(self.conversation.turns):
            self._go_to_turn(self.conversation.turns[index])

    def action_next_turn(self) -> None:
        """Go to the next turn."""
        self._step_turn(1)

    def action_previous_turn(self) -> None:
        """Go to the turn before."""
        self._step_turn(-1)

    @on(LineView.Moved, "#timeline")
    def _timeline_moved(self) -> None:
        if self.timeline.has_focus:
            self._show_evidence()

    @property
    def turn(self) -> Turn | None:
        """The turn that the cursor is in."""
        key = self.main.rows.key(self.main.cursor) if self.main.rows.items else None
        return self._turn_of.get(key.split("/")[0]) if key else None

    @property
    def recorded_turn(self) -> Turn | None:
        """The turn that the cursor is in, as it was recorded: what a reveal shows is written nowhere."""
        turn, recorded = self.turn, self._recorded_conversation
        if turn is None or recorded is None:
            return None
        return next((one for one in recorded.turns if one.turn_id == turn.turn_id), None)

    @property
    def selected(self) -> object:
        """What the cursor is on: a span, a turn or a message."""
        return self.timeline.target if self.timeline.has_focus and self.timeline.display else self.main.target

    def _show_evidence(self) -> None:
        selected, turn = self.selected, self.turn
        if not self.evidence.display or turn is None or selected is self._evidence_of:
            return
        self._evidence_of = selected
        proven = self._proven
        block = Block("evidence", lambda width: evidence.of_target(selected, turn, width, proven))
        self.evidence.show(Sheet([block]))

    def _show_timeline(self) -> None:
        turn = self.turn
        if not self.timeline.display or turn is None or turn.turn_id == self._timeline_of:
            return
        self._timeline_of = turn.turn_id
        self.timeline.styles.height = min(len(turn.spans), max(3, self.size.height // 3)) + 1
        self.timeline.show(Sheet(waterfall.blocks(turn)))

    # Bars.

    def title_facts(self) -> list[tuple[str, str]]:
        """Say which conversation, and how it stands."""
        facts = [(f" {safe_text(self.conversation_id, width=40)}", "accent")]
        if self.conversation is not None:
            facts.append((f" {many(len(self.conversation.turns), 'turn')}", "muted"))
        if self.revealed_until is not None:
            facts.append((f" REVEALED until {self.revealed_until:%H:%M:%S}", "error"))
        return facts

    # Actions.

    @on(LineView.Opened, "#main")
    @on(LineView.Opened, "#timeline")
    @on(LineView.Opened, "#evidence")
    def _open(self) -> None:
        match self.selected:
            case Span() as span:
                self.audit.push_screen(TextScreen.of_span(span))
            case Turn() as turn:
                self.audit.push_screen(TextScreen.of_span(turn.agent))
            case Whole() as whole:
                self.audit.push_screen(
                    TextScreen(f"what the {whole.role} said", whole.text, self.twin(), self.needle)
                )

    @on(LineView.Opened, "#turns")
    def _open_turn(self) -> None:
        if isinstance(turn := self.turns.target, Turn):
            self._go_to_turn(turn)
            self.main.focus()

    def action_replay(self) -> None:
        """Show the command that replays this conversation."""
        from tui.screens.notes import Note

        self.audit.push_screen(
            Note("Replay it against a new version", self.audit.replay_command([self.conversation_id]))
        )

    def action_prove(self) -> None:
        """Prove the conversation against the signed ledger."""
        conversation_id = self.conversation_id
        self.ask(
            "proof",
            lambda store: reading.proven(store, conversation_id),
            seen=lambda found: Seen("prove", ids=(conversation_id,), rows=len(found)),
        )

    def got_proof(self, proven: dict[str, str]) -> None:
        """Tell of each call whether it is proven."""
        self._proven, self._evidence_of = proven, None
        self._show_evidence()
        wrong = next((told for told in proven.values() if told.startswith("INVALID")), None)
        if wrong is not None:
            self.say(safe_text(wrong))
        else:
            self.audit.inform(f"{many(len(proven), 'call')} proven against the signed ledger.")
        self.ask("standing", reading.standing)

    def action_reveal(self) -> None:
        """Ask for what reason to show what redaction took out; hide it where it is shown."""
        if self.revealed_until is not None:
            self._hide()
        elif self.audit.reveal_key is None:
            self.say(
                "A reveal needs the private key: start with --reveal-key FILE, or set AUDITLOG_REVEAL_KEY."
            )
        else:
            self.ask_for("reveal", "", "why? it is written to the ledger before anything is shown")

    def prompted(self, purpose: str, value: str) -> None:
        """Reveal, or put the turn into the regression set, for the reason that was typed."""
        if purpose != "reveal":
            super().prompted(purpose, value)
            return
        self.close_prompt()
        key, conversation_id = self.audit.reveal_key, self.conversation_id
        if key is not None:
            self.ask("reveal", lambda store: reading.revealed(store, conversation_id, key, value))

    def got_reveal(self, found: Revealed) -> None:
        """Show what was taken out, for some minutes."""
        if not found.values:
            self.audit.inform("Nothing was taken out of this conversation and kept.")
            return
        minutes = self.audit.reveal_minutes
        self.revealed_until = datetime.now().astimezone() + timedelta(minutes=minutes)
        self._hiding = self.set_timer(minutes * 60, self._hide)
        self._show(found.conversation, keep=True)
        self.ask("standing", reading.standing)

    def _hide(self) -> None:
        """Show the conversation as it was recorded again, and nothing above it that shows more."""
        self._hiding.stop()
        self.revealed_until = None
        while self in self.app.screen_stack and self.app.screen is not self:
            self.app.pop_screen()
        if self._recorded_conversation is not None:
            self._show(self._recorded_conversation, keep=True)

    def clear_more(self) -> bool:
        """Nothing else to end: escape goes back."""
        return False

    def twin(self) -> str:
        """Give the command that prints this conversation."""
        if self.revealed_until is not None:
            name = shlex.quote(self.conversation_id)
            return f"auditlog reveal {name} --reason TEXT --key FILE{self.audit.store_option}"
        return f"auditlog show {shlex.quote(self.conversation_id)}{self.audit.store_option}"

    def selected_text(self) -> str:
        """Copy a message whole; of anything else, what the screen shows."""
        match self.selected:
            case Whole() as whole if self.view is self.main:
                return whole.text
            case _:
                return super().selected_text()
