"""What Python's audit events mean to a replay: which are refused, and how the refusal is put.

The rules:

1. Processes are refused: starting, forking, replacing, signalling.
2. The network is refused, but for connections to pinned addresses of allowed hosts; unix sockets are refused.
3. Files are read-only, outside of the worker's scratch directories.
4. Native code that is loaded by hand (`ctypes`) is refused while a case runs; when modules are imported it is theirs.
5. An event that is not in the table here is not refused. An event whose arguments are not what Python documents is.

Pure: each rule takes an event's arguments and says what was tried, or None.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

from replay.sandbox.hosts import AllowedHosts

Rule = Callable[[tuple[Any, ...]], str | None]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_HARMLESS = frozenset({"/dev/null"})
_MOST_CHARACTERS = 200

_PROCESSES = (
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.startfile/2",
    "os.system",
    "pty.spawn",
    "signal.pthread_kill",
    "subprocess.Popen",
)

_PATHS: dict[str, tuple[tuple[int, int | None], ...]] = {
    # event: (index of the path, index of the directory descriptor that it is relative to)
    "os.chflags": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.removexattr": ((0, None),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.setxattr": ((0, None),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
}

_ADDRESSES = ("socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto")
_NAMES = ("socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.getnameinfo")
_NATIVE = ("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle")
_OTHERS = {
    # The new interpreter would have no audit hook, and no interceptor.
    "cpython.PyInterpreterState_New": "start an interpreter",
    "socket.sethostname": "change the host's name",
    "syslog.openlog": "write to the system log",
    "syslog.syslog": "write to the system log",
}


def rules(scratch: Iterable[str], hosts: AllowedHosts) -> dict[str, Rule]:
    """Make the table: what to ask for each audit event.

    Args:
        scratch: the directories that may be written.
        hosts: the hosts that may be reached.
    """
    files = _Files(scratch)
    table: dict[str, Rule] = {"open": files.opened, "sqlite3.connect": files.database}
    table |= {event: _process(event) for event in _PROCESSES}
    table |= {event: files.changed(event, places) for event, places in _PATHS.items()}
    table |= {event: _address(event, hosts) for event in _ADDRESSES}
    table |= {event: _name(event, hosts) for event in _NAMES}
    table |= {event: _said(what) for event, what in _OTHERS.items()}
    return table


def attached_database(scratch: Iterable[str]) -> Rule:
    """Make the rule for what SQLite attaches to an open database, for which there is no audit event.

    Args:
        scratch: the directories that may be written.
    """
    return _Files(scratch).database


def native_rules() -> dict[str, Rule]:
    """Make the rules that hold only while a case runs."""
    return dict.fromkeys(_NATIVE, _native)


class _Files:
    def __init__(self, scratch: Iterable[str]) -> None:
        self._scratch = tuple(os.path.realpath(path) for path in scratch)

    def opened(self, args: tuple[Any, ...]) -> str | None:
        path, mode, flags = args
        writes = bool(flags & _WRITING) if isinstance(flags, int) else any(c in "wax+" for c in str(mode))
        # A descriptor was opened before, under these same rules.
        if not writes or isinstance(path, int) or self.may_write(path):
            return None
        return f"write the file {_shown(path)}"

    def database(self, args: tuple[Any, ...]) -> str | None:
        path = args[0]
        if path in (":memory:", b":memory:", "", b""):
            return None
        # Nobody says here whether SQLite takes it for a URI, so it must be harmless both ways.
        paths = [path, *_path_of_uri(path)]
        return None if all(self.may_write(p) for p in paths) else f"open the database {_shown(path)}"

    def changed(self, event: str, places: tuple[tuple[int, int | None], ...]) -> Rule:
        verb = event.removeprefix("os.")

        def rule(args: tuple[Any, ...]) -> str | None:
            for place, directory in places:
                if not self.may_write(args[place], -1 if directory is None else args[directory]):
                    return f"{verb} {_shown(args[place])}"
            return None

        return rule

    def may_write(self, path: Any, directory: Any = -1) -> bool:
        """Whether a path stands in a scratch directory, symbolic links followed."""
        match path:
            case int():
                name = f"/proc/self/fd/{path}"
            case str() | bytes():
                name = os.fsdecode(path)
            case PurePath():
                name = PurePath.__fspath__(path)
            case _:
                # Asking a stranger's object for its path would run its code behind the hook's back.
                return False
        if not name.startswith("/") and isinstance(directory, int) and directory >= 0:
            name = os.path.join(f"/proc/self/fd/{directory}", name)  # noqa: PTH118 - the hook makes no objects
        name = os.path.realpath(name)
        return name in _HARMLESS or any(name == top or name.startswith(top + os.sep) for top in self._scratch)


def _path_of_uri(path: Any) -> list[str]:
    name = os.fsdecode(path) if isinstance(path, str | bytes) else ""
    return [unquote(urlsplit(name).path)] if name[:5].lower() == "file:" else []


def _process(event: str) -> Rule:
    def rule(args: tuple[Any, ...]) -> str:
        # Only the program's name: arguments may hold what a customer said.
        program = f" {_shown(args[0])}" if args and isinstance(args[0], str | bytes | os.PathLike) else ""
        match event:
            case "os.fork" | "os.forkpty":
                return "fork a process"
            case "os.kill" | "os.killpg" | "signal.pthread_kill":
                return "signal a process or thread"
            case "os.system":
                return f"run {_shown(os.fsdecode(args[0]).split(' ', 1)[0])} in a shell"
            case _:
                return f"run{program or ' a program'} ({event})"

    return rule


def _address(event: str, hosts: AllowedHosts) -> Rule:
    verb = {"socket.bind": "listen on", "socket.connect": "connect to"}.get(event, "send to")

    def rule(args: tuple[Any, ...]) -> str | None:
        address = args[1] if len(args) > 1 else None
        # A message without an address goes where the socket is connected to, which was asked then.
        if event == "socket.sendmsg" and address is None:
            return None
        if event != "socket.bind" and hosts.allows_address(address):
            return None
        return f"{verb} {address_text(address)}"

    return rule


def _name(event: str, hosts: AllowedHosts) -> Rule:
    def rule(args: tuple[Any, ...]) -> str | None:
        asked = args[0]
        if event == "socket.getaddrinfo" and hosts.allows_name(asked):
            return None
        port = args[1] if event == "socket.getaddrinfo" else None
        return f"look up {address_text((asked, port) if isinstance(port, int) and isinstance(asked, str) else asked)}"

    return rule


def _native(args: tuple[Any, ...]) -> str | None:
    name = args[-1]
    # Python itself opens its own program this way.
    return f"load native code ({_shown(name) if isinstance(name, str | bytes) else 'by handle'})"


def _said(what: str) -> Rule:
    return lambda _: what


def address_text(address: Any) -> str:
    """Write a socket address: `host:port`, a path, or what it is."""
    match address:
        case (str(host), int(port), *_):
            return f"{_shown(host)}:{port}"
        case str() | bytes():
            return _shown(address)
        case None:
            return "this host's own name"
        case _:
            return f"an address of type {type(address).__name__}"


def _shown(path: Any) -> str:
    match path:
        case int():
            text = f"descriptor {path}"
        case str() | bytes():
            text = os.fsdecode(path)
        case PurePath():
            text = PurePath.__fspath__(path)
        case _:
            text = f"a {type(path).__name__}"
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
