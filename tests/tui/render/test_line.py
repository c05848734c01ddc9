"""Lines, wrapped text, text in several roles, tables: widths hold, and nothing is lost."""

from hypothesis import given
from hypothesis import strategies as st

from auditlog.safe_text import cell_width, safe_text
from tui.render import columns
from tui.render.columns import Column
from tui.render.flow import flow
from tui.render.line import Line, Piece, finder, fitted, highlighted, line, recorded, rule, spread, wrapped

ANY_TEXT = st.text(max_size=200)
WIDTHS = st.integers(8, 120)
CLEAN = ANY_TEXT.map(safe_text)


@given(ANY_TEXT, WIDTHS, st.integers(0, 6), st.none() | st.integers(1, 5))
def test_wrapped_text_is_clean_and_fits(text, width, indent, most):
    """Whatever was recorded, wrapped lines hold no control character and fit, but for the room a word needs."""
    made = wrapped(text, width, indent=indent, most=most)
    assert made
    assert all(part.text.isprintable() for part in made)
    assert all(part.width <= max(width, indent + 8) for part in made)
    if most is not None:
        assert len(made) <= most + 1


def test_clipped_text_says_how_much_is_left():
    """What is clipped ends in a line that says how much is hidden and which key opens it."""
    made = wrapped("word " * 200, 40, most=2)
    assert len(made) == 3
    assert made[-1].text == "… 920 more characters: enter opens all"


def test_a_label_stands_before_the_first_line_only():
    """The first line begins with the label, the others with its width in blanks."""
    made = wrapped("one two three", 14, first=Piece("user", "label"), indent=6)
    assert [part.text for part in made] == ["user  one two", "      three"]


@given(st.lists(st.tuples(CLEAN, st.sampled_from(["", "a", "b"])), max_size=6), st.integers(2, 60))
def test_flow_keeps_every_word_in_its_role(parts, width):
    """Text in several roles is broken into lines that fit, and every word keeps its role and order."""
    made = flow([Piece(*part) for part in parts], width)
    assert all(part.width <= width for part in made)
    before = [(letter, role) for text, role in parts for letter in text if not letter.isspace()]
    after = [
        (letter, piece.role)
        for part in made
        for piece in part.pieces
        for letter in piece.text
        if not letter.isspace()
    ]
    assert before == after


@given(st.lists(CLEAN, max_size=5), st.integers(0, 60))
def test_fitted_never_exceeds_its_width(texts, width):
    """A line that is too long is cut to its width, and one that fits stays as it is."""
    made = line(*texts)
    cut = fitted(made, width)
    assert cut.width <= width
    if made.width <= width:
        assert cut == made


def test_cut_lines_end_in_an_ellipsis():
    """What is cut between two pieces says so as well."""
    assert fitted(line(("abc", "x"), ("def", "y")), 3).text == "ab…"
    assert fitted(line(("abc", "x"), ("def", "y")), 5).text == "abcd…"


def test_both_ends_of_a_line():
    """Left and right stand at the margins; the right one gives way."""
    assert spread(line("left"), line("right"), 12).text == "left   right"
    assert spread(line("left"), line("right"), 9).text == "left rig…"
    assert spread(line("left"), line("right"), 7).text == "left"


def test_rule_fills_the_line():
    """A heading is drawn to the end of the line."""
    assert rule([Piece("turn 1")], 14).text == "── turn 1 ────"


def test_matches_are_marked_across_pieces_and_cases():
    """A match that spans two roles is marked in both, whatever the case of its letters."""
    made = highlighted(line(("issue re", "a"), ("FUND now", "b")), finder("refund"))
    assert made.pieces == (
        Piece("issue ", "a"),
        Piece("re", "a match"),
        Piece("FUND", "b match"),
        Piece(" now", "b"),
    )


@given(CLEAN, st.text(min_size=1, max_size=3))
def test_highlighting_changes_no_text(text, needle):
    """Marking matches leaves the text as it is."""
    made = Line((Piece(text),))
    assert highlighted(made, finder(needle)).text == text


def test_a_search_is_no_pattern():
    """What one types is looked for as it is, also where it looks like a pattern."""
    assert highlighted(line("a.b axb"), finder("a.b")).pieces == (Piece("a.b", "match"), Piece(" axb"))


COLUMNS = (
    Column("a", "a", 4, 0),
    Column("b", "b", 6, 2),
    Column("c", "c", 8, 1),
    Column("text", "text", 10, 0, grows=True),
)


def test_columns_come_by_rank_and_stand_in_order():
    """A narrow table keeps what matters most; the growing column takes what is left."""
    assert [(c.name, c.width) for c in columns.fit(COLUMNS, 20)] == [("a", 4), ("text", 15)]
    assert [(c.name, c.width) for c in columns.fit(COLUMNS, 24)] == [("a", 4), ("c", 8), ("text", 10)]
    assert [(c.name, c.width) for c in columns.fit(COLUMNS, 40)] == [
        ("a", 4),
        ("b", 6),
        ("c", 8),
        ("text", 19),
    ]


@given(st.integers(15, 200), CLEAN)
def test_rows_fill_their_width_in_cells(width, text):
    """A row is as wide as its table, whatever the cells hold."""
    fits = columns.fit(COLUMNS, width)
    assert columns.row(fits, {"a": Piece(text), "text": Piece(text)}).width == width
    assert cell_width(columns.heading(fits).text) == width


def test_recorded_text_becomes_one_clean_piece():
    """A piece of recorded text is one line, clean and clipped."""
    assert recorded("a\nb\x1b[2J", "role", 8) == Piece("a⏎b<ESC…", "role")
    assert recorded(None) == Piece("")
