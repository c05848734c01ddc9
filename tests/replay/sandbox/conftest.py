"""Stores with recordings of the desk, and a way to replay them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture(scope="session")
def desk_agents(import_file):
    """The module of the desk's agents, as the workers import it."""
    return import_file(AGENTS / "desk_agents.py")


@pytest.fixture
def recorded_desk(desk_agents, tmp_path, monkeypatch) -> Iterator[Callable[..., Store]]:
    """Record conversations of the desk, each a list of questions; and then let its bodies know that they run again."""
    opened = []

    def make(*talks: list[str]) -> Store:
        store = Store.create(tmp_path / "audit")
        previous = config._state.recorder
        config.use(Recorder(store.writer(), agent_version="1"))
        try:
            for number, questions in enumerate(talks):
                with auditlog.conversation(f"d{number}"):
                    for question in questions:
                        desk_agents.desk(question)
        finally:
            config.use(previous)
            store.close()
        monkeypatch.setenv(desk_agents.WHERE, "live")
        opened.append(Store.open(tmp_path / "audit"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def run_desk():
    """Replay a store with one of the desk's agents; give the report."""

    def run(store, agent, modes, **options):
        env = ("DESK_WHERE", *options.pop("env", ()))
        plan = replay.plan(
            store, f"desk_agents:{agent}", path=AGENTS, workers=1, modes=modes, env=env, **options
        )
        return replay.load_report(store, replay.run(store, plan).run_id)

    return run
