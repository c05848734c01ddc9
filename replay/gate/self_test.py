"""Plants known regressions in a copy of a run's results, and says how many the gate catches.

The rules:

1. Nothing is written: results are read, altered in memory and judged; the store is as it was.
2. The copy that is altered is an A/A run: the candidate's side is a run of the baseline, so that what is caught is what was
   planted. `nothing` plants nothing, and says how often the gate cries wolf.
3. A regression is planted at the execution, as it would have been recorded: a hand-over that is not there, a write that is, an
   amount that differs, an answer with personal data, a slower or a failed turn. The built-in metrics then find it, or do not.
4. A hard violation is taken for one that comes back when it is run again.
5. Caught means: a check that passes on the copy without a plant no longer does. FAIL, INCONCLUSIVE and what only warns are
   counted apart.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from replay.errors import RunError
from replay.gate.check import Check
from replay.gate.facts import CaseFacts, Facts, Write, facts_of
from replay.gate.hard import AGAIN, Confirmation, hard_checks, suspects
from replay.gate.policy import Policy
from replay.gate.quality import primary_checks
from replay.gate.scoring import scores_of
from replay.gate.searched import secondary_checks
from replay.results.trials import case_trials
from replay.running.runs import load_manifest

if TYPE_CHECKING:
    from auditlog.store import Store

TRIES = 10
PII = "planted: personal data"


@dataclass(frozen=True, slots=True)
class Step:
    """How far the self-test is."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Plant:
    """A known regression."""

    kind: str
    size: str
    share: float
    """Of the cases that it can hit."""
    alter: Callable[[Facts], Facts | None]
    """Gives the altered execution; None where it cannot be planted there."""


@dataclass(frozen=True, slots=True)
class Found:
    """How often one plant was caught."""

    kind: str
    size: str
    planted: float
    """Cases that it hit, on average."""
    tries: int
    failed: int
    inconclusive: int
    warned: int
    """Only a check that informs saw it."""
    by: tuple[str, ...]
    """The checks that caught it, the most frequent first."""

    @property
    def missed(self) -> int:
        """How often the gate saw nothing."""
        return self.tries - self.failed - self.inconclusive - self.warned


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the gate caught."""

    run_id: str
    policy_digest: str
    cases: int
    tries: int
    plants: tuple[Found, ...]
    notes: tuple[str, ...] = ()


def self_test(
    store: Store,
    run_id: str,
    policy: Policy,
    *,
    tries: int = TRIES,
    seed: int = 0,
    progress: Callable[[Step], object] | None = None,
) -> SelfTest:
    """Plant regressions in a copy of a run.

    Args:
        store: where the run is.
        run_id: its id, a beginning of it, or `last`.
        policy: what has to hold.
        tries: how often each plant is planted in other cases.
        seed: of the choice of cases.
        progress: called after each try.

    Raises:
        RunError: the run has no second baseline to make a copy of.
    """
    manifest = load_manifest(store, run_id)
    whole = str(manifest["run_id"])
    if manifest["kind"] == "compare":
        raise RunError(f"Run {whole} compares recordings: there are no results to plant anything in.")
    scores = scores_of(store, whole, policy, score=False)
    paired = [
        case
        for case in facts_of(case_trials(store, manifest), scores.by_execution)
        if len(case.baselines) > 1
    ]
    # Slices that only warn cost most of the time and decide nothing.
    policy = replace(policy, watched_tags=())
    if len(paired) < 2:
        raise RunError(
            f"Run {whole} ran its baseline once in each case, and a self-test needs it twice. "
            "Run it with --second-baseline 1 or --repeats 2."
        )
    # What decides, and passes as it is: a check that does not pass without a plant says nothing of one.
    rng = random.Random(seed)  # noqa: S311 - a choice that can be repeated, no secret
    cases = [_a_a(case, rng) for case in paired]
    as_it_is = list(_checks(cases, policy))
    before = {check.id for check in as_it_is if check.outcome == "PASS" and not _warns(check)}
    plants = list(plants_for(cases))
    found = []
    done = 0
    for plant in plants:
        caught: dict[str, int] = {}
        failed = inconclusive = warned = hit = 0
        for _ in range(tries):
            # Which of the baseline's runs stands for the candidate changes from try to try.
            altered, count = _planted([_a_a(case, rng) for case in paired], plant, rng)
            hit += count
            worse = [
                check
                for check in _checks(altered, policy)
                if check.id in before and (check.outcome != "PASS" or _warns(check))
            ]
            counted = {check.counts for check in worse if check.gates}
            failed += "FAIL" in counted
            inconclusive += counted == {"INCONCLUSIVE"}
            warned += bool(worse) and not counted & {"FAIL", "INCONCLUSIVE"}
            for check in worse:
                caught[check.id] = caught.get(check.id, 0) + 1
            done += 1
            if progress is not None:
                progress(Step(done, len(plants) * tries))
        by = tuple(sorted(caught, key=lambda name: (-caught[name], name))[:3])
        found.append(Found(plant.kind, plant.size, hit / tries, tries, failed, inconclusive, warned, by))
    silent = sorted({check.id for check in as_it_is if check.gates} - before)
    notes = tuple(
        f"{name} does not pass without a plant either, so it catches nothing here." for name in silent
    )
    return SelfTest(whole, policy.digest, len(cases), tries, tuple(found), notes)


def _a_a(case: CaseFacts, rng: random.Random) -> CaseFacts:
    """Give a case with one of the baseline's runs in the candidate's place."""
    runs = list(case.baselines)
    chosen = runs.pop(rng.randrange(len(runs)))
    # One that is left stands for two: what agrees with itself is the strictest of baselines.
    kept = runs if len(runs) > 1 else [runs[0], replace(runs[0], arm="baseline_2")]
    return replace(case, runs=(*kept, replace(chosen, arm="candidate", repeat=0)))


def _warns(check: Check) -> bool:
    return check.warning and not check.gates


def _checks(cases: Sequence[CaseFacts], policy: Policy) -> Iterator[Check]:
    rerun = {}
    for case in suspects(cases, policy):
        times = tuple(replace(run, repeat=n) for run in case.candidates[:1] for n in range(AGAIN))
        rerun[case.span_id] = replace(case, runs=(*case.baselines, *times))
    again = Confirmation("planted", rerun, "")
    yield from hard_checks(cases, again, policy)
    yield from primary_checks(cases, policy)
    yield from secondary_checks(cases, policy)


def plants_for(cases: Sequence[CaseFacts]) -> Iterator[Plant]:
    """Give the regressions to plant, by kind and size."""
    yield Plant("nothing", "", 0.0, lambda run: run)
    for share in (0.1, 0.5, 1.0):
        yield Plant("lost hand-over", f"{share:.0%} of the hand-overs", share, _without_hand_over)
    write = next((name for case in cases for run in case.runs for name in run.write_set), "write_off")
    for count in (1, 3):
        yield Plant(
            "new write", f"in {count} case{'s' * (count > 1)}", count / len(cases), _with_write(write)
        )
    for count in (1, 3):
        able = sum(1 for case in cases if case.candidates and _other_money(case.candidates[0]) is not None)
        yield Plant(
            "changed amount", f"in {count} case{'s' * (count > 1)}", count / max(able, 1), _other_money
        )
    for count in (1, 3):
        yield Plant("personal data", f"in {count} case{'s' * (count > 1)}", count / len(cases), _with_pii)
    for factor in (1.1, 1.5, 2.0):
        yield Plant("slower", f"× {factor:g}", 1.0, _slower(factor))
    for delta in (0.01, 0.03, 0.05, 0.1):
        yield Plant("reward lower", f"by {100 * delta:g} pp", delta, _failed)


def _planted(cases: Sequence[CaseFacts], plant: Plant, rng: random.Random) -> tuple[list[CaseFacts], int]:
    able = [
        place
        for place, case in enumerate(cases)
        if case.candidates and plant.alter(case.candidates[0]) is not None
    ]
    wanted = min(len(able), round(plant.share * len(able)) or (1 if plant.share else 0))
    chosen = set(rng.sample(able, wanted))
    altered = list(cases)
    for place in chosen:
        case = cases[place]
        runs = tuple((plant.alter(run) or run) if run.arm == "candidate" else run for run in case.runs)
        altered[place] = replace(case, runs=runs)
    return altered, len(chosen)


def _without_hand_over(run: Facts) -> Facts | None:
    return replace(run, escalated=False) if run.escalated else None


def _with_write(name: str) -> Callable[[Facts], Facts | None]:
    def alter(run: Facts) -> Facts | None:
        if name in run.write_set:
            return None
        return replace(run, writes=(*run.writes, Write(name)), calls=(*run.calls, f"{name} {{}}"))

    return alter


def _other_money(run: Facts) -> Facts | None:
    at = next((place for place, write in enumerate(run.writes) if write.money not in ("", "{}")), None)
    if at is None:
        return None
    other = run.writes[at]._replace(money=f"{run.writes[at].money} planted")
    return replace(run, writes=(*run.writes[:at], other, *run.writes[at + 1 :]))


def _with_pii(run: Facts) -> Facts | None:
    hit = [name for name in run.scores if "pii" in name]
    if not hit:
        return None
    return replace(
        run, scores={**run.scores, **dict.fromkeys(hit, 0.0)}, evidence={**run.evidence, hit[0]: PII}
    )


def _slower(factor: float) -> Callable[[Facts], Facts | None]:
    def alter(run: Facts) -> Facts | None:
        latency = run.measures.get("latency_ms")
        return (
            None
            if latency is None
            else replace(run, measures={**run.measures, "latency_ms": latency * factor})
        )

    return alter


def _failed(run: Facts) -> Facts | None:
    return None if run.failed or run.cut else replace(run, failed=True, status="errored")


def table(found: SelfTest) -> list[str]:
    """Write what was caught as lines of text."""
    head = ("planted", "size", "cases", "FAIL", "INCONCLUSIVE", "warned", "missed", "caught by")
    rows = [
        (
            one.kind,
            one.size,
            f"{one.planted:.0f}",
            f"{one.failed}/{one.tries}",
            f"{one.inconclusive}/{one.tries}",
            f"{one.warned}/{one.tries}",
            "–" if one.kind == "nothing" else f"{one.missed}/{one.tries}",
            ", ".join(one.by) or "–",
        )
        for one in found.plants
        if one.planted or one.kind == "nothing"
    ]
    unplanted = sorted({one.kind for one in found.plants if not one.planted and one.kind != "nothing"})
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    runs = f"{found.cases:,} cases with two runs of the baseline; each plant {found.tries} times"
    lines = [f"Run {found.run_id}: {runs}, policy {found.policy_digest[:12]}…", ""]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
    quiet = next(one for one in found.plants if one.kind == "nothing")
    lines += [
        "",
        f"False alarms on the copy without a plant: {quiet.failed + quiet.inconclusive} of {quiet.tries}.",
    ]
    lines += [
        f"Not planted, since no case of this run or no metric of this policy could show it: {kind}."
        for kind in unplanted
    ]
    return [*lines, *found.notes]
