"""What the recordings of a store settle of a tool's effect."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from replay.sandbox.effects import KnownEffects, effects_from_json, known_effects

KNOWN = known_effects(
    [
        ("charge", "write", False),
        ("charge", "read", False),
        ("gift", None, False),
        ("stock", "read", False),
        ("hand_over", "control", False),
        ("hand_over", "read", False),
        ("search", None, True),
        ("sum_up", "read", False),
    ],
    {"sum_up", "charge"},
)


@pytest.mark.parametrize(
    ("name", "declared", "effect"),
    [
        ("charge", "read", "write"),
        ("charge", None, "write"),
        ("gift", "read", "write"),
        ("stock", "read", "read"),
        ("stock", None, None),
        ("stock", "write", "write"),
        ("hand_over", "read", "control"),
        ("search", "read", "read"),
        ("new", "read", "read"),
    ],
)
def test_the_worst_of_all_recordings_and_of_the_declaration_counts(name, declared, effect):
    """No declaration makes a read of what was recorded as something else, or as nothing by code that could have said."""
    assert effect == KNOWN.effect(name, declared)


def test_what_is_a_tool_or_a_retriever_is_no_model():
    """Only what was recorded as a model, too, may be a read and run as one; a write never."""
    names = ("charge", "gift", "stock", "hand_over", "search", "sum_up", "new")
    assert [True] * 5 + [False] * 2 == [KNOWN.is_known(name) for name in names]


def test_what_is_known_comes_back_and_joins():
    """It travels as JSON, an older manifest knows nothing, and of two the worst is kept."""
    assert KNOWN == effects_from_json(asdict(KNOWN))
    assert KnownEffects() == effects_from_json(None)
    assert ("charge", "gift", "z") == KNOWN.joined(KnownEffects(writes=("z",))).writes
