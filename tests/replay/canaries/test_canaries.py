"""No way out of a replay reaches its canary, and each would without the locks."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE))
try:
    from canary_agents import WAYS
finally:
    sys.path.remove(str(HERE))


@pytest.mark.parametrize("way", WAYS)
def test_without_locks_the_canary_is_hit(way, unlocked, nest):
    """Each way reaches its canary when nothing stands in it, so that the tests below can fail."""
    nest.reset()
    unlocked.run({"way": way, "canary": nest.arguments()})
    assert nest.touched(patience=10.0)


@pytest.mark.parametrize("way", WAYS)
def test_with_locks_the_canary_is_not_hit_and_the_case_says_why(way, locked, nest):
    """Behind the locks no way reaches its canary, and the case's status and reason say what was tried."""
    nest.reset()
    result = locked.run({"way": way, "canary": nest.arguments()})
    assert not nest.touched(patience=2.5 if way.endswith("that_outlives") else 0.0)
    assert not isinstance(result, str), result
    expected = WAYS[way]
    assert result.status in expected.status.split("|"), result.why
    assert re.search(expected.why, result.why)


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
