"""The kernel's filter of system calls (Linux): what neither Python's audit hook nor Landlock keeps native code from.

The rules:

1. Refused: new processes and programs, other processes' memory and signals, other ways into the kernel (io_uring, BPF, keys),
   mounts, namespaces, clocks, and what processes share by name (System V and POSIX queues, semaphores, segments).
2. A socket is one of TCP, or of a pair: a unix socket would reach any service of the machine, and UDP any host. It does not
   listen, and sends only where it was connected to: what is sent while it connects (TCP Fast Open) Landlock does not see.
3. Nobody else is made the owner of a descriptor, whom the kernel would signal, and nobody else's priority is changed. What types
   into a terminal, changes it, or sets a network, or a file's flags, is refused.
4. A thread may be started, a process not. `clone3` hides which it is, so it is "not there", and libraries use `clone`.
5. What is refused fails with EPERM, as on a machine where it is forbidden; nothing is killed for it.
6. A machine whose numbers are not in the table here has no filter, and the lock is not claimed. A system call by another
   machine's numbers (i386, x32) is refused.

The numbers are those of the kernel's interface (linux/seccomp.h, linux/bpf_common.h, asm/unistd.h).
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Sequence

_ERRNO, _ALLOW = 0x00050000, 0x7FFF0000
_EPERM, _ENOSYS = 1, 38
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _MACHINE, _FIRST, _SECOND, _THIRD, _FOURTH = 0, 4, 16, 24, 32, 40
_SET_SECCOMP, _NO_NEW_PRIVS, _FILTER = 22, 38, 2
_AF_INET, _AF_INET6, _SOCK_STREAM, _TYPE_MASK, _TCP = 2, 10, 1, 0xF, 6
_CLONE_THREAD = 0x10000
_FAST_OPEN = 0x20000000
_F_SETOWN, _F_SETOWN_EX = 8, 15
_X32 = 0x40000000
_CONTROLS = (
    *(0x5412, 0x541C, 0x541D, 0x540E),  # TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSCTTY
    *(0x5402, 0x5403, 0x5404, 0x402C542B, 0x402C542C, 0x402C542D, 0x5414),  # TCSETS…, TCSETS2…, TIOCSWINSZ
    *(0x8901, 0x8902),  # FIOSETOWN, SIOCSPGRP
    *(
        0x890B,
        0x890C,
        0x8914,
        0x8916,
        0x891C,
        0x8922,
        0x8924,
        0x8953,
        0x8955,
    ),  # routes, addresses, flags, neighbours
    *(
        0x40086602,
        0x40046602,
        0x401C5820,
        0xC0045877,
        0xC0185879,
    ),  # FS_IOC_SETFLAGS, FSSETXATTR, FIFREEZE, FITRIM
)
"""Of `ioctl`."""

_SAME_NUMBERS = (
    *(424, 438, 440),  # pidfd_send_signal, pidfd_getfd, process_madvise
    *(425, 426, 427),  # io_uring
    *(428, 429, 430, 431, 432, 433, 442, 443),  # open_tree … mount_setattr, quotactl_fd
)
_TABLES: dict[str, tuple[int, dict[str, int], tuple[int, ...]]] = {
    # machine: (audit architecture, calls that depend on their arguments, calls that are refused)
    "x86_64": (
        0xC000003E,
        {
            "clone": 56,
            "clone3": 435,
            "socket": 41,
            "kill": 62,
            "tgkill": 234,
            "prlimit64": 302,
            "sendto": 44,
            "sendmsg": 46,
            "sendmmsg": 307,
            "fcntl": 72,
            "ioctl": 16,
            "setpriority": 141,
        },
        (
            *(57, 58, 59, 322),  # fork, vfork, execve, execveat
            *(
                101,
                310,
                311,
                200,
                129,
                297,
            ),  # ptrace, process_vm_*, tkill, rt_sigqueueinfo, rt_tgsigqueueinfo
            *(321, 298, 323, 248, 249, 250),  # bpf, perf_event_open, userfaultfd, keys
            *(165, 166, 155, 161, 167, 168, 169, 272, 308),  # mounts, swap, reboot, unshare, setns
            *(170, 171, 175, 313, 176, 246, 320, 163, 179),  # names, modules, kexec, acct, quotactl
            *(164, 227, 159, 305, 103, 153, 172, 173),  # clocks, syslog, vhangup, iopl, ioperm
            *(29, 30, 31, 64, 65, 66, 220, 68, 69, 70, 71, 240, 241),  # System V IPC, mq_open, mq_unlink
            *(304, 300, 50),  # open_by_handle_at, fanotify_init, listen
        ),
    ),
    "aarch64": (
        0xC00000B7,
        {
            "clone": 220,
            "clone3": 435,
            "socket": 198,
            "kill": 129,
            "tgkill": 131,
            "prlimit64": 261,
            "sendto": 206,
            "sendmsg": 211,
            "sendmmsg": 269,
            "fcntl": 25,
            "ioctl": 29,
            "setpriority": 140,
        },
        (
            *(221, 281),
            *(117, 270, 271, 130, 138, 240),
            *(280, 241, 282, 217, 218, 219),
            *(40, 39, 41, 51, 224, 225, 142, 97, 268),
            *(161, 162, 105, 273, 106, 104, 294, 89, 60),
            *(170, 112, 171, 266, 116, 58),
            *(194, 195, 196, 190, 191, 192, 193, 186, 187, 188, 189, 180, 181),
            *(265, 262, 201),
        ),
    ),
}


def filter_system_calls() -> bool:
    """Put the filter on this thread and on those that it will start; say whether it took hold."""
    table = _TABLES.get(platform.machine())
    if table is None or struct.calcsize("P") != 8:
        return False
    program = ctypes.create_string_buffer(b"".join(_program(*table, os.getpid())))
    length = len(program.raw) // 8
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxP", length, ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    return libc.prctl(_SET_SECCOMP, _FILTER, ctypes.c_void_p(ctypes.addressof(described)), 0, 0) == 0


def _program(machine: int, judged: dict[str, int], refused: Sequence[int], pid: int) -> list[bytes]:
    """Write the filter, in the kernel's classic BPF: eight bytes an instruction, jumps count the ones they leave out."""
    refuse = _step(_RETURN, _ERRNO | _EPERM)
    program = [_step(_LOAD, _MACHINE), _step(_EQUAL, machine, 1, 0), refuse, _step(_LOAD, _NUMBER)]
    program += [_step(_AT_LEAST, _X32, 0, 1), refuse]
    for number in (*refused, *_SAME_NUMBERS):
        program += [_step(_EQUAL, number, 0, 1), refuse]
    program += [_step(_EQUAL, judged["clone3"], 0, 1), _step(_RETURN, _ERRNO | _ENOSYS)]
    program += _if(judged["clone"], [_step(_LOAD, _FIRST), _step(_ANY_BIT, _CLONE_THREAD, 1, 0), refuse])
    for name in ("kill", "tgkill"):
        program += _if(judged[name], [_step(_LOAD, _FIRST), _step(_EQUAL, pid, 1, 0), refuse])
    own = [_step(_EQUAL, 0, 2, 0), _step(_EQUAL, pid, 1, 0), refuse]
    program += _if(judged["prlimit64"], [_step(_LOAD, _FIRST), *own])
    for name, flags in (("sendto", _FOURTH), ("sendmsg", _THIRD), ("sendmmsg", _FOURTH)):
        program += _if(judged[name], [_step(_LOAD, flags), _step(_ANY_BIT, _FAST_OPEN, 0, 1), refuse])
    owner = [_step(_LOAD, _SECOND), _step(_EQUAL, _F_SETOWN_EX, 0, 1), refuse, _step(_EQUAL, _F_SETOWN, 0, 3)]
    program += _if(judged["fcntl"], [*owner, _step(_LOAD, _THIRD), _step(_EQUAL, pid, 1, 0), refuse])
    controls = [step for number in _CONTROLS for step in (_step(_EQUAL, number, 0, 1), refuse)]
    program += _if(judged["ioctl"], [_step(_LOAD, _SECOND), *controls])
    of_a_process = [_step(_LOAD, _FIRST), _step(_EQUAL, 0, 1, 0), refuse]
    program += _if(judged["setpriority"], [*of_a_process, _step(_LOAD, _SECOND), *own])
    tcp = [
        *(_step(_LOAD, _FIRST), _step(_EQUAL, _AF_INET, 2, 0), _step(_EQUAL, _AF_INET6, 1, 0), refuse),
        *(_step(_LOAD, _SECOND), _step(_AND, _TYPE_MASK), _step(_EQUAL, _SOCK_STREAM, 1, 0), refuse),
        *(_step(_LOAD, _THIRD), _step(_EQUAL, 0, 2, 0), _step(_EQUAL, _TCP, 1, 0), refuse),
    ]
    program += _if(judged["socket"], tcp)
    return [*program, _step(_RETURN, _ALLOW)]


def _if(number: int, steps: list[bytes]) -> list[bytes]:
    """Take these steps for one system call; what they do not refuse is allowed."""
    return [_step(_EQUAL, number, 0, len(steps) + 1), *steps, _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)
