"""Plans to go on with an unfinished run.

The rules:

1. A run goes on with the cases that it was begun with, whatever the store holds by then, and leaves out what is done.
2. A run whose code changed since is not gone on with: its halves would not compare.
3. It is gone on with in the directory that it was begun in: a store from elsewhere must not choose which code is run here.
4. Writes that happen for real are named anew, tool by tool, and are the very ones that it was begun with.
5. What it may take, and where its workers are, may change on the way.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from replay.errors import RunError
from replay.running.cases import cases_digest
from replay.running.describing import config_digest, described, run_directory
from replay.running.limits import Limits
from replay.running.run_plan import Engine, RunPlan, from_manifest
from replay.running.runs import find_unfinished, load_manifest
from replay.targets.environments import Say
from replay.targets.locate import what_changed

if TYPE_CHECKING:
    from auditlog.store import Store


def resume(
    store: Store,
    run_id: str,
    *,
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    limits: Limits | None = None,
    live_writes: Collection[str] = (),
    engine: Engine = "asyncio",
    ray_address: str = "",
    allow_builds: bool = False,
    say: Say | None = None,
) -> RunPlan:
    """Plan to go on with a run by its id.

    Args:
        store: where the run is.
        run_id: its id, an unambiguous beginning of it, or `last`.
        path: the directory that it was begun in, by default the current one.
        workers: processes for each target; by default as before.
        live_writes: the tools whose writes happen for real, all that the run was begun with, where there are some.
        engine: where the workers are from here on.
        ray_address: as of `plan`.
        limits: what it may take from here on, where that changes.
        allow_builds: as of `plan`.
        say: as of `plan`.

    Raises:
        NotFoundError: there is no such run.
        RunError: it is complete, under way, or of code that changed since.
        TargetError: a target cannot be imported any more.
    """
    manifest = load_manifest(store, run_id)
    if manifest["kind"] == "compare":
        msg = f"Run {manifest['run_id']} compares recordings: there is nothing to resume."
        raise RunError(msg)
    before = from_manifest(manifest)
    _compare_writes(before, live_writes)
    plan = begun_again(
        store,
        manifest,
        path=path,
        workers=workers,
        limits=limits,
        engine=engine,
        ray_address=ray_address,
        allow_builds=allow_builds,
        say=say,
    )
    if find_unfinished(store, before.config_digest, before.run_id) is None:
        msg = f"Run {before.run_id} is complete: there is nothing to resume. `auditlog replay show {before.run_id}` shows it."
        raise RunError(msg)
    return plan


def begun_again(
    store: Store,
    manifest: Mapping[str, Any],
    *,
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    limits: Limits | None = None,
    engine: Engine = "asyncio",
    ray_address: str = "",
    allow_builds: bool = False,
    say: Say | None = None,
) -> RunPlan:
    """Plan what a manifest says, under the same id, and refuse where that is not the same any more.

    Args:
        store: where it is.
        manifest: a run's, or what else was planned as one.
        path: the directory that it was begun in, by default the current one.
        workers: processes for each target; by default as before.
        limits: what it may take from here on, where that changes.
        engine: where the workers are from here on.
        ray_address: as of `plan`.
        allow_builds: as of `plan`.
        say: as of `plan`.

    Raises:
        RunError: this is another directory, or the code changed since.
        TargetError: a target cannot be imported any more.
    """
    before = from_manifest(manifest)
    if limits is not None:
        limits.refuse_nonsense()
    directory = run_directory(path)
    if before.paths != (directory,):
        msg = f"Run {before.run_id} was begun in {before.paths[0]}, and this is {directory}. Go there, or name it with --path."
        raise RunError(msg)
    plan, notes = described(
        store,
        replace(
            before,
            workers=workers or before.workers,
            engine=engine,
            ray_address=ray_address,
            limits=before.limits if limits is None else limits.over(before.limits),
        ),
        allow_builds=allow_builds,
        say=say,
    )
    if config_digest(plan) != before.config_digest:
        changed = [
            what_changed(old, new)
            for old, new in ((before.candidate, plan.candidate), (before.baseline, plan.baseline))
            if old is not None and new is not None and old.digest != new.digest
        ]
        msg = (
            f"Run {before.run_id} cannot go on: {' and '.join(changed) or 'its set-up changed since it began'}, "
            "and its halves would not compare. Start a new run."
        )
        raise RunError(msg)
    env = before.env
    given = [f"reach {', '.join(before.hosts)}"] * bool(before.hosts) + [f"have {', '.join(env)}"] * bool(env)
    notes += [f"As when it was begun, the agent may {' and '.join(given)}."] * bool(given)
    notes += before.modes.warnings(before.hosts)
    return resumed(plan, manifest, notes)


def resumed(plan: RunPlan, manifest: Mapping[str, Any], notes: Collection[str]) -> RunPlan:
    """Make of a plan of the same configuration the one that goes on with a run.

    Args:
        plan: described.
        manifest: the run's.
        notes: what whoever starts it should know.
    """
    before = from_manifest(manifest)
    if cases_digest(manifest["cases"]) != manifest.get("cases_digest", cases_digest(manifest["cases"])):
        raise RunError(
            f"The case list of run {before.run_id} is another one than it was begun with. `auditlog verify` says whether the "
            "store was changed; start a new run."
        )
    return replace(
        plan,
        run_id=before.run_id,
        created=before.created,
        config_digest=before.config_digest,
        cases=before.cases,
        sampling=before.sampling,
        resumed=True,
        notes=tuple(notes),
    )


def _compare_writes(before: RunPlan, live_writes: Collection[str]) -> None:
    """Refuse to go on where the writes that are named are not those that the run was begun with."""
    began, named = sorted(set(before.modes.live_writes)), sorted(set(live_writes))
    if began == named:
        return
    if not began:
        msg = (
            f"Run {before.run_id} was begun without live writes, and goes on without: leave --live-write {named[0]} out, "
            "or start a new run."
        )
    elif not named:
        msg = (
            f"Run {before.run_id} writes for real ({', '.join(began)}), and so will what is left of it. "
            "Say so with --allow-live-writes and --live-write for each of these tools."
        )
    else:
        msg = (
            f"Run {before.run_id} writes for real with {', '.join(began)}, and --live-write names {', '.join(named)}. "
            "It goes on with the very tools that it was begun with: name them, or start a new run."
        )
    raise RunError(msg)
