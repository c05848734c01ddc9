"""The statistics against scipy and statsmodels, on made-up inputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from replay.stats import (
    benjamini_hochberg,
    clopper_pearson,
    clustered_interval,
    cohen_kappa,
    holm,
    lcs_f1,
    mcnemar_chi2,
    mcnemar_exact,
    permutation_p,
    rate_interval,
    wilson,
)

DIFFERENCES = st.lists(
    st.floats(-1, 1, allow_subnormal=False).map(lambda x: round(x, 3)), min_size=2, max_size=40
)
COUNTS = st.integers(0, 300)


@given(COUNTS, COUNTS)
def test_mcnemar_is_that_of_statsmodels(b, c):
    """The exact p-value is statsmodels', and so is χ² wherever b and c differ."""
    assert float(mcnemar([[0, b], [c, 0]], exact=True).pvalue) == pytest.approx(
        mcnemar_exact(b, c), abs=1e-12
    )
    if b != c:
        theirs = mcnemar([[0, b], [c, 0]], exact=False, correction=True)
        assert (theirs.statistic, theirs.pvalue) == pytest.approx(mcnemar_chi2(b, c), abs=1e-12)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_intervals_of_rates_are_those_of_statsmodels(counted, confidence):
    """Clopper–Pearson and Wilson are statsmodels' for every count and confidence."""
    k, n = counted
    for ours, method in ((clopper_pearson, "beta"), (wilson, "wilson")):
        found = ours(k, n, confidence)
        theirs = proportion_confint(k, n, alpha=1 - confidence, method=method)
        assert (float(theirs[0]), float(theirs[1])) == pytest.approx((found.low, found.high), abs=1e-9)


@given(DIFFERENCES, st.floats(0.5, 0.999))
def test_without_clusters_the_clustered_interval_is_the_paired_t_interval(d, confidence):
    """Clusters of one give scipy's one-sample t interval."""
    found = clustered_interval(d, None, confidence)
    theirs = (
        scipy.stats.ttest_1samp(d, 0).confidence_interval(confidence) if len(set(d)) > 1 else (d[0], d[0])
    )
    assert (max(-1.0, theirs[0]), min(1.0, theirs[1])) == pytest.approx((found.low, found.high), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_the_clustered_variance_is_that_of_statsmodels(seed):
    """A regression on a constant with clustered covariance has our standard error, by its factor for few clusters."""
    import statsmodels.api as sm

    chance = np.random.default_rng(seed)
    clusters = np.sort(chance.integers(0, 25, 120))
    d = np.clip(chance.normal(0, 0.2, 120) + chance.normal(0, 0.3, 25)[clusters], -1, 1)
    fitted = sm.OLS(d, np.ones(120)).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    groups = len(set(clusters))
    # statsmodels multiplies by G/(G−1) · (n−1)/(n−k), and k is 1.
    half = scipy.stats.t.ppf(0.975, groups - 1) * fitted.bse[0]
    found = clustered_interval(d.tolist(), clusters.tolist())
    assert (fitted.params[0] - half, fitted.params[0] + half) == pytest.approx(
        (found.low, found.high), abs=1e-9
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_weighted_mean_and_variance_are_those_of_statsmodels(seed):
    """Weights and clusters together are a weighted regression on a constant with clustered covariance."""
    import statsmodels.api as sm

    chance = np.random.default_rng(seed)
    clusters = np.sort(chance.integers(0, 40, 150))
    weights = chance.choice([1.0, 2.5, 10.0], 150)
    d = np.clip(chance.normal(0, 0.2, 150) + chance.normal(0, 0.2, 40)[clusters], -1, 1)
    fitted = sm.WLS(d, np.ones(150), weights=weights).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    half = scipy.stats.t.ppf(0.975, len(set(clusters)) - 1) * fitted.bse[0]
    found = clustered_interval(d.tolist(), clusters.tolist(), weights=weights.tolist())
    assert (fitted.params[0], fitted.params[0] - half) == pytest.approx((found.estimate, found.low), abs=1e-9)


@settings(max_examples=25)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=2, max_size=10))
def test_the_permutation_p_value_is_that_of_scipy(d):
    """Where all sign flips are tried, the two-sided p-value is scipy's of the mean."""
    theirs = scipy.stats.permutation_test(
        (np.array(d),), np.mean, permutation_type="samples", n_resamples=9_999
    )
    assert float(theirs.pvalue) == pytest.approx(permutation_p(d), abs=1e-12)


@pytest.mark.parametrize(("ours", "method"), [(benjamini_hochberg, "fdr_bh"), (holm, "holm")])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.5))
def test_several_tests_are_those_of_statsmodels(ours, method, p, q):
    """What stands out by Benjamini–Hochberg and by Holm, and every adjusted p-value, is statsmodels'."""
    rejected, adjusted, *_ = multipletests(p, q, method=method)
    found = ours(p, q)
    assert adjusted.tolist() == pytest.approx(list(found.adjusted), abs=1e-12)
    # At equality rounding decides; neither is wrong there.
    clear = [abs(value - q) > 1e-12 for value in found.adjusted]
    assert [bool(r) for r, c in zip(rejected, clear, strict=True) if c] == [
        r for r, c in zip(found.rejected, clear, strict=True) if c
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=4, max_size=80).filter(
        lambda pairs: len({one for one, _ in pairs}) > 1 and len({other for _, other in pairs}) > 1
    )
)
def test_kappa_is_that_of_statsmodels(pairs):
    """κ is statsmodels', and its interval holds theirs."""
    labels = sorted({label for pair in pairs for label in pair})
    table = [[sum(pair == (one, other) for pair in pairs) for other in labels] for one in labels]
    # Of full agreement statsmodels' variance may come out as −1e-17.
    with np.errstate(invalid="ignore"):
        theirs = cohens_kappa(np.array(table))
    found = cohen_kappa([one for one, _ in pairs], [other for _, other in pairs])
    assert float(theirs.kappa) == pytest.approx(found.estimate, abs=1e-9)
    half = 1.959963984540054 * math.sqrt(max(0.0, theirs.var_kappa))
    assert found.high >= min(1.0, theirs.kappa + half) - 1e-6
    assert found.low <= max(-1.0, theirs.kappa - half) + 1e-6


@given(st.text("abcd", max_size=40), st.text("abcd", max_size=40))
def test_the_longest_common_subsequence_is_that_of_rapidfuzz(a, b):
    """LCS-F1 is rapidfuzz's longest common subsequence over both lengths, twice."""
    from rapidfuzz.distance import LCSseq

    expected = 2 * LCSseq.similarity(a, b) / (len(a) + len(b)) if a or b else 1.0
    assert expected == pytest.approx(lcs_f1(a, b))


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=200), st.floats(0.5, 0.99))
def test_a_rate_without_clusters_is_clopper_pearsons(y, confidence):
    """Of independent successes and failures, `rate_interval` is the exact one."""
    found = rate_interval(y, confidence=confidence)
    exact = clopper_pearson(int(sum(y)), len(y), confidence)
    assert (exact.low, exact.high) == pytest.approx((found.low, found.high), abs=1e-9)
