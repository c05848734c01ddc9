"""A run's worker processes: started, talked to, and replaced.

The rules:

1. A worker is a fresh interpreter, not a fork, in a session of its own: a Ctrl-C for the run is not for it.
2. Its environment is scrubbed, its standard streams are nobody's, and its scratch directory is thrown away with it; what a
   killed run left of those, the next run throws away.
3. A case has a deadline. A worker that misses it is killed and replaced, and so is one that dies, is spent, or talks nonsense.
4. A worker that cannot start stops the run: the next one would not start either.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from replay.errors import RunError, TargetError
from replay.running import protocol
from replay.running.protocol import Job, Ready, Result, Setup
from replay.running.runs import process_birth
from replay.sandbox.environment import scrubbed

START_SECONDS = 120.0
"""How long a target may take to import."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start the workers of one target."""

    setup: Setup
    """Its `scratch` is filled in for each worker."""
    cwd: str
    env: tuple[str, ...] = ()
    """Names of variables that are let through."""
    deadline: float = 60.0
    """Seconds that a case may take."""


class Worker:
    """One worker process; start it, give it a case at a time, close it."""

    def __init__(self, launch: Launch, environment: Mapping[str, str]) -> None:
        """Prepare to start a worker.

        Args:
            launch: what it runs.
            environment: the environment to scrub.
        """
        self._launch = launch
        self._environment = environment
        self._scratch: str | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.ready: Ready | None = None

    async def start(self) -> Ready:
        """Start the process, and wait until its target is imported.

        Raises:
            TargetError: the target does not import.
            RunError: the process did not start.
        """
        self._scratch = scratch = await asyncio.to_thread(
            tempfile.mkdtemp, prefix=_scratch_prefix(os.getpid())
        )
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        log = Path(scratch) / "worker.log"
        try:
            with log.open("wb") as errors:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",
                    "-m",
                    "replay.running.worker",
                    str(theirs_in),
                    str(theirs_out),
                    str(os.getpid()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=(theirs_in, theirs_out),
                    cwd=self._launch.cwd,
                    env=scrubbed(self._environment, scratch, self._launch.env),
                    start_new_session=True,
                )
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
            await self._connect(ours_in, ours_out)
        await self._say(protocol.setup_message(replace(self._launch.setup, scratch=scratch)))
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes in the moment of the answer.
            async with asyncio.timeout(START_SECONDS):
                message = await self._hear()
        except TimeoutError:
            msg = f"{self._launch.setup.target} is not imported after {START_SECONDS:.0f} s. Does its import wait for something?"
            raise TargetError(msg) from None
        if message is None:
            raise RunError(
                f"A worker for {self._launch.setup.target} did not start: {await self._last_words(log)}"
            )
        if message.get("say") == "failed":
            raise TargetError(message["why"] + _refusals(message["refused"]))
        self.ready = protocol.read_ready(message)
        return self.ready

    async def run(self, job: Job) -> Result | str:
        """Run one case.

        Returns:
            Its result, or why there is none: the worker is gone then.
        """
        try:
            async with asyncio.timeout(self._launch.deadline):
                await self._say(protocol.job_message(job))
                message = await self._hear()
        except TimeoutError:
            await self.kill()
            return f"it was not done after {self._launch.deadline:g} s (--deadline)"
        if message is None:
            code = await self._ended()
            await self.kill()
            return f"its process {_end(code)} before it had answered"
        result = protocol.read_result(job.case_id, message)
        if result is None:
            await self.kill()
            return "its process said something else than its result"
        return result

    async def kill(self) -> None:
        """End the process at once, and clear up after it."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._writer is not None:
            self._writer.close()
        self._process = self._reader = self._writer = self.ready = None
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            self._scratch = None

    @property
    def alive(self) -> bool:
        """Whether it can take a case."""
        return self.ready is not None

    async def _connect(self, reading: int, writing: int) -> None:
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(limit=1 << 20)
        protocol_in = asyncio.StreamReaderProtocol(self._reader)
        await loop.connect_read_pipe(lambda: protocol_in, os.fdopen(reading, "rb", 0))
        transport, flow = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, os.fdopen(writing, "wb", 0)
        )
        self._writer = asyncio.StreamWriter(transport, flow, None, loop)

    async def _say(self, message: Mapping[str, object]) -> None:
        assert self._writer is not None
        # A worker that is gone is noticed when it does not answer.
        with contextlib.suppress(ConnectionError, BrokenPipeError):
            self._writer.write(protocol.pack(message))
            await self._writer.drain()

    async def _hear(self) -> dict[str, Any] | None:
        assert self._reader is not None
        return await protocol.receive(self._reader)

    async def _ended(self) -> int | None:
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                return await self._process.wait()
        return None

    async def _last_words(self, log: Path) -> str:
        code = await self._ended()
        # Before a worker is ready it has seen nothing of any customer.
        said = await asyncio.to_thread(log.read_text, "utf-8", "replace")
        last = said.strip().splitlines()[-1:] or [""]
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
