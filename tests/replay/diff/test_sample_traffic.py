"""The sample agent's recorded traffic: every planted fault is found, and nothing in a version against itself."""

import tomllib
from pathlib import Path

import pytest

from auditlog.importers import import_into
from auditlog.store import Store
from replay.diff import compare

ROOT = Path(__file__).parents[3]
IN_A_RECORDING = {"blocked": "extra"}
"""Only a replay blocks a write; in recorded traffic it is one more call."""


@pytest.fixture(scope="module")
def traffic(tmp_path_factory):
    """Give the turns of both versions by conversation and turn."""
    with Store.create(tmp_path_factory.mktemp("traffic") / "store") as store:
        for version in ("v1", "v2"):
            import_into(
                store, ROOT / "sample_traces" / f"support_bot.{version}.otlp.jsonl.gz", tags={"arm": version}
            )
        return {
            version: {
                (conversation.tags["task_id"], turn.index): turn
                for conversation in store.conversations(f"tag.arm:{version}")
                for turn in conversation
            }
            for version in ("v1", "v2")
        }


@pytest.fixture(scope="module")
def planted():
    """Give the planted faults by the turn that shows each."""
    text = (ROOT / "examples" / "support_bot" / "planted_faults.toml").read_text(encoding="utf-8")
    faults = tomllib.loads(text)["fault"]
    return {
        (turn["conversation"], turn["turn"]): (fault, turn.get("step"))
        for fault in faults
        for turn in fault["turns"]
    }


def test_every_planted_fault_is_found_in_its_class_at_its_step(traffic, planted):
    """Class, first divergence, tool and finding are those that the list of faults says."""
    assert len(planted) > 50
    for place, (fault, step) in planted.items():
        diff = compare([traffic["v1"][place]], [traffic["v2"][place]])
        expected = IN_A_RECORDING.get(fault["class"], fault["class"])
        assert (place, diff.case_class, diff.first_divergence) == (place, expected, step)
        if "tool" in fault:
            found = diff.steps[diff.first_divergence]
            assert (found.after or found.before).name == fault["tool"]
        if "finding" in fault:
            assert fault["finding"] in {finding.kind for finding in diff.findings}


def test_a_first_turn_without_a_planted_fault_behaves_the_same(traffic, planted):
    """First turns share their history, so only planted faults may make them behave differently."""
    for place, turn in traffic["v1"].items():
        if place[1] == 0 and place not in planted:
            assert not compare([turn], [traffic["v2"][place]]).behaves_differently, place


def test_a_version_against_itself_is_identical(traffic):
    """No false alarm on any turn of real traffic."""
    for turn in traffic["v1"].values():
        diff = compare([turn], [turn])
        assert (diff.case_class, diff.findings) == ("identical", ())
