"""What acts later, or on a thread of its own: timers, finalizers, callbacks, event loops."""

from __future__ import annotations

import _thread
import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import gc
import signal
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Iterator

from canary_base import BLOCKED, LEAK, Canary, touch, way, write_tool

WRITES = "invalid", r"write the file .*/canary"


@way(*LEAK)
def raw_thread(canary: Canary) -> None:
    done = threading.Event()
    _thread.start_new_thread(lambda: (_swallowed(canary), done.set()), ())
    done.wait(5)


def _swallowed(canary: Canary) -> None:
    with contextlib.suppress(BaseException):
        write_tool(canary.path)


@way("invalid", r"left threads running after its answer: a thread without a name")
def raw_thread_that_outlives(canary: Canary) -> None:
    _thread.start_new_thread(lambda: (time.sleep(2.0), touch(canary.path)), ())


@way(*WRITES)
def timer(canary: Canary) -> None:
    threading.Timer(0.1, touch, (canary.path,)).start()


@way(*LEAK)
def pool_initializer(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor(initializer=write_tool, initargs=(canary.path,)) as pool:
        pool.submit(int)


@way(*LEAK)
def pool_map(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(write_tool, [canary.path]))


@way(*LEAK)
def done_callback_on_a_thread(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(time.sleep, 0.05).add_done_callback(lambda _: write_tool(canary.path))


@way(*LEAK)
def event_loop_on_a_thread(canary: Canary) -> None:
    async def act() -> None:
        write_tool(canary.path)

    thread = threading.Thread(target=lambda: asyncio.run(act()))
    thread.start()
    thread.join()


@way(*LEAK)
def empty_context(canary: Canary) -> None:
    contextvars.Context().run(write_tool, canary.path)


@way(*LEAK)
async def callback_in_an_empty_context(canary: Canary) -> None:
    asyncio.get_running_loop().call_soon(write_tool, canary.path, context=contextvars.Context())
    await asyncio.sleep(0.05)


@way(*BLOCKED)
async def worker_thread_of_anyio(canary: Canary) -> None:
    import anyio.to_thread

    await anyio.to_thread.run_sync(write_tool, canary.path)


@way(*BLOCKED)
async def task_that_is_left(canary: Canary) -> None:
    async def act() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            write_tool(canary.path)

    task = asyncio.create_task(act())
    await asyncio.sleep(0)
    weakref.finalize(task, int)


@way(*BLOCKED)
def generator_that_is_left(canary: Canary) -> None:
    def steps() -> Iterator[int]:
        try:
            yield 1
        finally:
            write_tool(canary.path)

    next(steps())


@way(*BLOCKED)
async def async_generator_that_is_left(canary: Canary) -> None:
    async def steps() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            write_tool(canary.path)

    await anext(steps())


@way(*BLOCKED)
def weak_finalizer(canary: Canary) -> None:
    class Holder:
        pass

    weakref.finalize(Holder(), write_tool, canary.path)


@way(*WRITES)
def weak_finalizer_of_a_cycle(canary: Canary) -> None:
    class Holder:
        pass

    holder = Holder()
    holder.itself = holder  # type: ignore[attr-defined]
    weakref.finalize(holder, touch, canary.path)
    del holder
    gc.collect()


@way(*WRITES)
def callback_of_the_collector(canary: Canary) -> None:
    def act(*_: object) -> None:
        gc.callbacks.remove(act)
        touch(canary.path)

    gc.callbacks.append(act)
    gc.collect()


@way(*BLOCKED)
def signal_handler(canary: Canary) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: write_tool(canary.path))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        time.sleep(0.2)
    finally:
        signal.signal(signal.SIGALRM, before)


@way(*WRITES)
def exit_handler(canary: Canary) -> None:
    atexit.register(touch, canary.path)
    atexit._run_exitfuncs()


@way(*WRITES)
def hook_for_errors_of_threads(canary: Canary) -> None:
    before, threading.excepthook = threading.excepthook, lambda _: touch(canary.path)
    try:
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
    finally:
        threading.excepthook = before


@way(*WRITES)
def tracing(canary: Canary) -> None:
    def act(*_: object) -> None:
        sys.settrace(None)
        touch(canary.path)

    sys.settrace(act)
    contextlib.nullcontext().__enter__()


@way(*WRITES)
def text_that_acts_when_it_is_formatted(canary: Canary) -> None:
    class Text(str):  # noqa: SLOT000
        def __str__(self) -> str:
            touch(canary.path)
            return "text"

    f"{Text()}"
