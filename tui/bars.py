"""The bars above and below a list, and the prompt.

The rules:

1. A bar is lines, painted like a list's; a title, a notice or a hint never passes through markup.
2. What is pasted into the prompt is cleaned before it is shown.
3. What is typed right behind the prompt's end belongs to the list, and not to the text that was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from textual import events
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from auditlog.safe_text import safe_text
from tui.actions import LISTING, Action, of_screen, written
from tui.render.line import BLANK, Line, fitted, line

if TYPE_CHECKING:
    from tui.app import AuditApp
    from tui.screens.base import AuditScreen

Drawer = Callable[[int], list[Line]]


class Bar(Widget):
    """A few lines of fixed place."""

    DEFAULT_CSS = """
    Bar { height: 1; width: 1fr; }
    """
    ALLOW_SELECT = False

    def __init__(self, *, id: str, lines: int = 1, most: int = 0) -> None:  # noqa: A002 - Textual's name
        """Make an empty bar.

        Args:
            id: the widget's id.
            lines: its height.
            most: the height that it may grow to when there is more to say.
        """
        super().__init__(id=id)
        self.styles.height = lines
        self._least, self._most = lines, max(lines, most)
        self._draw: Drawer = lambda _: []

    def show(self, draw: Drawer | Line) -> None:
        """Show a line, or what a function draws in a width."""
        self._draw = draw if callable(draw) else lambda _: [draw]
        self.redraw()

    def redraw(self) -> None:
        """Draw what there is to say anew, and grow or shrink to it."""
        if self._most > self._least and self.size.width:
            self.styles.height = max(self._least, min(self._most, len(self._draw(self.size.width))))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint one line."""
        width = self.size.width
        lines = self._draw(width)
        made = fitted(lines[y], width) if y < len(lines) else BLANK
        return cast("AuditApp", self.app).look.strip(made, width, self.rich_style)


def key_bar(screen: str, keymap: dict[str, str]) -> Drawer:
    """Give what draws the keys of a screen, as many as fit."""
    shown = [action for action in of_screen(screen) if action.shown]
    # The list's own keys stand first, what works everywhere last, and help before what falls off the end.
    shown.sort(key=lambda action: (action.id.startswith("everywhere"), LISTING not in action.screens))
    last = [action for action in shown if action.method in ("keys", "back")]
    first = [action for action in shown if action not in last]

    def draw(width: int) -> list[Line]:
        tail = _keys(last, keymap)
        made = line()
        for action in first:
            longer = Line((*made.pieces, *_keys([action], keymap).pieces))
            if longer.width + tail.width > width:
                break
            made = longer
        return [Line((*made.pieces, *tail.pieces))]

    return draw


def _keys(actions: list[Action], keymap: dict[str, str]) -> Line:
    pieces: list[tuple[str, str]] = []
    for action in actions:
        key = keymap.get(action.id, action.keys).split(",")[0]
        pieces += [(f" {written(key)}", "key"), (f" {action.label} ", "muted")]
    return line(*pieces)


class Prompt(Input):
    """The line in which one types a search, a filter or a command."""

    DEFAULT_CSS = """
    Prompt { height: 1; border: none; padding: 0 1; width: 1fr; }
    Prompt:focus { border: none; }
    """

    def __init__(self) -> None:
        super().__init__(id="prompt", compact=True, select_on_focus=False)
        self.purpose = ""
        """`search`, `filter` or `command`."""
        self.display = False

    def open(self, purpose: str, value: str, placeholder: str) -> None:
        """Begin to ask."""
        self.purpose = purpose
        self.placeholder = placeholder
        self.value = value
        self.cursor_position = len(value)
        # At once, and not with the next message: what is typed right behind the key belongs here.
        self.display = True
        self.screen.set_focus(self)
        if purpose == "search":
            # What was searched last is there to be used again, or to be typed over.
            self.select_all()

    def close(self) -> None:
        """Put it away."""
        self.display = False
        self.purpose = ""

    async def _on_key(self, event: events.Key) -> None:
        """Take a key; enter and escape end the asking before the next key is looked at (rule 3)."""
        if self.display and event.key not in ("enter", "escape"):
            return
        event.stop()
        event.prevent_default()
        if not self.display:
            self.app.post_message(events.Key(event.key, event.character))
        elif event.key == "enter":
            cast("AuditScreen", self.screen).answer_prompt(self.purpose, self.value)
        else:
            cast("AuditScreen", self.screen).close_prompt()

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor(safe_text(event.text.strip("\r\n"), width=400))
