"""The promises of the statistics, simulated: a short form of `make stats-sim`."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench" / "stats_sim.py"


@pytest.fixture(scope="module")
def rows_of(import_file):
    """Give a function that simulates a section, once."""
    module = import_file(BENCH, "stats_sim")
    sys.path.insert(0, str(BENCH.parent))
    import gate_sim

    sys.path.remove(str(BENCH.parent))
    yield functools.cache(
        lambda section: list(getattr(module if hasattr(module, section) else gate_sim, section)(120))
    )
    del sys.modules["stats_sim"], sys.modules["gate_sim"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "section", ["coverage", "verdicts", "peeking", "power", "discoveries", "together", "slices", "hand_overs"]
)
def test_every_promise_is_kept_within_the_simulations_error(rows_of, section):
    """Coverage, error rates, power, false discoveries and false FAILs are what was promised, up to four Monte-Carlo errors."""
    rows = rows_of(section)
    assert any(row.claim for row in rows)
    assert [] == [(row.what, row.share, row.promised) for row in rows if not row.kept(4)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "what", "least", "most"),
    [
        ("coverage", "[t, turns taken for independent: 200 conversations of 1–9 turns]", 0.6, 0.88),
        (
            "verdicts",
            "[false PASS, methods of the books alone: 20 conversations, 3 % of them broken]",
            0.3,
            0.8,
        ),
        (
            "together",
            "[any of them FAIL, each by itself: 4 equal metrics of 400 cases, 0% of the flips shared]",
            0.06,
            0.3,
        ),
        ("slices", "[no fall is shown: a slice of 30 cases, worse by a margin of 5 points]", 0.8, 1.01),
    ],
)
def test_the_simulation_sees_what_it_is_there_to_see(rows_of, section, what, least, most):
    """It shows where the methods of the books fail: turns taken for cases, and faults that hit few of them."""
    (share,) = (row.share for row in rows_of(section) if row.what == what)
    assert least < share < most
