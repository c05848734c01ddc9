"""Agents that try to reach a canary, each in a way of its own; run by a replay worker.

`attempt(way, …)` is the agent. A way is a function of a `Canary`: touch it however you can.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import gc
import importlib
import multiprocessing
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import auditlog
import auditlog.interception


@dataclass(frozen=True)
class Canary:
    """What must not be touched."""

    url: str
    port: int
    path: str
    unix: str


def touch(path: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("touched")


@auditlog.tool(effect="write")
def write_tool(path: str) -> str:
    """Touch the canary; a replay must not enter this."""
    touch(path)
    return "done"


@auditlog.tool
def undeclared_tool(path: str) -> str:
    """Touch the canary without saying so."""
    touch(path)
    return "done"


@auditlog.tool(effect="read")
def read_tool(path: str) -> str:
    """Touch the canary although it says that it only reads."""
    touch(path)
    return "done"


@auditlog.tool(effect="control")
def control_tool(path: str) -> str:
    """Touch the canary by handing off."""
    touch(path)
    return "done"


@auditlog.retriever
def retriever(path: str) -> list[dict[str, Any]]:
    """Touch the canary while looking something up."""
    touch(path)
    return []


@auditlog.tool(effect="write")
def streaming_tool(path: str) -> Iterator[str]:
    """Touch the canary bit by bit."""
    touch(path)
    yield "done"


@auditlog.tool(effect="write")
async def async_tool(path: str) -> str:
    """Touch the canary asynchronously."""
    touch(path)
    return "done"


@auditlog.tool(effect="write")
async def async_streaming_tool(path: str) -> AsyncIterator[str]:
    """Touch the canary asynchronously, bit by bit."""
    touch(path)
    yield "done"


WAYS: dict[str, Callable[[Canary], Any]] = {}


def way(function: Callable[[Canary], Any]) -> Callable[[Canary], Any]:
    WAYS[function.__name__] = function
    return function


# Decorated tools, called in every manner.


@way
def tool(canary: Canary) -> None:
    write_tool(canary.path)


@way
def tool_undeclared(canary: Canary) -> None:
    undeclared_tool(canary.path)


@way
def tool_read(canary: Canary) -> None:
    read_tool(canary.path)


@way
def tool_control(canary: Canary) -> None:
    control_tool(canary.path)


@way
def tool_retriever(canary: Canary) -> None:
    retriever(canary.path)


@way
def tool_generator(canary: Canary) -> None:
    list(streaming_tool(canary.path))


@way
async def tool_async(canary: Canary) -> None:
    await async_tool(canary.path)


@way
async def tool_async_generator(canary: Canary) -> None:
    async for _ in async_streaming_tool(canary.path):
        pass


@way
def tool_in_thread(canary: Canary) -> None:
    thread = threading.Thread(target=write_tool, args=(canary.path,))
    thread.start()
    thread.join()


@way
def tool_in_thread_pool(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(write_tool, canary.path).result()


@way
def tool_in_thread_pool_unawaited(canary: Canary) -> None:
    # The future's error is nobody's: nothing is raised in the agent.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(write_tool, canary.path)


@way
def tool_in_propagated_pool(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        auditlog.propagate(pool).submit(write_tool, canary.path).result()


@way
async def tool_in_executor(canary: Canary) -> None:
    await asyncio.get_running_loop().run_in_executor(None, write_tool, canary.path)


@way
async def tool_in_to_thread(canary: Canary) -> None:
    await asyncio.to_thread(write_tool, canary.path)


@way
async def tool_in_task(canary: Canary) -> None:
    await asyncio.gather(async_tool(canary.path), async_tool(canary.path))


@way
def tool_swallowed(canary: Canary) -> None:
    with contextlib.suppress(Exception):
        write_tool(canary.path)


@way
def tool_swallowed_bare(canary: Canary) -> None:
    try:
        write_tool(canary.path)
    except:  # noqa: E722 - the worst that an agent can do
        pass


@way
def tool_retried(canary: Canary) -> None:
    for _ in range(3):
        try:
            write_tool(canary.path)
        except BaseException:  # noqa: BLE001
            continue


@way
def tool_by_late_thread(canary: Canary) -> None:
    threading.Thread(target=lambda: (time.sleep(0.2), write_tool(canary.path)), daemon=True).start()


@way
def tool_in_finalizer(canary: Canary) -> None:
    class Holder:
        def __del__(self) -> None:
            write_tool(canary.path)

    Holder()


@way
def thread_that_outlives(canary: Canary) -> None:
    threading.Thread(target=lambda: (time.sleep(2.0), touch(canary.path)), daemon=True).start()


# The network, below any decorator.


@way
def network_urllib(canary: Canary) -> None:
    urllib.request.urlopen(canary.url).read()


@way
def network_urllib_swallowed(canary: Canary) -> None:
    try:
        urllib.request.urlopen(canary.url).read()
    except:  # noqa: E722
        pass


@way
def network_httpx(canary: Canary) -> None:
    import httpx

    httpx.get(canary.url)


@way
async def network_httpx_async(canary: Canary) -> None:
    import httpx

    async with httpx.AsyncClient() as client:
        await client.get(canary.url)


@way
def network_socket(canary: Canary) -> None:
    with socket.socket() as raw:
        raw.connect(("127.0.0.1", canary.port))
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n")


@way
def network_socket_in_thread(canary: Canary) -> None:
    thread = threading.Thread(target=network_socket, args=(canary,))
    thread.start()
    thread.join()


@way
def network_connect_ex(canary: Canary) -> None:
    with socket.socket() as raw:
        raw.connect_ex(("127.0.0.1", canary.port))


@way
async def network_asyncio(canary: Canary) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", canary.port)
    writer.close()


@way
def network_unix(canary: Canary) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(canary.unix)


@way
def network_udp(canary: Canary) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
        raw.sendto(b"touched", ("127.0.0.1", canary.port))


# Other processes.


@way
def process_run(canary: Canary) -> None:
    subprocess.run(["touch", canary.path], check=True)


@way
def process_shell(canary: Canary) -> None:
    os.system(f"echo touched > {canary.path}")


@way
async def process_asyncio(canary: Canary) -> None:
    await (await asyncio.create_subprocess_exec("touch", canary.path)).wait()


@way
def process_spawn(canary: Canary) -> None:
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", f"echo touched > {canary.path}"], {}), 0)


@way
def process_fork(canary: Canary) -> None:
    child = os.fork()
    if child == 0:
        touch(canary.path)
        os._exit(0)
    os.waitpid(child, 0)


@way
def process_multiprocessing_fork(canary: Canary) -> None:
    child = multiprocessing.get_context("fork").Process(target=touch, args=(canary.path,))
    child.start()
    child.join()


@way
def process_multiprocessing_spawn(canary: Canary) -> None:
    child = multiprocessing.get_context("spawn").Process(target=touch, args=(canary.path,))
    child.start()
    child.join()


@way
def process_pool(canary: Canary) -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(touch, canary.path).result()


@way
def process_interpreter(canary: Canary) -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = importlib.import_module(name)
    interpreters.run_string(interpreters.create(), f"open({canary.path!r}, 'w').close()")


# Files.


@way
def file_open(canary: Canary) -> None:
    touch(canary.path)


@way
def file_pathlib(canary: Canary) -> None:
    pathlib.Path(canary.path).write_text("touched", encoding="utf-8")


@way
def file_os_open(canary: Canary) -> None:
    os.close(os.open(canary.path, os.O_CREAT | os.O_WRONLY))


@way
def file_moved_there(canary: Canary) -> None:
    mine = pathlib.Path(os.environ["TMPDIR"]) / "mine"
    mine.write_text("touched", encoding="utf-8")
    shutil.move(mine, canary.path)


@way
def file_through_link(canary: Canary) -> None:
    link = pathlib.Path(os.environ["TMPDIR"]) / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(canary.path)
    link.write_text("touched", encoding="utf-8")


@way
def file_in_open_directory(canary: Canary) -> None:
    os.chdir(os.environ["TMPDIR"])
    directory = os.open(os.path.dirname(canary.path), os.O_RDONLY)
    os.close(os.open(os.path.basename(canary.path), os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    os.close(directory)


@way
def file_directory(canary: Canary) -> None:
    os.mkdir(canary.path)


@way
def file_fifo(canary: Canary) -> None:
    os.mkfifo(canary.path)


@way
def database(canary: Canary) -> None:
    connection = sqlite3.connect(canary.path)
    connection.execute("CREATE TABLE touched (x)")
    connection.close()


@way
def database_by_uri(canary: Canary) -> None:
    os.chdir(os.environ["TMPDIR"])
    connection = sqlite3.connect(f"file:{canary.path}", uri=True)
    connection.execute("CREATE TABLE touched (x)")
    connection.close()


@way
def database_attached_by_uri(canary: Canary) -> None:
    os.chdir(os.environ["TMPDIR"])
    connection = sqlite3.connect(":memory:", uri=True)
    connection.execute(f"ATTACH DATABASE 'file:{canary.path}' AS other")
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


@way
def database_attached(canary: Canary) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH DATABASE ? AS other", (canary.path,))
    connection.execute("CREATE TABLE other.touched (x)")
    connection.close()


@way
def database_vacuumed_into(canary: Canary) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE touched (x)")
    connection.execute("VACUUM INTO ?", (canary.path,))
    connection.close()


@way
def file_node(canary: Canary) -> None:
    os.mknod(canary.path)


class SlyPath(os.PathLike):
    """A path that acts when it is asked what it is."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        touch(self.path)
        return os.path.join(os.environ["TMPDIR"], "mine")


@way
def file_by_sly_path(canary: Canary) -> None:
    os.close(os.open(SlyPath(canary.path), os.O_CREAT | os.O_WRONLY))


# Native code.


@way
def native_system(canary: Canary) -> None:
    ctypes.CDLL(None).system(f"echo touched > {canary.path}".encode())


@way
def native_connect(canary: Canary) -> None:
    _native_connect(canary)


def _native_connect(canary: Canary) -> int:
    libc = ctypes.CDLL(None)
    address = (
        socket.AF_INET.to_bytes(2, sys.byteorder)
        + canary.port.to_bytes(2, "big")
        + bytes([127, 0, 0, 1])
        + bytes(8)
    )
    return libc.connect(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0), address, len(address))


@auditlog.agent("canary-agent", version="1")
def attempt(way: str, canary: dict[str, Any]) -> Any:
    """Try one way to touch the canary."""
    given = WAYS[way](Canary(**canary))
    return given if asyncio.iscoroutine(given) else "answered"


@auditlog.agent("canary-agent", version="1")
def well_behaved(question: str) -> str:
    """Do what every agent may do: import, read, use scratch, threads, a loop, and served tools."""
    import json
    import tempfile

    with tempfile.NamedTemporaryFile("w") as scratch:
        scratch.write("mine")
    pathlib.Path(__file__).read_text(encoding="utf-8")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        nowhere.write("gone")
    sqlite3.connect(":memory:").execute("SELECT 1")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        assert pool.submit(len, question).result() == len(question)
    asyncio.run(asyncio.sleep(0))
    print("what an agent prints is nobody's message")
    return json.dumps({"order": read_tool(question), "found": retriever(question)})


_POOL = concurrent.futures.ThreadPoolExecutor(1)


@auditlog.agent("canary-agent", version="1")
def with_a_pool_of_its_own(question: str) -> int:
    """Use an executor that stays: its idle thread is nothing that goes on."""
    return _POOL.submit(len, question).result()


@auditlog.agent("canary-agent", version="1")
def with_work_left_in_its_pool(question: str) -> str:
    """Leave work in an executor that was there before."""
    if question == "leave":
        _POOL.submit(time.sleep, 2.0)
    else:
        _POOL.submit(len, question).result()
    return "answered"


@auditlog.agent("canary-agent", version="1")
def credential(path: str) -> str:
    """Look for a secret in the environment and at home."""
    home = pathlib.Path.home()
    return f"{os.environ.get('CANARY_TOKEN', 'none')} {sorted(p.name for p in home.iterdir())}"


@auditlog.agent("canary-agent", version="1")
def fetch(url: str) -> str:
    """Ask a model's host."""
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


class Cycle:
    """Writes when it is collected, which nobody knows when."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        touch("/tmp/auditlog-canary-of-a-cycle")


@auditlog.agent("canary-agent", version="1")
def misbehave(how: str) -> str:
    """End in a way that is not an answer."""
    match how:
        case "raise":
            raise ValueError("no answer")
        case "sys.exit":
            sys.exit(3)
        case "os._exit":
            os._exit(3)
        case "garbage":
            os.write(int(sys.argv[2]), b"\x02\0\0\0\0\0\0\0{}")
        case "no frame":
            os.write(int(sys.argv[2]), b"garbage garbage garbage")
        case "forged":
            said = (
                b'{"say":"result","case":"another","status":"complete","why":"","spent":false,"sizes":[],"behaviour":"",'
                b'"measures":{},"spend":[0,0,0,0],"infrastructure":""}'
            )
            os.write(int(sys.argv[2]), len(said).to_bytes(4, "little") + bytes(4) + said)
        case "hang":
            time.sleep(600)
        case "memory":
            return "x" * (1 << 33)
        case "uninstall":
            auditlog.interception.uninstall()
        case "leave a cycle":
            gc.disable()
            Cycle()
        case "leave an alarm":
            signal.signal(signal.SIGALRM, lambda *_: os._exit(3))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
    return "answered"
