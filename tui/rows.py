"""What a line-rendered list shows: blocks laid out in lines, rows paged from the store, or one endless text.

The rules:

1. A list is there before all of it is drawn: rows of one line are paged, blocks are drawn from the first on while the
   height of the others is guessed, and a long text is cut by arithmetic.
2. An item is what the cursor stops at; it takes one line or several.
3. Searching goes through the items' whole text, also what their lines clip.
"""

from __future__ import annotations

import bisect
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from auditlog.safe_text import safe_text, wrap
from tui.render.block import Block
from tui.render.line import BLANK, Line, line

PAGE = 128
PAGES_KEPT = 64
WRAPPED_AT_MOST = 20_000
SETTLED_AT_ONCE = 150

T = TypeVar("T")


class Rows(ABC):
    """Items in lines."""

    height = 0
    """Lines, after `layout`."""
    items = 0

    @abstractmethod
    def layout(self, width: int) -> None:
        """Lay the items out in so many cells."""

    @abstractmethod
    def line(self, y: int) -> Line:
        """Give one line."""

    def item_at(self, y: int) -> int:
        """Give the item that a line belongs to."""
        return y

    def extent(self, item: int) -> tuple[int, int]:
        """Give an item's first line, and the line behind its last."""
        return item, item + 1

    def key(self, item: int) -> str | None:  # noqa: ARG002 - what most rows cannot say
        """Name an item, so that it is found again in other rows; None where items have no names."""
        return None

    def item_of(self, key: str | None) -> int | None:  # noqa: ARG002 - as above
        """Find an item by its name."""
        return None

    def find(self, pattern: re.Pattern[str], start: int, step: int) -> int | None:
        """Find the next item that holds a pattern, from `start` on, going round at the end.

        Args:
            pattern: what to look for.
            start: the first item to look at.
            step: 1 for forwards, -1 for backwards.
        """
        for distance in range(self.items):
            item = (start + step * distance) % self.items
            if self.holds(item, pattern):
                return item
        return None

    def holds(self, item: int, pattern: re.Pattern[str]) -> bool:
        """Say whether an item's text holds a pattern."""
        return pattern.search(self.line(self.extent(item)[0]).text) is not None


class Sheet(Rows):
    """Blocks of any height."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = list(blocks)
        self.items = len(self.blocks)
        self._width = -1
        self._lines: list[list[Line] | None] = []
        self._heights: list[int] = []
        self._settled = 0
        self._starts: list[int] = [0]
        self._index = {block.key: item for item, block in enumerate(self.blocks)}

    def layout(self, width: int) -> None:
        """Draw the first blocks, and guess the height of the others; `settle` draws them."""
        if width == self._width:
            return
        self._width = max(1, width)
        self._lines = [None] * self.items
        self._heights = [block.estimate(self._width) for block in self.blocks]
        self._settled = 0
        self.settle()

    def settle(self, count: int = SETTLED_AT_ONCE) -> bool:
        """Draw so many more blocks and put their real height for the guess; say whether guesses are left."""
        last = min(self.items, self._settled + count)
        for item in range(self._settled, last):
            if not self.blocks[item].height:
                self._heights[item] = len(self._drawn(item))
        self._settled = last
        self._starts = [0, *accumulate(self._heights)]
        self.height = self._starts[-1]
        return self._settled < self.items

    @property
    def settled(self) -> bool:
        """Whether every height is real."""
        return self._settled == self.items

    def line(self, y: int) -> Line:
        """Give one line."""
        item = self.item_at(y)
        lines, at = self._drawn(item), y - self._starts[item]
        return lines[at] if at < len(lines) else BLANK

    def _drawn(self, item: int) -> list[Line]:
        lines = self._lines[item]
        if lines is None:
            lines = self._lines[item] = self.blocks[item].draw(self._width) or [BLANK]
        return lines

    def item_at(self, y: int) -> int:
        """Give the item that a line belongs to."""
        return max(0, min(self.items - 1, bisect.bisect_right(self._starts, y) - 1))

    def extent(self, item: int) -> tuple[int, int]:
        """Give an item's first line, and the line behind its last."""
        return self._starts[item], self._starts[item + 1]

    def key(self, item: int) -> str | None:
        """Name a block."""
        return self.blocks[item].key if 0 <= item < self.items else None

    def item_of(self, key: str | None) -> int | None:
        """Find a block by its name."""
        return self._index.get(key) if key is not None else None

    def target(self, item: int) -> object:
        """Give what a block opens."""
        return self.blocks[item].target if 0 <= item < self.items else None

    def holds(self, item: int, pattern: re.Pattern[str]) -> bool:
        """Look through the block's whole text, and what its lines add to it."""
        if pattern.search(self.blocks[item].whole_text):
            return True
        return any(pattern.search(made.text) for made in self._drawn(item))


class PagedRows(Rows, Generic[T]):
    """Rows of one line each, read page by page."""

    def __init__(
        self, total: int, draw: Callable[[T | None, int], Line], key: Callable[[T], str] | None = None
    ) -> None:
        """Show `total` rows.

        Args:
            total: how many there are.
            draw: gives the line of a value (None: not read yet) in a width.
            key: names a value.
        """
        self.items = self.height = total
        self._draw = draw
        self._key = key
        self._width = 0
        self._pages: OrderedDict[int, Sequence[T]] = OrderedDict()

    def layout(self, width: int) -> None:
        """Keep the width; nothing is drawn before it is seen."""
        self._width = width

    def line(self, y: int) -> Line:
        """Draw one row."""
        return self._draw(self.value(y), self._width)

    def value(self, item: int) -> T | None:
        """Give a row's value; None where its page has not been read."""
        page = self._pages.get(item // PAGE)
        if page is None:
            return None
        self._pages.move_to_end(item // PAGE)
        at = item % PAGE
        return page[at] if at < len(page) else None

    def key(self, item: int) -> str | None:
        """Name a row that has been read."""
        value = self.value(item)
        return self._key(value) if value is not None and self._key is not None else None

    def item_of(self, key: str | None) -> int | None:
        """Find a row among those that have been read."""
        if key is None or self._key is None:
            return None
        for number, page in self._pages.items():
            for at, value in enumerate(page):
                if self._key(value) == key:
                    return number * PAGE + at
        return None

    def missing(self, first: int, last: int) -> tuple[int, int] | None:
        """Give the pages that the rows from `first` to before `last` still need: the first, and the one behind."""
        wanted = range(max(0, first) // PAGE, (max(first, min(last, self.items) - 1)) // PAGE + 1)
        lacking = [number for number in wanted if number not in self._pages]
        return (lacking[0], lacking[-1] + 1) if lacking and self.items else None

    def put(self, page: int, values: Sequence[T]) -> None:
        """Keep pages that were read, from `page` on; the least used ones go."""
        for start in range(0, max(1, len(values)), PAGE):
            self._pages[page + start // PAGE] = values[start : start + PAGE]
        while len(self._pages) > PAGES_KEPT:
            self._pages.popitem(last=False)


class LongText(Rows):
    """One text of any length; an item is a line."""

    def __init__(self, text: str, role: str = "") -> None:
        """Take a recorded text; it is cleaned here, so make it where nobody waits."""
        self._paragraphs = safe_text(text, newlines=True).split("\n")
        self._role = role
        self._width = -1
        self._starts: list[int] = [0]
        self._wrapped: dict[int, list[str]] = {}

    def layout(self, width: int) -> None:
        """Count each paragraph's lines; only one that is short enough is broken between words."""
        width = max(2, width)
        if width == self._width:
            return
        self._width = width
        self._wrapped.clear()
        self._starts = [0, *accumulate(self._height(number) for number in range(len(self._paragraphs)))]
        self.height = self.items = self._starts[-1]

    def _height(self, number: int) -> int:
        text = self._paragraphs[number]
        if len(text) * 2 <= self._width:
            return 1
        if len(text) > WRAPPED_AT_MOST:
            return -(-len(text) // self._chunk(text))
        self._wrapped[number] = wrap(text, self._width)
        return len(self._wrapped[number])

    def _chunk(self, text: str) -> int:
        # No character takes more than two cells.
        return self._width if text.isascii() else self._width // 2

    def line(self, y: int) -> Line:
        """Give one line."""
        number = max(0, min(len(self._paragraphs) - 1, bisect.bisect_right(self._starts, y) - 1))
        text, at = self._paragraphs[number], y - self._starts[number]
        if number in self._wrapped:
            return line((self._wrapped[number][at], self._role))
        if len(text) > WRAPPED_AT_MOST:
            chunk = self._chunk(text)
            text = text[at * chunk : (at + 1) * chunk]
        return line((text, self._role))

    def find(self, pattern: re.Pattern[str], start: int, step: int) -> int | None:
        """Find the next line that holds a pattern; a match that a line break parts is found in its first line."""
        hits: list[int] = []
        for number, text in enumerate(self._paragraphs):
            first = self._starts[number]
            hits += [
                first + self._line_within(number, text, match.start()) for match in pattern.finditer(text)
            ]
        if not hits:
            return None
        ahead = [hit for hit in hits if (hit >= start if step > 0 else hit <= start)]
        if step > 0:
            return ahead[0] if ahead else hits[0]
        return ahead[-1] if ahead else hits[-1]

    def _line_within(self, number: int, text: str, position: int) -> int:
        if number not in self._wrapped:
            return position // self._chunk(text) if len(text) > WRAPPED_AT_MOST else 0
        at = 0
        for row, words in enumerate(self._wrapped[number]):
            at += len(words) + 1
            if position < at:
                return row
        return len(self._wrapped[number]) - 1
