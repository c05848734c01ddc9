"""Collections while a run goes on look at what it made, and everything is as before when it is over."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from replay.running.garbage import only_of_the_run


class _Node:
    itself: _Node


def _cycle() -> weakref.ref[_Node]:
    node = _Node()
    node.itself = node
    return weakref.ref(node)


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_only_what_a_run_made_is_collected() -> None:
    """Garbage of the time before waits until the run is over; the run's own does not."""
    gc.disable()
    try:
        before = _cycle()
        with only_of_the_run():
            within = _cycle()
            gc.collect()
            assert within() is None
            assert before() is not None
        gc.collect()
        assert before() is None
    finally:
        gc.enable()


def test_what_somebody_froze_stays_frozen() -> None:
    """A program that has frozen what it holds, and a run within a run, find it so."""
    with only_of_the_run():
        with only_of_the_run():
            pass
        assert gc.get_freeze_count() > 0
    assert 0 == gc.get_freeze_count()
