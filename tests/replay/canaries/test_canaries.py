"""No way out of a replay reaches its canary, and each would without the locks."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("canary_agents", Path(__file__).with_name("canary_agents.py"))
assert _spec is not None
assert _spec.loader is not None
canary_agents = importlib.util.module_from_spec(_spec)
sys.modules["canary_agents"] = canary_agents
_spec.loader.exec_module(canary_agents)

BLOCKED = "blocked", r"was blocked: the recording holds no call"
LEAK = "invalid", r"tried to call tool write_tool outside of the case's context \(auditlog.propagate"

EXPECTED = {
    "tool": BLOCKED,
    "tool_undeclared": ("blocked", r"taken for a write, since its effect is not declared"),
    "tool_read": ("diverged", r"read_tool was not served: the recording holds no call"),
    "tool_control": ("diverged", r"control_tool was not served"),
    "tool_retriever": ("diverged", r"retriever was not served"),
    "tool_generator": BLOCKED,
    "tool_async": BLOCKED,
    "tool_async_generator": BLOCKED,
    "tool_in_thread": LEAK,
    "tool_in_thread_pool": LEAK,
    "tool_in_thread_pool_unawaited": LEAK,
    "tool_in_propagated_pool": BLOCKED,
    "tool_in_executor": LEAK,
    "tool_in_to_thread": BLOCKED,
    "tool_in_task": BLOCKED,
    "tool_swallowed": BLOCKED,
    "tool_swallowed_bare": BLOCKED,
    "tool_retried": BLOCKED,
    "tool_by_late_thread": LEAK,
    "tool_in_finalizer": BLOCKED,
    "thread_that_outlives": ("invalid", r"left threads running"),
    "network_urllib": ("invalid", r"look up 127\.0\.0\.1:\d+"),
    "network_urllib_swallowed": ("invalid", r"look up 127\.0\.0\.1:\d+"),
    "network_httpx": ("invalid", r"look up 127\.0\.0\.1:\d+"),
    "network_httpx_async": ("invalid", r"(look up|connect to) 127\.0\.0\.1:\d+"),
    "network_socket": ("invalid", r"connect to 127\.0\.0\.1:\d+"),
    "network_socket_in_thread": ("invalid", r"connect to 127\.0\.0\.1:\d+"),
    "network_connect_ex": ("invalid", r"connect to 127\.0\.0\.1:\d+"),
    "network_asyncio": ("invalid", r"connect to 127\.0\.0\.1:\d+"),
    "network_unix": ("invalid", r"connect to /tmp/canary-.*/socket"),
    "network_udp": ("invalid", r"send to 127\.0\.0\.1:\d+"),
    "process_run": ("invalid", r"run touch \(subprocess\.Popen\)"),
    "process_shell": ("invalid", r"run echo in a shell"),
    "process_asyncio": ("invalid", r"run touch \(subprocess\.Popen\)"),
    "process_spawn": ("invalid", r"run /bin/sh \(os\.posix_spawn\)"),
    "process_fork": ("invalid", r"fork a process"),
    "process_multiprocessing_fork": ("invalid", r"fork a process"),
    "process_multiprocessing_spawn": ("invalid", r"run a program \(fork_exec\)"),
    "process_pool": ("invalid", r"fork a process"),
    "process_interpreter": ("invalid", r"start an interpreter"),
    "file_open": ("invalid", r"write the file .*/canary"),
    "file_pathlib": ("invalid", r"write the file .*/canary"),
    "file_os_open": ("invalid", r"write the file .*/canary"),
    "file_moved_there": ("invalid", r"rename "),
    "file_through_link": ("invalid", r"write the file .*/link"),
    "file_in_open_directory": ("invalid", r"write the file /proc/self/fd/\d+/canary"),
    "file_directory": ("invalid", r"mkdir .*/canary"),
    "file_fifo": ("invalid", r"make a pipe file"),
    "file_node": ("invalid", r"make a device file"),
    "file_by_sly_path": ("invalid", r"write the file (a SlyPath|.*/canary)"),
    "database": ("invalid", r"open the database .*/canary"),
    "database_by_uri": ("invalid", r"open the database file:.*/canary"),
    "database_attached_by_uri": ("invalid", r"open the database file:.*/canary"),
    "database_attached": ("invalid", r"open a database that it attaches"),
    "database_vacuumed_into": ("invalid", r"open the database .*/canary"),
    "native_system": ("invalid", r"load native code"),
    "native_connect": ("invalid", r"load native code"),
}


def test_every_way_is_expected_somewhere():
    """A way that is added to the agents is in the table of what becomes of it."""
    assert set(canary_agents.WAYS) == set(EXPECTED)


@pytest.mark.parametrize("way", EXPECTED)
def test_without_locks_the_canary_is_hit(way, unlocked, nest):
    """Each way reaches its canary when nothing stands in it, so that the tests below can fail."""
    nest.reset()
    unlocked.run({"way": way, "canary": nest.arguments()})
    assert nest.touched(patience=10.0)


@pytest.mark.parametrize(("way", "status", "why"), [(way, *ends) for way, ends in EXPECTED.items()])
def test_with_locks_the_canary_is_not_hit_and_the_case_says_why(way, status, why, locked, nest):
    """Behind the locks no way reaches its canary, and the case's status and reason say what was tried."""
    nest.reset()
    result = locked.run({"way": way, "canary": nest.arguments()})
    assert not nest.touched(patience=2.5 if way == "thread_that_outlives" else 0.0)
    assert not isinstance(result, str)
    assert (result.status, bool(re.search(why, result.why))) == (status, True), result.why


@pytest.mark.parametrize("way", ["tool", "tool_in_thread_pool", "tool_undeclared", "tool_generator"])
def test_interception_alone_keeps_tools_from_running(way, make_bench, nest):
    """With nothing but the interception below the decorators, no tool's body is entered on any thread."""
    nest.reset()
    make_bench("attempt", locks=("intercept",)).run({"way": way, "canary": nest.arguments()})
    assert not nest.touched()


@pytest.mark.parametrize(
    "way",
    [
        "tool",
        "network_socket_in_thread",
        "process_run",
        "process_multiprocessing_spawn",
        "process_fork",
        "process_interpreter",
        "file_open",
        "file_fifo",
        "file_by_sly_path",
        "file_in_open_directory",
        "database",
        "database_by_uri",
        "database_attached_by_uri",
        "database_attached",
        "database_vacuumed_into",
    ],
)
def test_the_audit_hook_alone_keeps_bodies_from_acting(way, make_bench, nest):
    """With nothing but the audit hook, code that does run cannot act."""
    nest.reset()
    result = make_bench("attempt", locks=("guard",)).run({"way": way, "canary": nest.arguments()})
    assert not nest.touched()
    assert not isinstance(result, str)
    assert result.status == "invalid"


@pytest.mark.parametrize(
    "way", ["process_run", "process_shell", "file_open", "database_attached", "native_system", "file_fifo"]
)
def test_landlock_alone_keeps_native_code_from_writing_and_executing(way, make_bench, nest):
    """With nothing but the kernel's Landlock, not even native code writes a file or starts a program."""
    nest.reset()
    bench = make_bench("attempt", locks=("landlock",))
    bench.run({"way": way, "canary": nest.arguments()})
    if not any(lock.startswith("landlock") for lock in bench.worker_locks):
        pytest.skip("this kernel has no Landlock")
    assert not nest.touched()


@pytest.mark.parametrize("way", ["network_socket", "network_udp", "native_connect"])
def test_the_network_namespace_alone_keeps_native_code_off_the_network(way, make_bench, nest):
    """With no host allowed and nothing but the kernel's namespace, not even native code reaches the loopback."""
    nest.reset()
    bench = make_bench("attempt", locks=("network",))
    bench.run({"way": way, "canary": nest.arguments()})
    if "network namespace" not in bench.worker_locks:
        pytest.skip("this kernel lets nobody make a network namespace")
    assert not nest.touched()
