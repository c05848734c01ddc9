"""Agents whose tools give dataclasses, enums, dates and decimals are replayed with the same."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture(scope="module")
def typed(import_file):
    """The module of the agents, as the workers import it."""
    module = import_file(AGENTS / "typed_agents.py")
    yield module
    del sys.modules["typed_agents"]


def replayed(path, agent, *args):
    """Record one turn and replay it; give the case."""
    with Store.create(path) as store:
        config.use(Recorder(store.writer()))
        try:
            with auditlog.conversation("c"):
                agent(*args)
        finally:
            config.use(None)
    with Store.open(path) as store:
        plan = replay.plan(store, f"typed_agents:{agent.__name__}", path=AGENTS, workers=1, kind="verify")
        (case,) = replay.load_report(store, replay.run(store, plan).run_id).cases
        return case


def test_a_tool_gives_its_own_types_again(typed, tmp_path):
    """A dataclass of a decimal, an enum and a date is served as one, to an agent that was called with a datetime."""
    case = replayed(tmp_path / "audit", typed.answer, "A1", dt.datetime(2026, 1, 3, tzinfo=dt.UTC))
    assert ("complete", "identical", "") == (case.status, case.diff.case_class, case.why)
    assert "19.80 SENT True" == case.candidate[0].agent.output


def test_what_cannot_be_made_again_makes_the_case_unreplayable(typed, tmp_path):
    """A tool's iterator is not served as anything else: the case says which tool, and why."""
    case = replayed(tmp_path / "audit", typed.answer_of_a_stream, "A1")
    assert "unreplayable" == case.status
    assert "stream cannot be served" in case.why
