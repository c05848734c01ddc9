"""Workers on a Ray cluster: the same results, and nothing lost or counted twice when actors are."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

import replay
from auditlog.store import Store
from replay.errors import RunError
from replay.running.limits import Limits

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture
def store(agents, record, tmp_path):
    """A store with 120 recorded turns."""
    record(tmp_path / "audit", agents.v1, [["hello", "refund A1", "refund B9"] for _ in range(40)])
    with Store.open(tmp_path / "audit") as found:
        yield found


def plan(store, **options):
    """Plan a run with a baseline."""
    return replay.plan(
        store, "shop_agents:v1", baseline="shop_agents:v1", path=AGENTS, workers=1, sample=0.1, **options
    )


def actors():
    """Give the process ids of this machine's actors of runs, the one that gives leases among them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes().startswith(b"ray::_Remote"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_a_killed_actor_loses_nothing_and_counts_nothing_twice(store):
    """While shards run on a cluster of this machine its actors are killed, and every execution is there once."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed (`make test ALL=1` installs it)")
    killed = []

    def kill(progress):
        if not killed and progress.done >= 20:
            killed.extend(actors())
            for actor in killed:
                os.kill(actor, signal.SIGKILL)

    planned = plan(store, engine="ray", limits=Limits(requests_per_minute=60_000))
    summary = replay.run(store, planned, progress=kill)
    assert killed
    assert (summary.status, summary.done, dict(summary.classes)) == ("complete", 120, {"identical": 120})
    found = store.query(
        "SELECT replay_arm AS arm, count(*) AS n FROM all_spans WHERE replay_status IS NOT NULL AND kind = 'agent' "
        "GROUP BY replay_arm, replay_source_span_id"
    ).to_pylist()
    assert {1} == {row["n"] for row in found}
    assert {"baseline": 120, "candidate": 120, "baseline_2": 12} == Counter(row["arm"] for row in found)


def test_without_ray_the_engine_says_what_installs_it(store, monkeypatch):
    """A missing extra is a clear sentence, and nothing was written."""
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(RunError, match=r"pip install 'auditlog-replay\[ray\]'"):
        replay.run(store, plan(store, engine="ray"))
    assert [] == replay.load_runs(store)
