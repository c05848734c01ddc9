"""What is said of grounded answers where the candidate claims nothing, and where nobody asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replay.gate.facts import Facts
from replay.gate.grounding import grounded_check

CALM = Facts("candidate", 0, "complete")
CLAIMS, SILENT = replace(CALM, scores={"grounded": 1.0}), replace(CALM, scores={"grounded": None})


@pytest.mark.parametrize(("silent", "warns"), [(0, False), (20, False), (150, True)])
def test_a_candidate_that_falls_silent_is_told(case, policy, silent, warns):
    """Answers without a claim where the baseline makes one are counted, and many of them warn; fewer words may still pass."""
    cases = [case(n, baseline=CLAIMS, candidate=SILENT if n < silent else CLAIMS) for n in range(400)]
    check = grounded_check(cases, policy())

    assert ("PASS", warns, silent, 400) == (
        check.outcome, check.warning, check.figures["fell_silent"], check.figures["baseline_claims"],
    )  # fmt: skip
    told = f"in {silent} of 400 cases in which the baseline claims something the candidate claims nothing"
    assert bool(silent) == (told in check.sentence)


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (CALM, "was not asked of any answer"),
        (replace(SILENT, unscored=frozenset({"grounded"})), "failed on every answer"),
        (SILENT, "none makes a claim"),
    ],
)
def test_why_nothing_is_known_of_grounding_is_said(case, policy, run, why):
    """Not asked, failed and without a claim are three things."""
    check = grounded_check([case(n, candidate=run) for n in range(5)], policy())

    assert ("INCONCLUSIVE", True) == (check.outcome, why in check.sentence)
