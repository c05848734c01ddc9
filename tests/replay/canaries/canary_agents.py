"""Agents that are run by a replay worker: one that tries a way to a canary, and others that behave or misbehave."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import http.client
import importlib
import locale
import os
import pathlib
import signal
import socket
import sqlite3
import sys
import time
import urllib.parse
import urllib.request
import xmlrpc.client
from typing import Any

import ways_of_devices  # noqa: F401 - each adds its ways
import ways_of_files  # noqa: F401
import ways_of_native_code  # noqa: F401
import ways_of_network  # noqa: F401
import ways_of_processes  # noqa: F401
import ways_of_tampering  # noqa: F401
import ways_of_threads  # noqa: F401
import ways_of_tools  # noqa: F401
from canary_base import WAYS, Canary, read_tool, retriever, touch

import auditlog
import auditlog.interception


@auditlog.agent("canary-agent", version="1")
def attempt(way: str, canary: dict[str, Any]) -> Any:
    """Try one way to touch the canary."""
    given = WAYS[way].function(Canary(**canary))
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


@auditlog.agent("canary-agent", version="1")
def importing(question: str) -> str:
    """Import a client only when it is needed: urllib3 asks the system then which families of addresses there are."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "urllib3"]:
        del sys.modules[name]
    return importlib.import_module("urllib3").__name__


@auditlog.agent("canary-agent", version="1")
def settings(change: bool) -> list[Any]:
    """Say how this process is set, and perhaps set it otherwise."""
    mask = os.umask(0o077)
    os.umask(mask)
    zone, where = time.localtime(0).tm_hour, locale.setlocale(locale.LC_ALL)
    found = [zone, where, mask, sys.getrecursionlimit(), socket.getdefaulttimeout()]
    if change:
        os.environ["TZ"] = "XYZ-9"
        time.tzset()
        locale.setlocale(locale.LC_ALL, "C" if where != "C" else "C.UTF-8")
        os.umask(0o002)
        sys.setrecursionlimit(500)
        socket.setdefaulttimeout(0.001)
    return found


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
    """Ask a model."""
    return _answer_of(url)


@auditlog.model
def _answer_of(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


@auditlog.agent("canary-agent", version="1")
def fetch_undecorated(url: str, how: str) -> str:
    """Ask a model's host for something else, by what Python itself has."""
    match how:
        case "urlopen":
            with urllib.request.urlopen(url) as answer:
                return answer.read().decode()
        case "post":
            with urllib.request.urlopen(url, data=b"refund=40") as answer:
                return answer.read().decode()
        case "http.client":
            parts = urllib.parse.urlsplit(url)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
            connection.request("GET", parts.path, headers={"Accept": "*/*"})
            return connection.getresponse().read().decode()
        case "xmlrpc":
            return str(xmlrpc.client.ServerProxy(url).refund(40))
    raise ValueError(how)


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
        case "die":
            signal.raise_signal(signal.SIGKILL)
        case "hide behind the end":
            with contextlib.suppress(BaseException):
                touch("/tmp/auditlog-canary-that-ends")
            os._exit(0)
        case "garbage":
            os.write(int(sys.argv[2]), b"\x02\0\0\0\0\0\0\0{}")
        case "no frame":
            os.write(int(sys.argv[2]), b"garbage garbage garbage")
        case "forged":
            said = (
                b'{"say":"result","case":"case","status":"complete","why":"","spent":false,"sizes":[],"behaviour":"",'
                b'"measures":{},"spend":[0,0,0,0],"infrastructure":""}'
            )
            os.write(int(sys.argv[2]), len(said).to_bytes(4, "little") + bytes(4) + said)
        case "peek":
            with contextlib.suppress(BaseException):
                return pathlib.Path(f"/proc/{os.getppid()}/environ").read_text(
                    encoding="utf-8", errors="replace"
                )
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
            signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
    return "answered"
