"""What a case is judged by while its run is under way is what the store holds of it."""

from __future__ import annotations

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.results.trials import case_trials
from replay.running.judging import Sides, judgements, verdict_of
from replay.running.runs import load_manifest, spent
from replay.sandbox.modes import Modes

AGENT = """
import contextvars, os, threading, time
import auditlog

held = []

@auditlog.tool(effect="write")
def charge(order: str) -> dict:
    if "WHOLE_SLOW" in os.environ:
        time.sleep(60)
    return {"order": order}

@auditlog.tool(effect="read")
def feed(order: str):
    yield {"order": order}
    yield {"order": order}

@auditlog.model(provider="openai")
def ask(messages: list, model: str = "m") -> dict:
    return {"usage": {"prompt_tokens": 3, "completion_tokens": 4},
            "choices": [{"message": {"role": "assistant", "content": messages[-1]["content"]}}]}

@auditlog.model(provider="openai")
def stream(messages: list, model: str = "m"):
    yield {"choices": []}
    yield {"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "choices": []}

def say(words):
    ask([{"role": "user", "content": words}])

@auditlog.agent("whole", version="1")
def silent(question: str) -> None:
    say("Your refund is on its way.")

@auditlog.agent("whole", version="1")
def rude(question: str) -> None:
    say("No refund for you, ever.")

@auditlog.agent("whole", version="1")
def threads(question: str) -> str:
    thread = threading.Thread(target=contextvars.copy_context().run, args=(charge, question), daemon=True)
    thread.start()
    thread.join(0.5)
    return "done"

@auditlog.agent("whole", version="1")
def holds(question: str) -> str:
    held.append(feed(question))
    next(held[-1])
    held.append(stream([{"role": "user", "content": question}]))
    next(held[-1])
    return "done"
"""


@pytest.fixture
def recorded_whole(tmp_path, import_file):
    """Record one turn of one of the agents; give its store."""
    path = tmp_path / "whole_agent.py"
    path.write_text(AGENT, encoding="utf-8")
    module = import_file(path)
    stores = []

    def record(agent):
        store = Store.create(tmp_path / "audit")
        stores.append(store)
        config.use(Recorder(store.writer()))
        try:
            with auditlog.conversation("c"):
                getattr(module, agent)("hello")
        finally:
            config.use(None)
        store.refresh()
        return store

    yield record
    for store in stores:
        store.close()


def both_ways(store, path, candidate, **options):
    """Run a candidate; give how its case was judged under way, and how the store's turns compare."""
    plan = replay.plan(store, f"whole_agent:{candidate}", path=path, workers=1, **options)
    heard = []
    run_id = replay.run(store, plan, progress=heard.append).run_id
    store.refresh()
    assert spent(store, run_id) == heard[-1].spend
    (kept,) = judgements(store, run_id).values()
    (case,) = case_trials(store, load_manifest(store, run_id))
    tried, before = case.first("candidate"), case.first("baseline")
    assert tried is not None
    sides = Sides(case.recorded, tried.turn, None if before is None else before.turn)
    found = verdict_of(sides, rerun=plan.baseline is not None, forgiven=None)
    return run_id, kept.diff, found.diff


def brief(diff):
    """What a list shows of a diff."""
    return diff.case_class, diff.summary, diff.findings


def test_an_agent_that_returns_nothing_says_what_its_model_says(recorded_whole, tmp_path):
    """What is returned then is no sign that two executions say the same: they are compared."""
    store = recorded_whole("silent")
    _, kept, found = both_ways(store, tmp_path, "rude", baseline="whole_agent:silent", sample=0.0)
    assert brief(found) == brief(kept)
    assert kept.case_class != "identical"


@pytest.mark.parametrize("baseline", [None, "whole_agent:holds"])
def test_what_never_ended_is_judged_as_the_store_has_it(recorded_whole, tmp_path, baseline):
    """A live generator and a model's stream that are held on to began, and what was asked is spent."""
    store = recorded_whole("holds")
    modes = Modes(reads="live", live_reads=("feed",))
    run_id, kept, found = both_ways(store, tmp_path, "holds", modes=modes, baseline=baseline, sample=0.0)
    assert brief(found) == brief(kept)
    assert kept.case_class == "identical"
    assert (1 if baseline is None else 2) == spent(store, run_id).calls


def test_a_write_that_outlives_the_answer_is_judged_as_called(recorded_whole, tmp_path, monkeypatch):
    """Its body ran for real, so no judgement says that it was not called."""
    store = recorded_whole("threads")
    monkeypatch.setenv("WHOLE_SLOW", "1")
    modes = Modes(writes="live", live_writes=("charge",))
    _, kept, found = both_ways(store, tmp_path, "threads", modes=modes, env=("WHOLE_SLOW",))
    assert brief(found) == brief(kept)
    assert "missing" not in {finding.kind for finding in kept.findings}
