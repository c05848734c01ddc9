"""The audit hook: refuses what would reach the world, wherever in the process it is tried.

The rules:

1. The hook is Python's own (`sys.addaudithook`): it sees sockets, processes and files below every library, on every
   thread, and cannot be removed.
2. What it refuses, it remembers first; then it raises. In a case it raises what an `except Exception` does not catch;
   while modules are imported, an ordinary PermissionError, since libraries that look around know how to do without.
3. A rule that fails to judge an event refuses it.
4. A rule sees values of Python's own types only: a stranger's text or number may run the stranger's code when it is asked
   anything. What the rules ask of the system, they ask without raising an event, so that the hook never has to look away.
5. Native code may be loaded while a module is imported, whenever that is: it is part of the module.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from replay.errors import ImportDenied, ReplayLeak
from replay.sandbox.rules import Rule, plain
from replay.sandbox.state import ProcessState

ALLOW_HOST = "Allow a model's host with --allow-host name:port."
DECORATE = "Put it into a decorated tool, whose body a replay does not enter."


class Guard:
    """The rules in force in this process."""

    def __init__(self, process: ProcessState, always: Mapping[str, Rule], native: Mapping[str, Rule]) -> None:
        """Guard a process.

        Args:
            process: where refusals are remembered.
            always: the rules by audit event.
            native: those about native code, for when a case runs and nothing is being imported.
        """
        self._process = process
        self._always = MappingProxyType({**always, _PROBE: self._answer})
        self._native = MappingProxyType(dict(native))
        self._answered: object = None

    def install(self) -> None:
        """Put the hook into this process; there is no way back."""
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

    def holds(self) -> bool:
        """Whether the hook is still asked, and still refuses; an agent may have taken the rules apart."""
        mark = object()
        try:
            _audit(_PROBE, mark)
            return self._answered is mark and all(
                self._always[event](args) is not None for event, args in _FORBIDDEN.items()
            )
        except Exception:  # noqa: BLE001 - whatever is wrong with the rules, they do not hold
            return False

    def _answer(self, args: tuple[Any, ...]) -> None:
        self._answered = args[0]

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        rule = self._always.get(event)
        if rule is None:
            rule = self._native.get(event)
            if rule is None or self._process.phase == "import" or _importing():
                return
        try:
            what = rule(plain(args))
        except Exception:  # noqa: BLE001 - rule 3
            what = f"do something that a replay cannot judge ({event})"
        if what is not None:
            raise self.refuse(what)


_audit = sys.audit
_PROBE = "replay.sandbox.probe"
"""An event of ours."""
_FORBIDDEN: Mapping[str, tuple[Any, ...]] = {
    "open": ("/", "w", 1),
    "os.remove": ("/", -1),
    "os.fork": (),
    "socket.connect": (None, ("192.0.2.255", 9)),
    "socket.getaddrinfo": ("replay.invalid", 9, 0, 0, 0),
    "subprocess.Popen": ("true", (), None, None),
}
"""What no run allows; the address is one of documentation (RFC 5737)."""

_frame = sys._getframe  # noqa: SLF001 - the only way to see who asks
_MACHINERY = vars(importlib._bootstrap)  # type: ignore[attr-defined]  # noqa: SLF001


def _importing() -> bool:
    """Whether this thread is importing a module."""
    frame: Any = _frame()
    while frame is not None:
        if frame.f_globals is _MACHINERY:
            return True
        frame = frame.f_back
    return False
