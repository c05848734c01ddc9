"""`auditlog gate` from end to end: exit codes, records, follow-up runs, and what it says when something is wrong."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditlog.cli.main import main
from auditlog.store import Store

pytestmark = pytest.mark.usefixtures("plain_surroundings")
AGENTS = Path(__file__).parents[1] / "agents"
TALKS = [["refund A1", "refund B7"], ["refund A2", "refund B9"], ["angry: where is it?"], ["crash"]]
LEVEL_1 = 'version = 1\nlevel = 1\nowner = "Jo"\n'


def run(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def replayed_once(record, agents, tmp_path_factory):
    """Give the path of a store with two runs: `v1` against itself, and then `generous` against `v1`."""
    path = tmp_path_factory.mktemp("gated") / "audit"
    record(path, agents.v1, TALKS)
    for candidate in ("v1", "generous"):
        done = run(
            "replay", "run", "--agent", f"shop_agents:{candidate}", "--baseline", "shop_agents:v1", "--second-baseline", "1",
            "--path", AGENTS, "--store", path,
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
    return path


@pytest.fixture
def replayed(replayed_once, tmp_path):
    """Give a copy of that store, and the ids of its two runs: the same, and the worse."""
    path = tmp_path / "audit"
    shutil.copytree(replayed_once, path)
    listed = json.loads(run("replay", "ls", "--format", "json", "--store", path).stdout)
    by_candidate = {row["candidate"]: row["run_id"] for row in listed}
    return path, by_candidate["shop_agents:v1"], by_candidate["shop_agents:generous"]


def policy(tmp_path, text):
    path = tmp_path / "gate.toml"
    path.write_text(text)
    return path


def test_the_same_version_passes(replayed, tmp_path):
    """v1 against v1 passes at level 1, is recorded, and `--show` and `verify` know the record."""
    store, same, _ = replayed
    asked = policy(tmp_path, LEVEL_1)

    judged = run("gate", same, "--policy", asked, "--path", AGENTS, "--store", store)
    shown = run("gate", "--show", same, "--store", store)

    assert judged.exit_code == 0, judged.output
    assert judged.stdout.startswith("PASS  all ")
    assert (
        "This verdict is recorded in the store, sealed and covered by the ledger's signature" in judged.stdout
    )
    assert shown.stdout.startswith("PASS ")
    assert run("verify", "--store", store).exit_code == 0


def test_a_forbidden_write_fails_after_it_came_back(replayed, tmp_path):
    """`generous` refunds what v1 does not: it is run again three times, fails, and judging again runs nothing again."""
    store, _, worse = replayed
    asked = policy(tmp_path, LEVEL_1)

    first = run("gate", "last", "--policy", asked, "--path", AGENTS, "--store", store)
    second = run("gate", "last", "--policy", asked, "--path", AGENTS, "--store", store, "--format", "json")

    assert first.exit_code == 1, first.output
    assert f"Run {worse}-again1: 1 case that" in first.stderr
    assert "writes with refund, which no run of the baseline does" in first.stdout
    assert "Violated in 1 case; of 1 that were run again, 1 did so again" in " ".join(first.stdout.split())
    assert "again2" not in second.stderr
    found = json.loads(second.stdout)
    assert ("FAIL", worse, f"{worse}-again1") == (
        found["verdict"],
        found["run_id"],
        found["facts"]["follow_up"],
    )


def test_without_a_follow_up_it_is_inconclusive(replayed, tmp_path):
    """--no-confirm runs nothing, and says what to run; so does a directory that is not the run's."""
    store, _, worse = replayed
    asked = policy(tmp_path, LEVEL_1)

    refused = run("gate", worse, "--policy", asked, "--no-confirm", "--path", AGENTS, "--store", store)
    elsewhere = run("gate", worse, "--policy", asked, "--store", store)

    for done in (refused, elsewhere):
        assert done.exit_code == 2, done.output
        assert "`auditlog gate" in " ".join(done.stdout.split())
    assert "was begun in" in " ".join(elsewhere.stdout.split())


def test_too_few_cases_are_inconclusive(replayed, tmp_path):
    """Level 2 asks six cases for more, and says how many."""
    store, same, _ = replayed
    done = run(
        "gate",
        same,
        "--policy",
        policy(tmp_path, LEVEL_1.replace("1\nowner", "2\nowner")),
        "--path",
        AGENTS,
        "--store",
        store,
    )

    assert done.exit_code == 2, done.output
    assert "more than there are" in " ".join(done.stdout.split())
    assert "takes 59 independent conversations: 56 more" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gate", "--nonsense"], "No such option"),
        (["gate"], "Name the run to judge"),
        (["gate", "last"], "Name the policy with --policy FILE"),
        (["gate", "last", "--policy", "none.toml"], "`auditlog gate --init` writes one"),
        (["gate", "last", "--policy", "gate.toml", "--output", "junti=x.xml"], "nearest 'junit'"),
        (["gate", "20990101", "--policy", "gate.toml"], "There is no run '20990101'. The nearest is"),
        (["gate", "last", "--policy", "gate.toml", "--store", "nowhere"], "nowhere"),
        (
            ["gate", "last", "--policy", "wrong.toml"],
            "wrong.toml:3:20: metric 'outcom' is unknown; nearest 'outcome'",
        ),
        (["gate", "--init", "--show"], "give one of them"),
    ],
)
def test_no_verdict_is_an_error(replayed, tmp_path, monkeypatch, arguments, said):
    """Whatever is wrong ends with 3, so that nobody takes a typing mistake for a verdict."""
    monkeypatch.setenv("AUDITLOG_STORE", str(replayed[0]))
    policy(tmp_path, LEVEL_1)
    (tmp_path / "wrong.toml").write_text('version = 1\nlevel = 1\nmetrics.primary = ["outcom"]\n')
    done = run(*arguments)

    assert done.exit_code == 3, done.output
    assert said in done.stderr


@pytest.mark.slow
def test_runs_that_are_none(replayed, tmp_path):
    """A verify and a comparison are refused with what to run."""
    store, *_ = replayed
    asked = policy(tmp_path, LEVEL_1)
    run("replay", "verify", "--agent", "shop_agents:v1", "--path", AGENTS, "--store", store)
    run(
        "replay",
        "compare",
        "--baseline",
        "user:u0",
        "--candidate",
        "user:u0",
        "--by",
        "conversation",
        "--store",
        store,
    )

    kinds = {
        row["kind"]: row["run_id"]
        for row in json.loads(run("replay", "ls", "--format", "json", "--store", store).stdout)
    }
    for kind in ("verify", "compare"):
        done = run("gate", kinds[kind], "--policy", asked, "--store", store)
        assert done.exit_code == 3
        assert "auditlog replay run" in done.stderr


@pytest.mark.slow
def test_a_scorer_that_raises_leaves_cases_unscored(replayed, tmp_path):
    """It is told, no case becomes 0, and the verdict is INCONCLUSIVE; another scorer's violation still fails."""
    store, same, _ = replayed
    metrics = '[metrics]\nhard = ["new_write"]\nprimary = ["outcome", "boom"]\n'
    text = f'{metrics}[[scorer]]\nname = "boom"\nuse = "gate_scorers:boom"\n'
    done = run(
        "gate",
        same,
        "--policy",
        policy(tmp_path, LEVEL_1 + text),
        "--path",
        AGENTS,
        "--store",
        store,
        "--format",
        "json",
    )

    found = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 2, done.output
    assert ("INCONCLUSIVE", 6) == (
        found["unscored.boom"]["outcome"],
        found["unscored.boom"]["figures"]["unscored"],
    )
    assert 0 == found["primary.boom"]["figures"]["n"]
    assert any("The scorer boom failed" in warning for warning in json.loads(done.stdout)["warnings"])


@pytest.mark.slow
def test_a_run_that_is_not_complete_is_inconclusive(record, agents, tmp_path):
    """A run without a baseline says that it has none."""
    store = tmp_path / "audit"
    record(store, agents.v1, TALKS)
    run("replay", "run", "--agent", "shop_agents:v1", "--path", AGENTS, "--store", store)
    done = run("gate", "last", "--policy", policy(tmp_path, LEVEL_1), "--path", AGENTS, "--store", store)

    assert done.exit_code == 2
    assert "no baseline was run again" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_an_erased_recording_is_inconclusive(replayed, tmp_path):
    """A conversation that was taken away since leaves no verdict, with a sentence."""
    store, same, _ = replayed
    run("seal", "--store", store)
    with Store.open(store) as opened:
        erased = run("erase", "--subject", "u3", "--yes", "--store", store)
        del opened
    done = run("gate", same, "--policy", policy(tmp_path, LEVEL_1), "--path", AGENTS, "--store", store)

    assert erased.exit_code == 0, erased.stderr
    assert done.exit_code == 2, done.output
    assert "cannot be replayed (any more)" in " ".join(done.stdout.split())


@pytest.mark.slow
def test_several_outputs_at_once(replayed, tmp_path):
    """--output may be given several times, each in its format; stdout still has the verdict."""
    store, same, _ = replayed
    done = run(
        "gate", same, "--policy", policy(tmp_path, LEVEL_1), "--path", AGENTS, "--store", store, "--no-record",
        "--output", "junit=gate.xml", "--output", "sarif=gate.sarif", "--output", "md=gate.md", "--output", "html=gate.html",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("PASS")
    assert "testsuites" == ET.fromstring((tmp_path / "gate.xml").read_text()).tag
    assert "2.1.0" == json.loads((tmp_path / "gate.sarif").read_text())["version"]
    assert (tmp_path / "gate.md").read_text().startswith("<!-- auditlog-gate -->\n## ✅ PASS")
    assert "Content-Security-Policy" in (tmp_path / "gate.html").read_text()
    assert 3 == run("gate", "--show", same, "--store", store).exit_code


@pytest.mark.slow
def test_evidence_without_rows_is_inconclusive(replayed, tmp_path):
    """A query that returns no rows, or does not run, is never a pass; one may name the run."""
    store, same, _ = replayed
    text = (
        '[[evidence]]\nname = "some"\nquery = "SELECT span_id FROM all_spans WHERE replay_run_id = \'{run}\'"\n'
        '[[evidence]]\nname = "none"\nquery = "SELECT 1 WHERE false"\n'
        '[[evidence]]\nname = "write"\nquery = "DROP VIEW spans"\n'
    )
    done = run(
        "gate",
        same,
        "--policy",
        policy(tmp_path, LEVEL_1 + text),
        "--path",
        AGENTS,
        "--store",
        store,
        "--format",
        "json",
    )

    found = {check["id"]: check["outcome"] for check in json.loads(done.stdout)["checks"]}
    assert done.exit_code == 2
    assert ("PASS", "INCONCLUSIVE", "INCONCLUSIVE") == tuple(
        found[f"evidence.{n}"] for n in ("some", "none", "write")
    )


def test_init_writes_a_policy_once(tmp_path):
    """--init writes a commented policy, and never over another."""
    assert run("gate", "--init").exit_code == 0
    assert (tmp_path / "gate.toml").read_text().startswith("# What has to hold")

    again = run("gate", "--init")
    assert (3, True) == (again.exit_code, "is there already" in again.stderr)


@pytest.mark.slow
def test_self_test_writes_nothing(replayed, tmp_path):
    """--self-test says what was caught, and leaves the store as it was."""
    store, same, _ = replayed
    run("seal", "--store", store)
    before = {path: path.read_bytes() for path in store.rglob("*.parquet")}
    done = run("gate", same, "--self-test", "--policy", policy(tmp_path, LEVEL_1), "--store", store)

    assert done.exit_code == 0, done.output
    assert "new write" in done.stdout
    assert "False alarms on the copy without a plant: 0 of 10." in done.stdout
    assert before == {path: path.read_bytes() for path in store.rglob("*.parquet")}
