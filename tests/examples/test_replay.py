"""Version 2 of the sample agent, replayed against version 1's recorded traffic: every planted fault is found."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import pytest

import auditlog
from auditlog.importers import import_into
from auditlog.store import Store
from examples.support_bot import conversations
from replay.results.loading import load_report
from replay.results.report import CaseResult, Report
from replay.running.planning import plan
from replay.running.runner import run

ROOT = Path(__file__).resolve().parents[2]
FAULTS_FILE = Path(conversations.__file__).with_name("planted_faults.toml")
FAULTS = tomllib.loads(FAULTS_FILE.read_text(encoding="utf-8"))["fault"]
PLANTED = {(t["conversation"], t["turn"]) for fault in FAULTS for t in fault["turns"]}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    """One run of version 2 on all recorded turns, beside version 1 run again twice."""
    with Store.create(tmp_path_factory.mktemp("replay") / "audit") as store:
        import_into(store, ROOT / "sample_traces" / "support_bot.v1.otlp.jsonl.gz")
        planned = plan(
            store,
            "examples.support_bot:v2",
            baseline="examples.support_bot:v1",
            path=ROOT,
            sample=1.0,
            where="version:v1",
        )
        return load_report(store, run(store, planned).run_id)


def cases_by_turn(report: Report) -> dict[tuple[str, int | None], CaseResult]:
    """Give the cases of a run by conversation and turn."""
    return {(case.conversation_id, case.turn_index): case for case in report.cases}


def test_every_recorded_turn_is_a_finished_case(report):
    """The run is complete, and no turn is missing from it."""
    assert report.run.status == "complete"
    assert len(report.cases) == sum(len(script.turns) for script in conversations.load_conversations())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["id"])
def test_a_planted_fault_is_found_in_its_class_at_its_step(fault, report):
    """Each planted turn gets the class, the step, the tool and the finding that the list of faults says."""
    cases = cases_by_turn(report)
    for planted in fault["turns"]:
        case = cases[planted["conversation"], planted["turn"]]
        diff, step = case.diff, None
        if diff.first_divergence is not None:
            pair = diff.steps[diff.first_divergence]
            step = pair.after or pair.before
        expected = (fault["class"], planted.get("step"), fault.get("tool"))
        assert expected == (diff.case_class, diff.first_divergence, step.name if step else None), (
            case.user_text
        )
        found = {finding.kind for finding in diff.findings}
        assert ({fault["finding"]} <= found) if "finding" in fault else found == set(), case.user_text


def test_nothing_else_is_reported(report):
    """Turns without a planted fault are identical, without a finding."""
    loud = [
        (case.conversation_id, case.turn_index, case.diff.case_class)
        for case in report.cases
        if (case.conversation_id, case.turn_index) not in PLANTED
        and (case.diff.case_class != "identical" or case.diff.findings)
    ]

    assert loud == []


def test_version_1_against_itself_is_identical(report):
    """Two runs of version 1 on the same recordings differ in no case."""
    noise = [case.noise for case in report.cases]

    assert all(diff is not None and diff.case_class == "identical" and not diff.findings for diff in noise)


NAMES_ITS_PLATFORM = """
import platform

import auditlog


@auditlog.agent("client")
def answer(question: str) -> str:
    return platform.platform()
"""


def test_an_agent_may_name_its_platform(tmp_path, monkeypatch):
    """What the OpenAI client asks of the machine, for a header of its requests, is no leak in a replay."""
    (tmp_path / "platform_client.py").write_text(NAMES_ITS_PLATFORM)
    monkeypatch.syspath_prepend(tmp_path)
    auditlog.configure(tmp_path / "audit")
    importlib.import_module("platform_client").answer("Who are you?")
    auditlog.shutdown()

    with Store.open(tmp_path / "audit") as store:
        planned = plan(store, "platform_client:answer", path=tmp_path, workers=1)
        [case] = load_report(store, run(store, planned).run_id).cases

    assert (case.status, case.diff.case_class) == ("complete", "identical")
