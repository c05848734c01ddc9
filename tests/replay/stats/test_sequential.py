"""Evidence that may be looked at after every case."""

from __future__ import annotations

import functools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from replay.stats import SequentialTest, mcnemar_exact
from replay.stats.sequential import _log_e


@given(st.lists(st.sampled_from([-1, 0, 1]), max_size=60))
def test_evidence_of_failure_is_the_mean_over_all_shares_of_bad_flips(flips):
    """E is the likelihood ratio against a fair coin, averaged over q in (½, 1)."""
    test = SequentialTest(0.03)
    for d in flips:
        test.update(d)
    b, c = flips.count(-1), flips.count(1)
    expected, _ = quad(lambda q: 2 * (2 * q) ** b * (2 * (1 - q)) ** c, 0.5, 1)
    assert expected == pytest.approx(test.look().fail_evidence, rel=1e-6)


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=30), st.floats(0.01, 0.3))
def test_evidence_of_passing_is_a_product_of_bets_known_before_the_case(flips, margin):
    """K_t grows by 1 + λ_t(d_t + m), with the same λ_t whatever case t turns out to be."""
    test = SequentialTest(margin)
    before = 1.0
    for d in flips:
        stakes = []
        for possible in (-1, 0, 1):
            other = SequentialTest(margin)
            other._for_pass._logs = list(test._for_pass._logs)
            stakes.append((other.update(possible).pass_evidence / before - 1) / (possible + margin))
        assert stakes[0] == pytest.approx(stakes[1], rel=1e-6)
        assert stakes[0] == pytest.approx(stakes[2], rel=1e-6)
        assert 0 < stakes[0] < 1 / (1 - margin)
        before = test.update(d).pass_evidence


@given(
    st.lists(st.sampled_from([-1.0, -0.25, 0.0, 0.5, 1.0]), max_size=40), st.randoms(use_true_random=False)
)
def test_the_order_of_the_cases_changes_no_evidence(ds, chance):
    """The same cases in another order end with the same evidence."""
    one, other = SequentialTest(0.05, binary=False), SequentialTest(0.05, binary=False)
    shuffled = list(ds)
    chance.shuffle(shuffled)
    for d, e in zip(ds, shuffled, strict=True):
        one.update(d)
        other.update(e)
    assert one.look().fail_evidence == pytest.approx(other.look().fail_evidence)
    assert one.look().pass_evidence == pytest.approx(other.look().pass_evidence)


def test_the_first_decision_stands():
    """A run of good cases passes, and what comes after it changes nothing."""
    test = SequentialTest(0.03)
    while test.update(0).decision is None:
        pass
    assert "PASS" == test.look().decision
    assert 99 <= test.look().n < 200
    for _ in range(100):
        test.update(-1)
    assert "PASS" == test.look().decision
    assert test.look().fail_evidence > 20


def test_a_broken_candidate_fails_early():
    """A candidate that breaks every case fails after seven."""
    test = SequentialTest(0.03)
    looks = [test.update(-1) for _ in range(8)]
    assert "FAIL" == looks[-1].decision
    assert looks[3].decision is None


def test_a_hundred_thousand_cases_overflow_nothing():
    """Evidence beyond any number is still a number."""
    test = SequentialTest(0.03)
    test._worse, test._n = 100_000, 100_000
    look = test.update(-1)
    assert math.isfinite(look.fail_evidence)
    assert "FAIL" == look.decision


def test_scores_between_zero_and_one_have_a_test_of_their_own():
    """A binary test refuses a half, and one of scores takes it."""
    with pytest.raises(ValueError, match="binary=False"):
        SequentialTest(0.03).update(0.5)
    assert SequentialTest(0.03, binary=False).update(0.5).pass_evidence > 1
    with pytest.raises(ValueError, match="from -1 to 1"):
        SequentialTest(0.03, binary=False).update(math.nan)


def crossed(flips, decides):
    """Give the exact probability that a look after every flip of a fair coin decides, by counting paths."""
    paths, decided = [1.0], 0.0
    for flip in range(1, flips + 1):
        halved = [chance / 2 for chance in paths]
        paths = [a + b for a, b in zip([*halved, 0.0], [0.0, *halved], strict=True)]
        for worse in range(flip + 1):
            if paths[worse] and decides(worse, flip - worse):
                decided += paths[worse]
                paths[worse] = 0.0
    return decided


def test_looking_after_every_flip_keeps_the_promise_exactly():
    """Of equal candidates 3.1 % fail within 167 flips and 3.4 % within 400, where peeking at p-values finds 27 % and more."""
    by_evidence = functools.cache(lambda worse, better: _log_e(worse, better) >= math.log(20))
    by_p = functools.cache(lambda worse, better: mcnemar_exact(worse, better) < 0.05)
    assert 0.0312 == pytest.approx(crossed(167, by_evidence), abs=5e-5)
    assert 0.033 < crossed(400, by_evidence) < 0.05
    assert 0.2694 == pytest.approx(crossed(167, by_p), abs=5e-5)
