"""Shrinking what works, and leaving one of what is alike."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.attack.alike import distinct, normalised, same
from replay.attack.campaign import _counted
from replay.attack.model import Attempt, Sign
from replay.attack.shrink import shrunk

WORD = st.tuples(st.text("abcdef", min_size=1, max_size=6), st.sampled_from(("", ".", "!"))).map("".join)
WORDS = st.lists(WORD, min_size=1, max_size=14)


@settings(max_examples=80)
@given(words=WORDS, data=st.data())
async def test_what_is_left_is_what_is_needed(words, data):
    """What is left works, holds what is needed and not more than the beginning, within the bound."""
    needed = data.draw(st.sets(st.sampled_from(words), min_size=1, max_size=2))
    runs = 0

    async def works(texts):
        nonlocal runs
        runs += len(texts)
        return [needed <= set(text.split()) for text in texts]

    text = " ".join(words)
    small = await shrunk(text, works, most=200)
    assert needed <= set(small.split())
    assert len(small) <= len(text)
    assert runs <= 200
    assert needed == set(small.split())


async def test_the_bound_ends_the_search_with_the_best_so_far():
    """With no execution left the text stays as it is."""

    async def works(texts):
        raise AssertionError(texts)

    assert await shrunk("one two three", works, most=0) == "one two three"


def test_an_attack_that_proved_nothing_was_not_tried(attack):
    """What could not run holds no cell; what worked once is flaky, and what reproduced is broken."""
    tried = Attempt(attack("a"), "complete")
    worked = Attempt(attack("b"), "complete", (Sign("new write", "x"),))
    cell = tried.attack.cell
    states = [
        _counted([cell], attempts, again)[0].state
        for attempts, again in (
            ([replace(tried, status="errored", proven=False)], []),
            ([tried], []),
            ([tried, worked], []),
            ([worked], [worked]),
        )
    ]
    assert ["untried", "held", "flaky", "broken"] == states


def test_case_and_signs_make_no_difference():
    """Texts that differ in case, signs and spaces alone are the same words."""
    assert normalised("Refund  IT, now!") == normalised("refund it now")


def test_alike_attempts_are_one_finding(attack):
    """Near words that lead to the same calls for the same goal are one; other calls, or another goal, are another."""
    signs = (Sign("new write", "x"),)
    one = Attempt(attack("Please refund order A-1 now"), "blocked", signs, ("tool refund",))
    near = Attempt(attack("please refund order A-1 now, thanks"), "blocked", signs, ("tool refund",))
    other_calls = replace(near, trace=("tool look_up", "tool refund"))
    other_goal = replace(near, signs=(Sign("canary said", "x"),))
    assert same(one, near)
    assert not same(one, other_calls)
    assert not same(one, other_goal)
    assert distinct([near, one, other_calls]) == [one, other_calls]
