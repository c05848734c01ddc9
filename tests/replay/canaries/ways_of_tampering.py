"""Ways that take the replay itself apart first."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import gc
import importlib
import os
import sys
import types
from collections.abc import Iterator
from typing import Any

from canary_base import BLOCKED, Canary, touch, way, write_tool

import auditlog.interception

LIBC = ctypes.CDLL(None)
CODE = "invalid", r"change the replay's own code \("


@contextlib.contextmanager
def exchanged(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Put a value in the place of another for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@way("invalid", r"take the replay's interceptor away")
def interceptor_taken_away(canary: Canary) -> None:
    auditlog.interception.uninstall()
    write_tool(canary.path)


@way("invalid", r"write the file .*; make a call that the replay was not asked about")
def interceptor_away_for_a_moment(canary: Canary) -> None:
    with exchanged(auditlog.interception, "_installed", None), contextlib.suppress(BaseException):
        write_tool(canary.path)


@way(*CODE)
def interceptor_asked_nothing(canary: Canary) -> None:
    found = auditlog.interception.installed()
    if found is not None:
        type(found).before = lambda _self, _call: None  # type: ignore[method-assign]
    write_tool(canary.path)


@way(*CODE)
def interceptor_never_found(canary: Canary) -> None:
    auditlog.interception.installed = lambda: None
    write_tool(canary.path)


@way("invalid", r"write the file ")
def interceptor_given_other_modes(canary: Canary) -> None:
    from replay.sandbox.modes import Modes

    found = auditlog.interception.installed()
    if found is not None:
        found._modes = Modes(writes="live", live_writes=("write_tool",))  # type: ignore[attr-defined]
    write_tool(canary.path)


@way("invalid", r"write the file ")
def interceptor_found_in_the_frames(canary: Canary) -> None:
    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if type(value).__name__ == "CaseInterceptor":
                value.before = lambda _call: None
        frame = frame.f_back
    try:
        write_tool(canary.path)
    finally:
        vars(auditlog.interception.installed() or types.SimpleNamespace()).pop("before", None)


@way("invalid", r"write the file ")
def tool_unwrapped(canary: Canary) -> None:
    write_tool.__wrapped__(canary.path)  # type: ignore[attr-defined]


@way("invalid", r"change the replay's own code \(auditlog\.")
def tool_with_other_code(canary: Canary) -> None:
    from auditlog.decorators import given

    given.__code__ = (lambda answer: None).__code__
    write_tool.__wrapped__(canary.path)  # type: ignore[attr-defined]


@way(*BLOCKED)
def case_that_was_not_stopped(canary: Canary) -> None:
    from replay.sandbox.state import process

    with contextlib.suppress(BaseException):
        write_tool(canary.path)
    if process.case is not None:
        process.case.stopped = None
    write_tool(canary.path)


@way("invalid", r"write the file |change the replay's own code")
def violations_forgotten(canary: Canary) -> None:
    from replay.sandbox.state import process

    with contextlib.suppress(BaseException):
        touch(canary.path)
    process._violations.clear()
    with contextlib.suppress(BaseException):
        touch(canary.path)


@way(*CODE)
def violations_never_remembered(canary: Canary) -> None:
    from replay.sandbox.state import ProcessState

    ProcessState.remember = lambda _self, _what: None  # type: ignore[method-assign]
    with contextlib.suppress(BaseException):
        touch(canary.path)


@way(*CODE)
def rules_exchanged(canary: Canary) -> None:
    from replay.sandbox import rules

    rules._Files.may_write = lambda *_: True  # type: ignore[method-assign]
    touch(canary.path)


@way(*CODE)
def rules_exchanged_by_name(canary: Canary) -> None:
    from replay.sandbox import rules

    rules.resolved = lambda _name: os.environ["TMPDIR"]
    touch(canary.path)


@way("invalid", r"take the replay's rules apart|write the file|change the replay's own code")
def rules_emptied(canary: Canary) -> None:
    for door in (os.mkfifo, os.mknod, os._exit):
        for cell in getattr(door, "__closure__", None) or ():
            owner = getattr(cell.cell_contents, "__self__", None)
            if owner is not None:
                owner._always = owner._native = {}
    touch(canary.path)


@way("invalid", r"search the memory of its process")
def rules_searched_for(canary: Canary) -> None:
    for found in gc.get_objects():
        if type(found).__name__ == "Guard":
            found._always = {}
    touch(canary.path)


@way("invalid", r"put in an audit hook of its own")
def hook_of_ones_own(canary: Canary) -> None:
    sys.addaudithook(lambda event, _: touch(canary.path) if event == "canary" else None)
    sys.audit("canary")


@way("errored|complete|invalid", r"")
def phase_of_import(canary: Canary) -> None:
    from replay.sandbox.state import process

    process.phase = "import"
    try:
        ctypes.CDLL(None).system(f"echo touched > {canary.path}".encode())
    finally:
        process.phase = "case"


@way("invalid", r"write the file .*/canary")
def case_that_is_over(canary: Canary) -> None:
    from replay.sandbox.state import process

    case, process.case = process.case, None
    try:
        touch(canary.path)
    finally:
        process.case = case


@way("invalid", r"write the file .*/canary")
def modules_exchanged(canary: Canary) -> None:
    names = [name for name in sys.modules if name.startswith("replay.")]
    taken = {name: sys.modules.pop(name) for name in names}
    try:
        touch(canary.path)
    finally:
        sys.modules.update(taken)


@way("invalid", r"change the replay's own code \(sys.modules.auditlog")
def modules_loaded_anew(canary: Canary) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "auditlog"]:
        del sys.modules[name]
    anew = importlib.import_module("auditlog")
    anew.tool(effect="write")(touch)(canary.path)


@way("invalid", r"change the replay's own code \(.*_verdict\)")
def verdict_exchanged(canary: Canary) -> None:
    for name in ("__main__", "replay.running.worker"):
        if hasattr(sys.modules.get(name), "_verdict"):
            sys.modules[name]._verdict = lambda *_: ("complete", "")
    with contextlib.suppress(BaseException):
        touch(canary.path)


@way("invalid", r"change the replay's own code \(")
def settling_exchanged(canary: Canary) -> None:
    from replay.sandbox import surroundings

    surroundings.Surroundings.settle = lambda _self: ()  # type: ignore[method-assign]
    surroundings.Surroundings._taken_apart = lambda _self: iter(())  # type: ignore[method-assign]
    with contextlib.suppress(BaseException):
        touch(canary.path)


@way("invalid", r"change the replay's own code \(builtins.any\)")
def builtin_exchanged(canary: Canary) -> None:
    with exchanged(builtins, "any", lambda _: True), contextlib.suppress(BaseException):
        touch(canary.path)
    builtins.any = lambda _: True


@way(*CODE)
def matching_that_finds_all_calls_equal(canary: Canary) -> None:
    import replay.matching.cassette

    replay.matching.cassette.match_key = lambda *_: "the same"  # type: ignore[attr-defined]
    write_tool(canary.path)


@way(*CODE)
def matching_by_another_form(canary: Canary) -> None:
    import replay.canonical

    replay.canonical.lost_something = lambda _: False
    write_tool(canary.path)


@way(*CODE)
def http_that_is_not_met(canary: Canary) -> None:
    import auditlog.http_calls

    auditlog.http_calls.begun = lambda *_, **__: None
    write_tool(canary.path)


@way(*CODE)
def sockets_made_otherwise(canary: Canary) -> None:
    import socket

    socket.socket.__init__ = lambda self, *args, **kwargs: super(socket.socket, self).__init__(
        *args, **kwargs
    )  # type: ignore[method-assign]
    write_tool(canary.path)
