"""The application: one store, one reader, a stack of screens.

The rules:

1. Whatever a widget paints passes the guard of `tui.theme` on its way out.
2. Screens are opened here, so that one place knows the ways between them.
3. Every title says how the ledger stands: up to which entry its signature and its tree are in order, whether a checkpoint
   was ever anchored outside of the store, or that it is INVALID. What a glance cannot tell, `auditlog verify` does.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Event, Key
from textual.filter import LineFilter
from textual.screen import Screen

from auditlog.safe_text import safe_text
from auditlog.values import utc
from tui import clipboard
from tui.palette import ActionProvider
from tui.reader import Reader
from tui.reading import Standing
from tui.screens.base import AuditScreen
from tui.screens.conversation import ConversationScreen
from tui.screens.conversations import ConversationsScreen
from tui.theme import Colorless, Guard, Look

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.results.report import Report


ROOMY = 80
"""Columns from which on the title says when the ledger was signed."""


class AuditApp(App[None]):
    """The terminal UI on one store."""

    TITLE = "auditlog"
    COMMANDS: ClassVar[set[Any]] = {ActionProvider}
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "quit", "Quit", show=False, priority=True, id="app.quit"),
    ]
    CSS = """
    Screen { layers: base; }
    #title, #keys { background: $panel; }
    #foot { height: auto; }
    #foot.-asking { height: 1; }
    #foot.-asking #status { width: 10; }
    #left { width: 1fr; }
    #preview { width: 42%; border-left: solid $panel; }
    #turns { width: 20%; min-width: 26; max-width: 44; border-right: solid $panel; }
    #centre { width: 1fr; }
    #timeline { height: 6; border-top: solid $panel; }
    #body { layout: horizontal; width: 1fr; }
    #evidence { width: 38%; max-width: 64; border-left: solid $panel; }
    .-narrow #body { layout: vertical; }
    .-narrow #evidence { width: 100%; max-width: 100%; height: 45%; border-left: none; border-top: solid $panel; }
    """

    def __init__(
        self,
        opened: Callable[[], Store],
        store_path: str,
        *,
        run_id: str | None = None,
        conversation: str | None = None,
        keymap: dict[str, str] | None = None,
        reveal_key: Path | None = None,
        reveal_minutes: float = 5,
    ) -> None:
        """Prepare the application.

        Args:
            opened: opens the store; called on the reader's thread.
            store_path: how the user wrote the store's path.
            run_id: a replay run to open at once.
            conversation: a conversation to open at once.
            keymap: a user's keys by action id, checked.
            reveal_key: the file of the private key that reveals.
            reveal_minutes: how long what was revealed is shown.
        """
        super().__init__()
        self.reader = Reader(opened)
        self.store_path = store_path
        self.keymap = keymap or {}
        self.reveal_key = reveal_key
        self.reveal_minutes = reveal_minutes
        self.last_search = ""
        self.reports: dict[str, Report] = {}
        """Complete runs that have been read: opening one again takes no time."""
        self._first_run = run_id
        self._first_conversation = conversation
        self._standing: Standing | None = None
        self.damaged = False
        """Whether a file was not what was sealed, when it was last read."""
        self.unrecorded = False
        """Whether something was shown that could not be recorded as an access."""
        self._guards: list[LineFilter] = [Colorless(), Guard()] if self.no_color else [Guard()]
        self.look = Look(self.theme_variables, no_color=self.no_color)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Clean whatever is painted; without colours where NO_COLOR says so."""
        if self.no_color:
            return self._guards
        return [*super().get_line_filters(), *self._guards]

    def on_mount(self) -> None:
        """Open the first screens."""
        self.set_keymap(self.keymap)
        self.theme_changed_signal.subscribe(self, self._restyle)
        self._restyle(None)
        self.push_screen(ConversationsScreen())
        if self._first_run is not None:
            self.open_run(self._first_run)
        elif self._first_conversation is not None:
            self.open_conversation(self._first_conversation)

    async def on_event(self, event: Event) -> None:
        """Let a key end the error that the screen shows, before it does what it does."""
        if isinstance(event, Key) and isinstance(self.screen, AuditScreen):
            self.screen.forget_error()
        await super().on_event(event)

    def on_unmount(self) -> None:
        """Let the reader go."""
        self.reader.close()

    def _restyle(self, _: object) -> None:
        self.look = Look(self.theme_variables, no_color=self.no_color)
        self.refresh()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Offer what Textual itself can do and our screens cannot."""
        yield from (
            command
            for command in super().get_system_commands(screen)
            if command.title in ("Theme", "Screenshot")
        )

    # What titles say.

    def stands(self, standing: Standing) -> None:
        """Keep how the store stands."""
        self._standing = standing

    def integrity(self, width: int) -> str:
        """Say how the ledger stands, in a few words where the window is narrow."""
        found = self._standing
        if self.damaged:
            return "store DAMAGED"
        if found is None:
            return "ledger …"
        if found.wrong is not None:
            return "ledger INVALID"
        if not found.signed:
            return "ledger empty"
        part = "" if found.signed == found.entries else f" of {found.entries:,}"
        anchor = "" if found.anchored else ", unanchored"
        if width < ROOMY:
            return f"ledger ✓ {found.signed:,}{part}{anchor}"
        return f"ledger ✓ to {found.signed:,}{part}, {utc(found.signed_ns):%H:%MZ}{anchor}"

    def standing(self, width: int) -> list[tuple[str, str]]:
        """Give integrity, whether looking is recorded, what is not sealed, and the store; the most important first."""
        wrong = self.damaged or (self._standing is not None and self._standing.wrong is not None)
        facts = [(self.integrity(width), "error" if wrong else "muted")]
        if self.unrecorded:
            facts.append((" · not recorded", "warn"))
        if self._standing is not None:
            facts.append((f" · unsealed {self._standing.unsealed:,}", "muted"))
        return [*facts, (f" · {safe_text(self.store_path, width=40)}", "muted")]

    @property
    def store_option(self) -> str:
        """The option that names the store on a command line."""
        return f" --store {shlex.quote(self.store_path)}"

    def replay_command(self, conversation_ids: Iterable[str]) -> str:
        """Give the command that replays conversations; the agent's import path is the user's to fill in."""
        from auditlog.filters.language import Filter, Match, Pattern

        chosen = Filter((Match("conversation", tuple(Pattern((name,)) for name in conversation_ids)),))
        return (
            f"auditlog replay run --agent MODULE:AGENT{self.store_option} --where {shlex.quote(str(chosen))}"
        )

    # Ways between the screens.

    def open_conversation(self, conversation_id: str, needle: str = "") -> None:
        """Open one conversation."""
        self.push_screen(ConversationScreen(conversation_id, needle))

    def open_pair(self, before: str, after: str) -> None:
        """Compare two conversations."""
        from tui.screens.diff import DiffScreen

        self.push_screen(DiffScreen.of_conversations(before, after))

    def open_runs(self) -> None:
        """List the replay runs."""
        from tui.screens.runs import RunsScreen

        self.push_screen(RunsScreen())

    def open_run(self, run_id: str) -> None:
        """Open one run's differences."""
        from tui.screens.diff_list import DiffListScreen

        self.push_screen(DiffListScreen(run_id))

    # Telling and copying.

    def inform(self, text: str) -> None:
        """Show a notice for a moment; clean text, never markup."""
        self.notify(text, markup=False, timeout=4)

    def copy_text(self, text: str) -> None:
        """Put clean text on the terminal's clipboard."""
        if len(text.encode()) > clipboard.MOST_BYTES:
            self.inform("Too long for a terminal's clipboard: Y writes it into a file.")
            return
        if self._driver is not None:
            self._driver.write(clipboard.osc52(text, tmux=clipboard.inside_tmux()))
        self.inform("Copied (OSC 52). Where the terminal does not take it, Y writes a file.")
