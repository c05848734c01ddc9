"""What the targets of a run are, found out by looking: a worker imports each behind the locks, and says what it found.

The rules:

1. Nothing of the agent's is imported here. What a target is called, its version, its sources and its packages, a worker says.
2. A run's configuration is its targets with their sources, its filter, modes and hosts, as one digest. Runs of one digest are
   runs of one thing. What a run may take and where its workers are is no part of it.
3. What the machine does not give (a lock, a variable, an address) is said.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlog import masks
from replay.canonical import digest_of
from replay.errors import RunError
from replay.matching.rules import rules_to_json
from replay.pinned.model_cache import CACHED
from replay.running.cached_answers import refuse_changed
from replay.running.pool import probe
from replay.running.protocol import Ready
from replay.running.run_plan import RunPlan
from replay.running.sameness import as_seen, held_by_all, missing_locks
from replay.running.sampling import EVERY_TURN
from replay.sandbox.effects import KnownEffects, known_effects
from replay.sandbox.environment import value_digests
from replay.targets.environments import Say
from replay.targets.locate import relocate
from replay.targets.planned import PlannedTarget

if TYPE_CHECKING:
    from auditlog.store import Store


def run_directory(path: str | os.PathLike[str] | None) -> str:
    """Give the directory that a run is begun in, whole.

    Args:
        path: as it was named; the current one where it is None.

    Raises:
        RunError: it is no directory.
    """
    directory = Path(path or ".").resolve()
    if not directory.is_dir():
        raise RunError(f"{directory} is no directory. Name the one that the agent is imported from.")
    return str(directory)


def described(
    store: Store, draft: RunPlan, *, allow_builds: bool = False, say: Say | None = None
) -> tuple[RunPlan, list[str]]:
    """Let a worker look at each target; give the plan with what they are, and what is worth saying.

    Args:
        store: where its recordings are, and where it goes.
        draft: the plan; targets that were read from a record are found again.
        allow_builds: packages of an environment may be built, which runs their code outside of the sandbox.
        say: told what takes its time.

    Raises:
        TargetError: a target cannot be imported or is no agent.
        RunError: what a run was begun with is gone, or a worker does not start.
    """
    if draft.modes.model == CACHED:
        refuse_changed(store)
    draft, notes = _found_again(draft, allow_builds=allow_builds, say=say)
    environment = dict(os.environ)
    for target in (draft.candidate, draft.baseline):
        _refuse_what_nobody_gave(target, draft.env)
    notes += [
        f"{name} is let through: a proxy that may be reached reaches whatever it likes."
        for name in draft.env
        if name.lower().endswith("_proxy") and draft.hosts
    ]
    draft = _with_what_the_store_knows(store, draft, environment)
    notes += [
        f"The variable {name} is not set here, so the agent does not get it."
        for name in dict.fromkeys(draft.env)
        if name not in environment
    ]
    targets = [
        replace(target, sources="") for target in (draft.candidate, draft.baseline) if target is not None
    ]

    async def look() -> list[Ready]:
        looking = replace(draft, pinning=replace(draft.pinning, looks=True))
        return await asyncio.gather(*(probe(looking.launch(target), environment) for target in targets))

    seen = asyncio.run(look())
    for target, ready in zip(targets, seen, strict=True):
        notes += [
            f"{target.path}, while it was imported, tried to {what}: refused."
            for what in dict.fromkeys(ready.refused)
        ]
        notes += [
            f"{target.label} loads code from {where}, which is none of its files: both sides may run it."
            for where in ready.outside
        ]
    locks = held_by_all(seen)
    notes += missing_locks(locks, draft.reached)
    if draft.hosts and not draft.reached:
        notes.append(f"Everything is served, so {', '.join(draft.hosts)} is not reached.")
    notes += [f"The host {name} has no address here." for name in dict.fromkeys(seen[0].unresolved)]
    found = [as_seen(target, ready) for target, ready in zip(targets, seen, strict=True)]
    if draft.baseline is None and draft.kind in ("replay", "fork"):
        notes.append(
            "No baseline is named, so the candidate is compared with the recording: there is no second run to tell "
            "a change from chance. Name the version in production with --baseline."
        )
    seen_plan = replace(
        draft,
        candidate=found[0],
        baseline=found[1] if draft.baseline is not None else None,
        locks=locks,
        pinning=replace(
            draft.pinning,
            candidate_reads=seen[0].reads,
            baseline_reads=seen[1].reads if draft.baseline is not None else (),
        ),
    )
    return seen_plan, notes


def _found_again(draft: RunPlan, *, allow_builds: bool, say: Say | None) -> tuple[RunPlan, list[str]]:
    """Give targets that were read from a record their places on this machine."""
    notes: list[str] = []
    sides: dict[str, PlannedTarget | None] = {"candidate": draft.candidate, "baseline": draft.baseline}
    for side, target in sides.items():
        if target is not None and target.place is None:
            found = relocate(target, draft.paths[0], allow_builds=allow_builds, say=say)
            sides[side] = found.target
            notes += found.notes
    assert sides["candidate"] is not None
    found = replace(draft, candidate=sides["candidate"], baseline=sides["baseline"])
    return found, list(dict.fromkeys(notes))


def config_digest(plan: RunPlan) -> str:
    """Give the digest of what makes a run what it is.

    Args:
        plan: a plan whose targets were described.
    """
    return digest_of(
        {
            "kind": plan.kind,
            "candidate": plan.candidate.digest,
            "baseline": None if plan.baseline is None else plan.baseline.digest,
            "modes": asdict(plan.modes),
            "matching": rules_to_json(plan.matching),
            "pinning": plan.pinning.settings(),
            "where": plan.where,
            "since": plan.since,
            "until": plan.until,
            "limit": plan.limit,
            "sample": plan.sample,
            "hosts": sorted(plan.hosts),
            "env": sorted(plan.env),
            **({"environment": dict(plan.environment)} if plan.environment else {}),
            "path": list(plan.paths),
            # Left out where it is the default, so that equal runs of any version have one digest.
            **({"repeats": plan.repeats} if plan.repeats > 1 else {}),
            **({"sampling": asked} if (asked := plan.sampling.asked) != EVERY_TURN.asked else {}),
        }
    )


def _refuse_what_nobody_gave(target: PlannedTarget | None, env: Iterable[str]) -> None:
    """Refuse a target that asks for variables which whoever starts the run did not name: its author does not decide that."""
    wanted = [] if target is None else [name for name in target.env if name not in env]
    if target is not None and wanted:
        msg = (
            f"{target.spec or target.path} asks for {', '.join(wanted)}, and only whoever starts the run lets a variable "
            f"through: add {' '.join(f'--env {name}' for name in wanted)}, or take it out of its [environment]."
        )
        raise RunError(msg)


def _with_what_the_store_knows(store: Store, draft: RunPlan, environment: Mapping[str, str]) -> RunPlan:
    """Give the plan with what only the store says: its tools' effects, and what its key says of values without telling them."""
    key = masks.ensure_key(store.layout) if draft.env else masks.find_key(store.layout)
    return replace(
        draft,
        effects=recorded_effects(store).joined(draft.effects),
        mask_key=key.hex() if key else "",
        environment=value_digests(key or b"", draft.env, environment),
    )


def recorded_effects(store: Store) -> KnownEffects:
    """Read what every recording of a store says of tools."""
    found = store.query(
        "SELECT DISTINCT kind, name, effect, source = 'import' AS imported FROM spans "
        "WHERE kind IN ('tool', 'retriever', 'model') AND name IS NOT NULL AND replay_run_id IS NULL"
    ).to_pylist()
    recorded = (
        (row["name"], "read" if row["kind"] == "retriever" else row["effect"], bool(row["imported"]))
        for row in found
        if row["kind"] != "model"
    )
    return known_effects(recorded, {row["name"] for row in found if row["kind"] == "model"})
