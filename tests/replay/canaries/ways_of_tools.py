"""Decorated tools, called in every manner."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time

from canary_base import (
    BLOCKED,
    LEAK,
    Canary,
    async_streaming_tool,
    async_tool,
    control_tool,
    read_tool,
    retriever,
    streaming_tool,
    touch,
    undeclared_tool,
    way,
    write_tool,
)

import auditlog


@way(*BLOCKED)
def tool(canary: Canary) -> None:
    write_tool(canary.path)


@way("blocked", r"taken for a write, since its effect is not declared")
def tool_undeclared(canary: Canary) -> None:
    undeclared_tool(canary.path)


@way("diverged", r"read_tool was not served: the recording holds no call")
def tool_read(canary: Canary) -> None:
    read_tool(canary.path)


@way("diverged", r"control_tool was not served")
def tool_control(canary: Canary) -> None:
    control_tool(canary.path)


@way("diverged", r"retriever was not served")
def tool_retriever(canary: Canary) -> None:
    retriever(canary.path)


@way(*BLOCKED)
def tool_generator(canary: Canary) -> None:
    list(streaming_tool(canary.path))


@way(*BLOCKED)
async def tool_async(canary: Canary) -> None:
    await async_tool(canary.path)


@way(*BLOCKED)
async def tool_async_generator(canary: Canary) -> None:
    async for _ in async_streaming_tool(canary.path):
        pass


@way(*LEAK)
def tool_in_thread(canary: Canary) -> None:
    thread = threading.Thread(target=write_tool, args=(canary.path,))
    thread.start()
    thread.join()


@way(*LEAK)
def tool_in_thread_pool(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(write_tool, canary.path).result()


@way(*LEAK)
def tool_in_thread_pool_unawaited(canary: Canary) -> None:
    # The future's error is nobody's: nothing is raised in the agent.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(write_tool, canary.path)


@way(*BLOCKED)
def tool_in_propagated_pool(canary: Canary) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        auditlog.propagate(pool).submit(write_tool, canary.path).result()


@way(*LEAK)
async def tool_in_executor(canary: Canary) -> None:
    await asyncio.get_running_loop().run_in_executor(None, write_tool, canary.path)


@way(*BLOCKED)
async def tool_in_to_thread(canary: Canary) -> None:
    await asyncio.to_thread(write_tool, canary.path)


@way(*BLOCKED)
async def tool_in_task(canary: Canary) -> None:
    await asyncio.gather(async_tool(canary.path), async_tool(canary.path))


@way(*BLOCKED)
def tool_swallowed(canary: Canary) -> None:
    with contextlib.suppress(Exception):
        write_tool(canary.path)


@way(*BLOCKED)
def tool_swallowed_bare(canary: Canary) -> None:
    try:
        write_tool(canary.path)
    except:  # noqa: E722 - the worst that an agent can do
        pass


@way(*BLOCKED)
def tool_retried(canary: Canary) -> None:
    for _ in range(3):
        try:
            write_tool(canary.path)
        except BaseException:  # noqa: BLE001
            continue


@way(*LEAK)
def tool_by_late_thread(canary: Canary) -> None:
    threading.Thread(target=lambda: (time.sleep(0.2), write_tool(canary.path)), daemon=True).start()


@way(*BLOCKED)
def tool_in_finalizer(canary: Canary) -> None:
    class Holder:
        def __del__(self) -> None:
            write_tool(canary.path)

    Holder()


@way("invalid", r"left threads running")
def thread_that_outlives(canary: Canary) -> None:
    threading.Thread(target=lambda: (time.sleep(2.0), touch(canary.path)), daemon=True).start()
