"""Changes between JSON values."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.diff import PathChange, canonical, json_diff
from replay.diff.json_diff import pointer, pointer_segments

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text("ab~/", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=4)
    ),
    max_leaves=20,
)


def apply(value, changes):
    """Apply changes one after the other, as RFC 6902 says."""
    document = {"": copy.deepcopy(value)}
    for change in changes:
        *parents, last = ("", *pointer_segments(change.path))
        target = document
        for segment in parents:
            target = target[int(segment)] if isinstance(target, list) else target[segment]
        if isinstance(target, dict):
            if change.op == "remove":
                del target[last]
            else:
                target[last] = change.after
        elif change.op == "add":
            target.insert(int(last), change.after)
        elif change.op == "remove":
            del target[int(last)]
        else:
            target[int(last)] = change.after
    return document[""]


@given(VALUES, VALUES)
def test_applying_the_changes_gives_the_other_value(before, after):
    """The changes are a patch from the one value to the other."""
    assert canonical(apply(before, json_diff(before, after))) == canonical(after)


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value):
    """No change between equal values."""
    assert json_diff(value, copy.deepcopy(value)) == ()


@given(VALUES, VALUES)
def test_no_change_means_the_same_canonical_form(before, after):
    """What differs and what matches never disagree."""
    assert (json_diff(before, after) == ()) == (canonical(before) == canonical(after))


@given(VALUES, VALUES)
def test_both_directions_change_equally_much(before, after):
    """Removals of the one direction are additions of the other."""
    there, back = json_diff(before, after), json_diff(after, before)
    assert len(there) == len(back)
    assert sum(c.op == "add" for c in there) == sum(c.op == "remove" for c in back)


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1}, {"a": 2}, [PathChange("/a", "replace", 1, 2)]),
        ({"a": 1}, {}, [PathChange("/a", "remove", before=1)]),
        ({}, {"a": None}, [PathChange("/a", "add", after=None)]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [PathChange("/a", "replace", 1, after=True)]),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}, []),
        ([1, 2, 3], [1, 3], [PathChange("/1", "remove", before=2)]),
        ([1, 3], [1, 2, 3], [PathChange("/1", "add", after=2)]),
        (
            [{"id": 1, "n": 1}, {"id": 2}],
            [{"id": 1, "n": 2}, {"id": 2}],
            [PathChange("/0/n", "replace", 1, 2)],
        ),
        ("x", {"a": 1}, [PathChange("", "replace", "x", {"a": 1})]),
        ({"a/b~c": 1}, {"a/b~c": 2}, [PathChange("/a~1b~0c", "replace", 1, 2)]),
        ({"a": []}, {"a": {}}, [PathChange("/a", "replace", [], {})]),
        (None, None, []),
    ],
)
def test_literal_changes(before, after, changes):
    """Small values and their changes."""
    assert list(json_diff(before, after)) == changes


def test_an_element_put_first_does_not_change_the_others():
    """Lists are aligned by their elements, not by index."""
    items = [{"sku": n, "quantity": 1} for n in range(50)]
    new = {"sku": 99, "quantity": 1}
    assert json_diff(items, [new, *items]) == (PathChange("/0", "add", after=new),)


def test_pointers_escape_and_come_back():
    """RFC 6901: `~` is `~0` and `/` is `~1`."""
    assert pointer("a/b", "m~n", 0) == "/a~1b/m~0n/0"
    assert pointer_segments("/a~1b/m~0n/0") == ("a/b", "m~n", "0")
    assert pointer_segments("") == ()


@settings(max_examples=5)
@given(st.integers(900, 5000))
def test_values_nested_beyond_the_stack_are_compared(depth):
    """Hostile nesting ends as one change, not as a crash."""
    before, after = 1, 2
    for _ in range(depth):
        before, after = [before], [after]
    changes = json_diff(before, after)
    assert len(changes) == 1
    assert json_diff(before, before) == ()
