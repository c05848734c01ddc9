"""Small windows over a screen: every key, and the command that prints a view."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from auditlog.safe_text import pad
from tui.actions import Action, of_screen, written
from tui.bars import Bar
from tui.lines import LineView
from tui.render.block import Block
from tui.render.line import Line, Piece, line, wrapped
from tui.rows import LongText, Rows, Sheet

if TYPE_CHECKING:
    from tui.app import AuditApp


KEYS_CELLS = 16


class Note(ModalScreen[None]):
    """A text that can be copied."""

    DEFAULT_CSS = """
    Note { align: center middle; }
    Note > Vertical { width: 90%; max-width: 100; height: auto; max-height: 90%; border: round $primary; padding: 0 1; }
    Note LineView { height: auto; max-height: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c,?,enter", "dismiss_note", priority=True),
        Binding("y", "copy"),
        Binding("Y", "write"),
    ]

    def __init__(self, title: str, text: str, rows: Rows | None = None) -> None:
        """Show a text; `rows` is how it looks, where it is more than a text."""
        super().__init__()
        self._title_line = line((title, "strong"))
        self._text = text
        self._rows = rows or LongText(text)

    def compose(self) -> ComposeResult:
        """Lay the window out."""
        with Vertical():
            yield Bar(id="note-title")
            yield LineView(self._rows, id="note")
            yield Bar(id="note-keys")

    def on_mount(self) -> None:
        """Fill it."""
        self.query_one("#note-title", Bar).show(self._title_line)
        self.query_one("#note-keys", Bar).show(
            line(("y", "key"), (" copy  ", "muted"), ("esc", "key"), (" close", "muted"))
        )
        self.call_after_refresh(self._fit)

    def on_resize(self) -> None:
        """Fit the window to its text."""
        self.call_after_refresh(self._fit)

    def _fit(self) -> None:
        view = self.query_one(LineView)
        view.rows.layout(view.room)
        view.styles.height = max(1, min(view.rows.height, self.size.height - 8))
        view.show(view.rows, keep=True)

    def action_dismiss_note(self) -> None:
        """Close it."""
        self.dismiss()

    def action_copy(self) -> None:
        """Copy the text."""
        cast("AuditApp", self.app).copy_text(self._text)
        self.dismiss()


def _key_block(action: Action, keymap: dict[str, str]) -> Block:
    """Say what a key does, whole however narrow the window is, and behind it its command and its name."""
    keys = " ".join(written(key) for key in keymap.get(action.id, action.keys).split(","))
    names = f"{action.cli}  {action.id}" if action.cli else action.id

    def draw(width: int) -> list[Line]:
        indent = min(KEYS_CELLS, width // 4)
        lines = wrapped(action.help, width, indent=indent, first=Piece(pad(keys, indent), "key"))
        longer = Line((*lines[-1].pieces, *line((f"  {names}", "muted")).pieces))
        return (
            [*lines[:-1], longer]
            if longer.width <= width
            else [*lines, *wrapped(names, width, "muted", indent=indent)]
        )

    return Block(action.id, draw, f"{keys} {action.help} {names}")


def keys_screen(screen: str, keymap: dict[str, str]) -> Note:
    """Give the window that lists a screen's keys."""
    listed = of_screen(screen)
    text = "\n".join(f"{keymap.get(a.id, a.keys)}\t{a.help}\t{a.id}" for a in listed)
    return Note(
        f"Keys of {screen} (remap them by id in tui.toml)",
        text,
        Sheet([_key_block(action, keymap) for action in listed]),
    )
