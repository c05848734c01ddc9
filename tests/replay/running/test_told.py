"""What a case did for real is in the store whatever becomes of the case."""

from __future__ import annotations

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.running.limits import Limits
from replay.running.pool import Worker
from replay.running.rates import Leases
from replay.running.runs import spent
from replay.sandbox.modes import Modes

AGENT = """
import os, time
import auditlog

@auditlog.tool(effect="read")
def look(order: str) -> dict:
    return {"order": order}

@auditlog.tool(effect="read")
def wait(order: str) -> dict:
    if "TOLD_SLOW" in os.environ:
        time.sleep(60)
    return {"order": order}

@auditlog.model(provider="openai")
def ask(messages: list, model: str = "m") -> dict:
    return {"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "choices": []}

@auditlog.agent("teller", version="1")
def answer(question: str) -> str:
    ask([{"role": "user", "content": question}])
    look(question)
    if question == "slow":
        wait(question)
    return "done"
"""
MODES = Modes(reads="live", live_reads=("look", "wait"))


@pytest.fixture
def told_store(tmp_path, monkeypatch, import_file):
    """A store with two turns of the agent, the second of which is slow when it runs again."""
    path = tmp_path / "told_agent.py"
    path.write_text(AGENT, encoding="utf-8")
    module = import_file(path)
    with Store.create(tmp_path / "audit") as store:
        config.use(Recorder(store.writer()))
        try:
            for question in ("quick", "slow"):
                with auditlog.conversation(question):
                    module.answer(question)
        finally:
            config.use(None)
        store.refresh()
        yield store


def run(store, path, **options):
    """Plan and run with one worker; give the report."""
    plan = replay.plan(store, "told_agent:answer", path=path, workers=1, modes=MODES, **options)
    return replay.load_report(store, replay.run(store, plan).run_id)


def calls(case):
    """Give kind, name, status and tier of each call of the candidate's turn."""
    (turn,) = case.candidate
    return [(s.kind, s.name, s.status, s.replay and s.replay.match_tier) for s in turn.spans]


def test_what_ran_for_real_is_told_once(told_store, tmp_path):
    """Of a case that ends as it should each call is there once, and what its model took counts once."""
    report = run(told_store, tmp_path)
    quick, slow = report.cases
    assert [
        ("agent", "teller", "ok", None),
        ("model", "ask", "ok", None),
        ("tool", "look", "ok", "live"),
    ] == calls(quick)
    assert ["complete", "complete"] == [quick.status, slow.status]
    assert ["identical", "identical"] == [case.diff.case_class for case in report.cases]
    assert (14, 2) == spent(told_store, report.run.run_id)[1:3]


def test_a_case_that_misses_its_deadline_leaves_what_it_did(told_store, tmp_path, monkeypatch):
    """Its calls stand in its turn, the one that was under way with an end, and what its model took is spent."""
    monkeypatch.setenv("TOLD_SLOW", "1")
    report = run(told_store, tmp_path, env=("TOLD_SLOW",), limits=Limits(deadline=5.0))
    quick, slow = report.cases
    assert ["complete", "errored"] == [quick.status, slow.status]
    assert [
        ("agent", "teller", "error", None),
        ("model", "ask", "ok", None),
        ("tool", "look", "ok", "live"),
        ("tool", "wait", "error", "live"),
    ] == calls(slow)
    assert "was not done after 5 s" in slow.why
    assert (14, 2) == spent(told_store, report.run.run_id)[1:3]
    assert {"identical": 1, "errored": 1} == dict(report.run.classes)


def test_what_an_attempt_took_that_was_lost_counts_at_once(told_store, tmp_path, monkeypatch):
    """Its leases are settled, and a budget that it used up stops the run before it is handed out again."""
    settled = []

    class Killed(Worker):
        async def _hear(self):
            heard = await super()._hear()
            if any(b'"look"' in frame.blob for frame in heard if frame.message.get("say") == "told"):
                self._process.kill()
            return heard

    settle = Leases.settle
    monkeypatch.setattr("replay.running.runner.Worker", Killed)
    monkeypatch.setattr(
        Leases, "settle", lambda leases, spend: (settled.append(spend), settle(leases, spend))
    )
    monkeypatch.setenv("TOLD_SLOW", "1")
    limits = Limits(max_tokens=7, tokens_per_minute=60_000)
    plan = replay.plan(
        told_store,
        "told_agent:answer",
        path=tmp_path,
        workers=1,
        modes=MODES,
        env=("TOLD_SLOW",),
        where="text:slow",
        limits=limits,
    )
    assert "budget" == replay.run(told_store, plan).status
    assert [(7, 1, 0)] == [(spend.tokens, spend.calls, spend.untold) for spend in settled]
