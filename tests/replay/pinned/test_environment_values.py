"""What a variable says is part of a run's configuration and of a cached answer's key; never its value."""

from __future__ import annotations

from replay.pinned.model_cache import serves
from replay.sandbox.environment import value_digests

KEY = b"k" * 32


def test_another_value_is_another_run():
    """A digest stands for the value, under the store's key."""
    one, other = (value_digests(KEY, ["MODEL"], {"MODEL": value}) for value in ("a", "b"))
    assert one != other
    assert one == value_digests(KEY, ["MODEL"], {"MODEL": "a"})
    assert one != value_digests(b"x" * 32, ["MODEL"], {"MODEL": "a"})
    assert serves([], dict(one)) != serves([], dict(other))


def test_a_key_that_was_turned_is_the_same_run():
    """A credential chooses who pays, and not what is answered; what is not set has no digest."""
    environment = {"OPENAI_API_KEY": "sk-1", "HF_TOKEN": "x", "MODEL": "a"}
    assert ["MODEL"] == [
        name for name, _ in value_digests(KEY, ["OPENAI_API_KEY", "HF_TOKEN", "MODEL", "GONE"], environment)
    ]
