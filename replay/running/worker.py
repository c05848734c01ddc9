"""A worker: one fresh process that runs one target's cases, one after the other, behind the locks.

The rules:

1. The locks are taken before the agent is imported, so that its import happens behind them, too. In an environment that is
   not ours the kernel's are taken before this module is imported (`first`).
2. One case at a time: whatever is refused, on whatever thread, belongs to that case.
3. A case's status is the worst of what happened: a violation, then a stop, then an error, and only then `complete`.
4. What the agent does to this process's recorder (`configure`, `shutdown`) does nothing here.
5. A case whose thread goes on is invalid, and the worker is spent: nothing after it could be believed.

Started as `python -P -m replay.running.worker READ WRITE PARENT`, with two pipes' descriptors and the parent's process id.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import inspect
import os
import platform
import site
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import auditlog
from auditlog import config, interception, masks, overrides
from auditlog.context import conversation
from auditlog.http_calls import record_http
from auditlog.recorder import ListSink, Recorder
from auditlog.values import Json
from replay.errors import TargetError
from replay.matching.cassette import Cassette
from replay.matching.recorded import from_json
from replay.matching.restore import NotRestorable, restored
from replay.pinned.case import PinnedCase, prepare
from replay.pinned.direct_reads import direct_reads
from replay.running import first, frames, protocol
from replay.running.calls import CaseCalls
from replay.running.executed import Executed, executed, payloads_of
from replay.running.loops import Loops
from replay.running.protocol import Job, Ready, Result, Setup
from replay.running.records import OVERRIDDEN, Place, unrun_case
from replay.running.talk import Talk
from replay.sandbox import kernel, threads
from replay.sandbox.fork import Prefix, split
from replay.sandbox.guard import Guard
from replay.sandbox.hosts import AllowedHosts, Host
from replay.sandbox.intercept import CaseInterceptor
from replay.sandbox.locking import take_locks
from replay.sandbox.simulate import simulator_at
from replay.sandbox.state import CaseState, current_case, process
from replay.sandbox.surroundings import Surroundings
from replay.targets.sources import seen
from replay.targets.target import Target, resolve

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

# The agent gets a stand-in for it.
_exit = os._exit

STATE_LEFT = "auditlog.replay.state_left"
"""On a case: what it changed in the agent's own modules, for the cases after it to see."""
PATIENCE_SECONDS = 1.0
"""How long a case's threads may take to end after its answer."""

_loops = Loops()


def main() -> None:
    """Talk to the run until it hangs up."""
    reading, writing, parent = (int(argument) for argument in sys.argv[1:4])
    kernel.die_with_parent(parent)
    if first.begun is not None:
        message = first.begun.message
    elif (said := frames.read_message(reading)) is not None:
        message = said.message
    else:
        return
    if message.get("protocol") != protocol.VERSION:
        why = (
            f"The worker's own files speak version {protocol.VERSION} of the talk, and the run version "
            f"{message.get('protocol')}: auditlog-replay was changed while it ran. Start the command again."
        )
        frames.write_message(
            writing, {"say": "failed", "why": why, "refused": [], "token": message.get("token")}
        )
        return
    token = message.pop("token", "")
    setup = protocol.read_setup(message)
    held, hosts, guard = _take_locks(setup)
    if isinstance(asked := interception.installed(), CaseInterceptor):
        asked.believe(setup.effects)
    if sys.flags.no_site:
        # What the environment's packages run when Python starts, they run here, behind the locks.
        site.main()
    os.environ.update(dict(setup.variables))
    overrides.install(setup.overrides)
    try:
        target = resolve(setup.target, adapter=setup.adapter, within=setup.within)
        if setup.modes.simulator and isinstance(found := interception.installed(), CaseInterceptor):
            found.simulate_with(simulator_at(setup.modes.simulator))
    except TargetError as error:
        refused = process.end()
        frames.write_message(
            writing, {"say": "failed", "why": str(error), "refused": refused, "token": token}
        )
        return
    found = seen(setup.within)
    python = platform.python_version()
    ready = Ready(
        target.name,
        target.digest,
        target.version,
        held,
        process.end(),
        hosts.unresolved,
        found.code,
        found.packages,
        found.installed,
        python,
        found.outside if setup.within else (),
        reads=direct_reads(setup.paths) if setup.pinning.looks else (),
        roots=found.roots if setup.pinning.looks and _is_sayable(found.roots) else (),
    )
    # From here on this process sees what customers said, and what an agent prints is nobody's.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    frames.write_message(writing, {**protocol.ready_message(ready), "token": token})
    talk = Talk(reading, writing, token)
    if setup.leases:
        talk.listen()
    interceptor, background = interception.installed(), threads.in_background()
    surroundings = Surroundings(guard, setup.paths)
    calls = CaseCalls()
    recording = _Recording(calls)
    calls.tell = talk.tell
    if isinstance(interceptor, CaseInterceptor):
        interceptor.tell_with(calls.goes_live)
        if setup.leases:
            interceptor.pace_with(talk.lease, talk.lease_later)
    # What lives now outlives every case, so a collection after each looks only at what the case left.
    gc.freeze()
    while (given := talk.cases()) is not None:
        for job in protocol.read_jobs(given):
            talk.case = job.case_id
            result = _run_case(target, job, interceptor, background, setup, surroundings, recording)
            talk.say(*protocol.result_message(job.case_id, result))
            if result.spent:
                return


def _take_locks(setup: Setup) -> tuple[tuple[str, ...], AllowedHosts, Guard | None]:
    kernels = None
    if first.begun is not None:
        hosts, kernels = first.begun.hosts, first.begun.held
    else:
        hosts = AllowedHosts(Host(name, port) for name, port in setup.hosts)
        hosts.pin()
    if setup.memory_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (setup.memory_bytes, setup.memory_bytes))
    held, guard = take_locks(setup.locks, setup.scratch, hosts, process, kernels)
    _hold_the_recorder()
    masks.use(bytes.fromhex(setup.mask_key) or None)
    prepare(setup.pinning, hosts.hosts)
    # `-P` kept the working directory off the path while our own modules were imported.
    sys.path[:0] = [path for path in setup.paths if path not in sys.path]
    return held, hosts, guard


def _is_sayable(roots: Any) -> bool:
    """Whether paths are text that can be told; of the few that are not, what lies there is not compared again."""
    return str(roots).isprintable()


def _hold_the_recorder() -> None:
    """Let the agent's own set-up of recording do nothing: this process records into the run."""

    def configure(*_args: Any, http: str | None = None, **_kwargs: Any) -> None:
        """Stand in for `configure`, of which only what it says of HTTP counts here."""
        if http == "record":
            record_http()

    def shutdown() -> None:
        """Stand in for `shutdown`."""

    for name, stand_in in (("configure", configure), ("shutdown", shutdown)):
        setattr(config, name, stand_in)
        setattr(auditlog, name, stand_in)
    config.use(Recorder(ListSink()))


class _Recording:
    """The one recorder of this process's cases."""

    def __init__(self, calls: CaseCalls) -> None:
        self._calls = calls
        self._recorder = Recorder(calls, keeper=calls)

    def begin(self, job: Job) -> CaseCalls:
        """Record a case: what an agent put in the recorder's place is put out again."""
        self._calls.begin(job.lineage)
        if self._recorder.agent_version != job.agent_version:
            self._recorder = Recorder(self._calls, agent_version=job.agent_version, keeper=self._calls)
        config.use(self._recorder)
        return self._calls


def _run_case(
    target: Target,
    job: Job,
    interceptor: Any,
    background: threads.Background,
    setup: Setup,
    surroundings: Surroundings,
    recording: _Recording,
) -> Result:
    calls = recording.begin(job)
    pins = PinnedCase(job.pinned, seeds_ids=not setup.modes.live_writes)
    if interceptor is not None:
        _load(interceptor, job, setup, pins)
    case = CaseState(job.case_id)
    process.begin(case)
    with pins:
        error = contextvars.copy_context().run(_call, target, job, case)
        apart = surroundings.settle()
    if interceptor is not None and not interceptor.asked.issuperset(calls.opened):
        apart += ("make a call that the replay was not asked about",)
    outliving = threads.outliving(background, PATIENCE_SECONDS) if "threads" in setup.locks else ()
    violations = (*process.end(), *apart)
    early = None if interceptor is None else interceptor.ended_early()
    status, why = _verdict(case, error, violations, outliving, early)
    found = executed(calls, status, why, {**pins.facts(), **_overridden(), **_left(surroundings)})
    if found is None:
        place = Place(job.conversation_id, job.user_id, job.tags, job.lineage)
        fault = None if error is None else type(error).__qualname__
        unrun = unrun_case(place, target.name, dict(job.arguments), status, why, fault=fault)
        found = Executed((*payloads_of(calls), unrun))
    return Result(
        status,
        why,
        found.records,
        spent=bool(outliving)
        or bool(apart)
        or setup.modes.fresh_worker
        or _is_elsewhere(found.infrastructure, setup),
        behaviour=found.behaviour,
        measures=found.measures,
        spend=found.spend,
        infrastructure=found.infrastructure,
    )


def _is_elsewhere(infrastructure: str, setup: Setup) -> bool:
    """Whether a model's host may have moved: its addresses are pinned for as long as a worker lives, and a new one asks anew."""
    return bool(setup.hosts) and "connect" in infrastructure.lower()


def _overridden() -> dict[str, Json]:
    """Say on the agent's span which overrides reached something in its case."""
    placed = overrides.installed()
    reached = () if placed is None else placed.reached()
    return {OVERRIDDEN: list(reached)} if reached else {}


def _left(surroundings: Surroundings) -> dict[str, Json]:
    """Say on the agent's span what its case left in the agent's own modules."""
    left = surroundings.left_behind()
    return {STATE_LEFT: list(left)} if left else {}


def _load(interceptor: CaseInterceptor, job: Job, setup: Setup, pins: PinnedCase) -> None:
    recorded = from_json(job.cassette)
    prefix = None
    if job.before_fork:
        before, recorded = split(recorded, job.before_fork)
        prefix = Prefix(before, Cassette(before, setup.matching))
    interceptor.load(
        Cassette(recorded, setup.matching), setup.modes, recorded, prefix=prefix, cache=pins.cache
    )
    pins.follow(interceptor.callers)


def _call(target: Target, job: Job, case: CaseState) -> BaseException | None:
    """Call the agent in the case's context; give what it raised."""
    current_case.set(case)
    try:
        args, kwargs = target.arguments(
            restored(dict(job.arguments), job.types) if job.types else dict(job.arguments)
        )
        with conversation(job.conversation_id, user=job.user_id, tags=job.tags):
            _drain(target.function, args, kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever the agent raises, `SystemExit` among it, is the case's
        return error
    return None


def _drain(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    """Call an agent of any kind, and take all that it gives."""
    if _is_async(function):
        _loops.run(_drain_async(function, args, kwargs))
        return
    given = function(*args, **kwargs)
    if inspect.isgenerator(given):
        for _ in given:
            pass
    elif inspect.isawaitable(given) or inspect.isasyncgen(given):
        _loops.run(_finish(given))


@functools.lru_cache(1)
def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


async def _drain_async(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    await _finish(function(*args, **kwargs))


async def _finish(given: Any) -> None:
    if inspect.isasyncgen(given):
        async for _ in given:
            pass
    else:
        result = await given
        if inspect.isasyncgen(result) or inspect.isawaitable(result):
            await _finish(result)


def _verdict(
    case: CaseState,
    error: BaseException | None,
    violations: tuple[str, ...],
    outliving: tuple[str, ...],
    early: str | None = None,
) -> tuple[CaseStatus, str]:
    if violations:
        tried = "; ".join(dict.fromkeys(violations))
        return "invalid", f"the agent tried to {tried}"
    if outliving:
        return "invalid", f"the agent left threads running after its answer: {', '.join(outliving)}"
    if (status := case.status()) is not None:
        return status, str(case.stopped)
    if isinstance(error, NotRestorable):
        return "unreplayable", f"the recorded arguments cannot be handed out: {error}"
    if isinstance(error, TargetError):
        return "errored", str(error)
    if error is not None:
        return "errored", f"the agent raised {type(error).__qualname__}"
    if early is not None:
        return "diverged", early
    return "complete", ""


def run_to_end() -> None:
    """Be a worker, and nothing after it."""
    main()
    # A non-daemon thread of the agent's must not keep the process.
    _exit(0)


if __name__ == "__main__":
    run_to_end()
