"""The audit hook: refuses what would reach the world, wherever in the process it is tried.

The rules:

1. The hook is Python's own (`sys.addaudithook`): it sees sockets, processes and files below every library, on every
   thread, and cannot be removed.
2. What it refuses, it remembers first; then it raises. In a case it raises what an `except Exception` does not catch;
   while modules are imported, an ordinary PermissionError, since libraries that look around know how to do without.
3. A rule that fails to judge an event refuses it.
4. Two ways to start a process that raise no audit event are closed by hand.
"""

from __future__ import annotations

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

    def __init__(self, process: ProcessState, always: dict[str, Rule], in_case: dict[str, Rule]) -> None:
        """Guard a process.

        Args:
            process: where refusals are remembered.
            always: the rules by audit event.
            in_case: further ones, for when a case runs.
        """
        self._process = process
        self._always = always
        self._in_case = in_case
        self._judging = threading.local()

    def install(self) -> None:
        """Put the hook into this process; there is no way back."""
        sys.addaudithook(self._hook)
        self._close_side_doors()

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

    def _close_side_doors(self) -> None:
        import _posixsubprocess
        import subprocess

        def fork_exec(*_args: Any, **_kwargs: Any) -> int:
            raise self.refuse("run a program (fork_exec)")

        # `multiprocessing` calls this without an audit event.
        _posixsubprocess.fork_exec = fork_exec  # type: ignore[attr-defined]
        subprocess._fork_exec = fork_exec  # type: ignore[attr-defined] # noqa: SLF001
