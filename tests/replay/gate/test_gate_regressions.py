"""What the runs of the regression set show of a candidate."""

from __future__ import annotations

import pytest

from replay.gate.regressions import check_of
from replay.regress.expectations import Expectations
from replay.regress.judging import CaseVerdict, RegressionResults
from replay.regress.keeping import RegressionCase, RegressionSet


def regression(*statuses, sealed=False, excess=None):
    cases = tuple(
        RegressionCase(f"{n:012x}", f"c{n}", "t", f"s{n}", 0, "agent", Expectations(), sealed=sealed)
        for n in range(len(statuses))
    )
    verdicts = tuple(
        CaseVerdict(case, status, why="" if sealed else "a refund is missing")
        for case, status in zip(cases, statuses, strict=True)
    )
    known = RegressionSet(3, cases)
    return RegressionResults("R", 3, known.digest, verdicts, excess), known


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        (("passed", "passed"), "PASS"),
        (("passed", "failed"), "FAIL"),
        (("passed", "unjudged"), "INCONCLUSIVE"),
        (("passed", "unstable"), "PASS"),
        (("failed", "unjudged"), "FAIL"),
    ],
)
def test_the_regression_set_is_part_of_the_gate(statuses, outcome):
    """A case that fails fails the gate, one that nobody ran leaves it open."""
    results, known = regression(*statuses)

    assert outcome == check_of([results], known).outcome


def test_two_runs_of_the_set_count_together():
    """What one run did not judge another may; failed in either is failed; unstable too often is FAIL."""
    (first, known), (second, _), (often, _) = (
        regression("passed", "unjudged"), regression("unjudged", "passed"), regression("unstable", "passed", excess=0.001),
    )  # fmt: skip

    assert ("PASS", "FAIL") == (
        check_of([first, second], known).outcome,
        check_of([first, often], known).outcome,
    )
    assert "INCONCLUSIVE" == check_of([], known).outcome


def test_running_the_set_again_until_it_passes_shows_nothing():
    """What this candidate failed before is flaky where it passes now, as long as the case is the same; a person may sign."""
    results, known = regression("passed", "passed")
    failed = known.cases[0]

    check = check_of([results], known, {(failed.case_id, failed.digest)})

    assert ("INCONCLUSIVE", True, (failed.case_id,)) == (
        check.outcome,
        check.waivable,
        tuple(example.case_id for example in check.examples),
    )
    assert "PASS" == check_of([results], known, {(failed.case_id, "as it was before")}).outcome
