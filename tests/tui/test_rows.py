"""Rows: blocks with guessed and real heights, pages, and texts of any length."""

import re
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from auditlog.safe_text import safe_text
from tui.render.block import Block
from tui.render.line import line
from tui.rows import PAGE, PAGES_KEPT, SETTLED_AT_ONCE, LongText, PagedRows, Sheet


def block(name, lines, text=""):
    """Give a block that draws so many lines."""
    return Block(name, lambda _: [line(f"{name}:{number}") for number in range(lines)], text)


def test_lines_and_items_of_a_sheet():
    """A line knows its item, and an item its lines."""
    sheet = Sheet([block("a", 2), block("b", 1), block("c", 3)])
    sheet.layout(10)
    assert sheet.height == 6
    assert [sheet.line(y).text for y in range(6)] == ["a:0", "a:1", "b:0", "c:0", "c:1", "c:2"]
    assert [sheet.item_at(y) for y in range(6)] == [0, 0, 1, 2, 2, 2]
    assert sheet.extent(2) == (3, 6)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=400))
def test_guesses_become_real_heights(heights):
    """Once it is settled, a sheet has every line of every block, in order."""
    sheet = Sheet([block(str(number), height) for number, height in enumerate(heights)])
    sheet.layout(20)
    while sheet.settle():
        pass
    assert sheet.settled
    assert [sheet.line(y).text for y in range(sheet.height)] == [
        f"{number}:{at}" for number, height in enumerate(heights) for at in range(height)
    ]


def test_only_the_first_blocks_are_drawn_at_once():
    """A long sheet is there before most of it is drawn, and blocks of known height are not drawn unseen."""
    drawn = []

    def draw(number, _):
        drawn.append(number)
        return [line(str(number))]

    Sheet([Block(str(n), partial(draw, n)) for n in range(1000)]).layout(20)
    assert len(drawn) == SETTLED_AT_ONCE
    drawn.clear()
    known = Sheet([Block(str(n), partial(draw, n), height=1) for n in range(1000)])
    known.layout(20)
    assert drawn == []
    assert known.line(700).text == "700"
    assert drawn == [700]


def test_search_goes_round_and_through_what_is_clipped():
    """The search goes through the whole text of blocks, forwards and backwards, and round at the end."""
    sheet = Sheet([block("a", 1, "needle"), block("b", 1), block("c", 1, "a NEEDLE here")])
    sheet.layout(10)
    pattern = re.compile("needle", re.IGNORECASE)
    assert sheet.find(pattern, 1, 1) == 2
    assert sheet.find(pattern, 3 % 3, 1) == 0
    assert sheet.find(pattern, 1, -1) == 0
    assert sheet.find(re.compile("nothing"), 0, 1) is None


def test_blocks_are_found_by_their_name():
    """A block has a name, so that the cursor finds it again."""
    sheet = Sheet([block("a", 1), block("b", 1)])
    assert sheet.item_of("b") == 1
    assert sheet.item_of("z") is None
    assert sheet.key(1) == "b"


def test_pages_are_asked_for_kept_and_forgotten():
    """Rows say which pages they lack; the least used pages go."""
    rows = PagedRows(100_000, lambda value, _: line(str(value)), str)
    rows.layout(10)
    assert rows.missing(0, 40) == (0, 1)
    assert rows.missing(PAGE - 5, PAGE + 35) == (0, 2)
    rows.put(0, list(range(2 * PAGE)))
    assert rows.missing(PAGE - 5, PAGE + 35) is None
    assert rows.line(PAGE + 3).text == str(PAGE + 3)
    assert rows.line(5 * PAGE).text == "None"
    assert rows.item_of(str(PAGE + 3)) == PAGE + 3
    for page in range(2, PAGES_KEPT + 2):
        rows.put(page, [0])
    assert rows.missing(0, 1) == (0, 1)


def test_no_rows_lack_nothing():
    """An empty list asks for nothing."""
    assert PagedRows(0, lambda value, _: line(str(value))).missing(0, 40) is None


@given(st.text(max_size=400), st.integers(2, 50))
def test_long_text_shows_all_of_it(text, width):
    """Every character of a text is on some line, and every line fits."""
    rows = LongText(text)
    rows.layout(width)
    lines = [rows.line(y) for y in range(rows.height)]
    assert all(made.width <= width for made in lines)
    shown = "".join(made.text for made in lines)
    assert shown.replace(" ", "") == safe_text(text, newlines=True).replace("\n", "").replace(" ", "")


def test_a_line_of_megabytes_is_cut_by_arithmetic():
    """A single line of five megabytes is laid out without being broken into words, and is searched through."""
    rows = LongText("x" * 5_000_000 + "end")
    rows.layout(100)
    assert rows.height == 50_001
    assert rows.line(50_000).text == "end"
    assert rows.find(re.compile("end"), 0, 1) == 50_000


def test_long_wide_text_fits():
    """A long line of wide characters is cut so that no line is wider than the window."""
    rows = LongText("日" * 30_000)
    rows.layout(81)
    assert rows.line(0).width <= 81
    assert rows.height == 750
