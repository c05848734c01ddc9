"""Scorers of installed packages, and what the gate lets a judge decide."""

import pytest

from replay.gate.levels import levels
from replay.gate.policy import Policy, ScorerUse
from replay.gate.scoring import allowed, scores_of
from replay.scorers import catalogue
from replay.scorers.scoring import score_run


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on the path that offers scorers: one that works, one that does not import, and a built-in's name."""
    info = tmp_path / "manners-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: manners\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text(
        "[auditlog.scorers]\nmanners = manners:manners\nbroken = manners:nothing\ncompleted = manners:manners\n"
    )
    tmp_path.joinpath("manners.py").write_text(
        "from replay.scorers import scorer\n\n\n@scorer(version='3', level='primary')\ndef manners(subject):\n"
        "    '''The answer is polite.'''\n    return True\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_package_s_scorers_go_by_name(package, run_store):
    """They are listed with what they say of themselves, or why they do not load; a built-in's name stays the built-in's."""
    listed = {entry.name: entry for entry in catalogue.catalogue() if entry.source == "manners"}
    assert {"manners", "broken"} == set(listed)
    assert ("primary", "The answer is polite.") == (listed["manners"].level, listed["manners"].summary)
    assert "no scorer 'nothing'" in listed["broken"].summary
    report = score_run(run_store, "last", ["manners", "broken", "completed"], path=package, workers=1)
    assert ["", True, ""] == [tally.error and "no scorer" in tally.error for tally in report.scorers]
    assert ("manners", "3") == report.scorers[0].info.key[:2]
    assert 0 < report.scorers[2].below


def test_the_gate_makes_a_judge_secondary_that_nobody_calibrated(run_store, plugins):
    """Whatever the policy says, an uncalibrated judge decides nothing, and that is told."""
    use = ScorerUse(name="kindly", use="odd_scorers:kindly", options={})
    policy = Policy(
        level=levels()[3],
        digest="0" * 64,
        hard=("kindly",),
        primary=("completed", "kindly"),
        secondary=(),
        scorers=(use,),
    )
    found = scores_of(
        run_store,
        next(iter(run_store.spans("name = 'replay_run'"))).input["run_id"],
        policy,
        path=str(plugins),
    )
    assert ("kindly",) == tuple(dict.fromkeys(found.demoted))
    assert any("not calibrated" in note for note in found.notes)
    lowered = allowed(policy, found.demoted)
    assert ((), ("completed",)) == (lowered.hard, lowered.primary)
    assert "kindly" in lowered.secondary
