"""How recorded arguments come back to an agent."""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.binding import binder
from replay.errors import TargetError
from replay.targets.target import Target


def plain(a, b=2):
    """Take two."""


def each(a, /, b, *, c=3, d=4):
    """Take each kind."""


def anything(a, *rest, c=3, **others):
    """Take anything."""


def twice(a, b=2, /, **others):
    """Take a name twice."""


def both(*args, **kwargs):
    """Take whatever there is."""


@pytest.mark.parametrize("function", [plain, each, anything, twice, both])
@given(
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["a", "b", "c", "rest", "others", "args", "kwargs"]), st.integers()),
)
def test_an_agent_is_called_with_what_it_was_called_with(function, args, kwargs):
    """Arguments that were recorded reach the parameters that they came from, also those that share a name."""
    try:
        called = inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return
    called.apply_defaults()
    recorded = binder(function)(tuple(args), kwargs)
    again = Target("m:f", "f", function, adapter=False, digest="").arguments(recorded)
    found = inspect.signature(function).bind(*again[0], **again[1])
    found.apply_defaults()
    assert called.arguments == found.arguments


def test_what_an_agent_does_not_take_is_named():
    """Another version of an agent with other arguments is an error that says which, and what to do."""
    target = Target("m:plain", "plain", plain, adapter=False, digest="")
    with pytest.raises(TargetError, match="m:plain does not take the recorded argument z; it takes a, b"):
        target.arguments({"a": 1, "z": 2})
