"""What a worker puts back after each case, so that one case leaves nothing of itself for the next.

The rules:

1. What a case left to happen later happens now, while it is the case's: garbage that acts when it is collected, first of all.
2. The environment, the working directory, signal handlers, timers, tracing, hooks of the collector and `settings` are put back.
3. A case that changed the replay's own code, or took a lock away, is invalid, and its worker is spent.
4. What an agent keeps in its own modules stays: it is named on the case, and a fresh worker for each case is the way around it.
"""

from __future__ import annotations

import _signal  # pyrefly: ignore - what `signal` wraps: an enum for each answer costs as much as the case
import builtins
import contextlib
import faulthandler
import gc
import itertools
import operator
import os
import signal
import socket
import sys
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from auditlog import interception
from replay.sandbox.guard import Guard
from replay.sandbox.settings import Settings
from replay.sandbox.unchanged import Versions

_WHOLE = (
    *(
        "replay.running.executed",
        "replay.running.frames",
        "replay.running.protocol",
        "replay.running.records",
    ),
    *("replay.running.worker", "replay.sandbox.answers", "replay.sandbox.guard", "replay.sandbox.intercept"),
    *("replay.sandbox.rules", "replay.sandbox.state", "replay.sandbox.surroundings"),
    "replay.sandbox.unchanged",
    *("replay.sandbox.effects", "replay.sandbox.fork", "replay.sandbox.modes", "replay.sandbox.simulate"),
    *("replay.canonical", "replay.matching.callers", "replay.matching.cassette", "replay.matching.misses"),
    *("replay.matching.normalising", "replay.matching.recorded", "replay.matching.restore"),
    *("replay.matching.revive", "replay.matching.rules", "replay.pinned.case", "replay.pinned.model_cache"),
    "replay.pinned.recorded_values",
)
"""Of these every name is watched, and not only functions and classes of their own."""
_BUILTINS = (
    "all any bytes dict frozenset getattr hasattr int isinstance iter len list next set str super tuple type vars"
).split()
"""What the rules are made of."""
_OURS = (
    *("auditlog.record", "auditlog.recorder"),
    *("auditlog.call", "auditlog.config", "auditlog.context", "auditlog.decorators", "auditlog.interception"),
    *("auditlog.clients", "auditlog.http_calls", "auditlog.http_content", "auditlog.http_models"),
    *("auditlog.http_secrets", "auditlog.masks", "auditlog.overrides", "auditlog.pinned"),
    *("replay.errors", "replay.matching.cassette", "replay.matching.recorded", "replay.sandbox.answers"),
    *("replay.pinned.clocks", "replay.pinned.seeds"),
    *("replay.sandbox.fork", "replay.sandbox.guard", "replay.sandbox.hosts", "replay.sandbox.intercept"),
    *("replay.sandbox.modes", "replay.sandbox.rules", "replay.sandbox.side_doors", "replay.sandbox.state"),
    *("replay.sandbox.surroundings", "replay.sandbox.threads", "replay.sandbox.unchanged"),
)
_DOORS = (
    *(("os", "open"), ("os", "_exit"), ("os", "mkfifo"), ("os", "mknod"), ("socket", "getaddrinfo")),
    *(("_posixsubprocess", "fork_exec"), ("sqlite3", "connect"), ("signal", "pidfd_send_signal")),
    *(("sqlite3.dbapi2", "connect"), ("uuid", "uuid4"), ("uuid", "uuid1")),
)
_SIGNALS = tuple(
    getattr(signal, name)
    for name in (
        "SIGALRM",
        "SIGCHLD",
        "SIGHUP",
        "SIGINT",
        "SIGPROF",
        "SIGTERM",
        "SIGUSR1",
        "SIGUSR2",
        "SIGVTALRM",
    )
    if hasattr(signal, name)
)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_CONTAINERS = (list, dict, set, deque, bytearray)
_KEPT_BY_PYTHON = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
_MOST_WATCHED, _MOST_NAMED = 5000, 5


class _Owned(NamedTuple):
    """A module or class, what it holds, and of that what is watched."""

    owner: Any
    there: Mapping[str, Any]
    names: tuple[str, ...]
    values: tuple[Any, ...]
    taken: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """Takes the values of all these names at once."""


_where = os.getcwd
_all, _map, _is, _compress = all, map, operator.is_, itertools.compress


class Surroundings:
    """This process as it was before the first case."""

    def __init__(self, guard: Guard | None, paths: Iterable[str]) -> None:
        """Remember what is to be put back.

        Args:
            guard: the audit hook's rules, where it is in force.
            paths: the directories of the agent's own modules.
        """
        self._guard = guard
        self._interceptor = interception.installed()
        self._environment = dict(os.environ)
        self._environ, self._variables = os.environ, dict(vars(os.environ)["_data"])
        self._settings = Settings()
        self._directory = os.getcwd()  # noqa: PTH109 - as `chdir` takes it
        self._handlers = [(number, _signal.getsignal(number)) for number in _SIGNALS]
        self._callbacks = list(gc.callbacks)
        self._code = _by_owner(_code())
        self._changed = Versions([owned.there for owned in self._code]).changed
        # What an agent puts in its place is not what is asked.
        self.settle, self._ask = self._settle, self._taken_apart
        self._watched = list(_state(tuple(paths)))

    def _settle(self) -> tuple[str, ...]:
        """Let what the case left behind happen now, and put back what it changed.

        Returns:
            What it took apart of the replay itself: nothing that this worker says after that can be believed.
        """
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        sys.settrace(None)
        sys.setprofile(None)
        threading.settrace(None)  # type: ignore[arg-type]
        threading.setprofile(None)
        faulthandler.cancel_dump_traceback_later()
        gc.enable()
        gc.collect()
        if gc.callbacks != self._callbacks:
            gc.callbacks[:] = self._callbacks
        for number, handler in self._handlers:
            if _signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        # As the system has them they are compared in a tenth of the time that it takes to decode them.
        is_same = os.environ is self._environ and vars(self._environ)["_data"] == self._variables
        if not is_same and os.environ != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        with contextlib.suppress(OSError):
            if not self._is_at_home():
                os.chdir(self._directory)
        self._settings.put_back()
        return tuple(self._ask())

    def _is_at_home(self) -> bool:
        # To ask costs less than to go: nobody has to judge it.
        try:
            return _where() == self._directory
        except OSError:
            return False

    def left_behind(self) -> tuple[str, ...]:
        """Name what the case changed in the agent's own modules, and take it as it is for the next."""
        found = []
        for position, (module, name, value, size) in enumerate(self._watched):
            there = module.get(name)
            length = len(there) if type(there) in _CONTAINERS else -1  # type: ignore[arg-type]
            if there is not value or length != size:
                self._watched[position] = (module, name, there, length)
                found.append(f"{module.get('__name__')}.{name}")
        return tuple(found[:_MOST_NAMED])

    def _taken_apart(self) -> Iterator[str]:
        if self._interceptor is not None and interception.installed() is not self._interceptor:
            yield "take the replay's interceptor away"
            interception.uninstall()
            interception.install(self._interceptor)
        # Of what has its version nothing changed; the rest is some hundred comparisons, which are C's.
        for owner, there, names, values, taken in _compress(self._code, self._changed()):
            try:
                if _all(_map(_is, taken(there), values)):
                    continue
            except KeyError:
                pass
            for name, value in zip(names, values, strict=True):
                if there.get(name) is not value:
                    setattr(owner, name, value)
                    where = getattr(owner, "__qualname__", None) or getattr(owner, "__name__", "")
                    yield f"change the replay's own code ({where}.{name})"
        if self._guard is not None and not self._guard.holds():
            yield "take the replay's rules apart"


def _by_owner(code: Iterable[tuple[Any, str, Any]]) -> list[_Owned]:
    found: dict[int, tuple[Any, dict[str, Any]]] = {}
    for owner, name, value in code:
        found.setdefault(id(owner), (owner, {}))[1][name] = value
    return [
        _Owned(owner, _held_by(owner), tuple(named), tuple(named.values()), _taking(tuple(named)))
        for owner, named in found.values()
    ]


def _held_by(owner: Any) -> Mapping[str, Any]:
    """Give what a module or class holds; of a class the mapping behind its view, which is asked in half the time."""
    there = vars(owner)
    return next(iter(gc.get_referents(there)), there) if isinstance(there, types.MappingProxyType) else there


def _taking(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda there: (there[names[0]],)


class _Loaded:
    """The loaded modules as an owner of theirs: whoever imports again what is gone gets one without an interceptor."""

    __name__ = "sys.modules"

    def __init__(self) -> None:
        self.__dict__ = sys.modules


def _code() -> Iterator[tuple[Any, str, Any]]:
    """Give our functions and classes, where they stand, and the doors that are closed by hand."""
    loaded = _Loaded()
    ours = (name for name in sys.modules if name.partition(".")[0] in ("auditlog", "replay"))
    yield from ((loaded, name, sys.modules[name]) for name in ours)
    yield from ((builtins, name, getattr(builtins, name)) for name in _BUILTINS)
    for module_name in (*_WHOLE, "__main__"):
        module = sys.modules.get(module_name)
        if module is not None and (module_name != "__main__" or hasattr(module, "run_to_end")):
            yield from (
                (module, name, value) for name, value in vars(module).items() if not name.startswith("__")
            )
    for module_name in _OURS:
        module = sys.modules.get(module_name)
        for name, value in vars(module).items() if module is not None else ():
            if isinstance(value, types.FunctionType | type) and value.__module__ == module_name:
                yield module, name, value
                if isinstance(value, type):
                    yield from (
                        (value, method, function)
                        for method, function in vars(value).items()
                        if isinstance(function, types.FunctionType | property)
                    )
    if "__init__" in vars(socket.socket):
        yield socket.socket, "__init__", vars(socket.socket)["__init__"]
    for module_name, name in _DOORS:
        module = sys.modules.get(module_name)
        if hasattr(module, name):
            yield module, name, getattr(module, name)


def _state(paths: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], str, Any, int]]:
    """Give what the agent's own modules hold that a case may change: their names, and the sizes of containers."""
    watched = 0
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(paths) or "site-packages" in file:
            continue
        if module.__name__.partition(".")[0] in ("auditlog", "replay"):
            continue
        for name, value in vars(module).items():
            if name.startswith("__") or isinstance(value, _KEPT_BY_PYTHON):
                continue
            watched += 1
            if watched > _MOST_WATCHED:
                return
            yield vars(module), name, value, len(value) if type(value) in _CONTAINERS else -1
