"""What a variable says is part of a run's configuration and of a cached answer's key; never its value."""

from __future__ import annotations

import pytest

from replay.errors import RunError
from replay.pinned.model_cache import serves
from replay.running.describing import _refuse_what_nobody_gave
from replay.sandbox.environment import value_digests
from replay.targets.planned import PlannedTarget

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


def test_only_whoever_starts_a_run_lets_a_variable_through():
    """What a manifest asks for and nobody gave is refused, with what to write."""
    wanted = PlannedTarget("bot:answer", False, "bot", "", spec="new.toml", env=("STRIPE_KEY", "REGION"))
    with pytest.raises(
        RunError, match=r"new.toml asks for STRIPE_KEY.* add --env STRIPE_KEY, or take it out"
    ):
        _refuse_what_nobody_gave(wanted, ["REGION"])
    _refuse_what_nobody_gave(wanted, ["STRIPE_KEY", "REGION"])
    _refuse_what_nobody_gave(None, [])
