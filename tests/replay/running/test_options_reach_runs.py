"""What is written on a command line reaches the run, or is refused: nothing is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import replay
from auditlog.cli.main import main
from replay.errors import RunError
from replay.running.records import RUN_END, run_span
from replay.sandbox.modes import Modes

AGENTS = str(Path(__file__).parent.parent / "agents")


@pytest.fixture
def command(recorded, monkeypatch):
    """Give what runs a command in this process, on a store with six recorded turns."""
    monkeypatch.setenv("AUDITLOG_STORE", str(recorded.path))

    def run(*arguments):
        return CliRunner().invoke(main, arguments)

    return run


@pytest.fixture
def unfinished(recorded, monkeypatch):
    """Give what makes a run whose last record is missing."""

    def make(**options):
        def without_end(name, run_id, content, attributes=None):
            return run_span("lost" if name == RUN_END else name, run_id, content, attributes)

        planned = replay.plan(recorded, "shop_agents:v1", path=AGENTS, workers=1, limit=2, **options)
        with monkeypatch.context() as patched:
            patched.setattr("replay.running.runner.run_span", without_end)
            replay.run(recorded, planned)
        recorded.refresh()
        return planned.run_id

    return make


@pytest.mark.parametrize(
    "words", [("replay", "run"), ("replay", "verify"), ("replay", "control"), ("regress", "run")]
)
def test_the_engine_is_the_one_that_was_named(command, words, monkeypatch):
    """Every command that replays takes the engine that is named: without Ray it says so, and runs nothing here instead."""
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert 0 == command("regress", "add", "c0").exit_code
    done = command(
        *words, "--agent", "shop_agents:v1", "--path", AGENTS, "--concurrency", "1", "--engine", "ray"
    )
    assert done.exit_code != 0
    assert "The engine ray is not installed" in done.stderr
    assert "no runs" in command("replay", "ls").stderr.lower() or command("replay", "ls").stdout.strip() == ""


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--agent", "shop_agents:v1"), "--agent"),
        (("--reads", "recorded", "--allow-host", "api.example.com:443"), "--allow-host, --reads"),
        (("--repeats", "1"), "--repeats"),
        (("--seed", "none"), "--seed"),
        (("--where", "conversation:c0"), "--where"),
    ],
)
def test_what_a_resumed_run_would_ignore_is_refused(command, unfinished, options, named):
    """A run goes on as it was begun; options that say otherwise, or the same, are refused by name."""
    run_id = unfinished()
    done = command("replay", "run", "--resume", run_id, "--path", AGENTS, *options)
    assert done.exit_code != 0
    assert f"so {named} would be ignored" in done.stderr


def test_what_a_resumed_run_may_take_is_taken(command, unfinished):
    """Limits, workers, format and place may be others from here on."""
    run_id = unfinished()
    options = (
        "--deadline",
        "30",
        "--retries",
        "1",
        "--concurrency",
        "1",
        "--format",
        "json",
        "--path",
        AGENTS,
    )
    done = command("replay", "run", "--resume", run_id, *options)
    assert 0 == done.exit_code, done.stderr
    assert f"Run {run_id} goes on" in done.stderr


def test_a_run_goes_on_with_the_very_live_writes_that_it_was_begun_with(recorded, unfinished):
    """Another tool's name lets nobody's writes happen again, nor does none, nor one more; the very same do."""
    run_id = unfinished(modes=Modes(writes="live", live_writes=("refund",)))
    for named, said in (
        ((), "writes for real .refund., and so will what is left"),
        (("harmless",), "with refund, and --live-write names harmless"),
        (("refund", "harmless"), "with refund, and --live-write names harmless, refund"),
    ):
        with pytest.raises(RunError, match=said):
            replay.resume(recorded, run_id, path=AGENTS, live_writes=named)
    assert (
        "complete"
        == replay.run(recorded, replay.resume(recorded, run_id, path=AGENTS, live_writes=("refund",))).status
    )
    plain = unfinished()
    with pytest.raises(RunError, match="was begun without live writes"):
        replay.resume(recorded, plain, path=AGENTS, live_writes=("refund",))


def test_a_fork_of_a_run_takes_its_candidate_only_where_it_was_begun(
    recorded, unfinished, tmp_path, command, monkeypatch
):
    """A store from elsewhere does not choose the code that a fork runs; with an agent named it has nothing to choose."""
    run_id = unfinished()
    monkeypatch.chdir(tmp_path)
    done = command("replay", "fork", run_id, "--at", "1")
    assert f"was begun in {AGENTS}, and this is {tmp_path}" in done.stderr
    done = command("replay", "fork", run_id, "--at", "1", "--agent", "shop_agents:v1")
    assert "was begun in" not in done.stderr
    done = command("replay", "fork", run_id, "--at", "1", "--path", AGENTS, "--concurrency", "1")
    assert 0 == done.exit_code, done.stderr
