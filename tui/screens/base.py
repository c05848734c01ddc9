"""What every screen has: a title, lists, a status line with the prompt, the keys; and what works everywhere.

The rules:

1. A screen asks the reader and shows what it is told; between the two it says that it is reading.
2. The status line tells what is searched and filtered, and an error stays there until the next action.
3. Each screen can say the command that prints the same (`twin`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen

from auditlog.errors import AuditlogError
from auditlog.safe_text import safe_text
from tui import actions, clipboard, reading
from tui.bars import Bar, Prompt, key_bar
from tui.lines import LineView
from tui.reader import Answer
from tui.reading import Seen, Standing, record
from tui.render.line import Line, Piece, fitted, line, spread, wrapped

if TYPE_CHECKING:
    from auditlog.store import Store
    from tui.app import AuditApp


class AuditScreen(Screen[None]):
    """One of the screens."""

    SCREEN: ClassVar[str] = ""
    """Its name in the registry of actions."""
    TITLE_TEXT: ClassVar[str] = ""
    WIDE: ClassVar[int] = 120
    """From so many columns on, panes stand side by side."""
    AUTO_FOCUS = "LineView"

    def __init__(self) -> None:
        super().__init__()
        self.needle = ""
        self.error = ""
        self._had_error = False
        self._before_prompt: LineView | None = None
        self._asking = ""

    # Parts.

    def compose(self) -> ComposeResult:
        """Put the bars around the body."""
        yield Bar(id="title")
        yield from self.body()
        with Horizontal(id="foot"):
            yield Bar(id="status", most=4)
            yield Prompt()
        yield Bar(id="keys", most=4)

    def body(self) -> ComposeResult:
        """Give what stands between the bars."""
        yield LineView(id="main")

    def on_mount(self) -> None:
        """Show the bars, and begin to read."""
        self.query_one("#title", Bar).show(self.draw_title)
        self.query_one("#status", Bar).show(self.draw_status)
        self._keys = key_bar(self.SCREEN, self.audit.keymap)
        self.query_one("#keys", Bar).show(self.draw_keys)
        self.begin()
        self.ask("standing", reading.standing)

    def begin(self) -> None:
        """Ask for what the screen shows."""

    @property
    def audit(self) -> AuditApp:
        """The application."""
        return cast("AuditApp", self.app)

    @property
    def view(self) -> LineView:
        """The list that the keys act on: the focused one, else the first."""
        return (
            self.focused
            if isinstance(self.focused, LineView)
            else self._before_prompt or self.query(LineView).first()
        )

    # Reading.

    def ask(
        self,
        topic: str,
        work: Callable[[Store], Any],
        *,
        key: str | None = None,
        seen: Callable[[Any], Seen | None] | None = None,
    ) -> None:
        """Ask the reader; `got_<topic>` is called with the answer.

        Args:
            topic: the question's name.
            work: what to do with the store, on the reader's thread.
            key: what a newer question replaces; the topic where it is None.
            seen: tells of the answer what is about to be shown: it is written to the ledger before the answer comes.
        """
        self.audit.reader.ask(self, topic, work if seen is None else self._recorded(work, seen), key=key)

    def _recorded(
        self, work: Callable[[Store], Any], seen: Callable[[Any], Seen | None]
    ) -> Callable[[Store], Any]:
        def look(store: Store) -> Any:
            value = work(store)
            told = seen(value)
            if told is not None and (said := record(store, told)) is not None:
                self.post_message(Answer("unrecorded", said, None))
            return value

        return look

    def got_unrecorded(self, said: str) -> None:
        """Say that somebody looks who cannot be recorded: at first in full, and in the title from then on."""
        if not self.audit.unrecorded:
            self.audit.unrecorded = True
            self.say(safe_text(said))

    def got_standing(self, found: Standing) -> None:
        """Tell the title how the store stands."""
        self.audit.stands(found)
        if found.wrong and not self.error:
            self.say(
                safe_text(
                    f"The ledger is INVALID: {found.wrong}. `auditlog verify` names every file at fault."
                )
            )
        self.refresh_bars()

    @on(Answer)
    def on_answer(self, answer: Answer) -> None:
        """Show an answer, or say what went wrong."""
        if answer.error is not None:
            self.audit.damaged |= answer.damage
            self.failed(answer.topic, answer.error)
        else:
            getattr(self, f"got_{answer.topic}")(answer.value)

    def failed(self, topic: str, error: str) -> None:
        """Say what went wrong."""
        del topic
        self.say(error)

    def say(self, error: str) -> None:
        """Show a sentence in the status line."""
        self.error = error
        self.refresh_bars()

    def forget_error(self) -> None:
        """Take the error away at the next key; while one types, the next letter decides."""
        self._had_error = bool(self.error)
        if self.error and not self._asking:
            self.say("")

    def refresh_bars(self) -> None:
        """Draw the title and the status anew."""
        for bar in self.query(Bar):
            bar.redraw()

    # Bars.

    def draw_title(self, width: int) -> list[Line]:
        """Write the screen's name and what it shows on the left, and the store on the right."""
        left = line(
            (" auditlog ", "title"), ("› ", "muted"), (self.TITLE_TEXT, "strong"), *self.title_facts()
        )
        # Integrity is never what gives way to a long name.
        return [
            spread(
                fitted(left, width - len(self.audit.integrity(width)) - 2),
                line(*self.audit.standing(width), " "),
                width,
            )
        ]

    def title_facts(self) -> list[tuple[str, str]]:
        """Give what the title says beyond the screen's name; clean text."""
        return []

    def draw_status(self, width: int) -> list[Line]:
        """Write an error, or what is searched."""
        if self._asking:
            return [line((f" {self._asking} ", "key"))]
        if self.error:
            return wrapped(self.error, width, "error", first=Piece(" ✗", "error"), indent=3)
        return [spread(line(" ", *self.status_facts()), line(*self.place_facts(), " "), width)]

    def place_facts(self) -> list[tuple[str, str]]:
        """Give what the status line says on the right: where the cursor is; clean text."""
        return []

    def draw_keys(self, width: int) -> list[Line]:
        """Write the keys; while one types, what is wrong with it."""
        if self._asking and self.error:
            return wrapped(self.error, width, "error", first=Piece(" ✗", "error"), indent=3)
        return self._keys(width)

    def status_facts(self) -> list[tuple[str, str]]:
        """Give what the status line says; clean text."""
        return self.search_facts()

    def search_facts(self) -> list[tuple[str, str]]:
        """Say what is searched."""
        if not self.needle:
            return []
        return [
            ("search ", "muted"),
            (safe_text(self.needle, width=40), "match"),
            ("  n next · N previous · esc ends", "muted"),
        ]

    # Prompt.

    def ask_for(self, purpose: str, value: str, placeholder: str) -> None:
        """Open the prompt."""
        self.error = ""
        self._before_prompt = self.view
        self._asking = purpose
        self.query_one("#foot").add_class("-asking")
        self.query_one(Prompt).open(purpose, value, placeholder)
        self.refresh_bars()

    def close_prompt(self) -> None:
        """Put the prompt away and go back to the list."""
        self.error = self._asking = ""
        self.query_one(Prompt).close()
        self.query_one("#foot").remove_class("-asking")
        if self._before_prompt is not None:
            self.set_focus(self._before_prompt)
        self.refresh_bars()

    def answer_prompt(self, purpose: str, value: str) -> None:
        """Do what was typed."""
        if purpose == "command":
            self.close_prompt()
            self._run_named(value)
        elif purpose == "search":
            self.close_prompt()
            self.audit.last_search = self.needle = value
            self.search(value)
            self.refresh_bars()
        elif purpose:
            self.prompted(purpose, value)

    def prompted(self, purpose: str, value: str) -> None:
        """Do what was typed into a prompt of the screen's own; it closes the prompt."""

    def _run_named(self, name: str) -> None:
        try:
            found = actions.find(name, self.SCREEN)
        except AuditlogError as error:
            self.say(safe_text(str(error)))
            return
        self.perform(found)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the letters to the prompt while one types."""
        del action, parameters
        return not isinstance(self.focused, Prompt)

    def perform(self, action: actions.Action) -> None:
        """Do an action of the registry, on the screen or on its list."""
        owner = self.view if actions.LISTING in action.screens else self
        getattr(owner, f"action_{action.method}")()

    # What works everywhere.

    def search(self, needle: str) -> None:
        """Highlight a term, and go to the first place that holds it."""
        for view in self.query(LineView):
            view.search(needle)
        if needle and not self.view.find(1, here=True):
            self.nowhere(needle)

    def nowhere(self, needle: str) -> None:
        """Say that a term is nowhere."""
        self.say(f"Nothing here holds {safe_text(needle, width=40)!r}.")

    def action_search(self) -> None:
        """Ask what to search."""
        self.ask_for("search", self.audit.last_search, "search this view, enter finds")

    def action_next(self) -> None:
        """Go to the next place that holds the term."""
        self._find(1)

    def action_previous(self) -> None:
        """Go to the place before."""
        self._find(-1)

    def _find(self, step: int) -> None:
        self.error = ""
        if not self.needle and self.audit.last_search:
            self.needle = self.audit.last_search
            for view in self.query(LineView):
                view.search(self.needle)
        if not self.needle:
            self.say("Nothing is searched: / asks what to find.")
        else:
            self._go(step)
        self.refresh_bars()

    def _go(self, step: int) -> None:
        if not self.view.find(step):
            self.nowhere(self.needle)

    def action_clear(self) -> None:
        """End the search, else go back."""
        if self._had_error:
            # The key has taken it away already.
            pass
        elif self.needle:
            self.needle = ""
            for view in self.query(LineView):
                view.search("")
        elif not self.clear_more():
            self.action_back()
            return
        self.refresh_bars()

    def clear_more(self) -> bool:
        """End what else can be ended, such as a filter; say whether there was something."""
        return True

    def action_back(self) -> None:
        """Go back, or quit from the first screen."""
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()

    def action_left(self) -> None:
        """Go to the pane on the left."""
        self._pane(-1)

    def action_right(self) -> None:
        """Go to the pane on the right."""
        self._pane(1)

    def _pane(self, step: int) -> None:
        panes = [view for view in self.query(LineView) if view.display and view.region.width]
        if self.view in panes:
            panes[max(0, min(len(panes) - 1, panes.index(self.view) + step))].focus()

    def action_command(self) -> None:
        """Ask for an action's name."""
        self.ask_for("command", "", "an action, such as filter, diff, runs, copy; ? lists them")

    def action_keys(self) -> None:
        """Show every key."""
        from tui.screens.notes import keys_screen

        self.app.push_screen(keys_screen(self.SCREEN, self.audit.keymap))

    def action_twin(self) -> None:
        """Show the command that prints this view."""
        from tui.screens.notes import Note

        self.app.push_screen(Note("The same on the command line", self.twin()))

    def twin(self) -> str:
        """Give the command that prints this view."""
        return "auditlog ls"

    def selected_text(self) -> str:
        """Give what `y` copies: the text under the cursor."""
        view = self.view
        if not view.rows.items:
            return ""
        first, end = view.rows.extent(view.cursor)
        return "\n".join(view.rows.line(y).text for y in range(first, end))

    def action_copy(self) -> None:
        """Copy what the cursor is on."""
        text = clipboard.clean(self.selected_text())
        self.audit.copy_text(text)

    def action_write(self) -> None:
        """Write what the cursor is on into a file."""
        text = clipboard.clean(self.selected_text())
        self.write_file("auditlog-copy", ".txt", text + "\n")

    def write_file(self, stem: str, suffix: str, text: str) -> None:
        """Write a new file where the command was started, and say so."""
        try:
            path = clipboard.write_new(Path.cwd(), stem, suffix, text)
        except OSError as error:
            self.say(safe_text(f"The file was not written: {error}."))
            return
        self.audit.inform(f"Written to {safe_text(str(path))}")

    def action_side(self) -> None:
        """Show or hide the pane at the side."""

    def on_screen_resume(self) -> None:
        """Draw the bars of a screen that is seen again."""
        with contextlib.suppress(LookupError):
            self.refresh_bars()
