"""Intervals of a difference: what must not matter, what must, and what little data gives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.stats import (
    bonett_price,
    clopper_pearson,
    clustered_interval,
    differences,
    paired_interval,
    paired_p,
    permutation_interval,
    rate_interval,
    rule_of_three,
    wilson,
)

FLIPS = st.sampled_from([-1.0, 0.0, 0.0, 0.0, 1.0])
SCORES = st.integers(-8, 8).map(lambda eighths: eighths / 8)
UNITS = st.lists(st.tuples(st.one_of(FLIPS, SCORES), st.integers(0, 45)), max_size=90)
"""Differences with the number of their conversation: few clusters, many, and none."""


def split(units):
    """Give differences and clusters."""
    return [d for d, _ in units], [cluster for _, cluster in units]


def ends(interval):
    """Give estimate, low and high."""
    return interval.estimate, interval.low, interval.high


@settings(max_examples=40)
@given(UNITS, st.randoms(use_true_random=False))
def test_the_order_of_the_cases_changes_nothing(units, chance):
    """Shuffled cases give the very same interval and p-value."""
    shuffled = list(units)
    chance.shuffle(shuffled)
    assert paired_interval(*split(units)) == paired_interval(*split(shuffled))
    assert paired_p(*split(units)) == paired_p(*split(shuffled))


@settings(max_examples=40)
@given(UNITS)
def test_swapping_the_arms_mirrors_the_interval(units):
    """Where candidate and baseline change places, the interval is mirrored and the p-value stays."""
    d, clusters = split(units)
    mirrored = [-value for value in d]
    here, there = paired_interval(d, clusters), paired_interval(mirrored, clusters)
    assert (here.low, here.high) == pytest.approx((-there.high, -there.low), abs=1e-12)
    assert paired_p(d, clusters) == pytest.approx(paired_p(mirrored, clusters), abs=1e-12)


@settings(max_examples=40)
@given(UNITS.filter(lambda units: len({cluster for _, cluster in units}) >= 2), st.integers(2, 4))
def test_repeating_what_a_cluster_says_is_no_evidence(units, times):
    """Each case written down several times in its conversation gives the same variance and the same interval."""
    d, clusters = split(units)
    once = clustered_interval(d, clusters)
    often = clustered_interval(d * times, clusters * times)
    assert ends(once) == pytest.approx(ends(often), abs=1e-9)


def test_a_conversation_repeated_as_other_conversations_is_evidence():
    """Twice as many conversations of the same kind narrow the interval by about √2."""
    d = [-1.0, 0.0, 0.0, 1.0, 0.0] * 40
    clusters = [i // 5 for i in range(200)]
    here = clustered_interval(
        [-v if c % 3 == 0 else v * 0.5 for v, c in zip(d, clusters, strict=True)], clusters
    )
    more = [-v if c % 3 == 0 else v * 0.5 for v, c in zip(d, clusters, strict=True)]
    there = clustered_interval(more * 2, clusters + [c + 1_000 for c in clusters])
    assert (there.high - there.low) == pytest.approx((here.high - here.low) / math.sqrt(2), rel=0.05)


@settings(max_examples=40)
@given(UNITS, st.floats(0.05, 0.9), st.floats(0.05, 0.9))
def test_more_confidence_is_a_wider_interval_around_the_estimate(units, one, other):
    """The estimate lies inside, the ends inside [−1, 1], and a higher confidence never narrows the interval."""
    d, clusters = split(units)
    less, more = (
        paired_interval(d, clusters, confidence=0.5 + share / 2.01) for share in sorted((one, other))
    )
    assert -1 <= more.low <= less.low <= less.high <= more.high <= 1
    if less.estimate is not None:
        assert less.low - 1e-12 <= less.estimate <= less.high + 1e-12


@settings(max_examples=40)
@given(UNITS.filter(lambda units: units != []), st.floats(0.1, 1_000))
def test_only_ratios_of_weights_count(units, factor):
    """Equal weights are none, and scaling all of them changes nothing."""
    d, clusters = split(units)
    plain = paired_interval(d, clusters)
    assert ends(plain) == pytest.approx(ends(paired_interval(d, clusters, [1.0] * len(d))), abs=1e-12)
    weights = [1.0 + cluster % 3 for cluster in clusters]
    here = paired_interval(d, clusters, weights)
    there = paired_interval(d, clusters, [factor * weight for weight in weights])
    assert ends(here) == pytest.approx(ends(there), abs=1e-9)


def test_weights_undo_oversampling():
    """A stratum drawn at a tenth of the rate counts ten times: the mean is that of the traffic."""
    # 900 turns of which 90 were drawn, none changed; 90 of which all were, half of them worse.
    d = [0.0] * 90 + [-1.0, 0.0] * 45
    found = paired_interval(d, weights=[10.0] * 90 + [1.0] * 90)
    assert -45 / 990 == pytest.approx(found.estimate)
    assert -0.25 == pytest.approx(paired_interval(d).estimate)


@pytest.mark.parametrize("n", [2, 10, 29, 30, 99, 100, 1_000])
@pytest.mark.parametrize("clusters", [False, True])
def test_no_flip_at_all_is_bounded_by_what_may_be_unseen(n, clusters):
    """Where nothing changed in n conversations, a change of 1 − α^{1/n} may have been missed, in either direction."""
    names = [i // 4 for i in range(4 * n)] if clusters else None
    found = paired_interval([0.0] * (4 * n if clusters else n), names, confidence=0.9)
    assert 0 == found.estimate
    # A t quantile for few clusters makes the bound a little wider than the one for independent cases.
    assert found.high >= rule_of_three(n) - 1e-12
    assert -found.low == pytest.approx(found.high)
    if not clusters and n >= 3:
        assert rule_of_three(n) == pytest.approx(found.high)
    if n >= 30:
        assert found.high < 1.1 * rule_of_three(n)


def test_all_clusters_alike_are_no_interval_of_width_zero():
    """Fifty conversations that lost the same half point leave room above and below."""
    found = paired_interval([-0.5] * 100, [i // 2 for i in range(100)])
    assert -1 < found.low < -0.5 < found.high < 0


def test_twenty_clusters_without_a_flip_show_nothing_about_a_margin():
    """Sign flips alone would call twenty unchanged conversations certain; the interval that decides does not."""
    d, clusters = [0.0] * 60, [i // 3 for i in range(60)]
    assert (0.0, 0.0) == (permutation_interval(d, clusters).low, permutation_interval(d, clusters).high)
    assert paired_interval(d, clusters, confidence=0.9).low < -0.13


def test_one_cluster_says_nothing_however_many_turns_it_has():
    """No case gives no estimate; one case or one conversation gives an estimate and [−1, 1]."""
    assert (None, -1, 1) == ends(paired_interval([]))
    assert (-1, -1, 1) == ends(paired_interval([-1.0]))
    assert (0.5, -1, 1) == ends(paired_interval([0.5] * 40, ["c-1"] * 40))
    assert [1.0] * 3 == [paired_p([]), paired_p([-1.0]), paired_p([0.5] * 40, ["c-1"] * 40)]
    assert (None, -1, 1) == ends(clustered_interval([]))
    assert (None, -1, 1) == ends(permutation_interval([]))


def test_the_method_is_chosen_by_what_the_cases_are():
    """Yes and no without clusters is Bonett–Price, few clusters sign flips, the rest a clustered variance."""
    flips = [-1.0, 1.0] * 50 + [0.0] * 200
    clusters = [i % 100 for i in range(300)]
    assert "Bonett–Price" == paired_interval(flips).method
    assert "clustered t" == paired_interval(flips, clusters).method
    assert "paired t" == paired_interval([value / 2 for value in flips]).method
    assert paired_interval(flips, [i % 20 for i in range(300)]).method.startswith("sign-flip permutation")
    assert "Bonett–Price" == paired_interval(flips, list(range(300)), [2.0] * 300).method


def test_an_interval_that_was_widened_says_so():
    """One-sided flips are skewed, and the interval that reckons with it is named so."""
    found = paired_interval([-1.0] * 2 + [0.0] * 148, confidence=0.9)
    assert "Bonett–Price, widened for what 150 cases may not have shown" == found.method
    assert found.low < bonett_price(2, 0, 150, 0.9).low


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.5, 2])
def test_what_is_no_difference_is_refused_with_its_place(bad):
    """A number that is not finite or lies outside of [−1, 1] is named by its place, and so are scores outside of [0, 1]."""
    for judge in (paired_interval, paired_p, clustered_interval, permutation_interval):
        with pytest.raises(ValueError, match="from -1 to 1; number 1 is"):
            judge([0.0, bad])
    with pytest.raises(ValueError, match="from 0 to 1; number 0 is"):
        differences([bad], [0.5])
    with pytest.raises(ValueError, match="from 0 to 1; number 0 is"):
        rate_interval([bad])


@pytest.mark.parametrize("weight", [0, -1, math.nan, math.inf])
def test_a_weight_that_is_none_is_refused(weight):
    """A weight of 0, below it, or not finite is refused."""
    with pytest.raises(ValueError, match="finite number above 0"):
        paired_interval([0.0, 1.0], None, [1.0, weight])


def test_what_is_not_paired_is_refused():
    """Scores, clusters and weights are as many as there are cases, and a confidence is a share."""
    with pytest.raises(ValueError, match="not paired"):
        differences([1.0], [1.0, 0.0])
    with pytest.raises(ValueError, match="2 values and 1 names of clusters"):
        paired_interval([0.0, 1.0], ["c-1"])
    with pytest.raises(ValueError, match="2 values and 1 weights"):
        paired_interval([0.0, 1.0], None, [1.0])
    with pytest.raises(ValueError, match="confidence lies between 0 and 1"):
        paired_interval([0.0, 1.0], confidence=95)
    with pytest.raises(ValueError, match="more changes than cases"):
        bonett_price(3, 3, 5)
    with pytest.raises(ValueError, match="more events than cases"):
        wilson(6, 5)
    with pytest.raises(ValueError, match="n counts something"):
        clopper_pearson(0, -1)


def test_rates_of_no_case_are_unknown():
    """Without a case, a rate lies anywhere in [0, 1] and nothing is bounded."""
    for interval in (clopper_pearson(0, 0), wilson(0, 0), rate_interval([])):
        assert (None, 0, 1) == ends(interval)
    assert 1 == rule_of_three(0)


def test_turns_of_one_conversation_say_less_about_a_rate():
    """Two hundred grounded answers in twenty conversations bound the rate hardly better than twenty do."""
    alone = rate_interval([1.0] * 200, confidence=0.9).low
    together = rate_interval([1.0] * 200, [i // 10 for i in range(200)], confidence=0.9).low
    assert alone > 0.98
    assert together < clopper_pearson(20, 20, 0.9).low
