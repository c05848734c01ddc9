"""Finds runs in a store: their manifests, what is done of them, and whether one is under way.

The rules:

1. A run is its manifest, a record like any other, and the list of its cases beside it (see `case_lists`); its last record says
   that it is complete.
2. An execution is done exactly when its agent span has a replay status; the done-set is what a resumed run leaves out.
3. Of two executions of the same case and arm the earlier counts, so that nothing is counted twice.
4. What a run spent is what its live model calls recorded, those of executions that were tried again among them.
5. A run whose newest process was stopped by a budget says so.
6. A run without an end is `running` while somebody holds its lock (see `run_lock`), else `interrupted`.
7. A run is named by its id, an unambiguous beginning of it, or `last`; a miss names the nearest. A run that only runs cases of
   another again is meant by its whole id alone.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.errors import NotFoundError
from auditlog.journal import boot_id
from auditlog.wording import nearest
from replay.errors import RunError
from replay.running.case_lists import CASE_SHAPES, are_cases, with_cases
from replay.running.limits import Spend
from replay.running.records import MANIFEST, RUN_END, RUN_STOP, own_records
from replay.running.run_lock import is_held

if TYPE_CHECKING:
    from auditlog.layout import Layout
    from auditlog.store import Store

_MOST_NAMED = 5

FOLLOW_UP = re.compile(r"(.+)-again\d+")
"""The id of a run that runs some cases of another again; the group is that other's."""

active: set[str] = set()
"""The ids of the runs that this very process runs."""


class ExecutionKey(NamedTuple):
    """What the store knows an execution by."""

    arm: str
    repeat: int
    span_id: str
    """The recorded agent span's."""


def manifests(store: Store) -> list[Mapping[str, Any]]:
    """Give every run's manifest without its cases, newest first; of a resumed run the newest process's."""
    found: dict[str, Mapping[str, Any]] = {}
    for span in own_records(store, MANIFEST):
        if span.replay is not None and _is_manifest(span.input, span.replay.run_id):
            found[span.replay.run_id] = span.input
    return sorted(found.values(), key=lambda manifest: str(manifest["created"]), reverse=True)


def manifests_of(store: Store, run_id: str) -> list[Mapping[str, Any]]:
    """Give every manifest of one run, oldest first: one for each process that worked on it.

    Args:
        store: where it is.
        run_id: its whole id.
    """
    spans = sorted(own_records(store, MANIFEST, run_id), key=lambda span: (span.start_ns, span.span_id))
    return [span.input for span in spans if _is_manifest(span.input, run_id)]


def refuse_begun(store: Store, run_id: str) -> None:
    """Refuse to begin a run that is there already; whoever holds its lock asks.

    Raises:
        RunError: it is.
    """
    if manifests_of(store, run_id):
        raise RunError(
            f"Run {run_id} was begun by another process since it was planned, and is not run twice. Start the command again."
        )


def _is_manifest(content: Any, run_id: str) -> bool:
    """Whether a recorded content is a run's manifest; an erased, foreign or newer one is no run."""
    match content:
        case {"run_id": str(name), "kind": str(kind), "created": str(created), **rest}:
            cases, count = rest.get("cases"), rest.get("case_count")
            return (
                name == run_id
                and kind in CASE_SHAPES
                and _is_moment(created)
                and all(_is_target(rest.get(side), kind) for side in ("candidate", "baseline"))
                and rest.get("candidate") is not None
                and (
                    isinstance(count, int)
                    if cases is None
                    else isinstance(cases, list) and are_cases(cases, kind)
                )
            )
        case _:
            return False


def _is_target(value: Any, kind: str) -> bool:
    if kind == "compare":
        return isinstance(value, str)
    return value is None or (isinstance(value, dict) and isinstance(value.get("path"), str))


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def ends(store: Store) -> dict[str, Mapping[str, Any]]:
    """Give what the complete runs' last records say, by run id."""
    spans = own_records(store, RUN_END)
    return {
        span.replay.run_id: span.input if isinstance(span.input, dict) else {}
        for span in spans
        if span.replay is not None
    }


def stops(store: Store) -> dict[str, list[Mapping[str, Any]]]:
    """Give what the runs' processes that a budget stopped say, by run id."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for span in own_records(store, RUN_STOP):
        if span.replay is not None and isinstance(span.input, dict):
            found.setdefault(span.replay.run_id, []).append(span.input)
    return found


def stopped_by(manifest: Mapping[str, Any], said: Iterable[Mapping[str, Any]]) -> str | None:
    """Give the budget that stopped the process of a manifest; None where none did.

    Args:
        manifest: the newest of a run.
        said: what `stops` gave for it.
    """
    process = manifest.get("pid"), manifest.get("born")
    return next(
        (str(stop.get("budget")) for stop in said if (stop.get("pid"), stop.get("born")) == process), None
    )


def spent(store: Store, run_id: str) -> Spend:
    """Give what the live model calls of a run took so far."""
    found = store.query(
        "SELECT coalesce(sum(cost_usd), 0) AS usd, coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0) "
        "AS tokens, count(*) AS calls, count(*) FILTER (cost_usd IS NULL) AS unpriced, "
        "count(*) FILTER (input_tokens IS NULL AND output_tokens IS NULL) AS untold FROM all_spans "
        "WHERE replay_run_id = ? AND kind IN ('model', 'embedding') AND replay_match_tier IS NULL",
        [run_id],
    )
    (row,) = found.to_pylist()
    return Spend(float(row["usd"]), *(int(row[name]) for name in ("tokens", "calls", "unpriced", "untold")))


def load_manifest(store: Store, run_id: str) -> Mapping[str, Any]:
    """Give one run's manifest, with its cases.

    Args:
        store: where it is.
        run_id: the id, an unambiguous beginning of it, or `last`.

    Raises:
        NotFoundError: there is none, or several.
        RunError: its cases are not all there.
    """
    return with_cases(store, find_manifest(store, run_id))


def find_manifest(store: Store, run_id: str) -> Mapping[str, Any]:
    """Give one run's manifest, without its cases; else as `load_manifest`."""
    known = manifests(store)
    if not known:
        msg = f"There is no run {run_id!r}: the store holds none. `auditlog replay run --agent module:agent` makes one."
        raise NotFoundError(msg)
    begun = [m for m in known if not FOLLOW_UP.fullmatch(m["run_id"])] or known
    if run_id == "last":
        return begun[0]
    fitting = [m for m in known if m["run_id"] == run_id] or [
        m for m in begun if m["run_id"].startswith(run_id)
    ]
    if len(fitting) == 1 and run_id:
        return fitting[0]
    if len(fitting) > 1 and run_id:
        named = ", ".join(m["run_id"] for m in fitting[:_MOST_NAMED])
        msg = f"{run_id!r} is the beginning of several runs: {named}. Write more of it."
        raise NotFoundError(msg)
    near = nearest(run_id, [m["run_id"] for m in known], 0) or known[0]["run_id"]
    msg = f"There is no run {run_id!r}. The nearest is {near!r}. `auditlog replay ls` lists them."
    raise NotFoundError(msg)


def find_unfinished(store: Store, config_digest: str, run_id: str | None = None) -> Mapping[str, Any] | None:
    """Give the newest run of this configuration that is not complete and not under way, without its cases.

    Args:
        store: where to look.
        config_digest: the configuration.
        run_id: only this one.

    Raises:
        RunError: the one that is meant is under way.
    """
    ended = ends(store)
    for manifest in manifests(store):
        if manifest.get("config_digest") != config_digest or manifest["run_id"] in ended:
            continue
        if run_id is not None and manifest["run_id"] != run_id:
            continue
        if is_under_way(manifest, store.layout):
            msg = (
                f"Run {manifest['run_id']} of this very configuration is under way in process {manifest['pid']} on "
                f"{manifest['host']}. "
                "Wait for it, or start a new one with --fresh."
            )
            raise RunError(msg)
        return manifest
    return None


def done_executions(store: Store, run_id: str) -> set[ExecutionKey]:
    """Give what of a run is done."""
    found = store.query(
        "SELECT DISTINCT replay_arm, coalesce(replay_repeat, 0), replay_source_span_id FROM all_spans "
        "WHERE replay_run_id = ? AND replay_status IS NOT NULL AND kind = 'agent'",
        [run_id],
    )
    return {ExecutionKey(*row.values()) for row in found.to_pylist()}


def is_under_way(manifest: Mapping[str, Any], layout: Layout) -> bool:
    """Whether somebody runs the run of a manifest.

    Args:
        manifest: the newest of its run.
        layout: the store's.
    """
    if (held := is_held(layout, str(manifest["run_id"]))) is not None:
        return held
    # A version without locks wrote it, or there are none on this file system.
    if manifest.get("host") != socket.gethostname() or manifest.get("boot") != boot_id():
        return False
    pid = manifest.get("pid")
    if pid == os.getpid():
        return manifest["run_id"] in active
    born = process_birth(pid) if isinstance(pid, int) else None
    return born is not None and born == manifest.get("born")


def process_birth(pid: int) -> str | None:
    """Give what tells a process from a later one of the same id; None where there is no such process.

    Args:
        pid: the process id.
    """
    try:
        # The 22nd field is the start time; the second, the program's name in parentheses, may hold anything.
        return (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return None if Path("/proc/self/stat").exists() else ""
