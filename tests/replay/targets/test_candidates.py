"""Whole runs of commits, working trees and manifests: both sides are really run, each with what its own lock names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import typing_extensions

import auditlog
import replay
from auditlog import config
from auditlog.recorder import Recorder
from auditlog.store import Store
from replay.errors import RunError, TargetError
from replay.sandbox.modes import Modes

UNPINNED = "class politeness:\n    VERSION = '0'\n    greet = staticmethod(lambda: 'Hi')\n"
HEAD = "small-1: {}, it is late (politeness {})"


@pytest.fixture
def recorded(tmp_path):
    """A store with one recorded turn of the agent."""

    @auditlog.tool(effect="read")
    def look_up(order):
        return {"order": order, "status": "late"}

    @auditlog.agent("bot")
    def answer(question):
        return f"small-1: Hi, it is {look_up(question)['status']} (politeness 0)"

    with Store.create(tmp_path / "audit") as store:
        previous = config._state.recorder
        config.use(Recorder(store.writer(), agent_version="v0"))
        try:
            with auditlog.conversation("c1", user="u1"):
                answer("A1")
        finally:
            config.use(previous)
    with Store.open(tmp_path / "audit") as store:
        yield store


@pytest.fixture
def two_commits(scratch, agent_source, politeness):
    """An agent in two commits that pin two versions of what it depends on; `old` is the first."""
    scratch.commit("Greet people", {"bot.py": agent_source, "requirements.lock": "politeness==1.0\n"})
    scratch.git("branch", "old")
    scratch.commit("Greet politely", {"requirements.lock": "politeness==2.0\n"})
    return scratch


def plan(store, scratch, candidate, baseline=None, **options):
    """Plan a run in a repository."""
    options = {"agent": "bot:answer", "path": scratch.path, "workers": 1, "sample": 0.0, **options}
    return replay.plan(store, candidate, baseline=baseline, **options)


def answers(store, planned):
    """Run a plan; give what the baseline and the candidate answered."""
    replay.run(store, planned)
    (case,) = replay.load_report(store, planned.run_id).cases
    return tuple(side[0].answer_text if side else None for side in (case.baseline, case.candidate))


@pytest.mark.slow
def test_both_sides_run_their_own_code_with_their_own_packages(recorded, two_commits):
    """A commit against the working tree: each arm says which version of the dependency it had."""
    two_commits.write({"bot.py": (two_commits.path / "bot.py").read_text().replace("it is", "it is still")})
    said = []
    planned = plan(recorded, two_commits, ".", "git:old", say=said.append)
    assert (
        HEAD.format("Hello", "1.0"),
        HEAD.format("Good day", "2.0").replace("it is", "it is still"),
    ) == answers(recorded, planned)
    old, new = (
        two_commits.git("rev-parse", "--short=8", "old"),
        two_commits.git("rev-parse", "--short=8", "main"),
    )
    run = replay.load_runs(recorded)[0]
    assert (f". ({new} + 1 changed) bot:answer", f"git:old ({old}) bot:answer") == (
        run.candidate,
        run.baseline,
    )
    assert f"The working tree is not as committed: 1 file differs from {new} (bot.py)." in planned.notes
    assert ["Making", "It holds", "Making", "It holds"] == [
        " ".join(words.split(" ")[: 1 + (words[0] == "I")]) for words in said
    ]
    lines = {side.arm: side.lines for side in run.sides}
    assert f"bot: old = {old} “Greet people”" in lines["baseline"]
    assert "uncommitted: bot.py" in lines["candidate"]
    assert any("requirements.lock" in line and "(1 installed)" in line for line in lines["baseline"])

    said.clear()
    again = plan(recorded, two_commits, ".", "git:old", say=said.append, fresh=True)
    assert ([], planned.candidate.digest) == (said, again.candidate.digest)
    two_commits.write({"prompts.md": "new"})
    assert (
        plan(recorded, two_commits, ".", "git:old", fresh=True).candidate.digest != planned.candidate.digest
    )


@pytest.mark.slow
def test_a_manifest_replaces_models_prompts_and_tools(recorded, two_commits, tmp_path):
    """What a manifest replaces reaches the agent unchanged, and what it did not reach is said."""
    source = (two_commits.path / "bot.py").read_text()
    tools = 'tools=[{"type": "function", "function": {"name": "look_up", "description": "Old."}}]'
    source = source.replace("auditlog.prompt(", "auditlog.prompt(").replace("}])", f"}}], {tools})")
    source = source.replace(
        'return model + ": "',
        'return tools[0]["function"]["description"] + " " + os.environ["REGION"] + " " + model + ": "',
    )
    two_commits.commit("Describe tools", {"bot.py": "import os\n" + source})
    two_commits.write(
        {
            "new.toml": """
agent = "bot:answer"
commit = "main"
[models]
small-1 = "small-2"
small-9 = "small-2"
[prompts.greeting]
text = "Ahoy"
[prompts.farewel]
text = "Bye"
[tools.look_up]
description = "New."
[tools.refund]
description = "New."
[environment]
set = { REGION = "eu" }
"""
        }
    )
    planned = plan(recorded, two_commits, "new.toml", agent="")
    expected = "New. eu small-2: Ahoy, it is late (politeness 2.0)"
    assert expected == answers(recorded, planned)[1]
    report = replay.load_report(recorded, planned.run_id)
    assert [
        "The candidate never asked for the model 'small-9', so nothing was put in its place. It asked for small-1.",
        "The candidate never asked for the prompt 'farewel' (auditlog.prompt), so nothing was put in its place.",
        "The candidate never told a model of the tool 'refund' and never ran it, so nothing of it was replaced.",
    ] == list(report.unreached)
    (turn,) = recorded.turns(run=planned.run_id, arm="candidate")
    model = turn.of_kind("model")[0]
    assert ("small-2", "Ahoy") == (model.model_requested, model.input["messages"][0]["content"])
    with pytest.raises(RunError, match="is complete"):
        replay.resume(recorded, planned.run_id, path=two_commits.path)
    (two_commits.path / "new.toml").unlink()
    with pytest.raises(RunError, match=r"manifest new.toml is gone\. What was done is kept"):
        replay.resume(recorded, planned.run_id, path=two_commits.path)


@pytest.mark.slow
def test_an_environment_runs_nothing_before_the_locks_and_lends_nothing_else(
    recorded, scratch, agent_source, wheel, tmp_path
):
    """A package's start-up file meets the sandbox, and what the lock does not name cannot be imported."""
    path = wheel("politeness", "1.0", "VERSION = '1.0'\ndef greet(): return 'Hello'\n")
    canary = tmp_path / "canary"
    import zipfile

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("start.pth", f"import os; open({str(canary)!r}, 'w').close()\n")
    scratch.commit("Begin", {"bot.py": agent_source, "requirements.txt": "politeness==1.0\n"})
    planned = plan(recorded, scratch, "git:main")
    assert HEAD.format("Hello", "1.0") == answers(recorded, planned)[1]
    assert not canary.exists()
    scratch.commit("Import more", {"bot.py": "import pyarrow\n" + agent_source})
    with pytest.raises(TargetError, match="imports pyarrow, which is not in its environment"):
        plan(recorded, scratch, "git:main")


@pytest.mark.slow
def test_what_a_worker_needs_of_an_environment_is_imported_behind_the_kernels_locks(
    recorded, scratch, agent_source, wheel, tmp_path
):
    """A commit's own copy of what the worker imports itself writes nothing, before the agent or after."""
    canary = tmp_path / "canary"
    touch = f"try:\n    open({str(canary)!r}, 'w').close()\nexcept OSError:\n    pass\n"
    source = Path(typing_extensions.__file__).read_text(encoding="utf-8")
    path = wheel("typing_extensions", "99.0", source + touch, home=scratch.path)
    lock = f"politeness==1.0\n./{path.name}\n"
    wheel("politeness", "1.0", "VERSION = '1.0'\ndef greet(): return 'Hello'\n")
    scratch.commit("Begin", {"bot.py": agent_source, "requirements.txt": lock})
    planned = plan(recorded, scratch, "git:main")
    if not any(lock.startswith("landlock") for lock in planned.locks):
        pytest.skip("this kernel has no Landlock")
    assert HEAD.format("Hello", "1.0") == answers(recorded, planned)[1]
    assert not canary.exists()


def test_an_environment_that_cannot_be_made_says_why_and_leaves_nothing(
    recorded, scratch, agent_source, cache
):
    """A package that is in no index is one sentence with the installer's last lines, and the next try begins anew."""
    scratch.commit("Begin", {"bot.py": agent_source, "requirements.txt": "politeness==9.9\n"})
    with pytest.raises(
        TargetError, match=r"(?s)git:main \(requirements.txt\) cannot be installed.*last lines:.*politeness"
    ):
        plan(recorded, scratch, "git:main")
    assert [] == [path for path in (cache / "environments").iterdir() if path.is_dir()]
    assert [] == replay.load_runs(recorded)


def test_nothing_is_built_that_was_not_allowed(recorded, scratch, agent_source, tmp_path):
    """A package in the tree that would be built, and so run its own code, is refused before anything is installed."""
    canary = tmp_path / "canary"
    setup = f"open({str(canary)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='lib')\n"
    scratch.commit("Begin", {"bot.py": agent_source, "requirements.txt": "./lib\n", "lib/setup.py": setup})
    with pytest.raises(TargetError, match=r"asks for ./lib, .* --allow-builds"):
        plan(recorded, scratch, "git:main")
    assert not canary.exists()


@pytest.mark.parametrize("spec", ["git:main", "."])
def test_code_without_a_lock_runs_with_what_the_command_has(spec, recorded, scratch, agent_source):
    """Where nothing says which packages, they are those of this command, and that is said."""
    source = agent_source.replace("import politeness", UNPINNED)
    scratch.commit("Begin", {"bot.py": source})
    planned = plan(recorded, scratch, spec)
    assert HEAD.format("Hi", "0") == answers(recorded, planned)[1]
    assert any("No lock and no pyproject.toml is in" in note for note in planned.notes)


def test_a_commit_that_is_gone_is_one_sentence(recorded, scratch, agent_source):
    """A run whose branch was deleted keeps what it did; one whose branch only moved goes on with the commit it began with."""
    source = agent_source.replace("import politeness", UNPINNED)
    scratch.commit("Begin", {"bot.py": source})
    scratch.git("checkout", "-q", "-b", "other")
    scratch.commit("Try", {"bot.py": source.replace("it is", "it might be")})
    planned = plan(recorded, scratch, "git:other")
    from replay.running.records import MANIFEST, run_span

    writer = recorded.writer()
    writer.append(run_span(MANIFEST, planned.run_id, {**planned.manifest(), "pid": 0}))
    writer.close()
    recorded.refresh()
    first = scratch.git("rev-parse", "HEAD")
    scratch.commit("Move on", {"bot.py": source.replace("it is", "it was")})
    resumed = replay.resume(recorded, planned.run_id, path=scratch.path)
    assert (first, "other", planned.candidate.digest) == (
        resumed.candidate.code.commit, resumed.candidate.code.revision, resumed.candidate.digest,
    )  # fmt: skip
    scratch.git("checkout", "-q", "main")
    scratch.git("branch", "-D", "other")
    scratch.git("reflog", "expire", "--expire=now", "--all")
    scratch.git("gc", "-q", "--prune=now")
    with pytest.raises(
        RunError,
        match=rf"Commit {first[:8]} \(other\) is no longer in the repository bot\. What was done is kept",
    ):
        replay.resume(recorded, planned.run_id, path=scratch.path)


@pytest.mark.parametrize(
    ("candidate", "options", "message"),
    [
        ("git:mian", {}, r"no revision 'mian'. The nearest: main"),
        ("git:main", {"agent": ""}, r"git:main names no agent. Name it with --agent"),
        (".", {"agent": "bot:anser"}, r"no attribute 'anser'. The nearest is 'answer'"),
        ("nope.toml", {}, r"There is no manifest nope.toml"),
        ("git:main", {"baseline": "git:nope"}, r"no revision 'nope'"),
    ],
)
def test_what_cannot_be_found_is_said_before_anything_is_made(
    candidate, options, message, recorded, scratch, agent_source, cache
):
    """A wrong revision, agent or manifest is one sentence, and no environment is made for it."""
    scratch.commit("Begin", {"bot.py": agent_source.replace("import politeness", "politeness = None")})
    with pytest.raises(TargetError, match=message):
        plan(recorded, scratch, candidate, **options)
    assert not (cache / "environments").exists()


def test_a_working_tree_that_changes_under_a_run_stops_it(recorded, scratch, agent_source):
    """A worker that finds other files than were planned runs nothing."""
    scratch.commit(
        "Begin", {"bot.py": agent_source.replace("import politeness", "import types\npoliteness = types")}
    )
    planned = plan(recorded, scratch, ".")
    with (scratch.path / "bot.py").open("a", encoding="utf-8") as file:
        file.write("# more\n")
    with pytest.raises(TargetError, match="changed while the run was under way"):
        replay.run(recorded, planned)


def test_a_directory_inside_a_repository_is_where_its_agent_runs(recorded, scratch, agent_source):
    """In a repository of several services each has its own directory, modules and lock."""
    source = agent_source.replace("import politeness", "import words as politeness")
    words = "VERSION = '7'\ndef greet(): return open('greeting.md').read()\n"
    scratch.commit(
        "Begin",
        {"services/bot/bot.py": source, "services/bot/src/words.py": words, "services/bot/greeting.md": "Yo"},
    )
    shutil.rmtree(scratch.path / "services" / "bot" / "src")
    planned = plan(recorded, scratch, "git:main", path=scratch.path / "services" / "bot")
    assert HEAD.format("Yo", "7") == answers(recorded, planned)[1]
    assert os.path.join("services", "bot") == planned.candidate.code.below


def test_a_replaced_tool_runs_where_the_tool_may_run_at_all(recorded, scratch, agent_source):
    """What stands in a tool's place is run for a live read, and a read that is served stays served."""
    source = agent_source.replace("import politeness", UNPINNED)
    stub = "def look_up(order): return {'order': order, 'status': 'replaced'}\n"
    manifest = 'agent = "bot:answer"\ncommit = "."\n[tools.look_up]\nreplace = "stubs:look_up"\n'
    scratch.commit("Begin", {"bot.py": source, "stubs.py": stub, "new.toml": manifest})
    live = Modes(reads="live", live_reads=("look_up",))
    expected = HEAD.format("Hi", "0")
    served = plan(recorded, scratch, "new.toml", agent="")
    assert expected == answers(recorded, served)[1]
    assert 1 == len(replay.load_report(recorded, served.run_id).unreached)
    ran = plan(recorded, scratch, "new.toml", agent="", modes=live)
    assert expected.replace("late", "replaced") == answers(recorded, ran)[1]
    assert () == replay.load_report(recorded, ran.run_id).unreached


def test_code_from_elsewhere_is_never_taken_for_a_commits(
    recorded, scratch, agent_source, tmp_path, monkeypatch
):
    """An agent that is installed here and not in the commit is refused; what a commit's agent takes from elsewhere is said."""
    source = agent_source.replace("import politeness", UNPINNED)
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "bot.py").write_text(source)
    (tmp_path / "installed" / "helpers.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    scratch.commit("Begin", {"README.md": "Nothing yet."})
    with pytest.raises(TargetError, match=r"bot is not in the files that are to be run: .*installed/bot.py"):
        plan(recorded, scratch, "git:main")
    scratch.commit("Add the agent", {"bot.py": "import helpers\n" + source})
    notes = plan(recorded, scratch, "git:main").notes
    assert any(
        f"loads code from {tmp_path / 'installed'}, which is none of its files" in note for note in notes
    )
