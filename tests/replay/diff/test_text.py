"""Where two texts differ."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.diff import TextHunk, text_diff

TEXTS = st.text("ab .!\n", max_size=60) | st.text(max_size=40)


@given(TEXTS, TEXTS)
def test_the_hunks_rebuild_both_texts(before, after):
    """Nothing is lost, added or normalised."""
    hunks = text_diff(before, after).hunks
    assert "".join(hunk.before for hunk in hunks) == before
    assert "".join(hunk.after for hunk in hunks) == after


@given(TEXTS, TEXTS)
def test_hunks_are_what_they_say(before, after):
    """Equal hunks are equal, the others differ, and two of one sort never touch."""
    diff = text_diff(before, after)
    assert diff.changed == (before != after)
    for hunk in diff.hunks:
        assert (hunk.op == "equal") == (hunk.before == hunk.after)
        assert (hunk.op == "insert") == (hunk.before == "" != hunk.after)
        assert (hunk.op == "delete") == (hunk.after == "" != hunk.before)
    equal = [hunk.op == "equal" for hunk in diff.hunks]
    assert all(one is not other for one, other in itertools.pairwise(equal))


@given(TEXTS)
def test_a_text_does_not_differ_from_itself(text):
    """Equal texts have no change."""
    assert not text_diff(text, text).changed


@given(TEXTS, TEXTS)
def test_both_directions_have_as_many_changes(before, after):
    """Looking from the other side shows no other number of differing texts."""
    assert text_diff(before, after).changed == text_diff(after, before).changed


@pytest.mark.parametrize(
    ("before", "after", "hunks"),
    [
        ("", "", []),
        ("", "Hi.", [("insert", "", "Hi.")]),
        ("Hi.", "", [("delete", "Hi.", "")]),
        (
            "Pay 40 now.",
            "Pay 41 now.",
            [("equal", "Pay ", "Pay "), ("replace", "40", "41"), ("equal", " now.", " now.")],
        ),
        (
            "It has shipped. Bye.",
            "It has shipped. It arrives soon. Bye.",
            [
                ("equal", "It has shipped. ", "It has shipped. "),
                ("insert", "", "It arrives soon. "),
                ("equal", "Bye.", "Bye."),
            ],
        ),
    ],
)
def test_literal_hunks(before, after, hunks):
    """Small texts and their hunks."""
    assert text_diff(before, after).hunks == tuple(TextHunk(*hunk) for hunk in hunks)


def test_a_short_equal_run_belongs_to_the_change_around_it():
    """Three equal words between two changes do not part them; four do."""
    three = text_diff("x one two three y", "a one two three b")
    four = text_diff("x one two three four y", "a one two three four b")
    assert [hunk.op for hunk in three.hunks] == ["replace"]
    assert [hunk.op for hunk in four.hunks] == ["replace", "equal", "replace"]


def test_a_long_answer_shows_a_few_passages():
    """A 4 KB answer, a third of its sentences reworded, gives about as many hunks as passages, not as words."""
    words = random.Random(7).choices(
        "your order parcel refund carrier days will be sent card number please".split(), k=640
    )
    sentences = [" ".join(words[i : i + 10]).capitalize() + ". " for i in range(0, 640, 10)]
    reworded = list(sentences)
    for index in (5, 6, 30, 50):
        reworded[index] = "We are sorry, but this is something else altogether and nobody said it. "
    before, after = "".join(sentences), "".join(reworded)
    assert len(before) > 3500
    changed = [hunk for hunk in text_diff(before, after).hunks if hunk.op != "equal"]
    assert len(changed) == 3


def test_hostile_repetition_is_cut_into_sentences_in_linear_time():
    """A text of nothing but full stops ends (the test suite's time limit is the judge)."""
    assert text_diff("." * 200_000 + "x", "." * 200_000 + "y").changed


def test_a_long_answer_in_other_words_is_one_change_within_the_memory_there_is():
    """A megabyte of other words is not searched word by word; its equal beginning and end still are found."""
    before = " ".join(f"w{i * 3 % 5003}" for i in range(150_000))
    after = " ".join(f"w{i * 7 % 5003}" for i in range(150_000))
    hunks = text_diff(f"Dear customer, {before} and so on", f"Dear customer, {after} and so on").hunks
    assert ["equal", "replace", "equal"] == [hunk.op for hunk in hunks]
    assert "Dear customer, w0 " == hunks[0].before
    assert hunks[2].before.endswith(" and so on")
