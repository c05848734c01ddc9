"""What scorers say of a run, by the names that the policy uses; what is not scored yet is scored.

The rules:

1. A metric that is no built-in one is a scorer: the policy's `[[scorer]]` of that name, else a scorer that is called so.
2. Scorers run in processes of their own, as `replay score` runs them, and what they say is appended to the store.
3. A scorer that fails leaves cases unscored; that is reported, and never a 0. One that judged nothing is named, with the reason:
   it does not load, it judges whole arms and no case, or nobody asked it.
4. A judge that people do not agree with well enough is secondary, whatever the policy says; what it was asked for stays open.
5. What somebody expects of a case is what scorers compare with, in place of the recording.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from replay.gate.check import Check
from replay.gate.facts import Judged
from replay.gate.grounding import GROUNDED
from replay.gate.metrics import BUILT_IN
from replay.gate.policy import Policy
from replay.scorers.model import ScorerKey
from replay.scorers.scoring import ScoringProgress, load_run_scores, score_run, scorer_keys
from replay.scorers.specs import ScorerSpec

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.scorers.subjects import Expectations


@dataclass(frozen=True, slots=True)
class RunScores:
    """A run's scores, by the names of the policy."""

    by_execution: Mapping[tuple[str, str, int], Mapping[str, Judged]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    demoted: tuple[str, ...] = ()
    """Judges that are secondary whatever the policy says, since people do not agree with them well enough."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Scorers that judged nothing, by the metric's name, and why."""


def allowed(policy: Policy, demoted: Sequence[str]) -> Policy:
    """Give the policy with judges that are not calibrated well enough among its secondary metrics."""
    hard = tuple(name for name in policy.hard if name not in demoted)
    primary = tuple(name for name in policy.primary if name not in demoted)
    moved = (name for name in (*policy.hard, *policy.primary) if name in demoted)
    secondary = tuple(dict.fromkeys((*policy.secondary, *moved)))
    return replace(policy, hard=hard, primary=primary, secondary=secondary)


def demoted_checks(policy: Policy, demoted: Sequence[str]) -> Iterator[Check]:
    """Leave open what a judge was asked for that counts as secondary: nothing else judges it.

    Args:
        policy: as it was asked.
        demoted: the judges that are secondary.
    """
    roles: tuple[tuple[Literal["hard", "primary"], tuple[str, ...]], ...] = (
        ("hard", policy.hard),
        ("primary", policy.primary),
    )
    for role, names in roles:
        for name in names:
            if name in demoted:
                yield Check(
                    f"{role}.{name}", role, name, "INCONCLUSIVE",
                    f"A judge that is not calibrated well enough decides nothing, and nothing else judges {name}. "
                    "`auditlog replay calibrate` compares it with people.",
                )  # fmt: skip


def specs_of(policy: Policy) -> list[ScorerSpec]:
    """Give the scorers that a policy needs."""
    own = {use.name: use for use in policy.scorers}
    wanted = [name for name in policy.metrics if name not in BUILT_IN]
    if policy.grounded is not None and GROUNDED not in wanted:
        wanted.append(GROUNDED)
    specs = []
    for name in wanted:
        use = own.get(name)
        # The name under which its scores are kept is the policy's.
        specs.append(
            ScorerSpec(use.use, use.options, name) if use is not None else ScorerSpec(name, {}, name)
        )
    return specs


def scores_of(
    store: Store,
    run_id: str,
    policy: Policy,
    *,
    score: bool = True,
    hosts: Sequence[str] = (),
    env: Sequence[str] = (),
    path: str | None = None,
    expectations: Expectations | None = None,
    progress: Callable[[ScoringProgress], None] | None = None,
) -> RunScores:
    """Give a run's scores.

    Args:
        store: where the run is.
        run_id: its whole id.
        policy: which scorers it needs.
        score: whether to score what is not scored yet.
        hosts: hosts that scorers may reach.
        env: variables that scorers with hosts get, such as a judge's key.
        path: where scorers are imported from.
        expectations: what is expected of the cases, by the recorded agent span's id.
        progress: called after each execution.
    """
    specs = specs_of(policy)
    if not specs:
        return RunScores()
    notes: list[str] = []
    missing: dict[str, str] = {}
    tallies = (
        score_run(
            store,
            run_id,
            specs,
            progress=progress,
            hosts=hosts,
            env=env,
            path=path,
            expectations=expectations,
        ).scorers
        if score
        else scorer_keys(specs, path=path, expectations=expectations)
    )
    # Of one name there may be scores of another scorer, of other options or of other code: they are not this policy's.
    keys: set[ScorerKey] = set()
    for tally in tallies:
        name = tally.spec.name or tally.spec.target
        if tally.info is not None:
            keys.add(tally.info.key)
        if tally.error:
            missing[name] = tally.error
            notes.append(f"The scorer {name} did not run: {tally.error}")
        elif tally.info is not None and tally.info.kind == "set":
            missing[name] = _OF_SETS
        elif tally.failed:
            notes.append(f"The scorer {name} failed on {tally.failed} executions: {tally.first_failure}")
    wanted = {spec.name for spec in specs}
    found: defaultdict[tuple[str, str, int], dict[str, Judged]] = defaultdict(dict)
    kept = load_run_scores(store, run_id)
    demoted = []
    for key, cells in kept.scores.items():
        if key not in keys:
            continue
        info = kept.scorers[key]
        if info.judges and info.note and key.scorer in (*policy.hard, *policy.primary):
            demoted.append(key.scorer)
            notes.append(
                f"The judge {key.scorer} counts as {info.note}. `auditlog replay calibrate` compares it with people."
            )
        for cell, said in cells.items():
            why = ": ".join(part for part in (said.label, said.explanation) if part)
            found[cell][key.scorer] = Judged(said.value, why, said.failed, said.label)
    asked = {name for said in found.values() for name in said}
    of_sets = {key.scorer for key in kept.set_scores}
    for name in sorted(wanted - asked - set(missing)):
        missing[name] = _OF_SETS if name in of_sets else _NOT_ASKED
    return RunScores(dict(found), tuple(notes), tuple(demoted), missing)


_OF_SETS = "it judges all executions of an arm together, and no case, so it is no metric. `auditlog replay show` prints it."
_NOT_ASKED = "no execution of this run was scored by it. `auditlog replay score` does, and so does the gate without --no-confirm."
