"""The ways out of which Python tells no audit hook, or not enough: closed by hand, with functions of ours in their place.

The rules:

1. Starting a process as `multiprocessing` does, ending the worker's own, making a pipe or device file, signalling by
   descriptor, another root directory, and another process's priority or processors are refused.
2. `os.open` names the directory in which it opens a file, and a database what it attaches, so that both can be judged.
3. A socket is one of TCP or of a pair, and does not listen, as the kernel's filter has it: what the kernel would refuse is
   remembered here.
4. Shared memory is the process's own: a segment is made and never looked up. Nothing is started to clear up after it.
5. The modules in which the doors stand are not loaded a second time, with the doors open.
"""

from __future__ import annotations

import _imp
import _posixsubprocess
import functools
import importlib
import os
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from typing import Any

from replay.sandbox.rules import Rule, plain, socket_kind

_LOADED_ONCE = frozenset(
    (
        "_imp _posixshmem _posixsubprocess _signal _socket _sqlite3 posix os signal socket sqlite3 subprocess"
    ).split()
)

Refuse = Callable[[str], BaseException]


def close_side_doors(refuse: Refuse, attached: Rule) -> None:
    """Close them in this process.

    Args:
        refuse: remembers a violation and gives what is to be raised.
        attached: the rule for a database that SQLite attaches.
    """
    posix = importlib.import_module(os.name)
    for module, name, what in (
        (_posixsubprocess, "fork_exec", "run a program (fork_exec)"),
        (subprocess, "_fork_exec", "run a program (fork_exec)"),
        (os, "mkfifo", "make a pipe file"),
        (posix, "mkfifo", "make a pipe file"),
        (os, "mknod", "make a device file"),
        (posix, "mknod", "make a device file"),
        (os, "chroot", "change its root directory"),
        (posix, "chroot", "change its root directory"),
        (os, "_exit", "end its process"),
        (posix, "_exit", "end its process"),
        (os, "abort", "end its process"),
        (posix, "abort", "end its process"),
        (signal, "pidfd_send_signal", "signal a process or thread"),
        (importlib.import_module("_signal"), "pidfd_send_signal", "signal a process or thread"),
    ):
        _close(refuse, module, name, what)
    opened = _naming_directories(os.open)
    os.open = posix.open = opened  # type: ignore[attr-defined]
    os.supports_dir_fd.add(opened)
    for name, place in (
        ("setpriority", 1),
        ("sched_setaffinity", 0),
        ("sched_setparam", 0),
        ("sched_setscheduler", 0),
    ):
        _keep_to_itself(refuse, posix, name, place)
    _watch_databases(refuse, attached)
    _watch_sockets(refuse)
    _keep_shared_memory(refuse)
    _imp.create_builtin = _loading_once(refuse, _imp.create_builtin)


def second_loading(args: tuple[Any, ...]) -> str | None:
    """Judge the `import` event: a rule for the audit hook."""
    # What is loaded is what the last part of the name says.
    is_known = isinstance(args[0], str) and args[0].rpartition(".")[2] in _LOADED_ONCE
    return f"load the module {args[0]} a second time" if is_known else None


def _close(refuse: Refuse, module: Any, name: str, what: str) -> None:
    def refused(*_args: Any, **_kwargs: Any) -> Any:
        raise refuse(what)

    if hasattr(module, name):
        setattr(module, name, refused)


def _keep_to_itself(refuse: Refuse, posix: Any, name: str, place: int) -> None:
    """Let a function that changes how a process is run change it of this one only.

    Args:
        refuse: as in `close_side_doors`.
        posix: the module that `os` has it from.
        name: the function's.
        place: which of its arguments is the process.
    """
    real = getattr(posix, name, None)
    if real is None:
        return

    @functools.wraps(real)
    def changed(*args: Any) -> Any:
        of_a_process = place == 0 or (len(args) > 0 and plain(args[0]) == os.PRIO_PROCESS)
        if len(args) <= place or not of_a_process or plain(args[place]) not in (0, os.getpid()):
            raise refuse("change how another process is run")
        return real(*args)

    del vars(changed)["__wrapped__"]
    setattr(os, name, changed)
    setattr(posix, name, changed)


def _naming_directories(real: Callable[..., int]) -> Callable[..., int]:
    def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is None:
            return real(path, flags, mode)
        # `open` is raised without the directory; with its name in the path, it is judged as any other.
        return real(os.path.join(f"/proc/self/fd/{dir_fd}", os.fsdecode(path)), flags, mode)  # noqa: PTH118

    opened.__name__ = "open"
    return opened


def _watch_databases(refuse: Refuse, attached: Rule) -> None:
    real, real_connection = sqlite3.connect, sqlite3.Connection

    def authorize(action: int, path: str | None, *_rest: str | None) -> int:
        if action != sqlite3.SQLITE_ATTACH:
            return sqlite3.SQLITE_OK
        # SQLite names the file only where the statement spells it out.
        what = "open a database that it attaches" if path is None else attached(plain((path,)))
        if what is None:
            return sqlite3.SQLITE_OK
        refuse(what)
        return sqlite3.SQLITE_DENY

    # The audit event comes before a connection takes an authorizer.
    class Connection(real_connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            super().set_authorizer(authorize)

        def set_authorizer(self, authorizer_callback: Any) -> None:
            """Ask the replay's authorizer first, and then the agent's."""

            def both(*args: Any) -> int:
                first = authorize(*args)
                return first if first != sqlite3.SQLITE_OK else authorizer_callback(*args)

            super().set_authorizer(authorize if authorizer_callback is None else both)

    @functools.wraps(real, updated=())
    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        if len(args) <= _FACTORY:
            kwargs.setdefault("factory", Connection)
        connection = real(*args, **kwargs)
        if not isinstance(connection, Connection):
            connection.set_authorizer(authorize)
        return connection

    # What it wraps would be a way around it.
    del vars(connect)["__wrapped__"]
    Connection.__qualname__ = "Connection"
    Connection.__module__ = "sqlite3"
    for module in (sqlite3, sqlite3.dbapi2):
        module.connect = connect  # type: ignore[assignment]
        module.Connection = Connection  # type: ignore[misc]


_FACTORY = 5
"""The place of `factory` among the arguments of `sqlite3.connect`."""


def _watch_sockets(refuse: Refuse) -> None:
    real = socket.socket.__init__

    def __init__(self: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: Any = None) -> None:  # noqa: A002, N807
        if fileno is None and (what := socket_kind(plain((self, family, type, proto)))) is not None:
            raise refuse(what)
        real(self, family, type, proto, fileno)

    def listen(*_args: Any) -> None:
        raise refuse("listen for connections")

    socket.socket.__init__ = __init__  # type: ignore[method-assign]
    socket.socket.listen = listen  # type: ignore[method-assign]


def _keep_shared_memory(refuse: Refuse) -> None:
    try:
        shm = importlib.import_module("_posixshmem")
        tracker = importlib.import_module("multiprocessing.resource_tracker")
    except ImportError:
        return
    real_open, real_unlink = shm.shm_open, shm.shm_unlink
    own: set[str] = set()

    def shm_open(path: str, flags: int, mode: int = 0o777) -> int:
        name = str(path)
        if name not in own and not flags & os.O_EXCL:
            raise refuse("open shared memory that is not its own")
        descriptor = real_open(name, flags, mode=mode)
        own.add(name)
        return descriptor

    def shm_unlink(path: str) -> None:
        if str(path) not in own:
            raise refuse("remove shared memory that is not its own")
        real_unlink(path)

    def nothing(*_args: Any, **_kwargs: Any) -> None:
        """Stand in for the process that clears up after others."""

    vars(shm).update(shm_open=shm_open, shm_unlink=shm_unlink)
    for name in ("register", "unregister"):
        setattr(tracker, name, nothing)
        setattr(tracker.ResourceTracker, name, nothing)


def _loading_once(refuse: Refuse, real: Callable[..., Any]) -> Callable[..., Any]:
    def create_builtin(spec: Any) -> Any:
        if str(spec.name) in _LOADED_ONCE:
            raise refuse(f"load the module {spec.name} a second time")
        return real(spec)

    return create_builtin
