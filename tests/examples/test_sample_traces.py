"""The recorded traffic that travels with the package."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest

from auditlog.importers import import_into
from auditlog.store import Store
from examples.support_bot import conversations, v1, v2

TRACES = Path(__file__).resolve().parents[2] / "sample_traces"
SCRIPTS = conversations.load_conversations()


def path_of(version: str) -> Path:
    """Give the file of one version's traffic."""
    return TRACES / f"support_bot.{version}.otlp.jsonl.gz"


@pytest.mark.parametrize(("version", "agent", "suffix"), [("v1", v1, ""), ("v2", v2, ".v2")])
def test_traces_are_what_the_agent_says(version, agent, suffix, tmp_path):
    """The traffic holds every scripted conversation with the answers that the agent gives today."""
    played = {script.id + suffix: said for script, said in conversations.play_all(agent)}

    with Store.create(tmp_path / "audit") as store:
        report = import_into(store, path_of(version))
        store.refresh()
        recorded = {
            c.conversation_id: [(t.user_text, t.answer_text) for t in c.turns] for c in store.conversations()
        }

    assert report.skipped == ()
    assert report.conversations == len(SCRIPTS)
    assert played == recorded


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_traces_are_small_and_name_no_machine(version):
    """A file stays under 1.5 MB and holds no path and no host of the machine that made it."""
    path = path_of(version)
    text = gzip.decompress(path.read_bytes()).decode()

    assert path.stat().st_size < 1_500_000
    machine = (str(Path.home()), str(TRACES.parent), tempfile.gettempdir(), "site-packages", "host.name")
    assert [] == [word for word in machine if word in text]
