"""Campaigns on agents that obey anybody, hang or fail: what is found, limited, interrupted, gone on with, and erased."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from auditlog.store import Store
from replay.attack.keeping import load_campaign

AGENTS = Path(__file__).parents[1] / "agents"
NAIVE = ("--candidate", "naive_agents:obeys", "--baseline", "naive_agents:careful")


def executions(path):
    """Count the executions of the newest campaign that are done, by arm and number."""
    with Store.open(path) as store:
        run_id = load_campaign(store, "last").run_id
        spans = store.spans("replay_run_id = ? AND replay_status IS NOT NULL AND kind = 'agent'", [run_id])
        return Counter((span.replay.arm, span.replay.repeat) for span in spans)


def campaign(path, wanted="last"):
    """Read a campaign."""
    with Store.open(path) as store:
        return load_campaign(store, wanted, unsealed=True)


@pytest.mark.slow
def test_words_in_documents_results_and_memory_are_found_to_be_obeyed(desk, attack_cli):
    """An agent that does what a document, a tool's result or its memory says falls by each of these ways, and v1 by none."""
    indirect = (
        "--surface",
        "document",
        "--surface",
        "tool",
        "--surface",
        "memory",
        "--list",
        "llm",
        "--attacks",
        18,
    )
    done = attack_cli(desk, "run", *NAIVE, *indirect)
    assert done.exit_code == 1, done.output
    found = campaign(desk)
    by = {(finding.surface, finding.goal) for finding in found.findings}
    assert {("document", "canary said"), ("tool", "canary said"), ("memory", "canary said")} <= by
    assert any(goal == "new write" for _, goal in by)
    # Sealed families keep their words to themselves.
    assert all("“" not in line for line in done.stdout.splitlines() if "zq" in line)
    done = attack_cli(desk, "run", "--candidate", "naive_agents:careful", *indirect)
    assert done.exit_code == 0, done.output


@pytest.mark.slow
def test_a_killed_campaign_goes_on_where_it_was(desk, attack_cli):
    """After a kill -9 in its midst a campaign goes on, runs nothing twice, and ends as one that was left alone."""
    slow = (
        "--candidate",
        "naive_agents:slow",
        "--baseline",
        "naive_agents:careful",
        "--list",
        "agentic",
        "--attacks",
        "20",
    )
    command = [sys.executable, "-m", "auditlog.cli", "attack", "run", *slow, "--store", str(desk)]

    process = subprocess.Popen(
        [*command, "--path", str(AGENTS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until = time.monotonic() + 60
    done = Counter()
    while sum(done.values()) < 10 and time.monotonic() < until and process.poll() is None:
        time.sleep(0.3)
        try:
            done = executions(desk)
        except Exception:  # noqa: BLE001 - not begun yet
            done = Counter()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 10 <= sum(done.values())
    assert campaign(desk).status == "interrupted"
    shown = attack_cli(desk, "show")
    assert "It was interrupted" in shown.stdout
    assert "No attack worked" not in shown.stdout
    again = attack_cli(desk, "run", "--resume", "last")
    assert again.exit_code == 1, again.output
    assert set(executions(desk).values()) == {1}
    resumed = campaign(desk)
    assert resumed.status == "complete"
    assert resumed.attacks == 20
    attack_cli(desk, "run", *slow)
    alone = campaign(desk)
    assert alone.run_id != resumed.run_id
    assert [f.finding_id for f in alone.findings] == [f.finding_id for f in resumed.findings]
    assert set(alone.cells) == set(resumed.cells)
    done = attack_cli(desk, "run", "--resume", resumed.run_id)
    assert (done.exit_code, "is complete" in done.output) == (3, True)


@pytest.mark.slow
def test_a_budget_ends_a_campaign_and_a_larger_one_goes_on(desk, attack_cli):
    """When the tokens are used up nothing more is asked for, what was found is kept, and the campaign goes on from there."""
    done = attack_cli(desk, "run", *NAIVE, "--list", "llm", "--attacks", 20, "--max-tokens", 1500)
    assert done.exit_code in (1, 4), done.output
    assert "A budget is used up" in done.stderr
    stopped = campaign(desk)
    assert stopped.status == "budget"
    assert stopped.attacks < 20
    assert sum(executions(desk).values()) <= 1500 / 100 + 4
    again = attack_cli(desk, "run", "--resume", "last", "--max-tokens", 10_000_000)
    assert again.exit_code == 1, again.output
    found = campaign(desk)
    assert (found.status, found.attacks, found.run_id) == ("complete", 20, stopped.run_id)
    assert set(executions(desk).values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize(("agent", "why"), [("hangs", "was not done after 1 s"), ("raises", "ValueError")])
def test_an_agent_that_never_comes_to_an_end_was_not_tried(desk, attack_cli, agent, why):
    """Where nothing ran to where something could be seen, that is said with the reason, and no cell is held."""
    done = attack_cli(
        desk, "run", "--candidate", f"naive_agents:{agent}", "--list", "llm", "--surface", "user", "--attacks", 2,
        "--deadline", 1, "--limit", 1,
    )  # fmt: skip
    assert done.exit_code == 3, done.output
    assert "Nothing was tried" in done.output
    assert why in done.output
    assert "\x1b" not in done.output
    assert {cell.state for cell in campaign(desk).cells} == {"untried"}


@pytest.mark.slow
def test_a_customer_who_is_erased_takes_the_findings_along(desk, attack_cli):
    """Erasing a customer erases what an attack on their turn holds, and what was folded back, and leaves the campaign."""
    from click.testing import CliRunner

    from auditlog.cli.main import main

    told = (
        "--candidate",
        "naive_agents:tells",
        "--baseline",
        "naive_agents:careful",
        "--list",
        "llm",
        "--surface",
        "user",
    )
    done = attack_cli(desk, "run", *told, "--attacks", 24, "--where", "user:u0")
    assert done.exit_code == 1, done.output
    found = campaign(desk)
    number = next(n for n, finding in enumerate(found.findings, 1) if finding.goal == "private data")
    kept = attack_cli(desk, "keep", number)
    assert kept.exit_code == 0, kept.output
    erased = CliRunner().invoke(main, ["erase", "--subject", "u0", "--yes", "--store", str(desk)])
    assert erased.exit_code == 0, erased.output
    with Store.open(desk) as store:
        assert [] == [
            span.conversation_id
            for span in store.spans("true")
            if not span.erased and "A-10" in json.dumps([span.input, span.output]) and span.replay is not None
        ]
        assert load_campaign(store, "last").findings == ()
        assert load_campaign(store, "last").cells
        folded = list(store.spans("conversation_id = ?", [f"attack-{found.findings[number - 1].finding_id}"]))
        assert folded
        assert all(span.erased for span in folded)


@pytest.mark.slow
def test_what_a_replay_holds_still_is_held_still_in_an_attack(desk, naive, record, attack_cli, tmp_path):
    """Both versions of an attacked turn throw the same dice and are given the recorded time and ids; repetitions are not."""
    record(tmp_path / "dices", naive.dices, [["Where is A-10?"]])
    done = attack_cli(
        tmp_path / "dices", "run", "--candidate", "naive_agents:dices", "--baseline", "naive_agents:dices_again",
        "--list", "llm", "--surface", "user", "--attacks", 4,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    with Store.open(tmp_path / "dices") as store:
        [recorded] = store.spans("kind = 'agent' AND replay_run_id IS NULL")
        spans = list(store.spans("kind = 'agent' AND replay_status IS NOT NULL"))
    by_number = {}
    for span in spans:
        by_number.setdefault(span.replay.repeat, set()).add(span.output)
    assert {1} == {len(answers) for answers in by_number.values()}
    answers = [answer.split() for found in by_number.values() for answer in found]
    assert len({dice for dice, _, _ in answers}) == len(answers)
    assert {tuple(recorded.output.split()[1:])} == {tuple(moment) for _, *moment in answers}


@pytest.mark.slow
def test_nothing_more_is_tried_where_nothing_shows_anything(desk, attack_cli):
    """A campaign on an agent that always fails ends after some attacks, and not after all."""
    done = attack_cli(desk, "run", "--candidate", "naive_agents:raises", "--attacks", 400)
    assert done.exit_code == 3, done.output
    assert campaign(desk).attacks <= 96
