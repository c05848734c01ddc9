"""Plants known regressions in a copy of a run's results, and says how many the gate catches.

The rules:

1. Nothing is written: results are read, altered in memory, scored and judged; the store is as it was.
2. The copy that is altered is an A/A run: the candidate's side is one of the baseline's runs, so that what is caught is what was
   planted. `nothing` plants nothing, and says how often the gate cries wolf. Where a case has three runs of its baseline one of
   them is taken out; where it has two both stay, and the candidate is one of them: its agreement is flattered, and a plant is
   rather missed than found for nothing.
3. A regression is planted in the recorded turn (see `plants`), and scorers are asked about it in processes of their own, as about
   any other; no judge is asked. What a case that seems to violate does when it is run again is planted in other runs of it.
4. Caught means: a check that passes on the copy without a plant no longer does. FAIL, INCONCLUSIVE and what only warns are
   counted apart.
5. What a check claims to see and does not is a miss, and so are more false alarms than chance: the self-test then fails. A check
   that does not pass without a plant claims nothing, and is named.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from auditlog.values import Turn
from auditlog.wording import many
from replay.errors import RunError
from replay.gate.check import Check
from replay.gate.facts import (
    CaseFacts,
    Facts,
    Judged,
    execution,
    facts_of,
    with_answers_compared,
    with_known_tools,
)
from replay.gate.hard import AGAIN, Confirmation, hard_checks, suspects
from replay.gate.plants import Plant, plants_for
from replay.gate.policy import Policy
from replay.gate.quality import primary_checks
from replay.gate.scoring import allowed, scores_of, specs_of
from replay.gate.searched import secondary_checks
from replay.matching.rules import MatchRules, rules_from_json
from replay.results.trials import CaseTrials, Trial, case_trials
from replay.running.runs import load_manifest
from replay.scorers.pool import ScoringWorker
from replay.scorers.scoring import Group, scorer_groups
from replay.scorers.subjects import subjects_of

if TYPE_CHECKING:
    from auditlog.store import Store

TRIES = 10
MOST_CASES = 1_000
"""Cases that regressions are planted in."""
_MOST_ALARMS = 2
"""Tries without a plant that may fail by chance."""
_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """How far the self-test is."""

    done: int
    total: int


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
    claimed: float = 0.0
    """In which share of the tries a check claims to see it; 0 where none does."""
    seen: int = 0
    """How often one that claims to did."""

    @property
    def missed(self) -> int:
        """How often the gate saw nothing."""
        return self.tries - self.failed - self.inconclusive - self.warned

    @property
    def is_short(self) -> bool:
        """Whether a check saw less than it claims to."""
        return self.seen < self.claimed * self.tries


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What the gate caught."""

    run_id: str
    policy_digest: str
    cases: int
    tries: int
    plants: tuple[Found, ...]
    notes: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    """What the gate claims to see and did not, and false alarms beyond chance."""


@dataclass(slots=True)
class _Copy:
    """The cases of a run, and what was made of them."""

    cases: list[CaseTrials]
    facts: list[CaseFacts]
    rules: MatchRules
    asked: _Asked
    known: dict[tuple[str, int, str], Facts | None] = field(default_factory=dict)
    """Altered executions, by case, run and plant: each is scored once."""
    turns: dict[tuple[str, int, str], Turn | None] = field(default_factory=dict)

    def planted(self, at: int, run: int, plant: Plant) -> Turn | None:
        """Give one of the baseline's runs with a plant in it; None where it has no place."""
        key = self.cases[at].case.case_id, run, f"{plant.kind} {plant.size}"
        if key not in self.turns:
            self.turns[key] = plant.alter(_baselines(self.cases[at])[run].turn)
        return self.turns[key]

    def altered(self, at: int, run: int, plant: Plant) -> Facts | None:
        """Give the facts of one of the baseline's runs with a plant in it, as the candidate's; None where it has no place."""
        key = self.cases[at].case.case_id, run, f"{plant.kind} {plant.size}"
        if key not in self.known:
            tried, turn = self.cases[at], self.planted(at, run, plant)
            self.known[key] = None
            if turn is not None:
                trial = Trial("candidate", 0, turn)
                self.known[key] = execution(trial, self.asked.said(tried, trial), self.rules)
        return self.known[key]

    def a_a(self, at: int, run: int) -> CaseFacts:
        """Give a case with one of its baseline's runs in the candidate's place (rule 2)."""
        case, runs = self.facts[at], list(self.facts[at].baselines)
        candidate = replace(runs[run], arm="candidate", repeat=0)
        if len(runs) > 2:
            del runs[run]
        return replace(case, runs=(*runs, candidate))


def self_test(
    store: Store,
    run_id: str,
    policy: Policy,
    *,
    tries: int = TRIES,
    seed: int = 0,
    path: str | None = None,
    progress: Callable[[Step], object] | None = None,
) -> SelfTest:
    """Plant regressions in a copy of a run.

    Args:
        store: where the run is.
        run_id: its id, a beginning of it, or `last`.
        policy: what has to hold.
        tries: how often each plant is planted in other cases.
        seed: of the choice of cases.
        path: where scorers are imported from.
        progress: called after each try.

    Raises:
        RunError: the run has no second baseline to make a copy of.
    """
    manifest = load_manifest(store, run_id)
    whole = str(manifest["run_id"])
    if manifest["kind"] == "compare":
        raise RunError(f"Run {whole} compares recordings: there are no results to plant anything in.")
    scores = scores_of(store, whole, policy, score=False, path=path)
    # Slices that only warn cost most of the time and decide nothing.
    policy = replace(allowed(policy, scores.demoted), watched_tags=())
    rules = rules_from_json(manifest.get("matching"))
    cases = [tried for tried in case_trials(store, manifest) if len(_baselines(tried)) > 1]
    if len(cases) < 2:
        raise RunError(
            f"Run {whole} ran its baseline twice in {many(len(cases), 'case')}, and a self-test needs two such cases or more. "
            "Run more cases, with --second-baseline 1 or --repeats 2."
        )
    rng = random.Random(seed)  # noqa: S311 - a choice that can be repeated, no secret
    left_out = max(0, len(cases) - MOST_CASES)
    if left_out:
        cases = rng.sample(cases, MOST_CASES)
    facts = list(facts_of(cases, scores.by_execution, rules))
    with _Asked(policy, path) as asked:
        copy = _Copy(cases, facts, rules, asked)
        found, silent = _planted(copy, policy, tries, rng, progress)
    notes = [f"{name} does not pass without a plant either, so it catches nothing here." for name in silent]
    notes += [f"{name} was not asked about what was planted: {why}" for name, why in asked.silent.items()]
    if left_out:
        notes.append(f"Planted in {len(cases):,} cases; {left_out:,} more were left out.")
    return SelfTest(
        whole, policy.digest, len(cases), tries, tuple(found), tuple(notes), tuple(_misses(found))
    )


def _planted(
    copy: _Copy,
    policy: Policy,
    tries: int,
    rng: random.Random,
    progress: Callable[[Step], object] | None,
) -> tuple[list[Found], list[str]]:
    """Plant everything; give what was caught, and the checks that do not pass without a plant."""
    drawn = _drawn(copy, rng)
    as_it_is = list(_checks(copy, [copy.a_a(at, run) for at, run in enumerate(drawn)], None, policy, rng))
    # What decides, and passes as it is: a check that does not pass without a plant says nothing of one.
    before = {check.id for check in as_it_is if check.outcome == "PASS" and not _warns(check)}
    plants = list(plants_for([_baselines(tried)[0].turn for tried in copy.cases], policy))
    found = []
    for number, plant in enumerate(plants):
        caught: dict[str, int] = {}
        claims = before & set(plant.seen_by)
        failed = inconclusive = warned = hit = seen = 0
        for attempt in range(tries):
            cases, count = _with_plant(copy, plant, rng)
            hit += count
            worse = [
                check
                for check in _checks(copy, cases, plant, policy, rng)
                if check.id in before and (check.outcome != "PASS" or _warns(check))
            ]
            counted = {check.counts for check in worse if check.gates}
            failed += "FAIL" in counted
            inconclusive += counted == {"INCONCLUSIVE"}
            warned += bool(worse) and not counted & {"FAIL", "INCONCLUSIVE"}
            seen += any(check.id in claims for check in worse)
            for check in worse:
                caught[check.id] = caught.get(check.id, 0) + 1
            if progress is not None:
                progress(Step(number * tries + attempt + 1, len(plants) * tries))
        by = tuple(sorted(caught, key=lambda name: (-caught[name], name))[:3])
        claimed = plant.often if claims and hit else 0.0
        found.append(
            Found(plant.kind, plant.size, hit / tries, tries, failed, inconclusive, warned, by, claimed, seen)
        )
    return found, sorted({check.id for check in as_it_is if check.gates} - before)


def _misses(found: Sequence[Found]) -> Iterator[str]:
    for one in found:
        if one.kind == "nothing" and one.failed > _MOST_ALARMS:
            yield f"Without a plant {one.failed} of {one.tries} tries fail: the gate cries wolf."
        elif one.is_short:
            yield f"{one.kind}, {one.size}: seen in {one.seen} of {one.tries} tries by what claims to see it."


def _baselines(tried: CaseTrials) -> list[Trial]:
    return [*tried.of("baseline"), *tried.of("baseline_2")]


def _drawn(copy: _Copy, rng: random.Random) -> list[int]:
    """Draw for each case which of the baseline's runs stands for the candidate."""
    return [rng.randrange(len(_baselines(tried))) for tried in copy.cases]


def _with_plant(copy: _Copy, plant: Plant, rng: random.Random) -> tuple[list[CaseFacts], int]:
    """Give a copy with a plant in some cases, and in how many."""
    drawn = _drawn(copy, rng)
    cases = [copy.a_a(at, run) for at, run in enumerate(drawn)]
    if not plant.share:
        return cases, 0
    able = [at for at, run in enumerate(drawn) if copy.planted(at, run, plant) is not None]
    wanted = min(len(able), round(plant.share * len(able)) or 1)
    for at in rng.sample(able, wanted):
        altered = copy.altered(at, drawn[at], plant)
        if altered is not None:
            cases[at] = replace(cases[at], runs=(*cases[at].baselines, altered))
    return cases, wanted


def _checks(
    copy: _Copy, cases: Sequence[CaseFacts], plant: Plant | None, policy: Policy, rng: random.Random
) -> Iterator[Check]:
    cases = with_answers_compared(with_known_tools(cases))
    places = {tried.case.span_id: at for at, tried in enumerate(copy.cases)}
    rerun = {}
    for case in suspects(cases, policy):
        at = places[case.span_id]
        runs = []
        for repeat in range(AGAIN):
            run = rng.randrange(len(_baselines(copy.cases[at])))
            again = copy.altered(at, run, plant) if plant is not None and plant.share else None
            runs.append(replace(again or copy.facts[at].baselines[run], arm="candidate", repeat=repeat))
        rerun[case.span_id] = replace(case, runs=(*copy.facts[at].baselines, *runs))
    yield from hard_checks(cases, Confirmation("planted", rerun, ""), policy)
    yield from primary_checks(cases, policy)
    yield from secondary_checks(cases, policy)


def _warns(check: Check) -> bool:
    return check.warning and not check.gates


class _Asked:
    """The policy's scorers, each in its process, asked about what was planted."""

    def __init__(self, policy: Policy, path: str | None) -> None:
        """Find out what the scorers are; nothing starts.

        Args:
            policy: whose they are.
            path: where they are imported from.
        """
        specs = specs_of(policy)
        self._groups: list[Group] = scorer_groups(specs, path=path) if specs else []
        self._stack = contextlib.ExitStack()
        self._workers: list[ScoringWorker] = []
        self.silent: dict[str, str] = {
            tally.spec.name or tally.spec.target: tally.error
            for group in self._groups
            for tally in group.tallies
            if tally.error
        }

    def __enter__(self) -> Self:
        """Start the processes as they are needed."""
        self._groups = [group for group in self._groups if any(t.info is not None for t in group.tallies)]
        self._workers = [
            self._stack.enter_context(ScoringWorker(group.setup, _SECONDS)) for group in self._groups
        ]
        return self

    def __exit__(self, *_exc: object) -> None:
        """End them."""
        self._stack.close()

    def said(self, tried: CaseTrials, trial: Trial) -> Mapping[str, Judged]:
        """Ask about an execution of a case, beside the baseline's."""
        beside = replace(tried, trials=(*_baselines(tried), trial))
        subject = next(s for s in subjects_of(beside, has_baseline=True) if s.arm == "candidate")
        found: dict[str, Judged] = {}
        for group, worker in zip(self._groups, self._workers, strict=True):
            cases = [
                index
                for index, tally in enumerate(group.tallies)
                if tally.info is not None and tally.info.kind == "case"
            ]
            for index, score in worker.score(subject, cases):
                spec = group.tallies[index].spec
                why = ": ".join(part for part in (score.label, score.explanation) if part)
                found[spec.name or spec.target] = Judged(score.value, why, score.failed, score.label)
        return found


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
    lines += found.notes
    return [*lines, *(f"MISSED  {miss}" for miss in found.misses)]
