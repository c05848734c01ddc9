"""The one list widget: it renders lines, and never makes a widget of a row or a message.

The rules:

1. Only visible lines are drawn; what is not there yet is asked for with `Missing`.
2. The cursor stops at items. An item taller than the window is scrolled through before the cursor leaves it.
3. A new width lays the rows out anew and keeps the cursor's item where it is.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, cast

from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.actions import bindings
from tui.render.line import BLANK, Line, Piece, finder, fitted, highlighted, line
from tui.rows import PagedRows, Rows, Sheet

if TYPE_CHECKING:
    from tui.app import AuditApp
    from tui.theme import Look

GUTTER = 1
SETTLE_AFTER = 0.005
"""Seconds between two portions, so that keys are heard."""


class LineView(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows rows, and moves a cursor over their items."""

    DEFAULT_CSS = """
    LineView { overflow-x: hidden; overflow-y: scroll; scrollbar-size: 0 1; height: 1fr; width: 1fr; }
    """
    BINDINGS = bindings("list")
    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor is on another item."""

        def __init__(self, view: LineView, item: int) -> None:
            super().__init__()
            self.view = view
            self.item = item

        @property
        def control(self) -> LineView:
            """The list."""
            return self.view

    class Opened(Moved):
        """Enter, or a double click."""

    class Missing(Message):
        """Rows that are visible have not been read."""

        def __init__(self, view: LineView, first: int, last: int) -> None:
            super().__init__()
            self.view = view
            self.first = first
            self.last = last

        @property
        def control(self) -> LineView:
            """The list."""
            return self.view

    def __init__(
        self,
        rows: Rows | None = None,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        empty: str = "",
        pointing: bool = True,
    ) -> None:
        """Show rows.

        Args:
            rows: what to show; None for nothing yet.
            id: the widget's id.
            empty: what to say where there are no rows.
            pointing: show the cursor also while the keys go elsewhere.
        """
        super().__init__(id=id)
        self.rows: Rows = rows if rows is not None else Sheet(())
        self.empty: Line = line((empty, "muted"))
        self.cursor = 0
        self.pointing = pointing
        self.pattern: re.Pattern[str] | None = None
        self._asked: tuple[int, int] | None = None
        self._shared: tuple[Style, Look, int]

    # What it shows.

    def show(self, rows: Rows, *, keep: bool = False) -> None:
        """Show other rows; with `keep` the cursor stays on the item of the same name, or near its old place."""
        key = self.rows.key(self.cursor) if keep and self.rows.items else None
        offset = self.rows.extent(self.cursor)[0] - self.scroll_offset.y if keep and self.rows.items else 0
        before = self.cursor
        self.rows = rows
        self._asked = None
        rows.layout(self.room)
        found = rows.item_of(key) if keep else None
        self.cursor = found if found is not None else (min(before, max(0, rows.items - 1)) if keep else 0)
        self._lay_out()
        if rows.items:
            self.scroll_to(y=max(0, rows.extent(self.cursor)[0] - offset), animate=False)
            self._reveal()
        self.refresh()
        self.post_message(self.Moved(self, self.cursor))

    def show_empty(self, text: str, role: str = "muted") -> None:
        """Say something where there are no rows; clean text."""
        self.empty = line((text, role))
        self.refresh()

    def arrived(self) -> None:
        """Draw anew: rows that were missing are there."""
        self._asked = None
        self.refresh()

    def search(self, needle: str) -> None:
        """Highlight a term from here on; an empty one ends it."""
        self.pattern = finder(needle)
        self.refresh()

    def find(self, step: int, *, here: bool = False) -> bool:
        """Go to the next item that holds the term; say whether there is one."""
        if self.pattern is None or not self.rows.items:
            return False
        found = self.rows.find(
            self.pattern, self.cursor if here else (self.cursor + step) % self.rows.items, step
        )
        if found is None:
            return False
        self.go(found)
        return True

    @property
    def room(self) -> int:
        """The cells of a line, without the gutter and the scroll bar."""
        return max(1, self.scrollable_content_region.width - GUTTER)

    @property
    def target(self) -> object:
        """What the cursor's item opens."""
        if isinstance(self.rows, Sheet):
            return self.rows.target(self.cursor)
        if isinstance(self.rows, PagedRows):
            return self.rows.value(self.cursor)
        return None

    # Moving.

    def go(self, item: int) -> None:
        """Put the cursor on an item, and scroll so that it is seen."""
        if not self.rows.items:
            return
        item = max(0, min(self.rows.items - 1, item))
        before, self.cursor = self.cursor, item
        self._reveal()
        self._repaint(before)
        if item != before:
            self.post_message(self.Moved(self, item))

    def _repaint(self, before: int) -> None:
        """Paint the items that the cursor left and came to; scrolling paints for itself."""
        for item in {before, self.cursor}:
            if item < self.rows.items:
                top, end = self.rows.extent(item)
                self.refresh_lines(top, end - top)

    def bring(self, item: int) -> None:
        """Put the cursor on an item, and scroll so that it stands near the top."""
        if not self.rows.items:
            return
        top = self.rows.extent(item)[0]
        self.go(item)
        self.scroll_to(y=max(0, min(top - 2, self.rows.height - self._window)), animate=False)
        self._reveal()

    def _reveal(self) -> None:
        top, end = self.rows.extent(self.cursor)
        height, y = self._window, self.scroll_offset.y
        if end > y + height:
            y = end - height
        y = min(y, top)
        if y != self.scroll_offset.y:
            self.scroll_to(y=y, animate=False)

    @property
    def _window(self) -> int:
        return max(1, self.scrollable_content_region.height)

    def _step(self, step: int) -> None:
        if not self.rows.items:
            return
        top, end = self.rows.extent(self.cursor)
        y, height = self.scroll_offset.y, self._window
        if step > 0 and end > y + height:
            self.scroll_to(y=min(y + 3, end - height), animate=False)
        elif step < 0 and top < y:
            self.scroll_to(y=max(y - 3, top), animate=False)
        else:
            self.go(self.cursor + step)

    def _page(self, lines: int) -> None:
        if not self.rows.items:
            return
        y = self.scroll_offset.y
        most = max(0, self.rows.height - self._window)
        goal = max(0, min(most, y + lines))
        if goal == y:
            self.go(self.rows.items - 1 if lines > 0 else 0)
            return
        self.scroll_to(y=goal, animate=False)
        at = self.rows.extent(self.cursor)[0] - y
        item = self.rows.item_at(min(self.rows.height - 1, goal + max(0, min(self._window - 1, at))))
        moved, self.cursor = item != self.cursor, item
        if moved:
            self.post_message(self.Moved(self, item))

    def action_down(self) -> None:
        """Go to the next item."""
        self._step(1)

    def action_up(self) -> None:
        """Go to the item before."""
        self._step(-1)

    def action_page_down(self) -> None:
        """Go on by a window."""
        self._page(self._window - 1)

    def action_page_up(self) -> None:
        """Go back by a window."""
        self._page(1 - self._window)

    def action_half_down(self) -> None:
        """Go on by half a window."""
        self._page(self._window // 2)

    def action_half_up(self) -> None:
        """Go back by half a window."""
        self._page(-(self._window // 2))

    def action_first(self) -> None:
        """Go to the first item."""
        self.go(0)
        self.scroll_to(y=0, animate=False)

    def action_last(self) -> None:
        """Go to the last item."""
        self.go(self.rows.items - 1)

    def action_open(self) -> None:
        """Open the item."""
        if self.rows.items:
            self.post_message(self.Opened(self, self.cursor))

    # Drawing.

    def on_resize(self, event: events.Resize) -> None:
        """Lay the rows out in the new width."""
        del event
        if not self.rows.items:
            return
        offset = self.rows.extent(self.cursor)[0] - self.scroll_offset.y if self.rows.height else 0
        self._lay_out()
        self.scroll_to(y=max(0, self.rows.extent(self.cursor)[0] - offset), animate=False)
        self._reveal()

    def on_focus(self) -> None:
        """Show the cursor as the active one."""
        self.refresh()

    def on_blur(self) -> None:
        """Show the cursor as waiting."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is; a second click opens."""
        y = self.scroll_offset.y + event.y
        if y < self.rows.height:
            self.go(self.rows.item_at(y))
            if event.chain == 2:
                self.action_open()

    def _lay_out(self) -> None:
        self.rows.layout(self.room)
        self._set_height()
        self._settle_later()

    def _set_height(self) -> None:
        """Take the rows' height over, without laying the whole screen out anew: the widget's own size stays."""
        size = Size(self.room + GUTTER, self.rows.height)
        self.set_reactive(LineView.virtual_size, size)
        self._scroll_update(size)
        self.refresh()

    def _settle_later(self) -> None:
        if isinstance(self.rows, Sheet) and not self.rows.settled:
            self.set_timer(SETTLE_AFTER, partial(self._settle, self.rows))

    def _settle(self, rows: Sheet) -> None:
        """Put real heights for guessed ones, and keep what is seen where it is."""
        if rows is not self.rows or rows.settled:
            return
        seen = rows.item_at(self.scroll_offset.y)
        offset = rows.extent(seen)[0] - self.scroll_offset.y
        rows.settle()
        self._set_height()
        y = max(0, rows.extent(seen)[0] - offset)
        if y != self.scroll_offset.y:
            self.scroll_to(y=y, animate=False)
            self.refresh()
        self._settle_later()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Paint what is visible; what all lines share is found out once."""
        self._shared = (
            self.rich_style,
            cast("AuditApp", self.app).look,
            self.scrollable_content_region.width,
        )
        self._ask_for_missing()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Paint one visible line."""
        base, look, width = self._shared
        at = self.scroll_offset.y + y
        if at >= self.rows.height:
            return look.strip(fitted(self.empty, width) if at == 0 else BLANK, width, base)
        on_cursor = self.rows.item_at(at) == self.cursor
        glyph = ("▌" if self.has_focus else "▏" if self.pointing else " ") if on_cursor else " "
        made = highlighted(fitted(self.rows.line(at), width - GUTTER), self.pattern)
        made = Line((Piece(glyph, "accent"), *made.pieces))
        return look.strip(made, width, self._base(base, look, on_cursor=on_cursor))

    def _base(self, base: Style, look: Look, *, on_cursor: bool) -> Style:
        plain = not look.cursor.reverse or not isinstance(self.rows, Sheet)
        return base + look.cursor if on_cursor and self.has_focus and plain else base

    def _ask_for_missing(self) -> None:
        if not isinstance(self.rows, PagedRows):
            return
        first = self.scroll_offset.y
        missing = self.rows.missing(first, first + self._window)
        if missing is not None and missing != self._asked:
            self._asked = missing
            self.post_message(self.Missing(self, *missing))
