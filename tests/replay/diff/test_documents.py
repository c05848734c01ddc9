"""How two retrievals differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.values import Document
from replay.diff import documents_diff, rbo_ext

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
RANKINGS = st.lists(st.sampled_from(ALPHABET), unique=True, max_size=12)


@pytest.mark.parametrize(
    ("one", "other", "p", "value"),
    [
        # W. Webber's own rbo_ext on permutations and uneven rankings, as published in the test data of the crate
        # `rbo` (github.com/mpetri/rbo, test_data/permute_abc.json and uneven_abc.json; six decimals).
        (sorted("jtnxyzovchmfldbksguqewari"), "jtnxyzovchmfldbksguqewari", 0.9, 0.256365),
        (sorted("achudyxfktsrzwbgqjenolivm"), "achudyxfktsrzwbgqjenolivm", 0.9, 0.640332),
        (sorted("achudyxfktsrzwbgqjenolivm"), "achudyxfktsrzwbgqjenolivm", 0.99, 0.919628),
        (ALPHABET, "karfvodcjmwgzlypebunq", 0.9, 0.468431),
        (ALPHABET, "sozxjfdenvqkbgryapc", 0.9, 0.307626),
        (ALPHABET, "zclx", 0.9, 0.233312),
        (ALPHABET, "nxqyk", 0.9, 0.049050),
        (ALPHABET, "f", 0.9, 0.053090),
        (ALPHABET, "afdqwtvehcpubinloygrs", 0.4, 0.782330),
        (ALPHABET, "akdwcjomxrubqitenhspyl", 0.1, 0.948509),
        # README of github.com/b4ny4n/rankmeasures.
        ("12345", "23415", 0.9, 0.828),
    ],
)
def test_published_values_of_rank_biased_overlap(one, other, p, value):
    """RBO_EXT agrees with the implementation of the measure's author, in either direction."""
    assert rbo_ext(one, other, p) == pytest.approx(value, abs=2e-6)
    assert rbo_ext(other, one, p) == pytest.approx(value, abs=2e-6)


@given(RANKINGS, RANKINGS)
def test_overlaps_are_shares_and_symmetric(one, other):
    """Every measure is between 0 and 1 and the same from both sides, and 1 for the same ranking."""
    docs = [[Document(name, name) for name in side] for side in (one, other)]
    there, back = documents_diff(*docs), documents_diff(*reversed(docs))
    for measure in ("overlap", "jaccard", "rbo"):
        assert 0 <= getattr(there, measure) <= 1 + 1e-12
        assert getattr(there, measure) == pytest.approx(getattr(back, measure))
        assert getattr(documents_diff(docs[0], docs[0]), measure) == pytest.approx(1)
    assert (there.added, there.removed) == (back.removed, back.added)


def test_overlap_is_over_the_shorter_length():
    """Two of the top three are shared; what stands below the shorter ranking's end does not count."""
    diff = documents_diff([Document(i) for i in "abc"], [Document(i) for i in "bxacd"])
    assert diff.overlap == pytest.approx(2 / 3)
    assert (diff.added, diff.removed) == (("x", "d"), ())


def test_jaccard_compares_contents_not_ids():
    """A chunk that was indexed again under another id is the same chunk."""
    diff = documents_diff(
        [Document("old-1", "Returns take 30 days.")], [Document("new-7", "Returns take 30 days.")]
    )
    assert (diff.jaccard, diff.overlap, diff.added, diff.removed) == (1.0, 0.0, ("new-7",), ("old-1",))


def test_documents_without_id_are_known_by_content():
    """The beginning of the content's digest stands in for the id."""
    diff = documents_diff([Document(None, "a")], [Document(None, "a"), Document(None, "b")])
    assert (len(diff.added), diff.removed, diff.overlap) == (1, (), 1.0)


def test_empty_retrievals():
    """Nothing agrees with nothing; nothing disagrees with something."""
    assert documents_diff([], []).rbo == 1.0
    nothing = documents_diff([], [Document("a")])
    assert (nothing.overlap, nothing.jaccard, nothing.rbo) == (0.0, 0.0, 0.0)


def test_a_document_that_was_found_twice_counts_once():
    """Repeats do not push an overlap past 1."""
    assert documents_diff([Document("a"), Document("a")], [Document("a")]).rbo == 1.0
