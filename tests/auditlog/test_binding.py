"""Arguments are recorded by name exactly as Python itself would bind them."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.binding import binder


def plain(a, b=2):
    """Take two."""


def only(a, /, b, *, c=3, d):
    """Take each kind."""


def more(a, *rest, c=3, **others):
    """Take anything."""


def positional(a, b=2, /, **others):
    """Take a name twice."""


class Shop:
    """Has a method."""

    def look(self, a, b=2):
        """Take two."""


@pytest.mark.parametrize("function", [plain, only, more, positional])
@given(st.lists(st.integers(), max_size=4), st.dictionaries(st.sampled_from("abcde"), st.integers()))
def test_arguments_are_bound_as_python_binds_them(function, args, kwargs):
    """Names, defaults, extra arguments: what fits the signature is what the signature says; what does not never raises."""
    bound = binder(function)(tuple(args), kwargs)
    try:
        expected = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return
    expected.apply_defaults()
    found = dict(expected.arguments)
    others = found.pop("others", {})
    if "rest" in found:
        found["rest"] = list(found["rest"])
        if not found["rest"]:
            del found["rest"]
    apart = {name: others.pop(name) for name in [*others] if name in found}
    if apart:
        found["others"] = apart
    assert {**others, **found} == bound
    assert [name for name in inspect.signature(function).parameters if name in bound and name != "rest"] == [
        name for name in bound if name in inspect.signature(function).parameters and name != "rest"
    ]


def wrapper(*args, **kwargs):
    """Take whatever there is."""


@pytest.mark.parametrize(
    ("function", "one", "other"),
    [
        (positional, ((1,), {}), ((1,), {"a": 999})),
        (positional, ((1, 2), {}), ((1,), {"b": 2})),
        (positional, ((1,), {"a": 2}), ((1,), {"others": {"a": 2}})),
        (wrapper, ((1,), {}), ((), {"args": [1]})),
        (wrapper, ((1,), {}), ((1,), {"args": [999]})),
        (wrapper, ((1,), {"args": 2, "kwargs": 3}), ((1,), {"args": 2, "kwargs": 4})),
    ],
)
def test_calls_that_differ_are_bound_to_arguments_that_differ(function, one, other):
    """What `**kwargs` takes under a name that another parameter has is kept, and not taken for that."""
    bind = binder(function)
    assert bind(*one) != bind(*other)


def test_self_is_left_out():
    """A method's object is not an argument."""
    assert {"a": 1, "b": 2} == binder(Shop.look)((Shop(), 1), {})


def test_a_function_without_a_signature_is_bound_as_it_is_called():
    """What has no signature to be read gives its arguments as they came."""
    assert {"args": [1], "key": 2} == binder(max)((1,), {"key": 2})
