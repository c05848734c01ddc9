"""The kernel's own lock, where there is one: it also holds for native code that raises no audit event.

The rules:

1. Linux only, and best effort: each lock that took hold is named in the run's manifest, and the others are not claimed.
2. `landlock`: no program is executed, no file is written outside of scratch, no TCP connection is made but to the
   allowed hosts' ports, and no signal leaves the process.
3. `network namespace`: with no host allowed, the process has no network at all, not even the loopback. `private shared memory`:
   what it shares by name (`/dev/shm`, System V) is its own, and goes with it.
4. `parent death`: the worker dies with the run that started it.
5. `privileges`: of what only root may do it keeps what files take (reading others' in a container, say), and nothing else: no
   terminal of another session, no network's settings, no other process's memory.
6. They hold for one thread and those that it starts, so they are taken while it is the only one (`alone`), or not claimed at
   all (a `sitecustomize` may have started another). They cannot be given back.

The numbers are those of the kernel's interface (linux/landlock.h, linux/prctl.h, linux/sched.h).
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

_CLONE_NEWNS = 0x00020000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_VERSION_FLAG = 1

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_CHANGE_TREE = sum(1 << bit for bit in range(4, 13))
"""Removing and making: directories, files, sockets, fifos, devices, links."""
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_CONTROL_DEVICE = 1 << 15
_NET_BIND, _NET_CONNECT = 1, 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2

_NET_SINCE, _REFER_SINCE, _TRUNCATE_SINCE, _CONTROL_SINCE, _SCOPE_SINCE = 4, 2, 3, 5, 6

_CAPABILITIES_VERSION = 0x20080522
_KEPT = 0b11111
"""Of the capabilities: `chown`, `dac_override`, `dac_read_search`, `fowner`, `fsetid`."""


def die_with_parent(parent: int) -> bool:
    """Ask the kernel to kill this process when its parent dies; say whether it will.

    Args:
        parent: the parent's process id, to notice that it is gone already.
    """
    if not sys.platform.startswith("linux"):
        return False
    done = _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    if os.getppid() != parent:
        os._exit(1)
    return done


def isolate(*, network: bool) -> tuple[str, ...]:
    """Leave what processes of a machine have in common; name what was left.

    Args:
        network: leave every network, too.
    """
    shared = _CLONE_NEWNS | _CLONE_NEWIPC
    if _leave(shared | (_CLONE_NEWNET if network else 0)):
        found = ("private shared memory",) if _mount_shared_memory() else ()
        return (*found, "network namespace") if network else found
    return ("network namespace",) if network and _leave(_CLONE_NEWNET) else ()


def _leave(namespaces: int) -> bool:
    libc, user, group = _libc(), os.getuid(), os.getgid()
    if libc.unshare(namespaces) == 0:
        return True
    if libc.unshare(_CLONE_NEWUSER | namespaces) != 0:
        return False
    # Without a map the process would be nobody in its own files' eyes.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - not a path to handle
                file.write(text)
        except OSError:
            break
    return True


def _mount_shared_memory() -> bool:
    libc = _libc()
    # What is mounted here must not be seen outside.
    if libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) != 0:
        return False
    return libc.mount(b"shm", b"/dev/shm", b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None) == 0


def landlock(scratch: Iterable[str], ports: Iterable[int]) -> int:
    """Take the rights to execute, to write outside of scratch and to connect away from this process.

    Args:
        scratch: the directories that stay writable.
        ports: the TCP ports that may be connected to, where the kernel knows of ports.

    Returns:
        The version of the kernel's interface; 0 where there is none.
    """
    libc = _libc()
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return 0
    writing = _WRITE_FILE | _CHANGE_TREE
    writing |= _REFER if version >= _REFER_SINCE else 0
    writing |= _TRUNCATE if version >= _TRUNCATE_SINCE else 0
    writing |= _CONTROL_DEVICE if version >= _CONTROL_SINCE else 0
    network = _NET_BIND | _NET_CONNECT if version >= _NET_SINCE else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if version >= _SCOPE_SINCE else 0
    attributes = struct.pack("<QQQ", writing | _EXECUTE, network, scoped)
    size = 24 if version >= _SCOPE_SINCE else 16 if version >= _NET_SINCE else 8
    ruleset = libc.syscall(_CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        return 0
    try:
        on_a_file = _WRITE_FILE | (_TRUNCATE if version >= _TRUNCATE_SINCE else 0)
        # Semaphores and shared memory live there; without them many a library does not import.
        writable = [*scratch, *(path for path in ("/dev/shm",) if os.path.isdir(path))]  # noqa: PTH112, S108
        allowed = [_allow_path(libc, ruleset, path, writing) for path in writable]
        allowed.append(_allow_path(libc, ruleset, "/dev/null", on_a_file))
        if network:
            for port in ports:
                rule = struct.pack("<QQ", _NET_CONNECT, port)
                allowed.append(libc.syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, rule, 0) == 0)
        held = (
            all(allowed)
            and libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            and libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
        )
    finally:
        os.close(ruleset)
    return version if held else 0


def _allow_path(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> bool:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("<Qi", rights, descriptor)
        return libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0) == 0
    finally:
        os.close(descriptor)


def drop_privileges() -> bool:
    """Keep nothing of what only root may do, but for files; say whether that is so."""
    libc = _libc()
    header = struct.pack("<Ii", _CAPABILITIES_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held) != 0:
        return False
    kept = struct.unpack("<6I", held.raw)[1] & _KEPT
    # Effective, permitted and inherited, twice 32 of each.
    return libc.capset(header, struct.pack("<6I", kept, kept, 0, 0, 0, 0)) == 0


def alone() -> bool:
    """Whether this is Linux, and this process has one thread, threads of native code counted."""
    return sys.platform.startswith("linux") and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
