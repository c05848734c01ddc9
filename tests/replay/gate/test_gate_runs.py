"""The gate over runs that are what they are: the regression set, scorers of sets, runs without a candidate, lost records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditlog.cli.main import main
from auditlog.journal.gap import Gap
from auditlog.ledger.ledger import append_entry, read_ledger, seal_entry
from auditlog.store import Store
from replay.gate.facts import CaseFacts
from replay.gate.losses import losses

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("plain_surroundings")]
AGENTS = Path(__file__).parents[1] / "agents"
TALKS = [["refund A1"], ["refund A2"], ["hello"]]
LEVEL_1 = 'version = 1\nlevel = 1\nowner = "Jo"\n'


def run(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def replayed_once(record, agents, tmp_path_factory):
    """Give the path of a store with a run of `generous` against `v1`, twice in each case."""
    path = tmp_path_factory.mktemp("judged") / "audit"
    record(path, agents.v1, TALKS)
    done = run(
        "replay", "run", "--agent", "shop_agents:generous", "--baseline", "shop_agents:v1", "--second-baseline", "1",
        "--path", AGENTS, "--store", path,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return path


@pytest.fixture
def store(replayed_once, tmp_path):
    """Give a copy of that store."""
    path = tmp_path / "audit"
    shutil.copytree(replayed_once, path)
    return path


def judged(store, tmp_path, lines=""):
    """Give the gate's checks by their ids, and its exit code."""
    policy = tmp_path / "gate.toml"
    policy.write_text(LEVEL_1 + lines)
    done = run(
        "gate",
        "last",
        "--policy",
        policy,
        "--path",
        AGENTS,
        "--store",
        store,
        "--format",
        "json",
        "--no-record",
    )
    assert done.exit_code in (0, 1, 2), done.output
    return {check["id"]: check for check in json.loads(done.stdout)["checks"]}, done.exit_code


def test_a_regression_case_that_fails_fails_the_gate(store, tmp_path):
    """`generous` pays what the recorded turn did not: a case of that turn fails; one of a greeting passes."""
    without, _ = judged(store, tmp_path)
    assert run("regress", "add", "c2", "--store", store).exit_code == 0
    with_greeting, _ = judged(store, tmp_path)
    assert run("regress", "add", "c1", "--store", store).exit_code == 0
    with_refund, code = judged(store, tmp_path)

    assert "regress" not in without
    assert ("PASS", 1) == (with_greeting["regress"]["outcome"], with_greeting["regress"]["figures"]["passed"])
    assert ("FAIL", 1, 1) == (
        with_refund["regress"]["outcome"],
        with_refund["regress"]["figures"]["failed"],
        code,
    )


def test_a_regression_case_that_nobody_ran_leaves_it_open(store, tmp_path):
    """A case beyond the run's is INCONCLUSIVE, until a run of the set with the same candidate judged it."""
    assert run("regress", "add", "c2", "--store", store).exit_code == 0
    newer = run(
        "replay", "run", "--agent", "shop_agents:generous", "--baseline", "shop_agents:v1", "--second-baseline", "1",
        "--where", "conversation:c0", "--path", AGENTS, "--store", store,
    )  # fmt: skip
    assert newer.exit_code == 0, newer.stderr
    earlier_run_counts, _ = judged(store, tmp_path)
    other = run(
        "replay", "run", "--agent", "shop_agents:v1", "--baseline", "shop_agents:generous", "--second-baseline", "1",
        "--where", "conversation:c0", "--path", AGENTS, "--store", store,
    )  # fmt: skip
    assert other.exit_code == 0, other.stderr
    other_candidate, _ = judged(store, tmp_path)

    assert "PASS" == earlier_run_counts["regress"]["outcome"]
    assert ("INCONCLUSIVE", 1) == (
        other_candidate["regress"]["outcome"],
        other_candidate["regress"]["figures"]["unjudged"],
    )


def test_a_scorer_of_a_set_is_no_metric(store, tmp_path):
    """It judges whole arms, so as a hard metric it has judged no case, and nobody can sign for that."""
    checks, code = judged(
        store,
        tmp_path,
        '[metrics]\nhard = ["new_write", "changed_money", "replay.scorers.builtin.sets:escalation_rate"]\n',
    )
    check = checks["unscored.replay.scorers.builtin.sets:escalation_rate"]

    assert ("INCONCLUSIVE", True) == (check["outcome"], check["gates"])
    assert "judges all executions of an arm together" in check["sentence"]
    assert code != 0


@pytest.mark.parametrize("asked", [("control", "--agent", "shop_agents:v1")])
def test_a_run_without_a_candidate_is_an_error(store, tmp_path, asked):
    """A control shows one version's noise; the gate says what to run in place of it."""
    assert run("replay", *asked, "--path", AGENTS, "--store", store).exit_code == 0
    (tmp_path / "gate.toml").write_text(LEVEL_1)
    done = run("gate", "last", "--policy", "gate.toml", "--path", AGENTS, "--store", store)

    assert (3, True) == (done.exit_code, "is a control" in done.stderr)


def test_only_what_was_lost_while_the_cases_were_recorded_counts(store):
    """A loss of that time counts, whatever else was kept since; an earlier one, told of earlier, does not."""
    with Store.open(store) as opened:
        turns = opened.query("SELECT min(start_ns) AS first, max(start_ns) AS last FROM turns").to_pylist()[0]
        case = CaseFacts("1", "c", 0, "s", "i", began_ns=turns["first"], ended_ns=turns["last"])
        before = losses(opened, [case])
        gap = Gap("w", 7, turns["last"] - 1, "ENOSPC")
        ledger = read_ledger(opened.layout.entries)
        append_entry(opened.layout, seal_entry({"writer": "w", "first": 0, "last": 1}, [], [gap]), ledger)
        during = losses(opened, [case])
        long_ago = losses(opened, [CaseFacts("2", "c", 0, "s", "i", began_ns=2**62, ended_ns=2**62 + 1)])
        earlier = losses(opened, [CaseFacts("3", "c", 0, "s", "i", began_ns=1, ended_ns=2)])

    assert (0, 7, 0, 0) == (before.lost, during.lost, long_ago.lost, earlier.lost)
    assert during.kept > 0
    assert during.share < 1
