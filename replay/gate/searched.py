"""What is searched for a fall, and warns: secondary metrics, and the values of watched tags.

The rules:

1. All of them are tested together (Benjamini–Hochberg), so that of the warnings no more than the policy's share is chance.
2. None of them decides. What decides is named beforehand (`quality`), and is not among them: watching more thins out nothing.
3. A tag's value is a slice from 30 cases on. One that shows no fall is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from replay import stats
from replay.gate.check import Check, Outcome
from replay.gate.facts import CaseFacts
from replay.gate.measured import Measured, Pairs
from replay.gate.policy import Policy
from replay.gate.wording import number, points, share

FEWEST_IN_SLICE = 30


class _Test(NamedTuple):
    check_id: str
    title: str
    found: Measured
    slice: bool


def secondary_checks(cases: Sequence[CaseFacts], policy: Policy) -> Iterator[Check]:
    """Look for a fall in secondary metrics and watched slices."""
    tests = list(_tests(Pairs(cases), policy))
    enough = [test for test in tests if test.found.n >= 2]
    intervals = [
        stats.paired_interval(test.found.worst, test.found.clusters, test.found.weights, 1 - 2 * policy.alpha)
        for test in enough
    ]
    falls = [_fall_p(test.found, interval) for test, interval in zip(enough, intervals, strict=True)]
    shown = stats.benjamini_hochberg(falls, policy.q).rejected
    judged = {
        test.check_id: (interval, p, found)
        for test, interval, p, found in zip(enough, intervals, falls, shown, strict=True)
    }
    for test in tests:
        if test.check_id in judged:
            yield from _searched(test, *judged[test.check_id], policy)
        elif not test.slice:
            yield Check(
                test.check_id, "secondary", test.title, "INCONCLUSIVE",
                f"{number(test.found.n, 'case')} can be compared, which says nothing.", gates=False,
                figures={"n": test.found.n},
            )  # fmt: skip


def _tests(pairs: Pairs, policy: Policy) -> Iterator[_Test]:
    for metric in policy.secondary:
        yield _Test(f"secondary.{metric}", metric, pairs.measured(metric), slice=False)
    for tag in dict.fromkeys(policy.watched_tags):
        for value, places in sorted(pairs.tagged(tag).items()):
            name = f"{tag}={value}"
            if len(places) < FEWEST_IN_SLICE or name in policy.named_slices:
                continue
            for metric in policy.primary:
                found = pairs.measured(metric, places)
                yield _Test(f"slice.{name}.{metric}", f"{name}: {metric}", found, slice=True)


def _fall_p(found: Measured, interval: stats.Interval) -> float:
    """Give the one-sided p-value of no fall."""
    half = stats.paired_p(found.worst, found.clusters, found.weights) / 2
    return half if (interval.estimate or 0.0) < 0 else 1 - half


def _searched(
    test: _Test, interval: stats.Interval, p: float, shown: bool, policy: Policy
) -> Iterator[Check]:
    found, estimate = test.found, interval.estimate or 0.0
    falls = shown and estimate < 0
    if test.slice and not falls:
        return
    said = (
        f"{share(found.baseline)} → {share(found.candidate)}, Δ {points(estimate)} "
        f"[{points(interval.low)}, {points(interval.high)}] over {number(found.n, 'case')}"
    )
    ending = f"; the fall is shown (q = {policy.q:g})." if falls else "; no fall is shown."
    if test.slice:
        ending += " A slice that the policy did not name warns only."
    outcome: Outcome = "FAIL" if falls else "PASS"
    yield Check(
        test.check_id, "slice" if test.slice else "secondary", test.title, outcome, said + ending,
        gates=False, warning=falls,
        figures={
            "baseline": found.baseline, "candidate": found.candidate, "delta": estimate,
            "low": interval.low, "high": interval.high, "n": found.n, "p": p, "q": policy.q,
        },
    )  # fmt: skip
