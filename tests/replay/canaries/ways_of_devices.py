"""Pipes, terminals, and what the kernel does to other processes for whoever asks it."""

from __future__ import annotations

import fcntl
import importlib.machinery
import importlib.util
import os
import signal
import socket
import struct
import termios

from canary_base import Canary, way

_F_SETSIG, _FIOSETOWN = 10, 0x8901


@way("invalid", r"open the device or pipe")
def pipe_that_is_read(canary: Canary) -> None:
    with open(canary.pipe, "rb", buffering=0) as pipe:
        pipe.read(1)


@way("invalid", r"open the device or pipe /dev/pts")
def terminal_without_an_echo(canary: Canary) -> None:
    terminal = os.open(canary.terminal, os.O_RDONLY | os.O_NOCTTY)
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    os.close(terminal)


@way("invalid", r"have a process signalled")
def signal_for_the_owner_of_a_pipe(canary: Canary) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETOWN, canary.pid)
    fcntl.fcntl(reading, _F_SETSIG, signal.SIGUSR1)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(writing, b"x")


@way("invalid", r"control a device or an interface \(ioctl 0x8901\)")
def signal_for_the_owner_of_a_socket(canary: Canary) -> None:
    reading, writing = socket.socketpair()
    fcntl.ioctl(reading, _FIOSETOWN, struct.pack("i", canary.pid))
    fcntl.fcntl(reading, _F_SETSIG, signal.SIGUSR1)
    fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    writing.send(b"x")


@way("invalid", r"change how another process is run")
def process_made_slower(canary: Canary) -> None:
    os.setpriority(os.PRIO_PROCESS, canary.pid, 15)


@way("invalid", r"load the module elsewhere\._posixsubprocess a second time")
def process_by_a_module_of_another_package(canary: Canary) -> None:
    name = "elsewhere._posixsubprocess"
    found = importlib.util.find_spec("_posixsubprocess")
    assert found is not None
    if found.origin == "built-in":
        raise RuntimeError("it is loaded by its name alone")
    loader = importlib.machinery.ExtensionFileLoader(name, str(found.origin))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    told, tells = os.pipe()
    touched = [os.fsencode(canary.path)]
    nobody = (-1,) * 6
    made = module.fork_exec(
        *([b"/usr/bin/touch", *touched], [b"/usr/bin/touch"], True, (), None, None, *nobody, told, tells),
        *(False, False, -1, None, None, None, -1, None, False),
    )
    os.waitpid(made, 0)
