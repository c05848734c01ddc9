"""Matching in whole runs: concurrent sub-agents in real workers, and rules from a file to the report."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import auditlog
import replay
from auditlog import config
from auditlog.cli.main import main
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.matching.rules import parse_rules

AGENTS = Path(__file__).parent.parent / "agents"
RULES = '[match.look]\nlower = ["/name"]\n'


@pytest.fixture
def team(tmp_path, import_file):
    """A store with one turn of two checkers that asked the same question at the same time."""
    module = import_file(AGENTS / "team_agents.py")
    store = Store.create(tmp_path / "audit")
    previous = config._state.recorder
    config.use(Recorder(store.writer(), agent_version="v1"))
    try:
        with auditlog.conversation("c0"):
            asyncio.run(module.v1("all well?"))
    finally:
        config.use(previous)
        store.close()
    with Store.open(tmp_path / "audit") as opened:
        yield opened


def run(store, candidate, **options):
    """Plan and run; give the only case."""
    plan = replay.plan(store, f"team_agents:{candidate}", path=AGENTS, workers=1, **options)
    report = replay.load_report(store, replay.run(store, plan).run_id)
    return report.cases[0]


@pytest.mark.parametrize("candidate", ["v1", "later"])
def test_concurrent_sub_agents_get_each_their_own_answers(candidate, team):
    """In the recorded order and in the reverse one, each checker sees what it saw when it was recorded."""
    case = run(team, candidate)
    assert ("complete", "price: [1, 3]; stock: [2, 4]") == (case.status, case.recorded[0].agent.output)
    assert case.recorded[0].agent.output == case.candidate[0].agent.output
    assert {"exact"} == {span.replay.match_tier for span in case.candidate[0].of_kind("tool")}


def test_a_declared_rule_serves_and_is_stored(team):
    """Without the rule the case diverges and says which one would serve; with it the tier and the rule stand on the span."""
    missed = run(team, "loud")
    assert ("diverged", "miss") == (missed.status, missed.candidate[0].of_kind("tool")[0].replay.match_tier)
    assert "it differs only in case at /name: a normaliser would serve it (lower)" in missed.why
    served = run(team, "loud", matching=parse_rules(RULES))
    assert ("complete", "identical") == (served.status, served.diff.case_class)
    for span in served.candidate[0].of_kind("tool"):
        assert ("normalised", ["lower /name"]) == (
            span.replay.match_tier, span.attributes["auditlog.replay.match_rules"],
        )  # fmt: skip


def test_rules_are_part_of_what_a_run_is(team):
    """Other rules make another run: none of them goes on with the other's."""
    plans = [
        replay.plan(team, "team_agents:v1", path=AGENTS, workers=1, matching=rules)
        for rules in (parse_rules(RULES), parse_rules("[match.look]\ntrim = ['/name']"))
    ]
    assert plans[0].config_digest != plans[1].config_digest
    assert plans[0].manifest()["matching"] == {
        "rules": ({"tool": "look", "how": "lower", "path": "/name", "option": None},)
    }


def test_the_command_reads_rules_from_a_file(team, tmp_path, capsys):
    """`--match FILE` serves by the file's rules, and refuses a file with the line that is wrong."""
    rules, wrong = tmp_path / "match.toml", tmp_path / "wrong.toml"
    rules.write_text(RULES, encoding="utf-8")
    wrong.write_text(RULES.replace("lower", "lowre"), encoding="utf-8")
    words = ["replay", "run", "--agent", "team_agents:loud", "--path", str(AGENTS), "--store", str(team.path)]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--match", str(wrong)])
    assert 3 == ended.value.code
    assert (
        "wrong.toml:2:1: in [match.look] key 'lowre' is unknown; nearest 'lower'." in capsys.readouterr().err
    )
    with pytest.raises(SystemExit) as ended:
        main([*words, "--match", str(rules), "--format", "json"])
    assert 0 == ended.value.code
    assert {"identical": 1} == json.loads(capsys.readouterr().out)["run"]["classes"]
