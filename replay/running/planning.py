"""Plans a run: what is replayed, with what, against what, and which cases.

The rules:

1. A plan is made before anything runs, and is written into the store as the run's first record: a run can be read,
   and resumed, from the store alone.
2. The configuration's digest covers targets (with their sources), filter, modes and hosts. The same command resumes
   its unfinished run; a run whose code changed since is not resumed, since its halves would not compare.
3. The baseline is a second target, run again. Where none is named, the recorded turns are the baseline, and the plan
   says that there is no noise to compare with.
4. `verify` serves models, too, and compares with the recording: it must come out identical.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlog.errors import NotFoundError
from auditlog.filters.language import parse
from replay.canonical import digest_of
from replay.errors import RunError
from replay.matching.rules import NO_RULES, MatchRules, rules_to_json
from replay.pinned.model_cache import CACHED
from replay.pinned.pinning import PINNED, Pinning
from replay.pinned.pinning import check as check_pinning
from replay.running.cached import refuse_changed
from replay.running.cases import freeze, select
from replay.running.limits import NO_LIMITS, Limits
from replay.running.pool import probe
from replay.running.protocol import Ready
from replay.running.run_plan import PlannedKind, PlannedTarget, RunPlan, from_manifest
from replay.running.runs import find_unfinished, load_manifest
from replay.running.sampling import EVERY_TURN, Sampling, draw, refuse_nonsense
from replay.sandbox.hosts import parse_host
from replay.sandbox.modes import SERVING, Modes, check
from replay.targets.environments import Say
from replay.targets.locate import Wanted, locate, relocate, target_digest, what_changed

if TYPE_CHECKING:
    from auditlog.store import Store

SAMPLE = 0.2
"""The share of the cases that the second baseline runs."""


def plan(
    store: Store,
    candidate: str,
    *,
    baseline: str | None = None,
    adapter: bool = False,
    baseline_adapter: bool = False,
    kind: PlannedKind = "replay",
    modes: Modes = SERVING,
    where: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    sample: float = SAMPLE,
    repeats: int = 1,
    hosts: Iterable[str] = (),
    env: Iterable[str] = (),
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    limits: Limits = NO_LIMITS,
    matching: MatchRules = NO_RULES,
    pinning: Pinning = PINNED,
    sampling: Sampling = EVERY_TURN,
    turns: Collection[str] | None = None,
    fresh: bool = False,
    agent: str = "",
    allow_builds: bool = False,
    say: Say | None = None,
) -> RunPlan:
    """Plan a run, or find the unfinished one that the same plan began.

    Args:
        store: where the recorded turns are, and where the results go.
        candidate: what to try, and in a `verify` the recorded version: `module:attribute`, a manifest's path, `git:REV`, or
            `.` for the working tree.
        baseline: that of the version to compare with; None compares with the recording.
        adapter: the candidate is an adapter: a function of the recorded arguments as one mapping.
        baseline_adapter: the baseline is one.
        kind: `replay`; `verify` with models served, too; `control`, the candidate against itself; `fork`.
        modes: what is served, and what may happen for real.
        where: a filter that chooses conversations.
        since: aware; conversations that began then or later.
        until: aware; conversations that began before.
        limit: how many cases at most.
        sample: the share of the cases that the second baseline runs.
        repeats: how often each case runs in each of its arms.
        hosts: model hosts that may be reached, as name:port or address.
        env: names of environment variables that the agent gets, such as OPENAI_API_KEY.
        path: the directory to run in and to import from; by default the current one.
        workers: processes for each target; by default one a core.
        limits: what the run and each of its cases may take.
        matching: declared differences between two calls that are none, as `read_rules` gives them.
        pinning: what is held still.
        sampling: which of the chosen turns are cases; by default all.
        turns: of what the filter chooses only these, by the span ids of their agents.
        fresh: begin anew, even where an unfinished run could go on.
        agent: `module:attribute` of the agent in a `git:REV`, in `.` and in a manifest that names none.
        allow_builds: packages of an environment may be built, which runs their code outside of the sandbox.
        say: told what takes its time: the making of an environment.

    Raises:
        TargetError: a target cannot be imported or is no agent.
        NotFoundError: no recorded turn fits.
        FilterError: the filter does not parse.
        RunError: a host is none, or the plan has no meaning.
    """
    env, hosts = tuple(env), tuple(hosts)
    _refuse_nonsense(kind, baseline, env, sample, workers)
    limits.refuse_nonsense()
    refuse_nonsense(sampling)
    if repeats < 1:
        raise RunError(f"Each case runs at least once in each arm, and not {repeats} times.")
    # What is wrong with the words is said before a process is started for them.
    parse(where)
    for host in hosts:
        parse_host(host)
    directory = _directory(path)
    modes = check(modes.only_served() if kind == "verify" else modes)
    tried = locate(Wanted(candidate, adapter, agent, adapter), directory, allow_builds=allow_builds, say=say)
    compared = None
    if baseline is not None:
        wanted = Wanted(baseline, baseline_adapter, agent or tried.target.path, tried.target.adapter)
        compared = locate(wanted, directory, allow_builds=allow_builds, say=say)
    draft = RunPlan(
        run_id="",
        kind=kind,
        created=datetime.now(UTC),
        candidate=tried.target,
        baseline=None if compared is None else compared.target,
        modes=modes,
        where=where,
        since=None if since is None else since.isoformat(),
        until=None if until is None else until.isoformat(),
        limit=limit,
        sample=sample,
        repeats=repeats,
        hosts=hosts,
        config_digest="",
        cases=(),
        locks=(),
        env=env,
        paths=(directory,),
        workers=workers or os.cpu_count() or 1,
        limits=limits,
        matching=matching,
        pinning=check_pinning(pinning),
        sampling=sampling,
    )
    if modes.model == CACHED:
        refuse_changed(store)
    described, notes = _described(draft)
    notes[:0] = dict.fromkeys((*tried.notes, *(compared.notes if compared is not None else ())))
    digest = _config_digest(described)
    if not fresh and (manifest := find_unfinished(store, digest)) is not None:
        return _resumed(described, manifest, notes)
    most = limit if turns is None else None
    chosen = select(store, described.candidate.name, where=where, since=since, until=until, limit=most)
    if turns is not None:
        wanted_turns = tuple(turn for turn in chosen.turns if turn["span_id"] in turns)[:limit]
        if not wanted_turns:
            raise NotFoundError(
                f"None of these turns is one of {described.candidate.name}, which is to go on with them."
            )
        chosen = chosen._replace(turns=wanted_turns)
    notes += modes.warnings(hosts)
    notes += _unknown_tools(store, modes)
    for name, count in chosen.left_out.items():
        notes.append(
            f"{count} turns of {name or 'unnamed agents'} are left out: this run is of {described.candidate.name}."
        )
    drawn = draw(store, chosen.turns, sampling)
    notes += drawn.notes
    return replace(
        described,
        run_id=f"{described.created:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        config_digest=digest,
        cases=freeze(drawn.turns, digest, sample),
        sampling=drawn.sampling,
        notes=tuple(notes),
    )


def resume(
    store: Store,
    run_id: str,
    *,
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    limits: Limits | None = None,
    live_writes: bool = False,
    allow_builds: bool = False,
    say: Say | None = None,
) -> RunPlan:
    """Plan to go on with a run by its id.

    Args:
        store: where the run is.
        run_id: its id, an unambiguous beginning of it, or `last`.
        path: the directory that it was begun in, by default the current one. A store from elsewhere must not choose
            which code is run here.
        workers: processes for each target; by default as before.
        live_writes: the writes that the run lets happen for real may happen again.
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
    if before.modes.live_writes and not live_writes:
        msg = (
            f"Run {before.run_id} writes for real ({', '.join(before.modes.live_writes)}), and so will what is left of it. "
            "Say so with --allow-live-writes and --live-write for each of these tools."
        )
        raise RunError(msg)
    if limits is not None:
        limits.refuse_nonsense()
    directory = _directory(path)
    if before.paths != (directory,):
        msg = f"Run {before.run_id} was begun in {before.paths[0]}, and this is {directory}. Go there, or name it with --path."
        raise RunError(msg)
    described, notes = _described(
        replace(
            before,
            workers=workers or before.workers,
            limits=before.limits if limits is None else limits.over(before.limits),
        ),
        allow_builds=allow_builds,
        say=say,
    )
    if _config_digest(described) != before.config_digest:
        changed = [
            what_changed(old, new)
            for old, new in ((before.candidate, described.candidate), (before.baseline, described.baseline))
            if old is not None and new is not None and old.digest != new.digest
        ]
        msg = (
            f"Run {before.run_id} cannot go on: {' and '.join(changed) or 'its set-up changed since it began'}, "
            "and its halves would not compare. Start a new run."
        )
        raise RunError(msg)
    if find_unfinished(store, before.config_digest, before.run_id) is None:
        msg = f"Run {before.run_id} is complete: there is nothing to resume. `auditlog replay show {before.run_id}` shows it."
        raise RunError(msg)
    env = dict.fromkeys(
        (*before.env, *before.candidate.env, *(before.baseline.env if before.baseline else ()))
    )
    given = [f"reach {', '.join(before.hosts)}"] * bool(before.hosts) + [f"have {', '.join(env)}"] * bool(env)
    notes += [f"As when it was begun, the agent may {' and '.join(given)}."] * bool(given)
    notes += before.modes.warnings(before.hosts)
    return _resumed(described, manifest, notes)


def _directory(path: str | os.PathLike[str] | None) -> str:
    directory = Path(path or ".").resolve()
    if not directory.is_dir():
        raise RunError(f"{directory} is no directory. Name the one that the agent is imported from.")
    return str(directory)


def _described(
    draft: RunPlan, *, allow_builds: bool = False, say: Say | None = None
) -> tuple[RunPlan, list[str]]:
    """Let a worker look at each target; give the plan with what they are, and what is worth saying."""
    draft, notes = _found_again(draft, allow_builds=allow_builds, say=say)
    environment = dict(os.environ)
    notes += [
        f"The variable {name} is not set here, so the agent does not get it."
        for name in dict.fromkeys(
            (*draft.env, *draft.candidate.env, *(draft.baseline.env if draft.baseline else ()))
        )
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
    notes += _missing_locks(seen[0].locks, draft.hosts)
    notes += [f"The host {name} has no address here." for name in dict.fromkeys(seen[0].unresolved)]
    found = [_as_seen(target, ready) for target, ready in zip(targets, seen, strict=True)]
    if draft.baseline is None and draft.kind in ("replay", "fork"):
        notes.append(
            "No baseline is named, so the candidate is compared with the recording: there is no second run to tell "
            "a change from chance. Name the version in production with --baseline."
        )
    described = replace(
        draft,
        candidate=found[0],
        baseline=found[1] if draft.baseline is not None else None,
        locks=seen[0].locks,
        pinning=replace(
            draft.pinning,
            candidate_reads=seen[0].reads,
            baseline_reads=seen[1].reads if draft.baseline is not None else (),
        ),
    )
    return described, notes


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


def _as_seen(target: PlannedTarget, ready: Ready) -> PlannedTarget:
    packages = replace(target.packages, python=ready.python, installed=ready.installed, digest=ready.packages)
    found = replace(target, name=ready.name, version=ready.version, sources=ready.sources, packages=packages)
    return replace(found, digest=target_digest(found, ready.digest))


def _missing_locks(held: Iterable[str], hosts: tuple[str, ...]) -> list[str]:
    """Say which of the kernel's locks this machine does not give; Python's hold everywhere."""
    names = {lock.split(" ")[0] for lock in held}
    notes = []
    if "landlock" not in names:
        notes.append(
            "This kernel has no Landlock, so native code in the agent is not kept from files and programs."
        )
    if "seccomp" not in names:
        notes.append(
            "This system filters no system calls, so native code in the agent is not kept from starting processes and from "
            "unix sockets."
        )
    if not hosts and "network" not in names:
        notes.append(
            "This system gives no network namespace, so native code in the agent is not kept off the network."
        )
    return notes


def _config_digest(described: RunPlan) -> str:
    return digest_of(
        {
            "kind": described.kind,
            "candidate": described.candidate.digest,
            "baseline": None if described.baseline is None else described.baseline.digest,
            "modes": asdict(described.modes),
            "matching": rules_to_json(described.matching),
            "pinning": described.pinning.settings(),
            "where": described.where,
            "since": described.since,
            "until": described.until,
            "limit": described.limit,
            "sample": described.sample,
            "hosts": sorted(described.hosts),
            "env": sorted(described.env),
            "path": list(described.paths),
            # A run of one repeat, or of every turn, keeps the digest that it had before there was a choice.
            **({"repeats": described.repeats} if described.repeats > 1 else {}),
            **({"sampling": asked} if (asked := described.sampling.asked) != EVERY_TURN.asked else {}),
        }
    )


def _unknown_tools(store: Store, modes: Modes) -> list[str]:
    """Say which tools that may run were never recorded: a name that is misspelt lets nothing happen."""
    named = [*modes.live_reads, *modes.live_writes]
    if not named:
        return []
    found = store.query(
        "SELECT DISTINCT name FROM spans WHERE kind IN ('tool', 'retriever') AND name IS NOT NULL"
    )
    known = [str(row["name"]) for row in found.to_pylist()]
    notes = []
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            nearest = f" The nearest is {near[0]!r}." if near else ""
            notes.append(f"No tool called {name!r} is recorded here.{nearest}")
    return notes


def _resumed(described: RunPlan, manifest: Mapping[str, Any], notes: list[str]) -> RunPlan:
    before = from_manifest(manifest)
    return replace(
        described,
        run_id=before.run_id,
        created=before.created,
        config_digest=before.config_digest,
        cases=before.cases,
        sampling=before.sampling,
        resumed=True,
        notes=tuple(notes),
    )


def _refuse_nonsense(
    kind: str, baseline: str | None, env: tuple[str, ...], sample: float, workers: int | None
) -> None:
    if kind == "verify" and baseline is not None:
        raise RunError(
            "A verify compares with the recording. Leave --baseline out, or run a replay without --verify."
        )
    if not 0 <= sample <= 1:
        raise RunError(f"The sample is a share of the cases, from 0 to 1, and not {sample:g}.")
    if workers is not None and workers < 1:
        raise RunError(f"A run takes at least one worker, and not {workers}.")
    for name in env:
        if not name.isidentifier():
            raise RunError(
                f"{name!r} is no name of a variable. Write its name only, such as --env OPENAI_API_KEY."
            )
