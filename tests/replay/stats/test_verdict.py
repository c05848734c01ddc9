"""Verdicts: what passes, what fails, what cannot be told, and how many cases it would take."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.stats import (
    benjamini_hochberg,
    both_ways,
    diffy_filter,
    holm,
    minimum_detectable_effect,
    noninferiority,
    pass_hat_k,
    required_n,
)

FLIPS = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0]), max_size=80)
RANK = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}


def flips(worse, better, same):
    """Give that many differences of each kind."""
    return [-1.0] * worse + [1.0] * better + [0.0] * same


def test_as_good_as_the_baseline_passes():
    """Ten flips each way in four hundred cases are within three points."""
    found = noninferiority(flips(10, 10, 380))
    assert "PASS" == found.verdict
    assert not found.within_margin_but_significant
    assert 0.9 == found.interval.confidence


def test_worse_beyond_chance_fails():
    """Forty cases worse and none better in four hundred is a regression."""
    found = noninferiority(flips(40, 0, 360))
    assert "FAIL" == found.verdict
    assert found.p < 1e-10


def test_worse_beyond_chance_and_within_the_margin_passes_and_says_so():
    """Ten cases worse and none better in a thousand is real, and less than three points."""
    found = noninferiority(flips(10, 0, 990))
    assert ("PASS", True) == (found.verdict, found.within_margin_but_significant)


def test_too_few_cases_are_inconclusive_with_the_number_it_takes():
    """Fifty cases without a flip do not show three points, and more of them are asked for than there are."""
    found = noninferiority(flips(0, 0, 50))
    assert "INCONCLUSIVE" == found.verdict
    assert found.required_n > 50


@pytest.mark.parametrize("d", [[], [0.0], [-1.0]])
def test_hardly_any_case_is_inconclusive(d):
    """Neither no case nor one case passes or fails."""
    assert "INCONCLUSIVE" == noninferiority(d).verdict
    assert "INCONCLUSIVE" == both_ways([[1.0]] * len(d), [[1.0]] * len(d)).verdict


@settings(max_examples=60)
@given(FLIPS, st.floats(0.001, 0.6), st.floats(0.001, 0.6))
def test_a_larger_margin_never_turns_a_pass_into_anything_else(d, one, other):
    """What passes with a margin passes with any larger one, and what fails with one fails with any smaller one."""
    strict, lenient = (noninferiority(d, margin).verdict for margin in sorted((one, other)))
    assert RANK[strict] <= RANK[lenient]


@settings(max_examples=40)
@given(FLIPS.filter(bool), st.data())
def test_a_case_that_gets_better_never_turns_a_pass_into_a_fail(d, data):
    """Where one case improves, the verdict does not jump from PASS to FAIL."""
    place = data.draw(st.integers(0, len(d) - 1))
    improved = [*d[:place], min(1.0, d[place] + 0.5), *d[place + 1 :]]
    before, after = noninferiority(d, 0.2), noninferiority(improved, 0.2)
    assert ("PASS", "FAIL") != (before.verdict, after.verdict)


@pytest.mark.parametrize(("margin", "alpha"), [(0, 0.05), (1.5, 0.05), (0.03, 0.5), (0.03, 0)])
def test_a_margin_or_alpha_without_meaning_is_refused(margin, alpha):
    """A margin lies between 0 and 1, α between 0 and a half."""
    with pytest.raises(ValueError, match="between 0 and"):
        noninferiority([0.0, 1.0], margin, alpha)


def test_without_divergence_both_ways_is_one_verdict():
    """Where nothing diverged the two verdicts are that of `noninferiority`."""
    baseline, candidate = [[1.0]] * 300, [[1.0]] * 270 + [[0.0]] * 30
    found = both_ways(baseline, candidate)
    alone = noninferiority(flips(30, 0, 270))
    assert ("FAIL", alone, alone, 0, ()) == (
        found.verdict, found.failed, found.passed, found.diverged, found.reasons
    )  # fmt: skip


def test_a_verdict_that_hangs_on_diverged_cases_is_inconclusive():
    """A candidate that passes only if its diverged cases count as passed is not passed."""
    found = both_ways([[1.0]] * 400, [[1.0]] * 389 + [[0.0]] * 6 + [[None]] * 5, margin=0.03)
    assert ("INCONCLUSIVE", "FAIL", "PASS") == (found.verdict, found.failed.verdict, found.passed.verdict)
    assert ("the verdict is FAIL if diverged executions failed, and PASS if they passed",) == found.reasons


def test_arms_that_diverge_alike_are_judged():
    """The same cases diverged in both arms: neither assumption favours one of them."""
    found = both_ways([[1.0]] * 360 + [[None]] * 40, [[1.0]] * 360 + [[None]] * 40)
    assert ("PASS", 0.1, 0, 0) == (found.verdict, found.diverged, found.only_baseline, found.only_candidate)


def test_a_case_that_nobody_knows_anything_of_narrows_nothing():
    """Cases that diverged in both arms are in the share, and in no interval: two unknowns do not agree."""
    known = both_ways([[1.0]] * 90, [[1.0]] * 90)
    beside = both_ways([[1.0]] * 90 + [[None]] * 10, [[1.0]] * 90 + [[None]] * 10)
    assert known.failed == beside.failed
    assert (0.1, "INCONCLUSIVE") == (beside.diverged, beside.verdict)


def test_a_score_may_be_known_in_part():
    """A range is judged by both of its ends; one of width 0 is a score."""
    parts = both_ways([[(0.5, 0.5)]] * 300, [[(0.25, 1.0)]] * 2 + [[(0.5, 0.5)]] * 298)
    assert (-0.5 / 300, 1 / 300) == pytest.approx(
        (parts.failed.interval.estimate, parts.passed.interval.estimate)
    )
    assert (0, 2) == (parts.only_baseline, parts.only_candidate)
    with pytest.raises(ValueError, match="lower end"):
        both_ways([[(0.6, 0.4)]] * 3, [[1.0]] * 3)


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.001, 0.5))
def test_holm_is_no_laxer_than_bonferroni_and_no_stricter_than_each_alone(p, alpha):
    """What stands out at α/n always stands out, what does not by itself never does, and smaller p come first."""
    found = holm(p, alpha)
    for value, adjusted, rejected in zip(p, found.adjusted, found.rejected, strict=True):
        assert min(1.0, value) <= adjusted
        assert rejected or value > alpha / len(p) or adjusted > alpha
        assert not rejected or value <= alpha
    assert [a for _, a in sorted(zip(p, found.adjusted, strict=True))] == sorted(found.adjusted)


def test_more_than_a_fifth_diverged_is_inconclusive():
    """Where every fourth case diverged in both arms, what is left does not speak for the traffic."""
    found = both_ways([[1.0]] * 300 + [[None]] * 100, [[1.0]] * 300 + [[None]] * 100)
    assert ("INCONCLUSIVE", ("25.0% of the cases diverged, more than 20%",)) == (found.verdict, found.reasons)


def test_an_arm_that_diverges_more_often_is_inconclusive():
    """Thirty cases that diverged in the candidate alone are a difference that no score shows."""
    found = both_ways([[0.0]] * 400, [[0.0]] * 370 + [[None]] * 30)
    assert "INCONCLUSIVE" == found.verdict
    assert any(
        "30 cases in the candidate alone, 0 in the baseline alone" in reason for reason in found.reasons
    )


def test_repeats_are_averaged_and_one_diverged_repeat_marks_the_case():
    """Of two repeats one diverged: it counts half, and the case counts as diverged."""
    found = both_ways([[1.0, 1.0], [1.0, 1.0]], [[1.0, None], [0.5, 1.0]])
    assert (-0.375, -0.125) == (found.failed.interval.estimate, found.passed.interval.estimate)
    assert 0.5 == found.diverged


def test_a_case_that_never_ran_is_refused():
    """A case without an execution is neither failed nor passed."""
    with pytest.raises(ValueError, match="Case number 1 has no execution"):
        both_ways([[1.0], []], [[1.0], [1.0]])


@given(st.floats(0, 1), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_a_smaller_effect_or_a_noisier_agent_takes_more_cases(flip_rate, one, other):
    """The required number falls with the margin and rises with the flip rate."""
    small, large = sorted((one, other))
    assert required_n(flip_rate, small) >= required_n(flip_rate, large)
    assert required_n(1.0, small) >= required_n(flip_rate, small)
    assert required_n(flip_rate, small, design_effect=2) >= required_n(flip_rate, small)


@given(st.integers(20, 5_000), st.floats(0, 1))
def test_the_smallest_effect_is_the_one_that_takes_that_many_cases(n, flip_rate):
    """A run of as many cases as an effect takes detects it, and one of fewer does not."""
    effect = minimum_detectable_effect(n, flip_rate)
    if effect < 0.999:
        assert required_n(flip_rate, effect * (1 + 1e-9)) <= n + 1
        assert required_n(flip_rate, effect * 0.98) > n


def test_hardly_any_case_detects_nothing():
    """No case detects no effect, whatever its size."""
    assert 1 == minimum_detectable_effect(0, 0.1)
    assert 1 == minimum_detectable_effect(1, 0.1)


def test_sample_sizes_need_no_scipy(monkeypatch):
    """What is printed before a run is known without the extra."""
    monkeypatch.setattr("replay.stats.distributions.scipy", None)
    assert 342 == required_n(0.05, 0.03)
    assert 0.0299 < minimum_detectable_effect(342, 0.05) < 0.0301


def test_nothing_tested_is_nothing_found():
    """No p-value, no discovery; no case, no difference; no task, no pass^k."""
    assert ((), ()) == benjamini_hochberg([])
    assert not diffy_filter(0, 0, 0)
    with pytest.raises(ValueError, match="no task"):
        pass_hat_k([], 1)
    with pytest.raises(ValueError, match="has 3 trials: pass\\^4 needs 4"):
        pass_hat_k([(4, 4), (1, 3)], 4)
