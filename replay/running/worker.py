"""A worker: one fresh process that runs one target's cases, one after the other, behind the locks.

The rules:

1. The locks are taken before the agent is imported, so that its import happens behind them, too.
2. One case at a time: whatever is refused, on whatever thread, belongs to that case.
3. A case's status is the worst of what happened: a violation, then a stop, then an error, and only then `complete`.
4. What the agent does to this process's recorder (`configure`, `shutdown`) does nothing here.
5. A case whose thread goes on is invalid, and the worker is spent: nothing after it could be believed.

Started as `python -P -m replay.running.worker READ WRITE PARENT`, with two pipes' descriptors and the parent's process id.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import auditlog
from auditlog import config, interception
from auditlog.context import conversation
from auditlog.recorder import ListSink, Recorder
from replay.errors import TargetError
from replay.matching.cassette import Cassette
from replay.matching.recorded import from_json
from replay.matching.restore import NotRestorable, restored
from replay.running import protocol
from replay.running.protocol import Job, Ready, Result, Setup
from replay.running.records import Place, stamped, unrun_case
from replay.sandbox import kernel, rules, threads
from replay.sandbox.fork import Prefix, split
from replay.sandbox.guard import Guard
from replay.sandbox.hosts import AllowedHosts, Host
from replay.sandbox.intercept import CaseInterceptor
from replay.sandbox.simulate import simulator_at
from replay.sandbox.state import CaseState, current_case, process
from replay.targets.target import Target, resolve

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

PATIENCE_SECONDS = 1.0
"""How long a case's threads may take to end after its answer."""


def main() -> None:
    """Talk to the run until it hangs up."""
    reading, writing, parent = (int(argument) for argument in sys.argv[1:4])
    kernel.die_with_parent(parent)
    message = protocol.read_message(reading)
    if message is None:
        return
    setup = protocol.read_setup(message)
    held, hosts = _take_locks(setup)
    try:
        target = resolve(setup.target, adapter=setup.adapter)
        if setup.modes.simulator and isinstance(found := interception.installed(), CaseInterceptor):
            found.simulate_with(simulator_at(setup.modes.simulator))
    except TargetError as error:
        protocol.write_message(writing, {"say": "failed", "why": str(error), "refused": process.end()})
        return
    ready = Ready(target.name, target.digest, target.version, held, process.end(), hosts.unresolved)
    # From here on this process sees what customers said, and what an agent prints is nobody's.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    protocol.write_message(writing, protocol.ready_message(ready))
    interceptor, background = interception.installed(), threads.in_background()
    # What lives now outlives every case, so a collection after each looks only at what the case left.
    gc.freeze()
    while (message := protocol.read_message(reading)) is not None:
        job = protocol.read_job(message)
        result = _run_case(target, job, interceptor, background, setup)
        protocol.write_message(writing, protocol.result_message(job.case_id, result))


def _take_locks(setup: Setup) -> tuple[tuple[str, ...], AllowedHosts]:
    held = ["environment"]
    # Model clients name the platform in a header, for which Python runs `uname` once and remembers it. Here it is no leak.
    platform.platform()
    hosts = AllowedHosts(Host(name, port) for name, port in setup.hosts)
    hosts.pin()
    if setup.memory_bytes is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (setup.memory_bytes, setup.memory_bytes))
    # The kernel's locks hold for this thread and those that it will start, so they come while it is the only one.
    if "network" in setup.locks and not setup.hosts and kernel.without_network():
        held.append("network namespace")
    if "landlock" in setup.locks and (version := kernel.landlock([setup.scratch], hosts.ports())):
        held.append(f"landlock {version}")
    if "intercept" in setup.locks:
        interception.install(CaseInterceptor(process))
        held.append("intercept")
    if "threads" in setup.locks:
        held.append("threads")
    if "guard" in setup.locks:
        scratch = [setup.scratch]
        attached = rules.attached_database(scratch)
        Guard(process, rules.rules(scratch, hosts), rules.native_rules(), attached).install()
        held.append("guard")
    _hold_the_recorder()
    # `-P` kept the working directory off the path while our own modules were imported.
    sys.path[:0] = [path for path in setup.paths if path not in sys.path]
    return tuple(held), hosts


def _hold_the_recorder() -> None:
    """Let the agent's own set-up of recording do nothing: this process records into the run."""

    def nothing(*_args: Any, **_kwargs: Any) -> None:
        """Stand in for `configure` and `shutdown`."""

    for name in ("configure", "shutdown"):
        setattr(config, name, nothing)
        setattr(auditlog, name, nothing)
    config.use(Recorder(ListSink()))


def _run_case(
    target: Target, job: Job, interceptor: Any, background: frozenset[threading.Thread], setup: Setup
) -> Result:
    sink = ListSink()
    config.use(Recorder(sink, agent_version=job.agent_version, base_attributes=job.lineage))
    if interceptor is not None:
        _load(interceptor, job, setup)
    case = CaseState(job.case_id)
    process.begin(case)
    error = contextvars.copy_context().run(_call, target, job, case)
    _settle(interceptor)
    outliving = threads.outliving(background, PATIENCE_SECONDS) if "threads" in setup.locks else ()
    violations = process.end()
    early = None if interceptor is None else interceptor.ended_early()
    status, why = _verdict(case, error, violations, outliving, early)
    payloads = sink.take()
    records = stamped(payloads, status, why)
    if records is None:
        place = Place(job.conversation_id, job.user_id, job.tags, job.lineage)
        fault = None if error is None else type(error).__qualname__
        records = (*payloads, unrun_case(place, target.name, dict(job.arguments), status, why, fault=fault))
    return Result(status, why, records, spent=bool(outliving) or setup.modes.fresh_worker)


def _load(interceptor: CaseInterceptor, job: Job, setup: Setup) -> None:
    recorded = from_json(job.cassette)
    prefix = None
    if job.before_fork:
        before, recorded = split(recorded, job.before_fork)
        prefix = Prefix(before, Cassette(before, setup.matching))
    interceptor.load(Cassette(recorded, setup.matching), setup.modes, recorded, prefix=prefix)


def _settle(interceptor: interception.Interceptor | None) -> None:
    """Let what the case left behind happen now, while it is the case's, and put back what it took away."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    if interceptor is not None and interception.installed() is not interceptor:
        process.remember("take the replay's interceptor away")
        interception.uninstall()
        interception.install(interceptor)


def _call(target: Target, job: Job, case: CaseState) -> BaseException | None:
    """Call the agent in the case's context; give what it raised."""
    current_case.set(case)
    try:
        args, kwargs = target.arguments(restored(dict(job.arguments), job.types))
        with conversation(job.conversation_id, user=job.user_id, tags=job.tags):
            _drain(target.function, args, kwargs)
    except BaseException as error:  # noqa: BLE001 - whatever the agent raises, `SystemExit` among it, is the case's
        return error
    return None


def _drain(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    """Call an agent of any kind, and take all that it gives."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        asyncio.run(_drain_async(function, args, kwargs))
        return
    given = function(*args, **kwargs)
    if inspect.isgenerator(given):
        for _ in given:
            pass
    elif inspect.isawaitable(given) or inspect.isasyncgen(given):
        asyncio.run(_finish(given))


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


if __name__ == "__main__":
    main()
    # A non-daemon thread of the agent's must not keep the process.
    os._exit(0)
