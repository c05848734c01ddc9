"""Conversations: the first screen."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Input

from auditlog.errors import AuditlogError
from auditlog.filters.language import parse
from auditlog.safe_text import safe_text
from auditlog.values import Conversation, ConversationSummary
from auditlog.wording import many
from tui import reading
from tui.actions import bindings
from tui.bars import Bar, Prompt
from tui.lines import LineView
from tui.reading import Home, Seen
from tui.render import conversations as drawing
from tui.render import formats, transcript
from tui.render.block import Block
from tui.render.conversations import Histogram
from tui.render.line import Line, line
from tui.rows import PagedRows, Sheet
from tui.screens.base import AuditScreen

PREVIEW_AFTER = 0.06
"""Seconds that the cursor rests on a row before its preview is read."""
PREVIEW_LINES = 6
PREVIEW_TURNS = 20


class ConversationsScreen(AuditScreen):
    """Every conversation, newest first, with a filter, a search and a preview."""

    SCREEN = "conversations"
    TITLE_TEXT = "Conversations"
    BINDINGS = bindings("conversations")

    def __init__(self) -> None:
        super().__init__()
        self.where = ""
        self.marked: dict[str, None] = {}
        self.reading = True
        self.total: int | None = None
        self.everything: int | None = None
        self.histogram: Histogram | None = None
        self.side = True
        self.rows: PagedRows[ConversationSummary] = PagedRows(0, self._draw_row)
        self._previewed: str | None = None
        self._seen: set[str] = set()
        """Conversations whose preview is recorded as seen: once each."""
        self._preview_timer: Timer | None = None

    def body(self) -> ComposeResult:
        """Put the histogram above the list, and the preview beside it."""
        yield Bar(id="histogram", lines=2)
        with Horizontal():
            with Vertical(id="left"):
                yield Bar(id="heading")
                yield LineView(id="main", empty="Reading…")
            yield LineView(id="preview", pointing=False)

    def begin(self) -> None:
        """Read the list."""
        self.main = self.query_one("#main", LineView)
        self.preview = self.query_one("#preview", LineView)
        self.query_one("#heading", Bar).show(lambda width: [line(" ", *drawing.heading(width - 2).pieces)])
        self.query_one("#histogram", Bar).show(
            lambda width: [line(" ", *made.pieces) for made in drawing.histogram(self.histogram, width - 1)]
        )
        self._read(keep=False)

    def _read(self, *, keep: bool, anew: bool = False) -> None:
        self.reading = True
        self._keep = keep
        where = self.where
        work = reading.refreshed if anew else reading.home
        self.ask(
            "home",
            lambda store: work(store, where),
            key="list",
            seen=lambda home: Seen("list", where or None, rows=home.total),
        )
        self.refresh_bars()

    def got_home(self, home: Home) -> None:
        """Show the list's beginning."""
        self.reading = False
        self.total = home.total
        if not self.where:
            self.everything = home.total
        self.main.show_empty(self._emptiness())
        self.rows = PagedRows(home.total, self._draw_row, lambda summary: summary.conversation_id)
        self.rows.put(0, home.first_page)
        self.main.show(self.rows, keep=self._keep)
        # What takes a look at every row comes after the rows are seen.
        where = self.where
        self.ask("histogram", lambda store: reading.histogram(store, where))
        self.ask("standing", reading.standing)
        self.refresh_bars()

    def _emptiness(self) -> str:
        if self.where:
            return "0 matches. esc clears the filter, f changes it."
        return "Nothing is recorded here yet. `auditlog demo` makes a store with sample traffic to look at."

    def got_histogram(self, histogram: Histogram | None) -> None:
        """Show volume and failures."""
        self.histogram = histogram
        self.query_one("#histogram", Bar).refresh()

    @on(LineView.Missing, "#main")
    def _read_pages(self, event: LineView.Missing) -> None:
        where, first, last = self.where, event.first, event.last
        self.ask("pages", lambda store: (where, *reading.pages(store, where, first, last)), key="list")

    def got_pages(self, answer: tuple[str, int, list[ConversationSummary]]) -> None:
        """Fill in rows that were missing."""
        where, first, values = answer
        if where == self.where:
            self.rows.put(first, values)
            self.main.arrived()
            self._preview_later()

    def failed(self, topic: str, error: str) -> None:
        """Say what went wrong; the list stays as it was."""
        self.reading = False
        if topic == "home":
            self.main.show_empty("✗ The list could not be read.", "error")
        super().failed(topic, error)

    # Preview.

    @on(LineView.Moved, "#main")
    def _moved(self) -> None:
        self.query_one("#status", Bar).refresh()
        self._preview_later()

    def _preview_later(self) -> None:
        if self._preview_timer is not None:
            self._preview_timer.stop()
        self._preview_timer = self.set_timer(PREVIEW_AFTER, self._preview_now)

    def _preview_now(self) -> None:
        chosen = self.chosen
        if chosen is None or not self.preview.display or chosen.conversation_id == self._previewed:
            return
        conversation_id = self._previewed = chosen.conversation_id
        seen = None if conversation_id in self._seen else Seen("preview", ids=(conversation_id,))
        self._seen.add(conversation_id)
        self.ask("preview", lambda store: store.conversation(conversation_id), seen=lambda _: seen)

    def got_preview(self, conversation: Conversation) -> None:
        """Show a conversation beside the list: the beginning of a long one."""
        shown = replace(conversation, turns=conversation.turns[:PREVIEW_TURNS])
        blocks = transcript.blocks(shown, message_lines=PREVIEW_LINES)
        if (left := len(conversation.turns) - PREVIEW_TURNS) > 0:
            blocks.append(Block("more", lambda _: [line((f"… {many(left, 'more turn')}", "muted"))]))
        self.preview.show(Sheet(blocks))

    @property
    def chosen(self) -> ConversationSummary | None:
        """The conversation under the cursor, once it has been read."""
        return self.rows.value(self.main.cursor) if self.rows.items else None

    def on_resize(self, event: events.Resize) -> None:
        """Show the preview where there is room for it."""
        self._set_preview(event.size.width)

    def _set_preview(self, width: int) -> None:
        self.query_one("#preview").display = self.side and width >= self.WIDE
        self._previewed = None
        self._preview_later()

    def action_side(self) -> None:
        """Show or hide the preview."""
        self.side = not self.side
        if self.side and self.size.width < self.WIDE:
            self.say(f"The preview needs {self.WIDE} columns; this window has {self.size.width}.")
        self._set_preview(self.size.width)

    # Drawing.

    def _draw_row(self, summary: ConversationSummary | None, width: int) -> Line:
        fits = drawing.fit(width)
        if summary is None:
            return drawing.waiting(fits)
        return drawing.row(summary, fits, marked=summary.conversation_id in self.marked)

    def title_facts(self) -> list[tuple[str, str]]:
        """Say how many there are."""
        if self.total is None:
            return [(" reading…", "muted")]
        return (
            [(f" {self.total:,}", "strong")]
            if not self.where
            else [(f" {self.total:,} of {self._of()}", "strong")]
        )

    def _of(self) -> str:
        return formats.UNKNOWN if self.everything is None else f"{self.everything:,}"

    def status_facts(self) -> list[tuple[str, str]]:
        """Say what is filtered, searched and marked."""
        facts: list[tuple[str, str]] = []
        if self.where:
            facts.append(("filter ", "muted"))
            facts.append((safe_text(self.where, width=60), "accent"))
            if self.reading:
                facts.append((" · filtering…", "warn"))
            else:
                facts.append((f" · {many(self.total or 0, 'match', 'matches')} · esc clears  ", "muted"))
        elif self.reading:
            facts.append(("reading… ", "muted"))
        if self.marked:
            facts.append((f"● {len(self.marked)} marked · d compares two · R replays  ", "accent"))
        return facts + self.search_facts()

    def place_facts(self) -> list[tuple[str, str]]:
        """Name the conversation under the cursor, and its place in the list."""
        chosen = self.chosen
        if chosen is None:
            return []
        return [
            (safe_text(chosen.conversation_id, width=40), "accent"),
            (f" {self.main.cursor + 1:,}/{self.rows.items:,}", "muted"),
        ]

    # Actions.

    @on(LineView.Opened, "#main")
    def _open(self) -> None:
        if (chosen := self.chosen) is not None:
            self.audit.open_conversation(chosen.conversation_id, self.needle)

    @on(LineView.Opened, "#preview")
    def _open_previewed(self) -> None:
        self._open()

    def action_mark(self) -> None:
        """Mark the conversation, or take its mark away, and go to the next."""
        if (chosen := self.chosen) is not None:
            if chosen.conversation_id in self.marked:
                del self.marked[chosen.conversation_id]
            else:
                self.marked[chosen.conversation_id] = None
            self.main.action_down()
            self.main.refresh()
            self.refresh_bars()

    def action_diff(self) -> None:
        """Compare the two marked conversations."""
        if len(self.marked) != 2:
            self.say(f"Mark two conversations with space to compare them; {len(self.marked)} marked.")
            return
        before, after = self.marked
        self.audit.open_pair(before, after)

    def action_runs(self) -> None:
        """List the replay runs."""
        self.audit.open_runs()

    def action_replay(self) -> None:
        """Show the command that replays the marked conversations, or the one under the cursor."""
        from tui.screens.notes import Note

        ids = list(self.marked) or ([self.chosen.conversation_id] if self.chosen else [])
        if not ids:
            self.say("There is nothing to replay here.")
            return
        self.app.push_screen(Note("Replay them against a new version", self.audit.replay_command(ids)))

    def action_refresh(self) -> None:
        """Read what was recorded since; whether a damaged file was put back, the next one that reads it tells."""
        self.audit.damaged = False
        self._previewed = None
        self._read(keep=True, anew=True)

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.ask_for(
            "filter", self.where, "status:error tool:issue_refund cost>0.05 'double charge'; enter applies"
        )

    @on(Input.Changed)
    def _check_filter(self, event: Input.Changed) -> None:
        if self.query_one(Prompt).purpose == "filter":
            self.say(self._mistake(event.value))

    @staticmethod
    def _mistake(where: str) -> str:
        try:
            parse(where)
        except AuditlogError as error:
            return safe_text(str(error))
        return ""

    def prompted(self, purpose: str, value: str) -> None:
        """Filter the list; a filter that does not parse stays in the prompt."""
        if purpose != "filter":
            return
        if mistake := self._mistake(value):
            self.say(mistake)
            return
        self.close_prompt()
        self._filter(value.strip())

    def _filter(self, where: str) -> None:
        if where != self.where:
            self.where = where
            self._read(keep=False)

    def clear_more(self) -> bool:
        """Clear the filter, then the marks; escape never quits."""
        if self.where:
            self._filter("")
        elif self.marked:
            self.marked.clear()
            self.main.refresh()
        return True

    def search(self, needle: str) -> None:
        """Highlight a term, and go to the first conversation that holds it anywhere."""
        for view in self.query(LineView):
            view.search(needle)
        if needle:
            self._seek(needle, 1, here=True)

    def _go(self, step: int) -> None:
        if self.view is self.preview:
            super()._go(step)
        else:
            self._seek(self.needle, step)

    def _seek(self, needle: str, step: int, *, here: bool = False) -> None:
        """Ask the store for the next conversation whose content holds a term."""
        if self.view is self.preview:
            self.preview.find(step, here=here)
            return
        after = None if self.chosen is None else self.chosen.conversation_id
        if (
            here
            and self.rows.items
            and self.main.pattern
            and self.rows.holds(self.main.cursor, self.main.pattern)
        ):
            return
        self.ask(
            "found",
            partial(reading.find, where=self.where, needle=needle, after=after, step=step),
            # Going on to the next place is the same search.
            seen=(lambda place: Seen("find", needle, rows=int(place is not None))) if here else None,
        )

    def got_found(self, place: int | None) -> None:
        """Go to the conversation that was found."""
        if place is None:
            self.nowhere(self.needle)
        else:
            self.main.go(place)

    def twin(self) -> str:
        """Give the command that prints this list."""
        where = f" --where {shlex.quote(self.where)}" if self.where else ""
        return f"auditlog ls{self.audit.store_option}{where}"

    def selected_text(self) -> str:
        """Copy the conversation's id and what the row says."""
        if self.view is self.preview or self.chosen is None:
            return super().selected_text()
        return self.chosen.conversation_id
