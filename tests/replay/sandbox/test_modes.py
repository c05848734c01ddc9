"""The modes as a value: what has no meaning, what is said, and what is read back."""

from __future__ import annotations

from dataclasses import asdict

import orjson
import pytest

from replay.errors import RunError
from replay.sandbox.modes import Modes, check, modes_from_json


@pytest.mark.parametrize(
    ("modes", "says"),
    [
        (Modes(live_writes=("refund",)), "takes --allow-live-writes beside it"),
        (Modes(writes="live"), "names no tool"),
        (Modes(writes="live", live_writes=("re*",)), "patterns are refused"),
        (Modes(writes="live", live_writes=("*",)), "patterns are refused"),
        (Modes(writes="live", live_writes=(" ",)), "patterns are refused"),
        (Modes(reads="hybrid", live_reads=("look_[a-z]",)), "patterns are refused"),
        (
            Modes(writes="live", reads="live", live_writes=("a",), live_reads=("a",)),
            "both a live read and a live write",
        ),
        (Modes(reads="live"), "--reads live names no tool"),
        (Modes(on_miss="live"), "--on-miss live names no tool"),
        (Modes(live_reads=("stock",)), "has no meaning while reads are recorded"),
        (Modes(reads="deny", on_miss="simulate"), "has no meaning"),
        (Modes(simulator="m:f"), "takes --on-miss simulate beside it"),
        (Modes(on_miss="simulate", simulator="m.f"), "Write module:function"),
        (Modes(model="frozen"), "is no mode of model"),  # type: ignore[arg-type]
        (Modes(prefix=-1), "from 0 on"),
    ],
)
def test_modes_without_a_meaning_are_refused(modes, says):
    """What is contradictory, half said or a pattern is an error that says what to write."""
    with pytest.raises(RunError, match=says.replace("*", r"\*")):
        check(modes)


@pytest.mark.parametrize(
    ("modes", "line"),
    [
        (Modes(), "model=live read=recorded write=recorded_or_block network=deny"),
        (
            Modes(reads="hybrid", live_reads=("stock", "notes"), on_miss="recorded_error"),
            "model=live read=hybrid live_reads=stock,notes write=recorded_or_block miss=recorded_error network=deny",
        ),
        (
            Modes(model="recorded", writes="live", live_writes=("refund",), prefix=3),
            "model=recorded read=recorded write=live live_writes=refund fork_at=3 network=deny",
        ),
    ],
)
def test_the_line_says_what_is_not_as_usual(modes, line):
    """A run's line names each tool that may run, and is short where nothing is unusual."""
    assert line == check(modes).line(())


@pytest.mark.parametrize(
    ("modes", "reaches"),
    [
        (Modes(), True),
        (Modes(model="cached"), True),
        (Modes(model="recorded"), False),
        (Modes().only_served(), False),
        (Modes(model="recorded", reads="live", live_reads=("stock",)), True),
        (Modes(model="recorded", writes="live", live_writes=("refund",)), True),
    ],
)
def test_where_everything_is_served_nothing_is_reached(modes, reaches):
    """An allowed host is for models that run, or for what is named to run: else it is only a door."""
    assert reaches == modes.reaches_out


def test_modes_come_back_from_a_manifest_and_from_one_that_is_older():
    """Modes survive JSON; fields that are not known are left out, and those that are missing are the defaults."""
    modes = Modes("cached", "live", "live", "simulate", ("a",), ("b",), "m:f", 2, True)
    assert modes == modes_from_json(orjson.loads(orjson.dumps(asdict(modes))))
    assert Modes(model="recorded") == modes_from_json({"model": "recorded", "of the future": 1})


def test_live_writes_are_warned_of():
    """A live write is named in a warning, and so is that nothing can be reached."""
    said = " ".join(Modes(writes="live", live_writes=("refund",)).warnings(()))
    assert "WARNING: refund will write for real" in said
    assert "no host is" in said
    assert not Modes().warnings(())


@pytest.mark.parametrize(
    ("name", "kind", "effect", "runs"),
    [
        ("stock", "tool", "read", True),
        ("stock", "tool", "write", False),
        ("stock", "tool", None, False),
        ("stock", "tool", "control", False),
        ("stock", "retriever", None, True),
        ("stock", "retriever", "write", False),
        ("stocks", "tool", "read", False),
    ],
)
def test_only_a_declared_read_runs_as_one(name, kind, effect, runs):
    """A tool on the list of live reads runs only where it is declared `read`, or is a retriever."""
    assert runs == Modes(reads="live", live_reads=("stock",)).read_runs(name, kind, effect)
