"""The filter of system calls, asked in a process of its own; and its numbers, held against the system's own tables."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from replay.sandbox import seccomp

TRIES = """
import ctypes, errno, fcntl, os, platform, signal, socket, struct, sys, termios, threading
from replay.sandbox.seccomp import filter_system_calls

libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == "x86_64"
if not filter_system_calls():
    print("none")
    sys.exit()

def number(name):
    return {"io_uring_setup": 425, "clone3": 435, "ptrace": 101 if x86 else 117, "bpf": 321 if x86 else 280,
            "unshare": 272 if x86 else 97, "process_vm_readv": 310 if x86 else 270, "mq_open": 240 if x86 else 180,
            "shmget": 29 if x86 else 194, "pidfd_send_signal": 424, "keyctl": 250 if x86 else 219}[name]

def call(name):
    ctypes.set_errno(0)
    libc.syscall(number(name), 0, 0, 0, 0, 0)
    return errno.errorcode.get(ctypes.get_errno(), "OK")

def python(function):
    try:
        function()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "OK"

def on_a_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(python(os.fork)))
    thread.start()
    thread.join()
    if found == ["EPERM"]:
        raise PermissionError(errno.EPERM, "on a thread, too")

TRIED = {
    "fork": lambda: python(os.fork),
    "fork on a thread": lambda: python(on_a_thread),
    "posix_spawn": lambda: python(lambda: os.posix_spawn("/bin/true", ["true"], {})),
    "exec": lambda: python(lambda: os.execv("/bin/true", ["true"])),
    "exec of a descriptor": lambda: python(lambda: os.execve(os.memfd_create("x"), ["x"], {})),
    "unix socket": lambda: python(lambda: socket.socket(socket.AF_UNIX)),
    "UDP socket": lambda: python(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
    "raw socket": lambda: python(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "multipath TCP socket": lambda: python(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)),
    "signal to the parent": lambda: python(lambda: os.kill(os.getppid(), 0)),
    "limits of the parent": lambda: python(lambda: __import__("resource").prlimit(os.getppid(), 7)),
    **{name: (lambda name=name: call(name)) for name in
       ("io_uring_setup", "ptrace", "bpf", "unshare", "process_vm_readv", "mq_open", "shmget", "pidfd_send_signal", "keyctl")},
    "signals for the parent": lambda: python(lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getppid())),
    "signals for another's group": lambda: python(lambda: fcntl.ioctl(socket.socket(), 0x8902, struct.pack("i", -1))),
    "priority of the parent": lambda: python(lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)),
    "priority of the user": lambda: python(lambda: os.setpriority(os.PRIO_USER, 0, 19)),
    "listening": lambda: python(lambda: socket.socket().listen()),
    "fast open": lambda: python(lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", 9))),
    "fast open of a message": lambda: python(lambda: socket.socket().sendmsg([b"x"], [], socket.MSG_FASTOPEN, ("127.0.0.1", 9))),
    "typing": lambda: python(lambda: fcntl.ioctl(os.openpty()[1], termios.TIOCSTI, b"x")),
    "flags of a file": lambda: python(lambda: fcntl.ioctl(os.open("/", os.O_RDONLY), 0x40086602, bytes(8))),
    "clone3": lambda: call("clone3"),
    "own priority": lambda: python(lambda: os.setpriority(os.PRIO_PROCESS, os.getpid(), os.getpriority(os.PRIO_PROCESS, 0))),
    "size of a terminal": lambda: python(lambda: os.get_terminal_size(os.openpty()[1])),
    "owner is oneself": lambda: python(lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, os.getpid())),
    "TCP socket": lambda: python(lambda: socket.socket().close()),
    "TCP socket, version 6": lambda: python(lambda: socket.socket(socket.AF_INET6).close()),
    "pair of sockets": lambda: python(socket.socketpair),
    "thread": lambda: python(lambda: threading.Thread(target=int).start()),
    "signal to itself": lambda: python(lambda: os.kill(os.getpid(), 0)),
    "own limits": lambda: python(lambda: __import__("resource").prlimit(os.getpid(), 7)),
}
for name, tried in TRIED.items():
    print(f"{name}={tried()}")
"""
ALLOWED = (
    "TCP socket",
    "TCP socket, version 6",
    "pair of sockets",
    "thread",
    "signal to itself",
    "own limits",
    "own priority",
    "size of a terminal",
    "owner is oneself",
)


def test_the_filter_refuses_what_it_says_and_nothing_that_an_agent_needs():
    """New processes, other sockets, other processes and other ways into the kernel fail; threads and TCP do not."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRIES], capture_output=True, text=True, check=True
    )
    if done.stdout.strip() == "none":
        pytest.skip("this machine has no filter of system calls")
    found = dict(line.split("=") for line in done.stdout.splitlines())
    expected = {name: "OK" if name in ALLOWED else "EPERM" for name in found}
    assert {**expected, "clone3": "ENOSYS"} == found
    assert len(found) == 39


def _numbers(path: str) -> dict[int, str]:
    text = Path(path).read_text(encoding="utf-8")
    return {int(number): name for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_those_of_the_kernel(machine, header):
    """Each machine refuses the same calls, by its own numbers; a call that only one has is one of that machine's."""
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed")
    names = _numbers(header)
    _, judged, refused = seccomp._TABLES[machine]
    assert {name: names[number] for name, number in judged.items()} == {name: name for name in judged}
    found = {names[number] for number in (*refused, *seccomp._SAME_NUMBERS)}
    assert len(found) == len(refused) + len(seccomp._SAME_NUMBERS)
    only_here = {"x86_64": {"fork", "vfork", "iopl", "ioperm"}, "aarch64": set()}[machine]
    common = {
        "execve",
        "execveat",
        "ptrace",
        "unshare",
        "setns",
        "io_uring_setup",
        "shmget",
        "mq_open",
        "bpf",
        "keyctl",
    }
    assert common | only_here <= found
    assert len(found - only_here) == 68


def test_an_unknown_machine_has_no_filter(monkeypatch):
    """Where the numbers are not known nothing is filtered, and nothing is claimed."""
    monkeypatch.setattr(platform, "machine", lambda: "sparc")
    assert not seccomp.filter_system_calls()
