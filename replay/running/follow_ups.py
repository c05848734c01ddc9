"""Plans to run some cases of a run again, under the same configuration and under another id.

The rules:

1. The same targets, modes and hosts as the run's, found again by their digests: code that changed since is refused.
2. The agent's code is taken from the directory that the run was begun in, and only from there: a store from elsewhere must not
   choose which code is run here.
3. The cases keep their ids, so that what they did again stands beside what they did.
4. The follow-up's id begins with the run's. Those that are complete are given, so that nothing is made anew.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replay.canonical import digest_of
from replay.errors import RunError
from replay.running.case_lists import with_cases
from replay.running.describing import config_digest, described, run_directory
from replay.running.run_plan import RunPlan, from_manifest
from replay.running.runs import FOLLOW_UP, ends, manifests

if TYPE_CHECKING:
    from auditlog.store import Store


def follow_ups(store: Store, manifest: Mapping[str, Any], repeats: int) -> list[Mapping[str, Any]]:
    """Give the manifests of the complete follow-ups of a run, the newest first, that ran their cases so often."""
    ended = ends(store)
    return [
        with_cases(store, other)
        for other in manifests(store)
        if _is_follow_up(str(other["run_id"]), str(manifest["run_id"]))
        and other["run_id"] in ended
        and int(other.get("repeats") or 1) >= repeats
    ]


def plan_again(
    store: Store,
    manifest: Mapping[str, Any],
    span_ids: Collection[str],
    repeats: int,
    *,
    path: str | os.PathLike[str] | None = None,
) -> RunPlan:
    """Plan to run some of a run's cases again, in both arms.

    Args:
        store: where the run is.
        manifest: the run's.
        span_ids: the recorded agent spans of the cases.
        repeats: how often each runs in each arm.
        path: the directory that the run was begun in; by default the current one.

    Raises:
        RunError: this is another directory, or the code changed since.
        TargetError: a target cannot be imported any more.
    """
    before = from_manifest(manifest)
    directory = run_directory(path)
    if before.paths != (directory,):
        raise RunError(
            f"Run {before.run_id} was begun in {before.paths[0]}, and this is {directory}. Go there, or name it with --path."
        )
    if before.modes.live_writes:
        raise RunError(
            f"Run {before.run_id} writes for real ({', '.join(before.modes.live_writes)}), "
            "so none of its cases is run again by itself."
        )
    found, notes = described(store, replace(before, notes=()))
    if config_digest(found) != before.config_digest:
        raise RunError(
            f"The code or the set-up of run {before.run_id} changed since it ran, and what runs now would not be what ran then. "
            "Start a new run."
        )
    wanted = set(span_ids)
    taken = [str(other["run_id"]) for other in manifests(store)]
    number = 1 + sum(_is_follow_up(name, before.run_id) for name in taken)
    return replace(
        found,
        run_id=f"{before.run_id}-again{number}",
        created=datetime.now(UTC),
        config_digest=digest_of([before.config_digest, "again", sorted(wanted), number]),
        cases=tuple(replace(case, sampled=False) for case in before.cases if case.span_id in wanted),
        repeats=repeats,
        resumed=False,
        notes=tuple(notes),
    )


def _is_follow_up(name: str, of: str) -> bool:
    found = FOLLOW_UP.fullmatch(name)
    return found is not None and found[1] == of
