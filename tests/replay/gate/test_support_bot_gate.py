"""The gate on the sample agent, with noise: what is the same passes, what is worse fails and is named."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CONVERSATIONS = 150


@pytest.fixture(scope="module")
def bench(import_file):
    """The benchmark's functions, and the environment as it was afterwards."""
    module = import_file(ROOT / "bench" / "gate.py", "bench_gate")
    yield module
    os.environ.pop(module.noise.VARIABLE, None)


@pytest.fixture(scope="module")
def recorded(bench, tmp_path_factory):
    """Traffic of v1, with noise."""
    path = tmp_path_factory.mktemp("traffic") / "audit"
    bench.record(path, CONVERSATIONS)
    return path


@pytest.mark.slow
def test_the_same_version_passes_with_noise(bench, recorded):
    """v1 against itself passes at level 2, though both vary."""
    verdict = bench.repeat(recorded, "v1", 1, bench.policy(2)).verdict

    assert [] == [
        (check.id, check.sentence) for check in verdict.checks if check.gates and check.counts != "PASS"
    ]
    assert "PASS" == verdict.outcome


@pytest.mark.slow
def test_the_worse_version_fails_and_its_faults_are_named(bench, recorded):
    """v2 fails by a confirmed write, and each planted fault stands among what behaves differently."""
    verdict = bench.repeat(recorded, "v2", 1, bench.policy(2)).verdict
    failed = {check.id for check in verdict.of("FAIL")}
    said = [
        f"{diff.case_class} {diff.name} {' '.join(diff.findings)} {diff.summary}" for diff in verdict.diffs
    ]

    assert "FAIL" == verdict.outcome
    assert {"hard.new_write", "primary.write_set"} <= failed
    assert "PASS" != next(check.counts for check in verdict.checks if check.id == "primary.escalation")
    faults = tomllib.loads(
        (ROOT / "examples" / "support_bot" / "planted_faults.toml").read_text(encoding="utf-8")
    )["fault"]
    wanted = [
        fault for fault in faults if fault["id"] != "other-words"
    ]  # Right answers in other words are no fault.
    missing = [
        fault["id"]
        for fault in wanted
        if not any(
            all(word in line for word in (fault.get("tool", ""), fault.get("finding", ""))) for line in said
        )
    ]
    assert [] == missing


@pytest.mark.slow
def test_too_few_cases_say_how_many_more(bench, recorded):
    """Forty cases are no verdict at level 3, and the missing number is named."""
    verdict = bench.repeat(recorded, "v1", 1, bench.policy(3), limit=40).verdict
    bound = next(check for check in verdict.checks if check.id == "hard_bound")
    outcome = next(check for check in verdict.checks if check.id == "primary.outcome")

    assert "INCONCLUSIVE" == verdict.outcome
    assert 299 - bound.figures["conversations"] == bound.figures["missing"]
    assert f"{outcome.figures['required_n'] - outcome.figures['n']:,} more than there are" in outcome.sentence
