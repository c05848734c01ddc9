"""The replay commands: run, verify, ls, show, diff, compare, and what they say when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from auditlog.cli.exits import Exit
from auditlog.cli.main import main

pytestmark = pytest.mark.usefixtures("plain_surroundings")
AGENTS = Path(__file__).parent / "agents"
QUESTIONS = ("hello", "refund A1", "refund A2", "refund B9", "angry: where is it?", "crash")


def run(*arguments):
    """Run the command in this process."""
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


@pytest.fixture(scope="module")
def replayed_once(record, agents, tmp_path_factory):
    """Give the path of a store in which `generous` was replayed against the recording."""
    path = tmp_path_factory.mktemp("replayed") / "audit"
    record(path, agents.v1, [list(QUESTIONS[:3]), list(QUESTIONS[3:])])
    done = run("run", "--agent", "shop_agents:generous", "--path", AGENTS, "--store", path)
    assert done.exit_code == Exit.OK, done.stderr
    return path


@pytest.fixture
def replayed(replayed_once, monkeypatch):
    """Make that store the one that commands read."""
    monkeypatch.setenv("AUDITLOG_STORE", str(replayed_once))


def test_a_run_says_what_behaves_differently(recorded):
    """A run prints its figures on stdout, what to know on stderr, and exits with 0: it did its work."""
    done = run("run", "--agent", "shop_agents:generous", "--baseline", "shop_agents:v1", "--path", AGENTS)
    assert done.exit_code == Exit.OK
    assert "1 of 6 cases behaves differently" in done.stdout
    assert "blocked refund" in done.stdout
    assert "6 cases, 1" in done.stderr
    assert "auditlog replay diff" in done.stderr
    assert "auditlog replay diff" not in done.stdout


def test_a_verify_is_identical(recorded):
    """The recorded version comes out as it was recorded, and the exit code says so."""
    done = run("verify", "--agent", "shop_agents:v1", "--path", AGENTS, "--format", "json")
    assert done.exit_code == Exit.OK
    assert json.loads(done.stdout)["run"]["classes"] == {"identical": 6}
    done = run("diff", "last", "--fail-on-difference")
    assert done.exit_code == Exit.OK


def test_a_verify_that_is_not_identical_is_a_no(recorded):
    """Where the recorded version comes out otherwise, the harness does not hold, and the exit code is 1."""
    done = run("verify", "--agent", "shop_agents:generous", "--path", AGENTS)
    assert done.exit_code == Exit.NO
    assert "verify" in done.stdout
    assert "cannot be trusted yet" in done.stderr


def test_a_run_takes_only_what_matches(recorded):
    """The filter chooses conversations, and the limit cases."""
    done = run(
        "run", "--agent", "shop_agents:v1", "--path", AGENTS, "--where", "text:angry", "--format", "json"
    )
    assert json.loads(done.stdout)["run"]["cases"] == 3
    done = run("run", "--agent", "shop_agents:v1", "--path", AGENTS, "--limit", "2", "--format", "json")
    assert json.loads(done.stdout)["run"]["cases"] == 2


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], Exit.USAGE, "Name what to run with --agent MODULE:ATTR"),
        (["--agent", "a:b", "--adapter", "c:d"], Exit.USAGE, "give one of them"),
        (["--agent", "shop_agents"], Exit.ERROR, "names no agent. Write module:attribute"),
        (["--agent", "shop_agent:v1"], Exit.ERROR, "The nearest is 'shop_agents'."),
        (["--agent", "shop_agents:v11"], Exit.ERROR, "The nearest is 'v1'."),
        (["--agent", "shop_agents:refund"], Exit.ERROR, "is decorated as a tool"),
        (["--agent", "shop_agents:v1", "--where", "agnt:x"], Exit.ERROR, "the nearest is `agent`"),
        (["--agent", "shop_agents:v1", "--where", "user:nobody"], Exit.ERROR, "user:nobody"),
        (["--agent", "shop_agents:v1", "--since", "2100-01-01"], Exit.ERROR, "No"),
        (["--agent", "shop_agents:v1", "--allow-host", "not a host"], Exit.ERROR, "not a host"),
        (["--agent", "shop_agents:v1", "--env", "A=b"], Exit.ERROR, "is no name of a variable"),
        (["--agent", "shop_agents:v1", "--path", "nowhere"], Exit.USAGE, "nowhere"),
        (["--resume", "nope"], Exit.ERROR, "nope"),
        (["--agent", "shop_agents:v1", "--store", "nowhere"], Exit.ERROR, "A store lies in ./audit."),
    ],
)
def test_what_cannot_run_is_a_sentence(recorded, arguments, code, says):
    """Whatever is wrong with a run is said before anything runs, without a traceback."""
    if "--path" not in arguments:
        arguments = [*arguments, "--path", AGENTS]
    done = run("run", *arguments)
    assert done.exit_code == code
    assert says in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_module_that_fails_to_import_is_a_sentence(recorded, tmp_path):
    """An agent's module that raises says what and where, and no traceback of ours."""
    (tmp_path / "broken_agent.py").write_text("import auditlog\n\nraise ValueError('no key')\n")
    done = run("run", "--agent", "broken_agent:v1")
    assert done.exit_code == Exit.ERROR
    assert "broken_agent does not import: ValueError: no key" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_store_has_nothing_to_replay(store):
    """An empty store says so before the agent is imported."""
    done = run("run", "--agent", "no_such:agent", "--store", store.path)
    assert done.exit_code == Exit.ERROR
    assert "holds no conversations, so there is nothing to replay" in done.stderr


def test_runs_are_listed(replayed):
    """`ls` lists runs in every format."""
    [row] = json.loads(run("ls", "--format", "json").stdout)
    assert row["kind"] == "replay"
    assert row["classes"] == {"identical": 5, "blocked": 1}
    assert "1 blocked" in run("ls").stdout


def test_no_runs_are_a_no(recorded):
    """Where nothing was replayed yet, `ls` says how to."""
    done = run("ls")
    assert done.exit_code == Exit.NO
    assert "auditlog replay run --agent MODULE:ATTR" in done.stderr


def test_show_lists_the_cases_that_differ(replayed):
    """`show` prints the figures and a line for each case that behaves differently."""
    done = run("show", "last")
    assert done.exit_code == Exit.OK
    assert [line for line in done.stdout.splitlines() if "c0" in line and "blocked" in line]


@pytest.mark.parametrize("command", ["show", "diff"])
def test_a_run_that_is_not_there_names_the_nearest(replayed, command):
    """A miss says which run was nearest."""
    [row] = json.loads(run("ls", "--format", "json").stdout)
    wanted = row["run_id"][:-1] + "!"
    done = run(command, wanted)
    assert done.exit_code == Exit.ERROR
    assert f"The nearest is '{row['run_id']}'" in done.stderr


def test_a_diff_comes_in_every_format(replayed, tmp_path):
    """Text, JSON, Markdown and JUnit say the same difference; a file is written whole."""
    assert "blocked refund" in run("diff", "last").stdout
    found = json.loads(run("diff", "last", "--format", "json").stdout)
    assert [case["case_class"] for case in found["cases"] if case["differs"]] == ["blocked"]
    assert "1 of 6 cases" in run("diff", "last", "--format", "md").stdout
    assert run("diff", "last", "--format", "junit", "-o", "x.xml").stdout == ""
    assert ET.parse(tmp_path / "x.xml").getroot().attrib["failures"] == "1"


def test_a_difference_fails_where_that_is_asked_for(replayed):
    """`--fail-on-difference` makes a difference a 1; without it a difference is no failure."""
    assert run("diff", "last").exit_code == Exit.OK
    assert run("diff", "last", "--fail-on-difference").exit_code == Exit.NO


def test_one_case_is_shown_in_full(replayed):
    """A case is named by its id, a beginning of it, or its conversation; a miss names the nearest."""
    found = json.loads(run("diff", "last", "--format", "json").stdout)
    case = next(case for case in found["cases"] if case["differs"])
    for name in (case["case_id"], case["case_id"][:10]):
        assert run("diff", "last", "--case", name).stdout.startswith(f"case {case['case_id']}")
    assert run("diff", "last", "--case", case["conversation_id"]).stdout.count("\ncase ") == 2
    missing = run("diff", "last", "--case", case["case_id"][:-1] + "!")
    assert missing.exit_code == Exit.ERROR
    assert f"The nearest is '{case['case_id']}'" in missing.stderr


def test_a_command_that_is_not_there_names_the_nearest():
    """A misspelt sub-command says which was meant."""
    done = run("dif")
    assert done.exit_code == Exit.USAGE
    assert "The nearest is `auditlog replay diff`." in done.stderr


def test_two_sets_of_recordings_are_compared(recorded, record, agents, tmp_path):
    """`compare` pairs conversations by a tag or id, keeps the pairs as a run, and prints their differences."""
    record(
        tmp_path / "audit", agents.no_persons, [["refund A1", "hello"], ["angry: where is it?"]], prefix="d"
    )
    for side in ("c", "d"):
        assert json.loads(
            CliRunner().invoke(main, ["ls", "--where", f"conversation:{side}*", "--format", "json"]).stdout
        )
    done = run(
        "compare",
        "--baseline",
        "conversation:c*",
        "--candidate",
        "conversation:d*",
        "--by",
        "shop",
        "--format",
        "json",
    )
    assert done.exit_code == Exit.OK, done.stderr
    assert json.loads(done.stdout)["run"]["kind"] == "compare"
    assert [row["kind"] for row in json.loads(run("ls", "--format", "json").stdout)] == ["compare"]
    lone = run("compare", "--baseline", "conversation:c*", "--candidate", "conversation:x*")
    assert lone.exit_code == Exit.ERROR
    assert "Traceback" not in lone.stderr


@pytest.mark.slow
def test_the_benchmark_s_figures_come_out(shared_data, tmp_path):
    """Two τ²-bench result files give the known means, outcomes and totals, through the commands alone."""
    results = shared_data / "tau2-bench" / "results"
    for name, arm in (("retail.baseline.gpt-4.1", "base"), ("retail.candidate.gpt-4.1-sft", "cand")):
        done = CliRunner().invoke(main, ["import", str(results / f"{name}.json"), "--tag", f"arm={arm}"])
        assert done.exit_code == Exit.OK, done.stderr
    done = run(
        "compare",
        "--baseline",
        "tag.arm:base",
        "--candidate",
        "tag.arm:cand",
        "--by",
        "task_id",
        "--format",
        "json",
    )
    found = json.loads(done.stdout)
    [reward] = [row for row in found["evaluations"] if row["name"] == "reward"]
    assert (reward["baseline_mean"], reward["candidate_mean"]) == pytest.approx((0.85, 0.85))
    assert (reward["improved"], reward["regressed"], reward["unchanged"]) == (6, 6, 28)
    totals = found["totals"]
    assert (totals["tool_errors"]["baseline"], totals["tool_errors"]["candidate"]) == (12, 23)
    assert (totals["tool_calls"]["baseline"], totals["tool_calls"]["candidate"]) == (299, 292)


def journaled(store):
    """Read what a running process wrote so far; it renames new files meanwhile."""
    found = []
    for path in (store / "journal").iterdir():
        with suppress(FileNotFoundError):
            found.append(path.read_bytes())
    return b"".join(found)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_run_goes_on(recorded, record, agents, tmp_path):
    """An interrupted run exits with 130 and says how to go on; going on completes it."""
    (tmp_path / "slow_agent.py").write_text(
        "import time\nimport auditlog\n\n@auditlog.agent('shop')\n"
        "def slow(question, history):\n    time.sleep(0.5)\n    return question\n"
    )
    record(tmp_path / "audit", agents.v1, [["hello"]] * 30, prefix="many")
    command = [
        sys.executable,
        "-m",
        "auditlog.cli",
        "replay",
        "run",
        "--agent",
        "slow_agent:slow",
        "--concurrency",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(AGENTS)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while "cases" not in (said := process.stderr.readline()):
            assert said
        while b'"auditlog.replay.status"' not in journaled(tmp_path / "audit"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == Exit.INTERRUPTED, said
    assert "auditlog replay run --resume" in said
    assert "Traceback" not in said
    [row] = json.loads(run("ls", "--format", "json").stdout)
    assert row["status"] == "interrupted"
    assert 0 < row["done"] < row["cases"]
    done = run("run", "--resume", row["run_id"], "--concurrency", "4")
    assert done.exit_code == Exit.OK, done.stderr
    [row] = json.loads(run("ls", "--format", "json").stdout)
    assert row["status"] == "complete"
