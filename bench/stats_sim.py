"""Whether the statistics keep what they promise: simulated coverage, error rates, power, and false discoveries.

    python bench/stats_sim.py            some minutes
    python bench/stats_sim.py --quick    a few repetitions of each

Each row is a share of simulated runs, with its Monte-Carlo error (one standard error) beside it, and what was promised. Rows
in brackets are what we do not do: the methods of the books alone, or looking at p-values after every case. Seeds are fixed.
"""

from __future__ import annotations

import argparse
import functools
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from replay.stats import (
    Interval,
    SequentialTest,
    benjamini_hochberg,
    bonett_price,
    clustered_interval,
    cohen_kappa,
    mcnemar_exact,
    noninferiority,
    paired_interval,
    permutation_interval,
    rate_interval,
    required_n,
)

MARGIN, ALPHA = 0.03, 0.05
ONE_SIDED = 1 - 2 * ALPHA


@dataclass(frozen=True, slots=True)
class Row:
    """One simulated share."""

    what: str
    hits: int
    runs: int
    claim: Literal["at most", "at least", "", "about"] = ""
    """Empty: shown for contrast."""
    promised: float = 0.0

    @property
    def share(self) -> float:
        """What was seen."""
        return self.hits / self.runs

    @property
    def error(self) -> float:
        """The Monte-Carlo error: one standard error, of a share that is never taken for certain."""
        share = (self.hits + 1) / (self.runs + 2)
        return math.sqrt(share * (1 - share) / self.runs)

    def kept(self, errors: float = 3.0) -> bool:
        """Whether the promise holds, up to so many standard errors."""
        slack = errors * self.error
        match self.claim:
            case "at most":
                return self.share <= self.promised + slack
            case "at least":
                return self.share >= self.promised - slack
            case "about":
                return abs(self.share - self.promised) <= slack
            case _:
                return True


Differences = tuple[list[float], list[int]]
"""Candidate − baseline by turn, and its conversation."""
Runs = Callable[[random.Random], Differences]


def independent(n: int, flip_rate: float, effect: float) -> Runs:
    """Give turns that each are a conversation: the candidate flips some, and flips more of them for the worse."""
    worse, better = (flip_rate - effect) / 2, (flip_rate + effect) / 2

    def run(chance: random.Random) -> Differences:
        drawn = (chance.random() for _ in range(n))
        return [-1.0 if u < worse else 1.0 if u < worse + better else 0.0 for u in drawn], list(range(n))

    return run


def talks(conversations: int, flip_rate: float, effect: float, alike: float) -> Runs:
    """Give conversations of 1 to 9 turns whose flips go the same way.

    Args:
        conversations: how many.
        flip_rate: the share of turns that differ.
        effect: the mean difference.
        alike: the share of turns of a conversation that flips at all which do.
    """
    odds = (1 - effect / flip_rate) / 2

    def run(chance: random.Random) -> Differences:
        d, names = [], []
        for name in range(conversations):
            hit = chance.random() < flip_rate / alike
            sign = -1.0 if chance.random() < odds else 1.0
            for _ in range(chance.randint(1, 9)):
                d.append(sign if hit and chance.random() < alike else 0.0)
                names.append(name)
        return d, names

    return run


def broken(conversations: int, share: float, turns: int = 5) -> Runs:
    """Give conversations of which a candidate without any chance breaks some, as wholes."""

    def run(chance: random.Random) -> Differences:
        hit = [chance.random() < share for _ in range(conversations)]
        return [-1.0 if hit[i // turns] else 0.0 for i in range(conversations * turns)], [
            i // turns for i in range(conversations * turns)
        ]

    return run


def graded(n: int, effect: float) -> Runs:
    """Give scores between 0 and 1, of three repeats in each arm: the same difficulty, and noise."""

    def mean_of_three(chance: random.Random, level: float) -> float:
        return sum(min(1.0, max(0.0, chance.gauss(level, 0.1))) for _ in range(3)) / 3

    def run(chance: random.Random) -> Differences:
        d = []
        for _ in range(n):
            level = chance.uniform(0.4, 0.6)
            d.append(mean_of_three(chance, level + effect) - mean_of_three(chance, level))
        return d, list(range(n))

    return run


def repeated(seed: str, runs: int, each: Callable[[random.Random], Iterable[bool]]) -> list[int]:
    """Run a simulation so many times; count how often each of its outcomes holds."""
    chance = random.Random(seed)
    counts: list[int] = []
    for _ in range(runs):
        found = list(each(chance))
        counts = counts or [0] * len(found)
        counts = [count + bool(hit) for count, hit in zip(counts, found, strict=True)]
    return counts


@functools.lru_cache(maxsize=100_000)
def of_flips(worse: int, better: int, n: int, confidence: float) -> Interval:
    """Give the interval of independent flips, of which only the counts matter."""
    return paired_interval(
        [-1.0] * worse + [1.0] * better + [0.0] * (n - worse - better), confidence=confidence
    )


@functools.lru_cache(maxsize=100_000)
def by_the_book(worse: int, better: int, n: int, confidence: float) -> Interval:
    """Give Bonett and Price's interval of the same."""
    return bonett_price(worse, better, n, confidence)


def holds(interval: Interval, truth: float) -> bool:
    """Whether an interval holds what is true."""
    return interval.low <= truth <= interval.high


def coverage(runs: int) -> Iterator[Row]:
    """Simulate how often each 95 % interval holds the true difference."""
    for n, flip_rate, effect in ((100, 0.05, 0.0), (300, 0.05, -0.03), (300, 0.167, -0.03)):
        run = independent(n, flip_rate, effect)

        def each(chance: random.Random, run: Runs = run, n: int = n, effect: float = effect) -> list[bool]:
            d, _ = run(chance)
            counts = d.count(-1.0), d.count(1.0), n, 0.95
            return [holds(by_the_book(*counts), effect), holds(of_flips(*counts), effect)]

        book, ours = repeated(f"binary {n} {flip_rate} {effect}", runs * 5, each)
        what = f"{n} cases, flip rate {flip_rate:.1%}, Δ {effect:+.0%}"
        yield Row(f"[Bonett–Price alone: {what}]", book, runs * 5)
        yield Row(f"Bonett–Price: {what}", ours, runs * 5, "at least", 0.945)
    for conversations in (60, 200):
        run = talks(conversations, 0.2, 0.0, 0.35)

        def of_talks(chance: random.Random, run: Runs = run) -> list[bool]:
            d, names = run(chance)
            return [
                holds(clustered_interval(d), 0.0),
                holds(clustered_interval(d, names), 0.0),
                holds(paired_interval(d, names), 0.0),
            ]

        naive, book, ours = repeated(f"talks {conversations}", runs, of_talks)
        what = f"{conversations} conversations of 1–9 turns"
        yield Row(f"[t, turns taken for independent: {what}]", naive, runs)
        yield Row(f"[t by conversation alone: {what}]", book, runs)
        yield Row(f"t by conversation: {what}", ours, runs, "at least", 0.935)
    few = max(runs // 5, 40)
    for conversations in (8, 20):
        run = talks(conversations, 0.5, -0.1, 0.9)

        def of_few(chance: random.Random, run: Runs = run) -> list[bool]:
            d, names = run(chance)
            return [holds(permutation_interval(d, names), -0.1), holds(paired_interval(d, names), -0.1)]

        book, ours = repeated(f"few {conversations}", few, of_few)
        what = f"{conversations} conversations"
        yield Row(f"[sign flips alone: {what}]", book, few)
        yield Row(f"sign flips: {what}", ours, few, "at least", 0.95)
    yield from _weighted(runs)
    yield from _of_rates(runs)


def _weighted(runs: int) -> Iterator[Row]:
    """Simulate 30 of 30 rare turns and 270 of 2,700 others, where the rare ones got worse."""
    truth = (30 * -0.4 + 2_700 * 0.0) / 2_730

    def each(chance: random.Random) -> list[bool]:
        rare = [-1.0 if chance.random() < 0.5 else 1.0 if chance.random() < 0.2 else 0.0 for _ in range(30)]
        usual = [chance.choice((-1.0, 1.0)) if chance.random() < 0.1 else 0.0 for _ in range(270)]
        d, weights = rare + usual, [1.0] * 30 + [10.0] * 270
        return [holds(paired_interval(d), truth), holds(paired_interval(d, None, weights), truth)]

    plain, weighted = repeated("weighted", runs, each)
    yield Row("[without weights: a stratum drawn ten times as often]", plain, runs)
    yield Row("weighted by 1/π: a stratum drawn ten times as often", weighted, runs, "at least", 0.94)


def _of_rates(runs: int) -> Iterator[Row]:
    """Simulate rates by conversation, and the agreement of two judges."""

    def of_talks(chance: random.Random) -> list[bool]:
        y, names = [], []
        for name in range(80):
            bad = chance.random() < 0.05
            for _ in range(chance.randint(1, 5)):
                y.append(0.0 if bad and chance.random() < 0.8 else 1.0)
                names.append(name)
        return [holds(rate_interval(y), 0.96), holds(rate_interval(y, names), 0.96)]

    naive, ours = repeated("rates", runs, of_talks)
    yield Row("[a rate of 96 %, turns taken for independent]", naive, runs)
    yield Row("a rate of 96 %, by conversation", ours, runs, "at least", 0.95)

    def of_judges(chance: random.Random) -> list[bool]:
        truth = [chance.random() < 0.3 for _ in range(100)]
        a, b = ([not t if chance.random() < 0.1 else t for t in truth] for _ in range(2))
        # Both say yes with probability .34; they agree in .82 of the cases.
        return [holds(cohen_kappa(a, b), (0.82 - (0.34**2 + 0.66**2)) / (1 - (0.34**2 + 0.66**2)))]

    (ours,) = repeated("judges", runs, of_judges)
    yield Row("Cohen’s κ of two judges, 100 labels", ours, runs, "at least", 0.935)


def verdicts(runs: int) -> Iterator[Row]:
    """Simulate how often a candidate on the margin passes, and one as good as the baseline fails."""
    margin = -MARGIN
    scenes: list[tuple[str, Runs, Runs | None]] = [
        (f"{n} cases, flip rate {rate:.1%}", independent(n, rate, margin), independent(n, rate, 0.0))
        for n, rate in ((150, 0.05), (342, 0.05), (1_146, 0.167))
    ]
    scenes += [
        ("76 cases, a steady agent broken in 3 % of them", independent(76, 0.03, margin), None),
        ("127 cases, likewise", independent(127, 0.03, margin), None),
        ("20 conversations, 3 % of them broken", broken(20, 0.03), None),
        ("100 conversations, 3 % of them broken", broken(100, 0.03), None),
        ("300 conversations of 1–9 turns", talks(300, 0.15, margin, 0.7), talks(300, 0.15, 0.0, 0.7)),
        ("20 conversations of 1–9 turns", talks(20, 0.5, margin, 0.9), talks(20, 0.5, 0.0, 0.9)),
        ("200 cases, graded scores, three repeats", graded(200, margin), graded(200, 0.0)),
    ]
    for what, at_margin, equal in scenes:
        few = what.startswith("20 ")
        count = max(runs // 5, 40) if few else runs
        book, ours = repeated(f"pass {what}", count, functools.partial(_passes, run=at_margin))
        yield Row(f"[false PASS, methods of the books alone: {what}]", book, count)
        yield Row(f"false PASS: {what}", ours, count, "at most", 0.07 if few else 0.06)
        if equal is not None:
            (failed,) = repeated(f"fail {what}", count, functools.partial(_fails, run=equal))
            yield Row(f"false FAIL: {what}", failed, count, "at most", ALPHA)


def _passes(chance: random.Random, run: Runs) -> list[bool]:
    d, names = run(chance)
    alone = len(set(names)) == len(d)
    if alone and set(d) <= {-1.0, 0.0, 1.0}:
        counts = d.count(-1.0), d.count(1.0), len(d), ONE_SIDED
        return [by_the_book(*counts).low > -MARGIN, of_flips(*counts).low > -MARGIN]
    book = permutation_interval if len(set(names)) < 30 else clustered_interval
    ours = paired_interval(d, None if alone else names, confidence=ONE_SIDED)
    return [book(d, names, ONE_SIDED).low > -MARGIN, ours.low > -MARGIN]


def _fails(chance: random.Random, run: Runs) -> list[bool]:
    d, names = run(chance)
    alone = len(set(names)) == len(d)
    if alone and set(d) <= {-1.0, 0.0, 1.0}:
        found = of_flips(d.count(-1.0), d.count(1.0), len(d), ONE_SIDED)
        return [found.high < 0 and found.low <= -MARGIN]
    return [noninferiority(d, MARGIN, ALPHA, None if alone else names).verdict == "FAIL"]


def peeking(runs: int, cases: int = 1_000) -> Iterator[Row]:
    """Simulate a look after every case."""
    runs = max(runs // 2, 50)

    @functools.lru_cache(maxsize=100_000)
    def significant(worse: int, better: int) -> bool:
        return mcnemar_exact(worse, better) < ALPHA

    @functools.lru_cache(maxsize=100_000)
    def significant_one_sided(worse: int, better: int) -> bool:
        return worse > better and mcnemar_exact(worse, better) / 2 < ALPHA

    def naive(chance: random.Random, effect: float) -> list[bool]:
        d, _ = independent(cases, 0.167, effect)(chance)
        worse = better = 0
        failed, failed_one_sided, passed = False, False, False
        for n, value in enumerate(d, 1):
            worse, better = worse + (value == -1), better + (value == 1)
            failed = failed or significant(worse, better)
            failed_one_sided = failed_one_sided or significant_one_sided(worse, better)
            passed = passed or (n >= 30 and by_the_book(worse, better, n, ONE_SIDED).low > -MARGIN)
        return [failed, failed_one_sided, passed]

    two_sided, one_sided, _ = repeated("naive equal", runs, lambda chance: naive(chance, 0.0))
    _, _, passed = repeated("naive margin", runs, lambda chance: naive(chance, -MARGIN))
    yield Row(
        f"[either arm found worse, two-sided p after every one of {cases:,} equal cases]", two_sided, runs
    )
    yield Row(f"[false FAIL, one-sided p after every one of {cases:,} cases]", one_sided, runs)
    yield Row(f"[false PASS, an interval after every one of {cases:,} cases]", passed, runs)

    def sequential(chance: random.Random, effect: float, rate: float) -> list[bool]:
        test = SequentialTest(MARGIN, ALPHA)
        for value in independent(cases, rate, effect)(chance)[0]:
            if test.update(value).decision is not None:
                break
        decision = test.look().decision
        return [decision == "FAIL", decision == "PASS"]

    for rate in (0.05, 0.167):
        what = f"a look after every one of {cases:,} cases, flip rate {rate:.1%}"
        failed, passed = repeated(
            f"equal {rate}", runs, lambda chance, rate=rate: sequential(chance, 0.0, rate)
        )
        yield Row(f"false FAIL, {what}", failed, runs, "at most", ALPHA)
        yield Row(f"[and PASS, rightly, {what}]", passed, runs)
        failed, passed = repeated(
            f"margin {rate}", runs, lambda chance, rate=rate: sequential(chance, -MARGIN, rate)
        )
        yield Row(f"false PASS, {what}", passed, runs, "at most", ALPHA)
        yield Row(f"[and FAIL, rightly, {what}]", failed, runs)


def power(runs: int) -> Iterator[Row]:
    """Simulate whether the number of cases that was asked for is enough, four times in five."""
    for rate, margin in ((0.05, 0.03), (0.167, 0.03), (0.167, 0.05), (0.03, 0.03), (0.0, 0.03)):
        # Where no more flips than the effect makes, they all go one way, and the normal approximation behind the number is off.
        asked = 0.78 if rate > margin else 0.72
        n = required_n(rate, margin)
        what = f"{n:,} cases, flip rate {rate:.1%}, {margin * 100:.0f} points"

        def equal(
            chance: random.Random, n: int = n, rate: float = rate, margin: float = margin
        ) -> list[bool]:
            d, _ = independent(n, rate, 0.0)(chance)
            return [of_flips(d.count(-1.0), d.count(1.0), n, ONE_SIDED).low > -margin]

        def worse(
            chance: random.Random, n: int = n, rate: float = rate, margin: float = margin
        ) -> list[bool]:
            d, _ = independent(n, max(rate, margin), -margin)(chance)
            return [of_flips(d.count(-1.0), d.count(1.0), n, ONE_SIDED).high < 0]

        (passed,) = repeated(f"power pass {what}", runs, equal)
        (failed,) = repeated(f"power fail {what}", runs, worse)
        yield Row(f"as good passes: {what}", passed, runs, "at least", asked)
        yield Row(f"worse by the margin is seen: {what}", failed, runs, "at least", asked)


def discoveries(runs: int) -> Iterator[Row]:
    """Simulate twenty slices, some of which got worse; the false discovery rate is a mean, given here in thousandths."""
    for bad in (0, 5):
        chance = random.Random(f"slices {bad}")
        false, naive = 0.0, 0.0
        for _ in range(runs):
            p = []
            for number in range(20):
                effect = -0.15 if number < bad else 0.0
                d, _ = independent(200, 0.2, effect)(chance)
                p.append(mcnemar_exact(d.count(-1.0), d.count(1.0)))
            found = benjamini_hochberg(p, 0.1).rejected
            false += sum(found[bad:]) / max(1, sum(found))
            plain = [value < 0.1 for value in p]
            naive += sum(plain[bad:]) / max(1, sum(plain))
        what = f"20 slices, {bad} of them worse"
        yield Row(f"[false among alarms at p < 0.1: {what}]", round(naive), runs)
        yield Row(
            f"false among alarms, Benjamini–Hochberg at q = 0.1: {what}", round(false), runs, "at most", 0.1
        )


SECTIONS: dict[str, Callable[[int], Iterator[Row]]] = {
    "Coverage of 95 % intervals": coverage,
    f"Verdicts at α = {ALPHA:.0%}, margin {MARGIN * 100:.0f} points": verdicts,
    "Looking after every case": peeking,
    "Power at the required number of cases (80 % is asked for)": power,
    "False discoveries": discoveries,
}


def every_section() -> dict[str, Callable[[int], Iterator[Row]]]:
    """Give those of this file, and those of what the gate makes of them."""
    from gate_sim import SECTIONS as OF_THE_GATE

    return {**SECTIONS, **OF_THE_GATE}


def main() -> int:
    """Print every section; 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description="Simulate the gate's statistics.")
    parser.add_argument("--quick", action="store_true", help="a few repetitions of each")
    parser.add_argument("--runs", type=int, help="repetitions; 2,000 where it is not given, 100 if quick")
    given = parser.parse_args()
    runs = given.runs or (100 if given.quick else 2_000)
    lost = 0
    for title, section in every_section().items():
        began = time.process_time()
        print(f"\n{title}")
        for row in section(runs):
            promise = f"{row.claim} {row.promised:.1%}" if row.claim else ""
            mark = "" if row.kept() else "  NOT KEPT"
            lost += not row.kept()
            print(f"  {row.share:7.2%} ± {row.error:.2%}  {promise:15s}  {row.what}{mark}", flush=True)
        print(f"  ({time.process_time() - began:.0f} s)")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
