"""Plans a run: what is replayed, with what, against what, and which cases.

The rules:

1. A plan is made before anything runs, and is written into the store as the run's first record: a run can be read,
   and resumed, from the store alone.
2. The same command goes on with its unfinished run (see `resuming`); code that changed since makes it another command.
3. The baseline is a second target, run again. Where none is named, the recorded turns are the baseline, and the plan
   says that there is no noise to compare with.
4. `verify` serves models, too, and compares with the recording: it must come out identical.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from auditlog.errors import NotFoundError
from auditlog.filters.language import parse
from auditlog.wording import nearest_hint
from replay.errors import RunError
from replay.matching.rules import NO_RULES, MatchRules
from replay.pinned.pinning import PINNED, Pinning
from replay.pinned.pinning import check as check_pinning
from replay.running.case_lists import with_cases
from replay.running.cases import freeze, select
from replay.running.describing import config_digest, described, run_directory
from replay.running.limits import NO_LIMITS, Limits
from replay.running.resuming import resumed
from replay.running.run_plan import Engine, PlannedKind, RunPlan
from replay.running.runs import find_unfinished
from replay.running.sampling import EVERY_TURN, Sampling, draw, refuse_nonsense
from replay.sandbox.hosts import parse_host
from replay.sandbox.modes import SERVING, Modes, check
from replay.targets.environments import Say
from replay.targets.locate import Wanted, locate

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
    engine: Engine = "asyncio",
    ray_address: str = "",
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
        engine: where the workers are: processes of this machine, or actors of a Ray cluster.
        ray_address: the cluster's; where it is empty, one is made on this machine for as long as the run takes.
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
    hosts = tuple(str(parse_host(host)) for host in hosts)
    directory = run_directory(path)
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
        engine=engine,
        ray_address=ray_address,
        matching=matching,
        pinning=check_pinning(pinning),
        sampling=sampling,
    )
    found, notes = described(store, draft)
    notes[:0] = dict.fromkeys((*tried.notes, *(compared.notes if compared is not None else ())))
    digest = config_digest(found)
    if not fresh and (manifest := find_unfinished(store, digest)) is not None:
        return resumed(found, with_cases(store, manifest), notes)
    most = limit if turns is None else None
    chosen = select(store, found.candidate.name, where=where, since=since, until=until, limit=most)
    if turns is not None:
        wanted_turns = tuple(turn for turn in chosen.turns if turn["span_id"] in turns)[:limit]
        if not wanted_turns:
            raise NotFoundError(
                f"None of these turns is one of {found.candidate.name}, which is to go on with them."
            )
        chosen = chosen._replace(turns=wanted_turns)
    notes += modes.warnings(hosts)
    notes += _unknown_tools(store, modes)
    for name, count in chosen.left_out.items():
        notes.append(
            f"{count} turns of {name or 'unnamed agents'} are left out: this run is of {found.candidate.name}."
        )
    drawn = draw(store, chosen.turns, sampling)
    notes += drawn.notes
    return replace(
        found,
        run_id=f"{found.created:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}",
        config_digest=digest,
        cases=freeze(drawn.turns, digest, sample),
        sampling=drawn.sampling,
        notes=tuple(notes),
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
    missing = (name for name in named if name not in known)
    return [f"No tool called {name!r} is recorded here.{nearest_hint(name, known)}" for name in missing]


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
