"""The figures behind the rule that only exact matches are served, measured again through the cassette."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench" / "matching.py"


@pytest.mark.slow
def test_exact_matches_are_right_and_near_ones_are_not(shared_data, import_file):
    """Between runs of one agent on τ-bench's airline tasks, exact arguments serve 72.1 % of the reads, and are always right."""
    bench = import_file(BENCH, "bench_matching")
    pairs = bench.pairs_of(shared_data)
    reads = [found for found in bench.asked_of(pairs) if found.tool not in bench.PURE]
    found = {by: tuple(round(share, 1) for share in bench.shares(reads, by)) for by in bench.PUBLISHED}
    assert (600, bench.PUBLISHED) == (len(pairs), found)
