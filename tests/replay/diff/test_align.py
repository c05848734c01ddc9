"""Which step stands for which."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.diff import Step, align, compare
from replay.diff.align import similarity

STEPS = st.lists(
    st.builds(
        lambda name, key: Step("tool", name, {"id": key}),
        st.sampled_from(["look_up", "refund", "search"]),
        st.integers(0, 2),
    )
    | st.builds(
        lambda text: Step("answer", "answer", text=text), st.sampled_from(["Yes.", "No.", "Perhaps."])
    ),
    max_size=8,
)


def ops(before, after):
    """Give the pairs as (before, after, reordered)."""
    return [tuple(pair) for pair in align(before, after)]


@given(STEPS, STEPS)
def test_every_step_is_used_exactly_once(before, after):
    """No step is lost or paired twice, and only steps of one tool are paired."""
    pairs = align(before, after)
    assert sorted(pair.before for pair in pairs if pair.before is not None) == list(range(len(before)))
    assert sorted(pair.after for pair in pairs if pair.after is not None) == list(range(len(after)))
    for pair in pairs:
        if pair.before is not None and pair.after is not None:
            old, new = before[pair.before], after[pair.after]
            assert (old.kind, old.name) == (new.kind, new.name)
            assert not pair.reordered or old.arguments == new.arguments


@given(STEPS)
def test_a_behaviour_is_aligned_with_itself_step_by_step(steps):
    """Equal steps stand for each other in order."""
    assert ops(steps, steps) == [(i, i, False) for i in range(len(steps))]


@given(STEPS, STEPS)
def test_both_directions_pair_equally_many_steps(before, after):
    """What is missing from the one side is extra on the other."""
    there, back = align(before, after), align(after, before)
    assert sum(p.after is None for p in there) == sum(p.before is None for p in back)
    assert sum(p.before is None for p in there) == sum(p.after is None for p in back)


@given(STEPS, STEPS)
def test_steps_that_are_not_reordered_keep_their_order(before, after):
    """Reading either side down the pairs gives its steps in order, but for the reordered ones."""
    kept = [pair for pair in align(before, after) if not pair.reordered]
    for side in ("before", "after"):
        indexes = [getattr(pair, side) for pair in kept if getattr(pair, side) is not None]
        assert indexes == sorted(indexes)


def test_the_nearest_arguments_are_paired():
    """Of two calls of one tool, the one with the likelier arguments stands for the other."""
    before = [Step("tool", "refund", {"order": "A-1001", "amount": 40})]
    after = [
        Step("tool", "refund", {"order": "Z-9", "amount": 7}),
        Step("tool", "refund", {"order": "A-1001", "amount": 41}),
    ]
    assert ops(before, after) == [(None, 0, False), (0, 1, False)]


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, 0.5),
        ({"a": 1}, {"a": 1, "b": 2}, 0.5),
        ({"a": "abcd"}, {"a": "abce"}, 0.75),
        ({"a": 1}, {"a": True}, 0.0),
        ({}, {}, 1.0),
        (None, None, 1.0),
    ],
)
def test_similarity_of_arguments(before, after, value):
    """The mean likeness over the leaves of both sides."""
    assert similarity(before, after) == pytest.approx(value)


def test_very_long_behaviours_are_aligned_without_the_table():
    """Beyond the table's limit equal calls are still paired, and every step is used."""
    before = [Step("tool", "poll", {"n": n}) for n in range(1500)]
    after = [Step("tool", "poll", {"n": n}) for n in range(1, 1502)][::2]
    pairs = align(before, after)
    assert sum(p.before is not None and p.after is not None for p in pairs) >= 749
    assert len({p.before for p in pairs} - {None}) == 1500
    assert len({p.after for p in pairs} - {None}) == len(after)


@given(STEPS)
def test_comparing_with_itself_finds_no_change(make, steps):
    """diff(a, a) has no divergence, no finding and no changed text."""
    calls = [make.call(s.name, s.arguments) for s in steps if s.kind == "tool"]
    answers = [s.text for s in steps if s.kind == "answer"] or [""]
    turns = [
        make.turn(*calls, answer=answers[0]),
        *(make.turn(answer=a, number=i) for i, a in enumerate(answers[1:], 1)),
    ]
    diff = compare(turns, turns)
    assert (diff.case_class, diff.first_divergence, diff.findings) == ("identical", None, ())
    assert all(step.op == "same" and not step.consequence and not step.changes for step in diff.steps)


def test_very_many_steps_and_very_long_answers_are_aligned_at_once():
    """A thousand other calls and a megabyte of another answer take a moment, not the better part of a minute."""
    before = [Step("tool", "look_up", {"id": key}) for key in range(1_000)]
    after = [Step("tool", "look_up", {"id": key + 1_000}) for key in range(1_000)]
    words = [" ".join(str(i * factor % 5_003) for i in range(200_000)) for factor in (3, 7)]
    began = time.process_time()
    pairs = align(
        [*before, Step("answer", "answer", text=words[0])], [*after, Step("answer", "answer", text=words[1])]
    )
    assert time.process_time() - began < 5
    assert len(pairs) == 2_001
