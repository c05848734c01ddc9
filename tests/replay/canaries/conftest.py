"""Canaries that would really be hit: a server that counts, a file, sockets, a process, a pipe, a terminal, shared memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from replay.running.pool import Launch, Worker
from replay.running.protocol import LOCKS, Job, Result, Setup
from replay.sandbox.modes import Modes
from replay.targets.planned import Place

HERE = Path(__file__).parent


@dataclass
class Nest:
    """A canary of each kind, and whether one was touched."""

    directory: Path
    segment: SharedMemory
    process: subprocess.Popen[str]
    pipe: int
    terminal: tuple[int, int]
    port: int = 0
    hits: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The file that must not be."""
        return self.directory / "canary"

    @property
    def unix(self) -> Path:
        """The socket that must not be connected to."""
        return self.directory / "socket"

    def arguments(self) -> dict[str, object]:
        """Give what an agent needs to reach it."""
        return {
            "url": f"http://127.0.0.1:{self.port}/",
            "port": self.port,
            "path": str(self.path),
            "unix": str(self.unix),
            "shared": self.segment.name,
            "pid": self.process.pid,
            "pipe": str(self.directory / "pipe"),
            "terminal": os.ttyname(self.terminal[1]),
        }

    def touched(self, patience: float = 0.0) -> bool:
        """Whether anything reached a canary, within some seconds."""
        until = time.monotonic() + patience
        while not (self.hits or self.segment.buf[0] or os.path.lexists(self.path) or self._is_changed()):
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        return True

    def _is_changed(self) -> bool:
        try:
            held = os.read(self.pipe, 1)
        except BlockingIOError:
            return True
        os.write(self.pipe, held)
        echoes = termios.tcgetattr(self.terminal[1])[3] & termios.ECHO
        return not echoes or os.getpriority(os.PRIO_PROCESS, self.process.pid) != os.getpriority(
            os.PRIO_PROCESS, 0
        )

    def reset(self) -> None:
        """Put the canaries back."""
        self.hits.clear()
        self.segment.buf[0] = 0
        with contextlib.suppress(BlockingIOError):
            os.read(self.pipe, 100)
        os.write(self.pipe, b"x")
        settings = termios.tcgetattr(self.terminal[1])
        settings[3] |= termios.ECHO
        termios.tcsetattr(self.terminal[1], termios.TCSANOW, settings)
        if os.getpriority(os.PRIO_PROCESS, self.process.pid) != os.getpriority(os.PRIO_PROCESS, 0):
            self.process.kill()
            self.process.wait()
            self.process = _signalled(self.path)
        with contextlib.suppress(FileNotFoundError):
            is_directory = self.path.is_dir() and not self.path.is_symlink()
            shutil.rmtree(self.path) if is_directory else self.path.unlink()


def _signalled(path: Path) -> subprocess.Popen[str]:
    """Start a process that touches a file when it is signalled."""
    text = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGUSR1, lambda *_: open({str(path)!r}, 'a').close())\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(60)"
    )
    started = subprocess.Popen([sys.executable, "-S", "-c", text], stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    with started.stdout as said:
        said.readline()
    return started


@pytest.fixture(scope="module")
def nest() -> Iterator[Nest]:
    """Listen on TCP, UDP and a unix socket, and count what comes."""
    # A unix socket's path may be 107 characters long at most.
    directory = Path(tempfile.mkdtemp(prefix="canary-", dir="/tmp"))
    os.mkfifo(directory / "pipe")
    pipe = os.open(directory / "pipe", os.O_RDWR | os.O_NONBLOCK)
    segment = SharedMemory(create=True, size=1)
    found = Nest(directory, segment, _signalled(directory / "canary"), pipe, os.openpty())
    tcp = socket.create_server(("127.0.0.1", 0))
    found.port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", found.port))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(found.unix))
    unix.listen()

    def serve(listener: socket.socket, kind: str) -> None:
        while True:
            try:
                if kind == "udp":
                    listener.recv(100)
                    found.hits.append(kind)
                    continue
                connection, _ = listener.accept()
            except OSError:
                return
            found.hits.append(kind)
            with connection, contextlib.suppress(OSError):
                if kind == "tcp":
                    connection.settimeout(1)
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    listeners = (tcp, "tcp"), (udp, "udp"), (unix, "unix")
    threads = [threading.Thread(target=serve, args=pair, daemon=True) for pair in listeners]
    for thread in threads:
        thread.start()
    yield found
    for listener, _ in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(2)
    found.process.kill()
    found.process.wait()
    for descriptor in (found.pipe, *found.terminal):
        os.close(descriptor)
    found.segment.close()
    with contextlib.suppress(FileNotFoundError):
        found.segment.unlink()
    shutil.rmtree(directory)


class Bench:
    """Runs cases of the canary agents in one worker, and replaces it when it is spent."""

    def __init__(
        self, agent: str, *, deadline: float = 30.0, env: tuple[str, ...] = (), **setup: object
    ) -> None:
        self._loop: asyncio.Runner | None = None
        prepared = Setup(f"canary_agents:{agent}", False, Modes(), (str(HERE),), "", **setup)  # type: ignore[arg-type]
        self.launch = Launch(prepared, Place(str(HERE), ()), env=env, deadline=deadline)
        self.worker: Worker | None = None
        self.worker_locks: tuple[str, ...] = ()
        """The locks that took hold."""

    def run(
        self, arguments: dict[str, object], cassette: list[dict[str, object]] | None = None
    ) -> Result | str:
        """Run one case."""
        if self._loop is None:
            self._loop = asyncio.Runner()
        return self._loop.run(self._run(arguments, cassette or []))

    async def _run(self, arguments: dict[str, object], cassette: list[dict[str, object]]) -> Result | str:
        if self.worker is None or not self.worker.alive:
            self.worker = Worker(self.launch, dict(os.environ))
            self.worker_locks = (await self.worker.start()).locks
        lineage = {"auditlog.replay.run_id": "r", "auditlog.replay.arm": "candidate"}
        result = await self.worker.run(Job("case", arguments, cassette, lineage, "r/candidate/c"))
        if isinstance(result, str) or result.spent:
            await self.worker.kill()
        return result

    def close(self) -> None:
        """End the worker."""
        if self._loop is not None:
            if self.worker is not None:
                self._loop.run(self.worker.kill())
            self._loop.close()


@pytest.fixture(scope="module")
def make_bench() -> Iterator[object]:
    """Make benches that end with the module."""
    made: dict[str, Bench] = {}

    def make(agent: str, **options: object) -> Bench:
        # A worker takes longer to start than a hundred cases take to run.
        return made.setdefault(f"{agent} {options}", Bench(agent, **options))  # type: ignore[arg-type]

    yield make
    for bench in made.values():
        bench.close()


@pytest.fixture(scope="module")
def unlocked(make_bench) -> Bench:
    """A worker without any lock."""
    return make_bench("attempt", locks=())


@pytest.fixture(scope="module")
def locked(make_bench) -> Bench:
    """A worker with every lock."""
    return make_bench("attempt", locks=LOCKS)
