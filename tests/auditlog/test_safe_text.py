"""What recorded text may still do to a terminal: nothing."""

import unicodedata

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from auditlog.safe_text import cell_width, clip, pad, safe_text, wrap

hostile_characters = st.sampled_from(
    "\x00\x07\x1b\r\n\t\x7f\x85\x9b\u00ad\u034f\u200b\u200d\u202e\u2066\ufe0f\ufeff\ufffe"
    "\ud800\udfff\ue000\U000e0041\U000e0100\U0010ffff\u0301\u0338\u094d\u0915\u1161\u3164\u115f"
    "👩💻❤🇩한é[]<>ab \u00a0\u3000"
)
hostile_text = st.text(st.one_of(hostile_characters, st.characters()), max_size=60)


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        pytest.param("\x1b]52;c;aGVsbG8=\x07", "<ESC>]52;c;aGVsbG8=<BEL>", id="osc-52-writes-the-clipboard"),
        pytest.param("\x1b]0;owned\x07", "<ESC>]0;owned<BEL>", id="osc-0-sets-the-title"),
        pytest.param("\x1b[2J", "<ESC>[2J", id="csi-clears-the-screen"),
        pytest.param("\x9b2J", "<U+009B>2J", id="c1-csi"),
        pytest.param("\x1b]8;;http://x\x1b\\y", "<ESC>]8;;http://x<ESC>\\y", id="osc-8-hyperlink"),
        pytest.param(
            "[@click=app.quit]x[/nope] [b", "[@click=app.quit]x[/nope] [b", id="markup-stays-literal"
        ),
        pytest.param("a\u202eb\u2066c", "a<U+202E>b<U+2066>c", id="bidi"),
        pytest.param("a\u200bb\ufeffc\u00add", "a<U+200B>b<U+FEFF>c<U+00AD>d", id="zero-width"),
        pytest.param("ب\u200cب", "ب<U+200C>ب", id="non-joiner"),
        pytest.param("x\U000e0069\U000e0067", "x<U+E0069><U+E0067>", id="tag-characters"),
        pytest.param("a\ufe01\U000e0100", "a<U+FE01><U+E0100>", id="variation-selectors"),
        pytest.param("real\rfake", "real<CR>fake", id="carriage-return"),
        pytest.param("a\x00b\x7f", "a<NUL>b<DEL>", id="nul-and-delete"),
        pytest.param("a\ud800b", "a<U+D800>b", id="lone-surrogate"),
        pytest.param("a\ue000\U0010ffff", "a<U+E000><U+10FFFF>", id="private-and-unassigned"),
        pytest.param("a\u2028b\u2029", "a<U+2028>b<U+2029>", id="line-separators"),
        pytest.param("a\u3164b\u115fc", "a<U+3164>b<U+115F>c", id="blank-letters"),
        pytest.param("a\u00a0b\u3000c", "a b c", id="other-spaces"),
        pytest.param("👨\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3", "👨👩👧 ❤ 1\u20e3", id="emoji"),
        pytest.param("a\u200db", "a<U+200D>b", id="joiner-elsewhere"),
        pytest.param("\u0338=", "◌\u0338=", id="mark-without-a-base"),
        pytest.param("Grüße… Việt, 한국어 नमस्ते", "Grüße… Việt, 한국어 नमस्ते", id="people-write-like-this"),
    ],
)
def test_what_acts_or_hides_becomes_visible(recorded, shown):
    """Each character that a terminal would act on or not show comes out as its name."""
    assert safe_text(recorded) == shown


def test_one_line_shows_its_line_breaks():
    """In one line a newline is a sign and a tab is a space."""
    assert safe_text("one\r\ntwo\nthree\tfour") == "one⏎two⏎three four"


def test_lines_are_kept_where_asked_for():
    """With `newlines`, line breaks stay and a tab is four spaces; a lone carriage return is shown."""
    assert safe_text("one\r\ntwo\n\tthree\rx", newlines=True) == "one\ntwo\n    three<CR>x"


def test_a_flood_of_marks_is_clipped():
    """Ten thousand marks on one letter become eight and a note."""
    assert safe_text("e" + "\u0301" * 10_000 + "x") == "e" + "\u0301" * 8 + "<more marks>x"


def test_a_chain_of_joined_letters_is_broken_up():
    """A chain that a width table takes for one character of two cells shows its length."""
    shown = safe_text("क\u094d" * 100 + "क")
    assert "<U+094D>" in shown
    assert cell_width(shown) > 100


def test_a_long_text_is_clipped_without_being_read():
    """A line of five megabytes comes out at the width that was asked for."""
    assert safe_text("x" * 5_000_000, width=20) == "x" * 19 + "…"
    assert safe_text("\x1b" * 5_000_000, width=12) == "<ESC><ESC><…"


def test_each_line_is_clipped_by_itself():
    """With `newlines`, a width holds for every line."""
    assert safe_text("abcdef\nab\n한국어한", width=4, newlines=True) == "abc…\nab\n한…"


@given(hostile_text, st.booleans())
def test_no_character_of_the_result_acts_or_hides(recorded, newlines):
    """Whatever goes in, what comes out is printable, has a width, and does not change again."""
    shown = safe_text(recorded, newlines=newlines)
    for line in shown.split("\n") if newlines else [shown]:
        assert line.isprintable()
        assert wcwidth.wcswidth(line) >= 0
    assert not any(unicodedata.category(c) in ("Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    assert safe_text(shown, newlines=newlines) == shown


@given(hostile_text, st.integers(1, 30))
def test_a_width_is_never_exceeded(recorded, width):
    """Clipped text takes at most the cells that it may, and ends in an ellipsis when something was cut."""
    shown, whole = safe_text(recorded, width=width), safe_text(recorded)
    assert cell_width(shown) <= width
    assert shown == whole or shown.endswith("…")


@given(hostile_text, st.integers(2, 30))
def test_wrapping_loses_nothing_but_spaces(recorded, cells):
    """Wrapped lines fit, and hold every character that is not a space, in order."""
    shown = safe_text(recorded, newlines=True)
    lines = wrap(shown, cells)
    assert "".join("".join(lines).split()) == "".join(shown.split())
    assert all(cell_width(line) <= cells for line in lines)


def test_wrapping_breaks_between_words_and_keeps_an_indent():
    """A line breaks at spaces, a word too long is cut, and the first line keeps its indent."""
    assert wrap("  where is my order", 11) == ["  where is", "my order"]
    assert wrap("한국어한국어", 4) == ["한국", "어한", "국어"]
    assert wrap("", 4) == [""]
    assert wrap("a\n\nb", 4) == ["a", "", "b"]


def test_padding_counts_cells():
    """A padded cell is as wide as asked for, whatever the characters."""
    assert pad("한", 4) == "한  "
    assert pad("7", 4, right=True) == "   7"
    assert pad("too long", 4) == "too…"


def test_clipping_never_splits_what_is_drawn_together():
    """A letter and its marks, or a wide letter, are kept whole or left out."""
    assert clip("e\u0301e\u0301e\u0301", 2) == "e\u0301…"
    assert clip("한국", 2) == "…"
    assert clip("abc", 0) == ""
