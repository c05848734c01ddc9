"""The self-test: plants in recorded turns, what sees them, and what counts as a miss."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditlog.cli.main import main
from auditlog.values import Replay, Span, Turn
from replay.gate.facts import execution
from replay.gate.plants import PERSONAL, plants_for
from replay.gate.self_test import Found, _misses
from replay.results.trials import Trial
from replay.scorers.model import Subject
from replay.scorers.specs import ScorerSpec, resolve

AGENTS = Path(__file__).parents[1] / "agents"
TALKS = [[f"refund A1 {n}", "refund B7", "angry: where is it?"] for n in range(4)]


def span(number, **more):
    """Make a span of a replayed turn."""
    ids = {"trace_id": "0" * 31 + "1", "span_id": f"{number:016x}", "turn_id": f"{1:016x}"}
    return Span(**ids, start_ns=number, end_ns=number + 10, replay=Replay("r", "baseline"), **more)


@pytest.fixture
def turn():
    """A turn with a refund, a hand-over and an answer."""
    agent = span(1, kind="agent", name="shop", output="Done.", escalation_reason="angry")
    agent = replace(agent, replay=replace(agent.replay, status="complete"))
    refund = span(
        2, kind="tool", name="refund", effect="write", input={"order": "A1", "amount": 40.0}, output=True
    )
    return Turn(agent, (agent, refund))


def planted(turn, policy, kind, others=()):
    """Give a turn with a plant of a kind."""
    plant = next(plant for plant in plants_for([turn, *others], policy) if plant.kind == kind)
    return plant.alter(turn)


def facts(turn):
    """Give what the gate makes of a turn."""
    return execution(Trial("candidate", 0, turn), {})


def test_plants_are_found_as_recordings_are(turn, policy):
    """The facts of an altered turn are what an agent with the regression leaves behind."""
    asked = policy()
    plain = Turn(replace(turn.agent, escalation_reason=None), (replace(turn.agent, escalation_reason=None),))

    assert (True, False) == (facts(turn).escalated, facts(planted(turn, asked, "lost hand-over")).escalated)
    assert {"refund"} == facts(planted(plain, asked, "new write", [turn])).write_set
    assert facts(turn).writes[0].money != facts(planted(turn, asked, "changed amount")).writes[0].money
    assert facts(turn).writes[0].about == facts(planted(turn, asked, "changed amount")).writes[0].about
    assert facts(planted(turn, asked, "failed turns")).failed
    assert facts(turn).answer != facts(planted(turn, asked, "one answer for all")).answer
    assert 11.0 == facts(planted(turn, asked, "slower")).measures["latency_ms"] * 1e6


def test_a_lost_hand_over_takes_what_was_called_within_it(turn, policy):
    """A tool that hands over and records so inside itself leaves neither behind."""
    tool = span(3, kind="tool", name="escalate", effect="control", parent_span_id=f"{1:016x}")
    within = span(4, kind="handoff", name="escalation", parent_span_id=tool.span_id)
    nested = replace(turn, spans=(*turn.spans, tool, within))

    assert not facts(planted(nested, policy(), "lost hand-over")).escalated


def test_a_plant_without_a_place_is_none(turn, policy):
    """A hand-over cannot be lost that was not there, and a write is not new where it was made."""
    plain = Turn(replace(turn.agent, escalation_reason=None), (replace(turn.agent, escalation_reason=None),))

    assert planted(plain, policy(), "lost hand-over") is None
    assert planted(plain, policy(), "changed amount") is None
    assert planted(turn, policy(), "new write") is None


@pytest.mark.parametrize(
    ("kind", "scorer"), [("personal data", "no_new_pii"), ("forbidden promise", "no_forbidden_promise")]
)
def test_what_is_planted_in_an_answer_is_what_scorers_look_for(turn, policy, kind, scorer):
    """The scorers themselves are asked, and find it."""
    judge = resolve(ScorerSpec(scorer))
    asked = {"case": None, "run": turn}

    assert 1.0 == judge.score(Subject(**asked)).value  # type: ignore[arg-type]
    assert 0.0 == judge.score(Subject(**{**asked, "run": planted(turn, policy(), kind)})).value  # type: ignore[arg-type]


def test_a_policy_claims_what_it_asks_for(turn, policy):
    """What is hard is claimed whole, a share of the cases from twice the margin on, and nothing that is not asked for."""
    hard = ("new_write", "changed_money", "no_new_pii", "no_forbidden_promise")
    plants = list(plants_for([turn], replace(policy(), hard=hard)))
    claims = {(plant.kind, plant.size): plant.seen_by for plant in plants if plant.seen_by}

    assert ("hard.no_new_pii",) == claims["personal data", "in 1 case"]
    assert ("primary.outcome",) == claims["failed turns", "10 pp more"]
    assert ("failed turns", "1 pp more") not in claims
    assert {"nothing", "slower"}.isdisjoint(kind for kind, _ in claims)
    assert PERSONAL in planted(turn, policy(), "personal data").answer_text


@pytest.mark.parametrize(
    ("found", "misses"),
    [
        (Found("new write", "", 1, 10, 10, 0, 0, (), claimed=1.0, seen=10), 0),
        (Found("new write", "", 1, 10, 9, 0, 0, (), claimed=1.0, seen=9), 1),
        (Found("slower", "", 1, 10, 0, 0, 0, ()), 0),
        (Found("nothing", "", 0, 10, 2, 0, 0, ()), 0),
        (Found("nothing", "", 0, 10, 3, 0, 0, ()), 1),
    ],
)
def test_a_miss_is_what_was_claimed_and_not_seen(found, misses):
    """So are false alarms beyond chance."""
    assert misses == len(list(_misses([found])))


@pytest.mark.slow
def test_a_gate_that_sees_its_plants_ends_with_0_and_a_blind_one_with_1(
    record, agents, tmp_path, monkeypatch
):
    """A run of a baseline with itself; then the same with metrics that cannot see a write."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUDITLOG_SEAL", "off")
    store = tmp_path / "audit"
    record(store, agents.v1, TALKS)

    def run(*arguments):
        return CliRunner().invoke(main, list(map(str, arguments)))

    done = run(
        "replay", "run", "--agent", "shop_agents:v1", "--baseline", "shop_agents:v1", "--second-baseline", "1",
        "--path", AGENTS, "--store", store,
    )  # fmt: skip
    assert 0 == done.exit_code, done.stderr
    Path("gate.toml").write_text(
        'version = 1\nlevel = 1\nowner = "Jo"\n[metrics]\nhard = ["new_write", "no_new_pii"]\n'
    )
    assert 0 == run("replay", "score", "last", "--scorer", "no_new_pii", "--store", store).exit_code

    tested = run("gate", "last", "--self-test", "--policy", "gate.toml", "--store", store, "--format", "json")

    found = {(one["kind"], one["size"]): one for one in json.loads(tested.stdout)["plants"]}
    assert 10 == found["personal data", "in 1 case"]["failed"]
    assert 10 == found["new write", "in 1 case"]["failed"]
    assert 0 == found["nothing", ""]["failed"]
    assert ([], 0) == (json.loads(tested.stdout)["misses"], tested.exit_code)

    monkeypatch.setattr("replay.gate.self_test.hard_checks", _blind)
    assert 1 == run("gate", "last", "--self-test", "--policy", "gate.toml", "--store", store).exit_code


def _blind(cases, again, policy):
    """Find everything in order."""
    from replay.gate.check import Check

    for metric in policy.hard:
        yield Check(f"hard.{metric}", "hard", metric, "PASS", "All is well.")
