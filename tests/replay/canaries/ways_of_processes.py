"""Other processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import multiprocessing
import os
import pickle
import pty
import shutil
import subprocess
import sys
from multiprocessing import shared_memory

from canary_base import (
    Canary,
    touch,
    way,
)

TOUCH = shutil.which("touch") or "/usr/bin/touch"


@way("invalid", r"run touch \(subprocess\.Popen\)")
def process_run(canary: Canary) -> None:
    subprocess.run(["touch", canary.path], check=True)


@way("invalid", r"run echo in a shell")
def process_shell(canary: Canary) -> None:
    os.system(f"echo touched > {canary.path}")


@way("invalid", r"run touch \(subprocess\.Popen\)")
async def process_asyncio(canary: Canary) -> None:
    await (await asyncio.create_subprocess_exec("touch", canary.path)).wait()


@way("invalid", r"run /bin/sh \(os\.posix_spawn\)")
def process_spawn(canary: Canary) -> None:
    os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", f"echo touched > {canary.path}"], {}), 0)


@way("invalid", r"fork a process")
def process_fork(canary: Canary) -> None:
    child = os.fork()
    if child == 0:
        touch(canary.path)
        os._exit(0)
    os.waitpid(child, 0)


@way("invalid", r"fork a process")
def process_multiprocessing_fork(canary: Canary) -> None:
    child = multiprocessing.get_context("fork").Process(target=touch, args=(canary.path,))
    child.start()
    child.join()


@way("invalid", r"run a program \(fork_exec\)")
def process_multiprocessing_spawn(canary: Canary) -> None:
    child = multiprocessing.get_context("spawn").Process(target=touch, args=(canary.path,))
    child.start()
    child.join()


@way("invalid", r"fork a process")
def process_pool(canary: Canary) -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        pool.submit(touch, canary.path).result()


@way("invalid", r"start an interpreter")
def process_interpreter(canary: Canary) -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = importlib.import_module(name)
    interpreters.run_string(interpreters.create(), f"open({canary.path!r}, 'w').close()")


@way("invalid", r"run /bin/sh \(subprocess\.Popen\)")
def process_pipe(canary: Canary) -> None:
    os.popen(f"touch {canary.path}").close()


@way("invalid", r"run .*touch \(os\.(posix_)?spawn\)|fork a process")
def process_spawn_and_wait(canary: Canary) -> None:
    os.spawnv(os.P_WAIT, TOUCH, ["touch", canary.path])


@way("invalid", r"fork a process|run touch \(pty\.spawn\)|run .*pty\.spawn")
def process_terminal(canary: Canary) -> None:
    pty.spawn(["touch", canary.path])


@way("invalid", r"fork a process")
def process_fork_with_terminal(canary: Canary) -> None:
    child, _ = os.forkpty()
    if child == 0:
        touch(canary.path)
        os._exit(0)
    os.waitpid(child, 0)


@way("invalid", r"run a program \(fork_exec\)")
def process_multiprocessing_forkserver(canary: Canary) -> None:
    child = multiprocessing.get_context("forkserver").Process(target=touch, args=(canary.path,))
    child.start()
    child.join()


@way("invalid", r"fork a process")
def process_manager(canary: Canary) -> None:
    with multiprocessing.get_context("fork").Manager() as manager:
        manager.Pool(1).apply(touch, (canary.path,))


@way("invalid", r"run a program \(fork_exec\)")
def process_with_descriptors(canary: Canary) -> None:
    from multiprocessing.util import spawnv_passfds

    os.waitpid(spawnv_passfds(TOUCH.encode(), [b"touch", canary.path.encode()], []), 0)


@way("invalid", r"run .*touch \(os\.exec\)")
def process_replaced(canary: Canary) -> None:
    os.execv(TOUCH, ["touch", canary.path])


@way("invalid", r"run touch in a shell")
def process_unpickled(canary: Canary) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {canary.path}",)

    pickle.loads(pickle.dumps(Payload()))


@way("invalid", r"load the module _posixsubprocess a second time")
def process_by_a_second_module(canary: Canary) -> None:
    first = sys.modules.pop("_posixsubprocess")
    try:
        importlib.import_module("_posixsubprocess")
        process_with_descriptors(canary)
    finally:
        sys.modules["_posixsubprocess"] = first


@way("invalid", r"write the file .*/canary; end its process")
def process_that_ends_itself(canary: Canary) -> None:
    with contextlib.suppress(BaseException):
        touch(canary.path)
    os._exit(0)


@way("invalid", r"open shared memory that is not its own")
def process_shared_memory(canary: Canary) -> None:
    found = shared_memory.SharedMemory(canary.shared)
    found.buf[0] = 1
    found.close()
