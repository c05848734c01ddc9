"""The promises of the statistics, simulated: a short form of `make stats-sim`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench" / "stats_sim.py"


@pytest.fixture(scope="module")
def simulation():
    """Give the simulation's module."""
    spec = importlib.util.spec_from_file_location("stats_sim", BENCH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["stats_sim"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["stats_sim"]


@pytest.mark.slow
@pytest.mark.parametrize("section", ["coverage", "verdicts", "peeking", "power", "discoveries"])
def test_every_promise_is_kept_within_the_simulations_error(simulation, section):
    """Coverage, error rates, power and false discoveries are what was promised, up to four Monte-Carlo errors."""
    rows = list(getattr(simulation, section)(150))
    assert any(row.claim for row in rows)
    assert [] == [(row.what, row.share, row.promised) for row in rows if not row.kept(4)]


@pytest.mark.slow
def test_the_simulation_sees_what_it_is_there_to_see(simulation):
    """It tells the methods of the books from ours where they fail: clusters taken for cases, and faults that hit few of them."""
    rows = [*simulation.coverage(150), *simulation.verdicts(150)]
    contrast = {row.what: row.share for row in rows if not row.claim}
    assert contrast["[t, turns taken for independent: 200 conversations of 1–9 turns]"] < 0.88
    assert contrast["[false PASS, methods of the books alone: 20 conversations, 3 % of them broken]"] > 0.3
