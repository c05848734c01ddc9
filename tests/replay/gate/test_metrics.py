"""The built-in metrics, and what is known of a case that was cut short."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.gate.facts import CaseFacts, Facts, Write
from replay.gate.metrics import AGREEMENT, BUILT_IN, pair_of, violations

CALM = Facts("candidate", 0, "complete")
REFUND = replace(
    CALM, writes=(Write("issue_refund", '{"/amount":40}'),), calls=('issue_refund {"amount":40}',)
)
HANDED = replace(CALM, escalated=True, calls=("escalate {}",))
MISSED = replace(CALM, status="diverged")
BLOCKED = replace(REFUND, status="blocked")


def test_the_same_agrees(case):
    """What does the same as the baseline scores as the baseline does."""
    for metric in AGREEMENT:
        assert ((1.0, 1.0), (1.0, 1.0)) == pair_of(metric, case(baseline=REFUND, candidate=REFUND))


def test_another_write_set_disagrees(case):
    """A write that only one side makes is a difference, also where the sandbox stopped it."""
    assert (0.0, 0.0) == pair_of("write_set", case(candidate=REFUND)).candidate
    assert (0.0, 0.0) == pair_of("write_set", case(baseline=REFUND)).candidate
    assert (0.0, 0.0) == pair_of("write_set", case(candidate=BLOCKED)).candidate


def test_what_was_cut_short_is_unknown(case):
    """A candidate that was stopped may have gone on to do what the baseline did: it is worst and best at once."""
    assert (0.0, 1.0) == pair_of("write_set", case(baseline=REFUND, candidate=MISSED)).candidate
    assert (0.0, 1.0) == pair_of("escalation", case(baseline=HANDED, candidate=MISSED)).candidate
    assert (0.0, 1.0) == pair_of("outcome", case(candidate=MISSED)).candidate


def test_both_stopped_at_the_same_write_agree(case):
    """A baseline that was stopped at the same write did the same."""
    assert (1.0, 1.0) == pair_of("write_set", case(baseline=BLOCKED, candidate=BLOCKED)).candidate


def test_agreement_needs_the_baseline_twice(case):
    """A baseline that ran once gives no noise to compare with, so nothing is said."""
    once = case(twice=False)

    assert {None} == {pair_of(metric, once) for metric in AGREEMENT}
    assert ((1.0, 1.0), (1.0, 1.0)) == pair_of("outcome", once)


def test_noise_of_the_baseline_counts_on_both_sides(case):
    """A baseline that disagrees with itself does not make the candidate worse than it is."""
    noisy = case(baseline=HANDED, baseline_2=CALM, candidate=CALM)

    assert ((0.0, 0.0), (0.5, 0.5)) == pair_of("escalation", noisy)


def test_a_failure_is_no_outcome(case):
    """A turn that failed is known to be bad."""
    failed = replace(CALM, status="errored", failed=True)

    assert ((1.0, 1.0), (0.0, 0.0)) == pair_of("outcome", case(candidate=failed))


def test_unscored_is_not_zero(case):
    """A case that a scorer had nothing to say of on either side is left out, and not counted as 0."""
    scored, silent = replace(CALM, scores={"calm": 0.4}), replace(CALM, scores={"calm": None})

    assert pair_of("calm", case(baseline=silent, candidate=silent)) is None
    assert ((0.4, 0.4), (0.4, 0.4)) == pair_of("calm", case(baseline=scored, candidate=scored))


def test_latency_is_a_share_of_both(case):
    """Twice as slow scores a third, and as fast a half."""
    slow, fast = (replace(CALM, measures={"latency_ms": ms}) for ms in (200.0, 100.0))
    low, high = pair_of("latency", case(baseline=fast, candidate=slow)).candidate

    assert pytest.approx((1 / 3, 1 / 3)) == (low, high)
    assert (0.5, 0.5) == pair_of("latency", case(baseline=slow, candidate=slow)).candidate


def test_violations_are_what_no_baseline_does(case):
    """A new write and another amount are violations; what a run of the baseline does as well is none."""
    other = replace(REFUND, writes=(Write("issue_refund", '{"/amount":400}'),))

    assert ["writes with issue_refund, which no run of the baseline does"] == violations(
        "new_write", case(candidate=REFUND)
    )
    assert [] == violations("new_write", case(baseline_2=REFUND, candidate=REFUND))
    assert [
        'calls issue_refund with other money than any run of the baseline: {"/amount":400}'
    ] == violations("changed_money", case(baseline=REFUND, candidate=other))
    assert [] == violations("changed_money", case(candidate=other))
    bad = replace(CALM, scores={"no_pii": 0.0}, evidence={"no_pii": "new email"})
    assert ["new email"] == violations("no_pii", case(candidate=bad))
    assert [] == violations("no_pii", case(baseline=bad, candidate=bad))


runs = st.builds(
    Facts,
    arm=st.just("candidate"),
    repeat=st.just(0),
    status=st.sampled_from(["complete", "diverged", "blocked", "errored"]),
    writes=st.lists(st.sampled_from([Write("a"), Write("b", '{"/amount":1}')]), max_size=2).map(tuple),
    calls=st.lists(st.sampled_from(["a {}", "b {}"]), max_size=3).map(tuple),
    escalated=st.booleans(),
)


@given(one=runs, other=runs, candidate=runs)
def test_every_metric_stays_in_bounds(one: Facts, other: Facts, candidate: Facts):
    """Whatever ran, a metric gives worst ≤ best, both from 0 to 1."""
    arms = (replace(one, arm="baseline"), replace(other, arm="baseline_2"), candidate)
    case = CaseFacts("1", "c", 0, "s", "i", runs=arms)
    for metric in BUILT_IN:
        for low, high in pair_of(metric, case) or ():
            assert 0 <= low <= high <= 1


@given(run=runs)
def test_what_is_the_same_is_never_worse(run: Facts):
    """Three runs that did the same give no difference, however they ended."""
    arms = tuple(replace(run, arm=arm) for arm in ("baseline", "baseline_2", "candidate"))
    case = CaseFacts("1", "c", 0, "s", "i", runs=arms)
    for metric in BUILT_IN:
        if (pair := pair_of(metric, case)) is not None:
            assert pair.baseline == pair.candidate
