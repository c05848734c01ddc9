"""A run's worker processes: started, talked to, and replaced.

The rules:

1. A worker is a fresh interpreter, not a fork, in a session of its own: a Ctrl-C for the run is not for it.
2. Its environment is scrubbed, its standard streams are nobody's, and its scratch directory is thrown away with it; what a
   killed run left of those, the next run throws away.
3. A case has a deadline, which does not run while its model call waits for a lease. A worker that misses it is killed and
   replaced, and so is one that dies, is spent, or talks nonsense.
4. Cases that are given together are answered one by one, in their order. The first without an answer was under way when
   something happened to the worker; those after it have not begun.
5. A target that cannot be imported stops the run: the next worker could not import it either.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from replay.errors import RunError, TargetError
from replay.running import frames, protocol
from replay.running.frames import Frame, Pipes
from replay.running.protocol import Job, Ready, Result, Setup
from replay.running.runs import process_birth
from replay.running.sameness import refuse_another
from replay.running.told import ToldCase
from replay.sandbox.environment import scrubbed
from replay.targets import bootstrap
from replay.targets.planned import Place, PlannedTarget

_FROM_OUTSIDE = frozenset(
    -number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
)
"""Exit codes of a process that somebody ended; what is wrong with the process itself ends it with other signals."""
_NONSENSE = "its process said something else than its result"
START_SECONDS = 120.0
"""How long a target may take to import."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the workers of one target."""

    setup: Setup
    """Its `scratch` is filled in for each worker."""
    place: Place
    env: tuple[str, ...] = ()
    """Names of variables that are let through."""
    deadline: float = 60.0
    """Seconds that a case may take."""
    target: PlannedTarget | None = None
    """What the worker has to find; None before that is known."""
    locks: tuple[str, ...] = ()
    """What it has to hold."""

    def command(self) -> list[str]:
        """Say what starts a worker, but for what it is told of the talk."""
        place = self.place
        if not place.python:
            return [sys.executable, "-P", "-m", "replay.running.worker"]
        home = str(Path(bootstrap.__file__).parents[2])
        return [place.python, "-P", "-S", bootstrap.__file__, home, place.site, place.lent]

    def environment(self, outer: Mapping[str, str], scratch: str) -> dict[str, str]:
        """Give a worker's environment.

        Args:
            outer: the environment to scrub.
            scratch: the worker's own directory.
        """
        found = scrubbed(outer, scratch, self.env)
        if self.place.python:
            # What this command imports from is no business of another environment's.
            for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
                found.pop(name, None)
        return found


class Answer(NamedTuple):
    """What a worker said of a case."""

    result: Result | str
    """Or why there is none: the worker is gone then."""
    seconds: float
    """How long it took, without waiting for leases."""
    lost: bool = False
    """Something from outside ended the worker, which says nothing of the case."""
    told: ToldCase | None = None
    """Of a case without a result: what had happened for real."""


async def _at_once() -> float:
    return 0.0


class Worker:
    """One worker process; start it, give it cases, close it."""

    def __init__(
        self,
        launch: Launch,
        environment: Mapping[str, str],
        lease: Callable[[], Awaitable[float]] = _at_once,
        keep: Callable[[Sequence[bytes]], object] | None = None,
    ) -> None:
        """Prepare to start a worker.

        Args:
            launch: what it runs.
            environment: the environment to scrub.
            lease: waits until one more model call may begin; gives the seconds that took.
            keep: keeps the records of what runs for real as soon as they are told; None to have them with the answers.
        """
        self._keep = keep
        self._lease = lease
        # What an agent writes into the pipe does not know it, unless it looks for it.
        self._token = secrets.token_hex(8)
        self._launch = launch
        self._environment = environment
        self._scratch: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._pipes: Pipes | None = None
        self.ready: Ready | None = None
        self.used_up = False
        """It took a case after which it can take no other."""

    async def start(self) -> Ready:
        """Start the process, and wait until its target is imported.

        Raises:
            TargetError: the target does not import.
            RunError: the process did not start.
        """
        # It has no name: under one a module could put a link to what this process may read, and the worker not.
        with tempfile.TemporaryFile() as errors:
            return await self._start(errors)

    async def _start(self, errors: IO[bytes]) -> Ready:
        self._scratch = scratch = await asyncio.to_thread(
            tempfile.mkdtemp, prefix=_scratch_prefix(os.getpid())
        )
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        frames.widen(ours_in)
        frames.widen(ours_out)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._launch.command(),
                str(theirs_in),
                str(theirs_out),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(theirs_in, theirs_out),
                cwd=self._launch.place.cwd,
                env=self._launch.environment(self._environment, scratch),
                start_new_session=True,
            )
        except OSError as error:
            place = self._launch.place
            gone = next((path for path in (place.cwd, place.python) if path and not os.path.exists(path)), "")  # noqa: ASYNC240, PTH110
            why = f"{gone} is gone" if gone else error.strerror
            msg = f"A worker for {self._launch.setup.target} cannot be started: {why}. What is done is kept."
            raise TargetError(msg) from None
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
            self._pipes = await Pipes.connect(ours_in, ours_out)
        setup = protocol.setup_message(replace(self._launch.setup, scratch=scratch))
        self._pipes.say({**setup, "token": self._token})
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes in the moment of the answer.
            async with asyncio.timeout(START_SECONDS):
                heard = await self._hear()
        except TimeoutError:
            msg = f"{self._launch.setup.target} is not imported after {START_SECONDS:.0f} s. Does its import wait for something?"
            raise TargetError(msg) from None
        if not heard:
            raise RunError(
                f"A worker for {self._launch.setup.target} did not start: {await self._last_words(errors)}"
            )
        ready = self._understood(heard[0].message)
        if self._launch.target is not None:
            refuse_another(self._launch.target, self._launch.locks, ready)
        self.ready = ready
        return self.ready

    def _understood(self, message: Mapping[str, Any]) -> Ready:
        """Read what the worker says of itself."""
        if message.get("token") == self._token and message.get("say") == "failed":
            raise TargetError(str(message["why"]) + _refusals(message["refused"]))
        with contextlib.suppress(ValueError):
            if message.get("token") == self._token and message.get("say") == "ready":
                return protocol.read_ready(message)
        # What a module writes into the pipe while it is imported does not know the token.
        raise TargetError(
            f"{self._launch.setup.target} said something in its worker's place while it was imported: nothing it says can be "
            "believed."
        )

    async def run(self, job: Job) -> Result | str:
        """Run one case.

        Returns:
            Its result, or why there is none: the worker is gone then.
        """
        async for answers in self.run_all([job]):
            return answers[0].result
        raise AssertionError

    async def run_all(self, jobs: Sequence[Job]) -> AsyncIterator[list[Answer]]:
        """Run cases, one after the other.

        Yields:
            Answers, in the order of the jobs, as they come. After one without a result, or one that spent the worker,
            there are no more.
        """
        pipes = self._pipes
        assert pipes is not None
        loop = asyncio.get_running_loop()
        at, began = 0, loop.time()
        told = ToldCase(jobs[0].lineage, self._keep)
        pipes.naps = len(jobs) > 1
        pipes.say(*protocol.jobs_message(jobs))
        while at < len(jobs):
            try:
                async with asyncio.timeout_at(began + self._launch.deadline):
                    heard = await self._hear()
            except TimeoutError:
                await self.kill()
                yield [
                    Answer(f"it was not done after {self._launch.deadline:g} s (--deadline)", 0.0, told=told)
                ]
                return
            answers: list[Answer] = []
            for frame in heard:
                is_its_own = frame.message.get("token") == self._token
                if is_its_own and frame.message.get("say") == "lease":
                    began += await self._lease()
                    pipes.say({"say": "leased"})
                    continue
                job = jobs[at + len(answers)]
                if is_its_own and (news := protocol.read_told(job.case_id, job.lineage, frame)) is not None:
                    told.take(news)
                    continue
                result = protocol.read_result(job.case_id, job.lineage, frame) if is_its_own else None
                if result is None:
                    await self.kill()
                    yield [*answers, Answer(_NONSENSE, 0.0, told=told)]
                    return
                answers.append(Answer(told.with_rest(result) if told else result, 0.0))
                if at + len(answers) < len(jobs):
                    told = ToldCase(jobs[at + len(answers)].lineage, self._keep)
                self.used_up = result.spent
                if result.spent or at + len(answers) == len(jobs):
                    break
            if answers:
                now = loop.time()
                answers = [answer._replace(seconds=(now - began) / len(answers)) for answer in answers]
                at, began = at + len(answers), now
                # A deadline does not run while the answers are kept.
                yield answers
                began = loop.time()
                if self.used_up:
                    return
            if not heard and pipes.nonsense:
                await self.kill()
                yield [Answer(_NONSENSE, 0.0, told=told)]
                return
            if not heard:
                code = await self._ended()
                await self.kill()
                why = f"its process {_end(code)} before it had answered"
                if code == -signal.SIGKILL:
                    why += " (by hand, or because this machine ran out of memory; --memory limits a worker)"
                yield [Answer(why, 0.0, lost=code in _FROM_OUTSIDE, told=told)]
                return

    async def kill(self) -> None:
        """End the process at once, and clear up after it."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._pipes is not None:
            self._pipes.close()
        self._process = self._pipes = self.ready = None
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._scratch = None

    @property
    def alive(self) -> bool:
        """Whether it can take a case."""
        return self.ready is not None

    async def _hear(self) -> list[Frame]:
        assert self._pipes is not None
        return await self._pipes.hear()

    async def _ended(self) -> int | None:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                return await self._process.wait()
        return None

    async def _last_words(self, errors: IO[bytes]) -> str:
        code = await self._ended()
        # Before a worker is ready it has seen nothing of any customer.
        errors.seek(0)
        said = await asyncio.to_thread(errors.read)
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        return f"it {_end(code)}. {last[0]}".strip()


def sweep() -> None:
    """Remove the scratch directories of runs of this user and machine whose process is gone."""
    for found in Path(tempfile.gettempdir()).glob(f"{_scratch_prefix()}*"):
        pid = found.name.removeprefix(_scratch_prefix()).split("-")[0]
        with contextlib.suppress(OSError):
            # Names in a shared directory are anybody's to make.
            if found.is_symlink() or found.stat().st_uid != os.getuid() or not pid.isdigit():
                continue
            if process_birth(int(pid)) is None:
                shutil.rmtree(found, ignore_errors=True)


def _scratch_prefix(pid: int | str | None = None) -> str:
    # A process id means nothing on another machine or in another container that shares the directory.
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f"auditlog-replay-{host}-" + ("" if pid is None else f"{pid}-")


async def probe(launch: Launch, environment: Mapping[str, str]) -> Ready:
    """Start a worker only to learn what its target is.

    Raises:
        TargetError: the target does not import.
        RunError: the process did not start.
    """
    worker = Worker(launch, environment)
    try:
        return await worker.start()
    finally:
        await worker.kill()


def _end(code: int | None) -> str:
    if code is None:
        return "hung up"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"exited with code {code}"


def _refusals(refused: Iterable[str]) -> str:
    tried = "; ".join(dict.fromkeys(refused))
    return f" While it was imported it tried to {tried}, which a replay refuses." if tried else ""
