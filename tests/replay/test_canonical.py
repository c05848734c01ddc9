"""When two calls are the same call."""

from __future__ import annotations

import copy
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import canonical as canonical_module
from replay.canonical import canonical, digest_of, first_words, lost_something, match_key

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)
ARGUMENTS = st.dictionaries(st.text(min_size=1), VALUES, max_size=4)


def reordered(value):
    """Give the same JSON with every object's keys the other way round."""
    match value:
        case dict():
            return {key: reordered(value[key]) for key in reversed(value)}
        case list():
            return [reordered(item) for item in value]
        case _:
            return value


@given(ARGUMENTS)
def test_the_order_of_keys_does_not_matter(arguments):
    """Arguments match themselves with their keys in any order, and after a way through JSON text."""
    key = match_key("tool", "t", arguments)
    assert key == match_key("tool", "t", reordered(arguments))
    assert key == match_key("tool", "t", json.loads(json.dumps(arguments)))


@given(ARGUMENTS, ARGUMENTS)
def test_equal_keys_mean_equal_arguments(one, other):
    """Two calls share a key exactly when their arguments are canonically equal."""
    assert (match_key("tool", "t", one) == match_key("tool", "t", other)) == (
        canonical(one) == canonical(other)
    )


@given(st.integers(min_value=-(1 << 53), max_value=1 << 53))
def test_a_whole_number_is_the_same_with_and_without_a_point(number):
    """`1` and `1.0` are one number."""
    assert match_key("tool", "t", {"n": number}) == match_key("tool", "t", {"n": float(number)})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": True}, {"a": 1}),
        ({"a": None}, {}),
        ({"a": "1"}, {"a": 1}),
        ({"a": "é"}, {"a": "e\u0301"}),
        ({"a": "A"}, {"a": "a"}),
        ({"a": " x"}, {"a": "x"}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": 0.1}, {"a": 0.1000000001}),
    ],
)
def test_what_is_not_the_same_does_not_match(one, other):
    """Nothing near is the same: no case, no spaces, no normalised Unicode, no order of lists."""
    assert match_key("tool", "t", one) != match_key("tool", "t", other)


def test_kind_and_name_are_part_of_the_key():
    """The same arguments of another tool, or of a retriever, are another call."""
    keys = {match_key("tool", "a", {}), match_key("tool", "b", {}), match_key("retriever", "a", {})}
    assert len(keys) == 3


def test_a_lone_surrogate_has_a_key():
    """Text that is no Unicode is a difference like any other, and no error."""
    assert match_key("tool", "t", {"a": "\ud800"}) != match_key("tool", "t", {"a": "\ud801"})


def test_a_digest_ignores_the_order_of_keys():
    """A configuration's digest is that of its canonical form."""
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2.0, "a": 1})


@pytest.mark.parametrize(
    ("value", "lost"),
    [
        ({"a": [{"$auditlog": "object", "type": "x.Y"}]}, True),
        ({"$auditlog": "too deep", "type": "dict"}, True),
        ({"a": {"$auditlog": "bytes", "base64": "AAAA"}}, False),
        ({"a": {"$auditlog": "int", "digits": "99999999999999999999"}}, False),
        ({"a": "$auditlog"}, False),
        ([1, None, {}], False),
    ],
)
def test_a_mark_that_does_not_tell_the_original_is_a_loss(value, lost):
    """Bytes and big numbers are told apart by their marks; objects are not."""
    assert lost == lost_something(value)


@given(VALUES)
def test_looking_for_losses_changes_nothing(value):
    """The search is a pure look."""
    before = copy.deepcopy(value)
    lost_something(value)
    assert before == value


def test_a_value_in_a_message_is_clipped():
    """A message shows the first words of a value, and that there are more."""
    assert first_words("x" * 100, 10) == '"xxxxxxxx…'


NUMBERS = (
    st.floats() | st.integers(min_value=-(1 << 70), max_value=1 << 70) | st.sampled_from([-0.0, 1e16, 1e22])
)
LOOSE = st.recursive(
    SCALARS | NUMBERS | st.sampled_from(["1.0", "2e3", "null", "$auditlog", "\ud800", "\x7f", "\u2028"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.lists(inner, max_size=1).map(lambda one: [one] * 20)
    ),
    max_leaves=12,
)


@given(LOOSE)
def test_the_quick_text_is_the_canonical_one(value):
    """Where the encoder in C answers, it gives byte for byte what Python gives."""
    slow = json.dumps(
        canonical_module._plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str
    )
    assert slow == canonical(value)
    text = f"tool\x00t\x00{slow}".encode("utf-8", "surrogatepass")
    assert hashlib.sha256(text).hexdigest() == match_key("tool", "t", value)
