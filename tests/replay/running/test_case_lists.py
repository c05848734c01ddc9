"""A run's cases lie in records of their own, which only those read who want the cases."""

from __future__ import annotations

from pathlib import Path

import pytest

import replay
from auditlog import config
from auditlog.recorder import Recorder
from replay.errors import RunError
from replay.running import case_lists
from replay.running.case_lists import CASES, case_records, with_cases, without_cases
from replay.running.records import MANIFEST, RUN_END, own_records, run_span
from replay.running.runs import load_manifest, manifests

AGENTS = Path(__file__).parent.parent / "agents"


@pytest.fixture
def ran(recorded, monkeypatch):
    """Give a store with a run of six cases, in records of four, and the run's id."""
    monkeypatch.setattr(case_lists, "CHUNK", 4)
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    replay.run(recorded, plan)
    return recorded, plan


def write(store, *payloads):
    """Append records."""
    writer = store.writer()
    for payload in payloads:
        writer.append(payload)
    writer.close()
    store.refresh()


def test_runs_are_listed_without_reading_a_case(ran, monkeypatch):
    """A list of runs, and the search for an unfinished one, look at no case; whoever loads a run has all, in their order."""
    store, plan = ran
    assert 2 == len(list(own_records(store, CASES, plan.run_id)))
    (light,) = manifests(store)
    assert ("cases" in light, light["case_count"]) == (False, 6)
    whole = load_manifest(store, plan.run_id)
    assert [case.listed() for case in plan.cases] == whole["cases"]

    def read(*_args):
        pytest.fail("a case was read")

    monkeypatch.setattr(case_lists, "are_cases", read)
    assert [(6, 6, "complete")] == [(run.cases, run.done, run.status) for run in replay.load_runs(store)]


def test_a_list_that_is_not_whole_is_said(recorded):
    """A run of which a record of cases is gone is listed, and says what is missing when it is read."""
    manifest = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1).manifest()
    short = {**manifest, "cases": manifest["cases"][:4]}
    write(recorded, *case_records(short), run_span(MANIFEST, manifest["run_id"], without_cases(manifest)))
    assert [6] == [run.cases for run in replay.load_runs(recorded)]
    with pytest.raises(RunError, match="is not whole: it had 6, and 4 can be read"):
        load_manifest(recorded, manifest["run_id"])


def test_a_manifest_that_holds_its_cases_itself_is_read_and_gone_on_with(recorded):
    """What an earlier version wrote is listed, read, resumed and complete, and keeps its cases."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    manifest = plan.manifest()
    del manifest["case_count"]
    write(recorded, run_span(MANIFEST, plan.run_id, {**manifest, "pid": 1, "host": "elsewhere"}))
    assert [6] == [run.cases for run in replay.load_runs(recorded)]
    assert manifest["cases"] == load_manifest(recorded, plan.run_id)["cases"]
    resumed = replay.resume(recorded, plan.run_id, path=AGENTS)
    assert resumed.cases == plan.cases
    assert "complete" == replay.run(recorded, resumed).status
    assert manifest["cases"] == load_manifest(recorded, plan.run_id)["cases"]
    assert {6} == {with_cases(recorded, found)["case_count"] for found in manifests(recorded)}


def test_a_case_list_that_was_changed_is_not_gone_on_with(recorded):
    """A run whose case list is another one than its digest says is not resumed."""
    manifest = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1).manifest()
    other = {**manifest, "cases": [["0" * 16, *manifest["cases"][0][1:]], *manifest["cases"][1:]]}
    write(
        recorded,
        *case_records(other),
        run_span(MANIFEST, manifest["run_id"], {**without_cases(manifest), "pid": 1}),
    )
    with pytest.raises(RunError, match="is another one than it was begun with"):
        replay.resume(recorded, manifest["run_id"], path=AGENTS)


def test_a_store_that_grows_during_a_run_changes_nothing_of_its_cases(recorded, agents):
    """A run keeps the cases that it was planned with: what is recorded after that is none of it."""
    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    previous, writer = config._state.recorder, recorded.writer()
    config.use(Recorder(writer))
    agents.v1("hello", [])
    config.use(previous)
    writer.close()
    recorded.refresh()
    summary = replay.run(recorded, plan)
    assert (summary.cases, summary.done, summary.status) == (6, 6, "complete")
    assert 7 == len(replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1).cases)


def test_an_unfinished_run_is_found_without_its_cases_and_gone_on_with_them(recorded, monkeypatch):
    """The same command goes on with the cases that the run was begun with, though the store holds more by then."""

    def without_end(name, run_id, content, attributes=None):
        return run_span("lost" if name == RUN_END else name, run_id, content, attributes)

    plan = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    with monkeypatch.context() as patched:
        patched.setattr("replay.running.runner.run_span", without_end)
        replay.run(recorded, plan)
    recorded.refresh()
    again = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1)
    assert (again.run_id, again.resumed, again.cases) == (plan.run_id, True, plan.cases)
