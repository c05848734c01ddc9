"""The audit hook: refuses what would reach the world, wherever in the process it is tried.

The rules:

1. The hook is Python's own (`sys.addaudithook`): it sees sockets, processes and files below every library, on every
   thread, and cannot be removed.
2. What it refuses, it remembers first; then it raises. In a case it raises what an `except Exception` does not catch;
   while modules are imported, an ordinary PermissionError, since libraries that look around know how to do without.
3. A rule that fails to judge an event refuses it.
4. The ways out that Python has and raises no audit event for are closed by hand: starting a process as `multiprocessing`
   does, making a pipe or device file, signalling by descriptor, and attaching a database. So is what its event hides: the
   directory in which `os.open` opens a file.
"""

from __future__ import annotations

import functools
import sys
import threading
from typing import Any

from replay.errors import ImportDenied, ReplayLeak
from replay.sandbox.rules import Rule
from replay.sandbox.state import ProcessState

ALLOW_HOST = "Allow a model's host with --allow-host name:port."
DECORATE = "Put it into a decorated tool, whose body a replay does not enter."


class Guard:
    """The rules in force in this process."""

    def __init__(
        self, process: ProcessState, always: dict[str, Rule], in_case: dict[str, Rule], attached: Rule
    ) -> None:
        """Guard a process.

        Args:
            process: where refusals are remembered.
            always: the rules by audit event.
            in_case: further ones, for when a case runs.
            attached: the rule for a database that SQLite attaches.
        """
        self._process = process
        self._always = always
        self._in_case = in_case
        self._attached = attached
        self._judging = threading.local()

    def install(self) -> None:
        """Put the hook into this process; there is no way back."""
        self._close_side_doors()
        sys.addaudithook(self._hook)

    def refuse(self, what: str) -> BaseException:
        """Remember a violation, and give what is to be raised."""
        self._process.remember(what)
        if self._process.phase == "import":
            return ImportDenied(f"A replay does not let a module {what} while it is imported.")
        case = self._process.case
        hint = ALLOW_HOST if what.startswith(("connect", "look up")) else DECORATE
        leak = ReplayLeak(f"The agent tried to {what}, and a replay does not touch the world. {hint}")
        return case.stop(leak) if case is not None else leak

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        rule = self._always.get(event)
        if rule is None and self._process.phase != "import":
            rule = self._in_case.get(event)
        if rule is None:
            return
        # Judging a path may itself raise audit events.
        if getattr(self._judging, "now", False):
            return
        self._judging.now = True
        try:
            what = rule(args)
        except Exception:  # noqa: BLE001 - rule 3
            what = f"do something that a replay cannot judge ({event})"
        finally:
            self._judging.now = False
        if what is not None:
            raise self.refuse(what)

    def _watch_databases(self) -> None:
        import sqlite3

        real = sqlite3.connect

        def authorize(action: int, path: str | None, *_rest: str | None) -> int:
            if action != sqlite3.SQLITE_ATTACH:
                return sqlite3.SQLITE_OK
            # SQLite names the file only where the statement spells it out.
            what = "open a database that it attaches" if path is None else self._attached((path,))
            if what is None:
                return sqlite3.SQLITE_OK
            self.refuse(what)
            return sqlite3.SQLITE_DENY

        @functools.wraps(real)
        def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = real(*args, **kwargs)
            connection.set_authorizer(authorize)
            return connection

        # The audit event comes before a connection takes an authorizer.
        sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]

    def _name_directories(self) -> None:
        import os

        real = os.open

        @functools.wraps(real)
        def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if dir_fd is None:
                return real(path, flags, mode)
            # `open` is raised without the directory; with its name in the path, it is judged as any other.
            return real(os.path.join(f"/proc/self/fd/{dir_fd}", os.fsdecode(path)), flags, mode)  # noqa: PTH118

        os.open = opened
        os.supports_dir_fd.add(opened)

    def _close_side_doors(self) -> None:
        import _posixsubprocess
        import os
        import signal
        import subprocess

        self._watch_databases()
        self._name_directories()
        self._close(_posixsubprocess, "fork_exec", "run a program (fork_exec)")
        self._close(subprocess, "_fork_exec", "run a program (fork_exec)")
        self._close(os, "mkfifo", "make a pipe file")
        self._close(os, "mknod", "make a device file")
        self._close(signal, "pidfd_send_signal", "signal a process or thread")

    def _close(self, module: Any, name: str, what: str) -> None:
        def refused(*_args: Any, **_kwargs: Any) -> Any:
            raise self.refuse(what)

        if hasattr(module, name):
            setattr(module, name, refused)
