"""The verdict's record: what it holds, and when it is called signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

from auditlog.cli.main import main
from auditlog.ledger import keys
from auditlog.store import Store
from replay.gate.outputs.json import json
from replay.gate.record import document, record


@pytest.fixture(autouse=True)
def _no_sealer(monkeypatch):
    """Let nobody seal behind the test's back."""
    monkeypatch.setenv("AUDITLOG_SEAL", "off")


@pytest.fixture
def store(tmp_path):
    """An empty store with a key."""
    path = tmp_path / "audit"
    assert 0 == CliRunner().invoke(main, ["init", str(path)]).exit_code
    with Store.open(path) as opened:
        yield opened


@pytest.fixture
def verdict(hostile_verdict):
    """A plain verdict."""
    return replace(
        hostile_verdict, owner="Jo", candidate="shop:v2", waivers=(), checks=hostile_verdict.checks[:1]
    )


def test_a_verdict_is_signed_by_the_store_that_has_the_key(store, verdict):
    """Sealed, and among the entries that the checkpoint signs."""
    assert "covered by the ledger's signature" in record(store, verdict)


def test_a_copy_without_the_key_signs_nothing_and_says_so(store, verdict):
    """A public key in the settings is no signature."""
    record(store, verdict)
    keys.key_path(store.layout).unlink()

    said = record(store, verdict)

    assert "not signed: the key is not here" in said
    assert "covered by" not in said


def test_a_figure_that_nobody_can_reach_is_null(store, verdict):
    """A number of cases beyond 64 bits takes neither the record nor the JSON down."""
    beyond = replace(verdict.checks[0], figures={"needed": 10**21, "sizes": [2**63, 3]})
    judged = replace(verdict, checks=(beyond,))

    assert "sealed" in record(store, judged)
    assert {"needed": None, "sizes": [None, 3]} == document(judged)["checks"][0]["figures"]
    assert '"needed": null' in json(judged)


def test_the_record_holds_the_policy_that_was_asked_for(verdict):
    """What was asked is kept with what was answered."""
    assert "level = 2" == document(replace(verdict, policy_text="level = 2"))["policy"]
