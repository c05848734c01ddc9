"""Whether the gate's own rules keep what they promise: several metrics that fail, named slices, hand-overs.

`python bench/stats_sim.py` prints these sections behind its own.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator

from stats_sim import ALPHA, MARGIN, ONE_SIDED, Row, Runs, independent, of_flips, repeated

from replay.stats import holm, mcnemar_exact, paired_interval


def together(runs: int, n: int = 400) -> Iterator[Row]:
    """Simulate four primary metrics of a candidate as good as the baseline, that flip by chance and hang together or do not."""
    for alike in (0.0, 0.7):

        def each(chance: random.Random, alike: float = alike) -> list[bool]:
            counts = [[0, 0] for _ in range(4)]
            for _ in range(n):
                shared = chance.random()
                for counted in counts:
                    u = shared if chance.random() < alike else chance.random()
                    counted[0] += u < 0.025
                    counted[1] += u > 0.975
            found = [of_flips(worse, better, n, ONE_SIDED) for worse, better in counts]
            fails = [one.high < 0 and one.low <= -MARGIN for one in found]
            p = [
                half if worse > better else 1 - half
                for worse, better in counts
                for half in (mcnemar_exact(worse, better) / 2,)
            ]
            among = holm(p, ALPHA).rejected
            return [any(fails), any(f and a for f, a in zip(fails, among, strict=True))]

        alone, ours = repeated(f"together {alike}", runs, each)
        what = f"4 equal metrics of {n} cases, {alike:.0%} of the flips shared"
        yield Row(f"[any of them FAIL, each by itself: {what}]", alone, runs)
        yield Row(f"any of them FAIL, Holm: {what}", ours, runs, "at most", ALPHA)


def slices(runs: int) -> Iterator[Row]:
    """Simulate a named slice that is worse by the margin, or as good: non-inferiority, and the test for a fall that it is not."""
    for n in (30, 100, 400):
        at_margin, equal = independent(n, 0.08, -0.05), independent(n, 0.08, 0.0)

        def each(chance: random.Random, n: int = n, run: Runs = at_margin) -> list[bool]:
            d, _ = run(chance)
            found = of_flips(d.count(-1.0), d.count(1.0), n, ONE_SIDED)
            return [
                mcnemar_exact(d.count(-1.0), d.count(1.0)) >= 2 * ALPHA or found.high >= 0,
                found.low > -0.05,
            ]

        no_fall, ours = repeated(f"slice {n}", runs, each)
        _, passed = repeated(f"slice equal {n}", runs, functools.partial(each, run=equal))
        what = f"a slice of {n} cases, worse by a margin of 5 points"
        yield Row(f"[no fall is shown: {what}]", no_fall, runs)
        yield Row(f"false PASS: {what}", ours, runs, "at most", 0.06)
        yield Row(f"[PASS, rightly: a slice of {n} cases that is as good]", passed, runs)


def hand_overs(runs: int) -> Iterator[Row]:
    """Simulate hand-overs that a baseline makes by chance, as the gate counts them and as one would at first."""
    for keeps in (0.5, 0.9):

        def each(chance: random.Random, keeps: float = keeps) -> list[bool]:
            chosen, ours, weights = [], [], []
            while len(ours) < 60:
                old, again, new = (chance.random() < keeps for _ in range(3))
                trials = [other for mine, other in ((old, again), (again, old)) if mine]
                if trials:
                    ours.append(new - sum(trials) / len(trials))
                    weights.append(float(len(trials)))
                    chosen.append(new - 1.0)
            return [
                paired_interval(chosen, confidence=ONE_SIDED).high < 0,
                paired_interval(ours, None, weights, ONE_SIDED).high < 0,
            ]

        naive, ours = repeated(f"hand-overs {keeps}", runs, each)
        what = f"60 cases in which the baseline hands over, and keeps {keeps:.0%} of its own"
        yield Row(f"[an equal candidate called worse, beside what the baseline did: {what}]", naive, runs)
        yield Row(f"an equal candidate called worse: {what}", ours, runs, "at most", 0.06)


SECTIONS: dict[str, Callable[[int], Iterator[Row]]] = {
    "Several metrics that fail": together,
    "Named slices": slices,
    "Hand-overs": hand_overs,
}
