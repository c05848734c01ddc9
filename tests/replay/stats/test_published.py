"""The statistics against numbers that others published, and against their own papers' examples."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from replay.stats import (
    bonett_price,
    cases_for_bound,
    clopper_pearson,
    cohen_kappa,
    diffy_filter,
    lcs_f1,
    mcnemar_chi2,
    pass_hat_k,
    required_n,
    rule_of_three,
)


def test_mcnemar_of_the_published_pair():
    """With 86 cases worse and 150 better, χ² is 16.818 and p is 4.115e-05."""
    found = mcnemar_chi2(86, 150)
    assert "16.818" == f"{found.statistic:.3f}"
    assert "4.115e-05" == f"{found.p:.3e}"


def test_pass_hat_k_of_the_published_airline_trajectories(shared_data):
    """τ-bench's gpt-4o airline trials give its published pass^1 to pass^4."""
    path = shared_data / "tau-bench" / "trajectories" / "gpt-4o-airline.json"
    trials = json.loads(path.read_text(encoding="utf-8"))
    ran = Counter(trial["task_id"] for trial in trials)
    passed = Counter(trial["task_id"] for trial in trials if trial["reward"] == 1)
    tasks = [(passed[task], count) for task, count in ran.items()]
    assert [".420", ".273", ".220", ".200"] == [f"{pass_hat_k(tasks, k):.3f}"[1:] for k in (1, 2, 3, 4)]


def test_pass_hat_k_of_the_published_retail_figures():
    """Over τ-bench's 115 retail tasks, one table of successes in four trials gives all four published figures."""
    # The trajectories are not published; four figures and 115 tasks leave one table of whole numbers.
    tasks = [(4, 4)] * 44 + [(3, 4)] * 22 + [(2, 4)] * 9 + [(1, 4)] * 18 + [(0, 4)] * 22
    assert 115 == len(tasks)
    assert [".604", ".491", ".430", ".383"] == [f"{pass_hat_k(tasks, k):.3f}"[1:] for k in (1, 2, 3, 4)]


def test_lcs_f1_of_the_published_lists():
    """[a, b, c] and [a, x, b] share two calls in order: .667."""
    assert "0.667" == f"{lcs_f1(['a', 'b', 'c'], ['a', 'x', 'b']):.3f}"


@pytest.mark.parametrize(
    ("raw", "noise", "n", "differs"),
    [(60, 40, 1000, False), (61, 40, 1000, True), (3, 1, 1000, True), (2, 1, 10_000, False)],
)
def test_diffy_filter_at_its_published_thresholds(raw, noise, n, differs):
    """An excess of exactly 20 % of the two together, or of 0.01 % of the cases, is noise."""
    assert differs == diffy_filter(raw, noise, n)


def test_sample_sizes_for_three_points():
    """Three percentage points take 342 cases at a flip rate of 5 %, and 1,146 at 16.7 %."""
    assert [342, 1_146] == [required_n(0.05, 0.03), required_n(0.167, 0.03)]


def test_nothing_seen_in_299_cases_is_less_than_one_percent():
    """0 of 299 bounds the rate below 1 %, 0 of 298 does not; 5 % takes 59 cases and 0.1 % takes 2,995."""
    assert rule_of_three(299) < 0.01 < rule_of_three(298)
    assert [59, 299, 2_995] == [cases_for_bound(bound) for bound in (0.05, 0.01, 0.001)]


def test_one_event_takes_more_cases():
    """Tables of attribute sampling: at 95 % confidence one event takes 93 cases for 5 %, 473 for 1 %; two take 124 and 628."""
    assert [93, 473, 124, 628] == [
        cases_for_bound(bound, events=events) for events in (1, 2) for bound in (0.05, 0.01)
    ]
    for events, bound in ((1, 0.05), (3, 0.01), (7, 0.2)):
        n = cases_for_bound(bound, events=events)
        assert clopper_pearson(events, n, 0.9).high <= bound < clopper_pearson(events, n - 1, 0.9).high


def test_bonett_price_of_a_worked_example():
    """Of 100 pairs with 15 better and 5 worse, the 95 % interval is as the formula of 2012 gives it by hand."""
    # p̃₀₁ = 16/102, p̃₁₀ = 6/102, Δ̃ = 10/102, SE = √((22/102 − (10/102)²) / 102)
    found = bonett_price(5, 15, 100)
    assert ("0.1000", "0.0099", "0.1861") == tuple(
        f"{value:.4f}" for value in (found.estimate, found.low, found.high)
    )


def test_kappa_of_a_textbook_table():
    """The table 20 / 5 / 10 / 15 has κ = 0.4, and 0.6489 for its upper end."""
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(a, b)
    assert "0.4000" == f"{found.estimate:.4f}"
    assert "0.6489" == f"{found.high:.4f}"
