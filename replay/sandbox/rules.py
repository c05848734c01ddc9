"""What Python's audit events mean to a replay: which are refused, and how the refusal is put.

The rules:

1. Processes are refused: starting, forking, replacing, signalling.
2. The network is refused, but for connections to pinned addresses of allowed hosts; unix sockets are refused.
3. Files are read-only, outside of the worker's scratch directories. What is no file is not even read: reading takes from a pipe,
   and a terminal that is open can be typed into.
4. Native code that is loaded by hand (`ctypes`) is refused while a case runs; when modules are imported it is theirs.
5. What would take these rules apart is refused: other audit hooks, searching the memory for us, changing our functions.
6. Another process's environment and memory are not read: the run's own holds what the worker's does not.
7. An event that is not in the table here is not refused. An event whose arguments are not what Python documents is.

Pure: each rule takes an event's arguments and says what was tried, or None. What the rules need of the system they take when
this module is imported, which is before the agent's are: a function that the agent exchanges is not asked.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import stat
import sys
import termios
import types
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
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

_readlink, _getcwd, _getpid, _stat = os.readlink, os.getcwd, os.getpid, os.stat
_text_of_path = PurePath.__fspath__
_PATH_TYPES = frozenset((type(Path()), type(PurePath())))
_FILE_SYSTEM_ENCODING = sys.getfilesystemencoding()
_MOST_LINKS = 40

_FAMILIES = frozenset((-1, int(socket.AF_INET), int(socket.AF_INET6)))
_TYPE_MASK = 0xF
_PROTOCOLS = frozenset((-1, 0, int(socket.IPPROTO_TCP)))
_NO_FILES = frozenset((stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO))
_SOURCES = frozenset(("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"))
"""Devices that one may read."""
_ASKING = frozenset(
    getattr(module, name)
    for module in (termios, fcntl)
    for name in ("FIONREAD", "FIONBIO", "FIOCLEX", "FIONCLEX", "TIOCGWINSZ", "TIOCGPGRP", "TCGETS")
    if hasattr(module, name)
) | (
    frozenset((0x8910, 0x8912, 0x8913, 0x8915, 0x8919, 0x891B, 0x8921, 0x8927, 0x8933))
    if sys.platform == "linux"
    else frozenset()
)
"""The requests of `ioctl` that change nothing; the numbers are those that ask for a network interface's settings."""
_SIGNALLING = frozenset(
    (
        getattr(fcntl, "F_SETOWN", 8),
        15,
        getattr(fcntl, "F_SETSIG", 10),
        getattr(fcntl, "F_SETLEASE", 1024),
        getattr(fcntl, "F_NOTIFY", 1026),
    )
)
"""The commands of `fcntl` by which the kernel signals whom they name, F_SETOWN_EX among them, or holds up others."""
_PRIVATE = re.compile(r"/proc/(\d+)(?:/task/\d+)?/(?:environ|mem|maps|auxv|fd|root|cwd)(?:/.*)?")

_ADDRESSES = ("socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto")
_NAMES = ("socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.getnameinfo")
_NATIVE = ("ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle")
_OTHERS = {
    # The new interpreter would have no audit hook, and no interceptor.
    "cpython.PyInterpreterState_New": "start an interpreter",
    "socket.sethostname": "change the host's name",
    "gc.get_objects": "search the memory of its process",
    "gc.get_referrers": "search the memory of its process",
    "sqlite3.enable_load_extension": "load native code into a database",
    "sqlite3.load_extension": "load native code into a database",
    "sys.addaudithook": "put in an audit hook of its own",
    "sys.remote_exec": "run code in another process",
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
    table |= {event: _looked_up(event, hosts) for event in _NAMES}
    table |= {event: _said(what) for event, what in _OTHERS.items()}
    table |= {"socket.__new__": _bare_socket, "resource.prlimit": _limits, "object.__setattr__": _patching}
    table |= {"fcntl.ioctl": _controlled, "fcntl.fcntl": _signalling, "fcntl.flock": files.locked}
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
        self._scratch = tuple(resolved(path) for path in scratch)

    def opened(self, args: tuple[Any, ...]) -> str | None:
        path, mode, flags = args
        if isinstance(path, int):
            # A descriptor was opened before, under these same rules.
            return None
        # A file of C's has a mode and no flags; what has neither is taken for writing.
        by_mode = any(c in "wax+" for c in mode) if isinstance(mode, str) else not isinstance(flags, int)
        if by_mode or (isinstance(flags, int) and flags & _WRITING):
            return None if self.may_write(path) else f"write the file {_shown(path)}"
        return _private(path) or _no_file(path)

    def database(self, args: tuple[Any, ...]) -> str | None:
        path = args[0]
        # An object that says that it equals one of these is none of them.
        if isinstance(path, str | bytes) and path in (":memory:", b":memory:", "", b""):
            return None
        # Nobody says here whether SQLite takes it for a URI, so it must be harmless both ways.
        paths = [path, *_path_of_uri(path)]
        return None if all(self.may_write(p) for p in paths) else f"open the database {_shown(path)}"

    def locked(self, args: tuple[Any, ...]) -> str | None:
        descriptor, how = args
        holds_up = not isinstance(how, int) or how & fcntl.LOCK_EX
        return "lock a file that others use" if holds_up and not self.may_write(descriptor) else None

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
        name = f"/proc/self/fd/{path}" if isinstance(path, int) else _name(path)
        if name is None:
            # Asking a stranger's object for its path would run its code, and it might give the system another one.
            return False
        if not name.startswith("/") and isinstance(directory, int) and directory >= 0:
            name = f"/proc/self/fd/{directory}/{name}"
        name = resolved(name)
        return name in _HARMLESS or any(name == top or name.startswith(top + "/") for top in self._scratch)


def plain(value: Any) -> Any:
    """Give an event's arguments as values of Python's own types; anything else is left as it is, and not to be asked."""
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, bytes):
        return value if type(value) is bytes else bytes.__getitem__(value, slice(None))
    if isinstance(value, int):
        return value if type(value) is int else int.__add__(value, 0)
    if isinstance(value, tuple):
        return tuple(plain(item) for item in tuple.__iter__(value))
    return value


def resolved(name: str) -> str:
    """Follow the symbolic links of a path, as far as it is there.

    Args:
        name: absolute, or from the working directory.
    """
    left = (name if name.startswith("/") else f"{_getcwd()}/{name}").split("/")[::-1]
    found = ""
    links = 0
    while left:
        part = left.pop()
        if part in ("", "."):
            continue
        if part == "..":
            found = found.rpartition("/")[0]
            continue
        here = f"{found}/{part}"
        try:
            target = _readlink(here)
        except OSError:
            found = here
            continue
        links += 1
        if links > _MOST_LINKS:
            msg = f"{name} has too many symbolic links"
            raise ValueError(msg)
        found = "" if target.startswith("/") else found
        left += target.split("/")[::-1]
    return found or "/"


def _name(path: Any) -> str | None:
    """Give a path as text; None for an object that is no path of Python's own."""
    if isinstance(path, str):
        return path
    if isinstance(path, bytes):
        return path.decode(_FILE_SYSTEM_ENCODING, "surrogateescape")
    return _text_of_path(path) if type(path) in _PATH_TYPES else None


def _private(path: Any) -> str | None:
    name = _name(path)
    if name is None or "proc" not in name:
        return None
    found = _PRIVATE.fullmatch(resolved(name))
    return (
        None
        if found is None or int(found[1]) == _getpid()
        else f"read what another process holds ({_shown(name)})"
    )


def _no_file(path: Any) -> str | None:
    name = _name(path)
    if name is None:
        return None
    try:
        is_one = stat.S_IFMT(_stat(name).st_mode) not in _NO_FILES
    except OSError:
        return None
    return None if is_one or resolved(name) in _SOURCES else f"open the device or pipe {_shown(path)}"


def socket_kind(args: tuple[Any, ...]) -> str | None:
    """Say what socket is made where it is neither one of TCP nor of a pair: a rule for `socket.__new__`."""
    _, family, kind, protocol = args
    if family not in _FAMILIES:
        local = family == getattr(socket, "AF_UNIX", None)
        return "open a unix socket" if local else f"open a socket of family {family}"
    if kind != -1 and kind & _TYPE_MASK != socket.SOCK_STREAM:
        return "open a UDP socket" if kind & _TYPE_MASK == socket.SOCK_DGRAM else "open a raw socket"
    return None if protocol in _PROTOCOLS else f"open a socket of protocol {protocol}"


def _bare_socket(args: tuple[Any, ...]) -> str | None:
    # One of `socket.socket` may stand for a descriptor that is there: it is judged where it is made.
    return socket_kind(args) if type(args[0]) is _BARE_SOCKET else None


_BARE_SOCKET = socket.socket.__mro__[1]


def _limits(args: tuple[Any, ...]) -> str | None:
    return None if args[0] in (0, _getpid()) else "change the limits of another process"


def _controlled(args: tuple[Any, ...]) -> str | None:
    return None if args[1] in _ASKING else f"control a device or an interface (ioctl {args[1]:#x})"


def _signalling(args: tuple[Any, ...]) -> str | None:
    return "have a process signalled (fcntl)" if args[1] in _SIGNALLING else None


def _patching(args: tuple[Any, ...]) -> str | None:
    function, name = args[:2]
    if name not in ("__code__", "__defaults__", "__kwdefaults__") or type(function) is not types.FunctionType:
        return None
    home = function.__globals__.get("__name__")
    ours = isinstance(home, str) and home.partition(".")[0] in ("auditlog", "replay")
    return f"change the replay's own code ({home})" if ours else None


def _path_of_uri(path: Any) -> list[str]:
    name = _name(path) or ""
    return [unquote(urlsplit(name).path)] if name[:5].lower() == "file:" else []


def _process(event: str) -> Rule:
    def rule(args: tuple[Any, ...]) -> str:
        # Only the program's name: arguments may hold what a customer said.
        program = f" {_shown(args[0])}" if args and _name(args[0]) is not None else ""
        match event:
            case "os.fork" | "os.forkpty":
                return "fork a process"
            case "os.kill" | "os.killpg" | "signal.pthread_kill":
                return "signal a process or thread"
            case "os.system":
                return f"run {_shown((_name(args[0]) or '').split(' ', 1)[0])} in a shell"
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
        allowed = _is_passing(address) if event == "socket.bind" else hosts.allows_address(address)
        if allowed:
            return None
        return f"{verb} {address_text(address)}"

    return rule


def _is_passing(address: Any) -> bool:
    """Whether it is any free port of the loopback: libraries ask so which families there are, and nobody listens."""
    match address:
        case ("127.0.0.1" | "::1", 0, *_):
            return True
        case _:
            return False


def _looked_up(event: str, hosts: AllowedHosts) -> Rule:
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
    text = f"descriptor {path}" if isinstance(path, int) else _name(path) or f"a {type(path).__name__}"
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
