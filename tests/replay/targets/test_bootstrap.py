"""A worker in an environment that is not ours: what it is lent, and what it refuses to speak."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from replay.errors import TargetError
from replay.running.pool import Launch, Worker
from replay.running.protocol import Setup
from replay.sandbox.modes import Modes
from replay.targets import bootstrap
from replay.targets.bootstrap import LENT, OURS
from replay.targets.environments import environment, interpreter
from replay.targets.locks import find_lock
from replay.targets.planned import Place

AGENTS = Path(__file__).parent.parent / "agents"


def test_the_worker_needs_no_more_than_it_is_lent():
    """What the worker imports of other people's packages is what an environment without them is lent."""
    code = "import sys, json, replay.running.worker as w; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        check=True,
    )
    tops = {name.partition(".")[0] for name in json.loads(done.stdout)}
    foreign = {name for name in tops - sys.stdlib_module_names if not name.startswith(("_", "sitecustomize"))}
    assert set() == foreign - {*LENT, *OURS}


def test_what_takes_the_kernels_locks_needs_nothing_of_other_people():
    """What is imported before the first lock is ours or Python's, so that an environment cannot bring its own."""
    code = "import sys, json, replay.running.first; print(json.dumps(sorted(sys.modules)))"
    home = str(Path(bootstrap.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {home!r}); {code}"],
        capture_output=True,
        check=True,
    )
    tops = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert {*OURS} == {name for name in tops - sys.stdlib_module_names if not name.startswith("_")}


def test_a_worker_of_another_version_runs_nothing():
    """A run that speaks another version of the talk is told so in a sentence."""
    setup = Setup("shop_agents:v1", False, Modes(), (str(AGENTS),), "")
    worker = Worker(Launch(replace(setup, protocol=99), Place(str(AGENTS), ())), dict(os.environ))

    async def start():
        try:
            await worker.start()
        finally:
            await worker.kill()

    with pytest.raises(
        TargetError, match=r"speak version 1 of the talk, and the run version 99.*Start the command again"
    ):
        asyncio.run(start())


@pytest.mark.slow
def test_an_environment_that_is_too_old_for_the_worker_is_refused(tmp_path, wheel):
    """A pin that the worker cannot live with is one sentence, before anything runs."""
    wheel("opentelemetry_api", "1.20.0", "")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "requirements.txt").write_text("opentelemetry-api==1.20.0\n")
    lock = find_lock(tmp_path / "tree")
    assert lock is not None
    with pytest.raises(
        TargetError, match=r"git:x has opentelemetry-api 1.20.0, and a replay needs 1.36 or newer"
    ):
        environment(lock, interpreter(), tmp_path / "tree", "git:x")


BACKEND = """
import zipfile
def build_wheel(directory, *rest, **more):
    name = "lib-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{directory}/{name}", "w") as file:
        file.writestr("lib.py", "")
        file.writestr("lib-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: lib\\nVersion: 1\\n")
        file.writestr("lib-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        file.writestr("lib-1.dist-info/RECORD", "")
    return name
"""


@pytest.mark.slow
def test_what_is_allowed_is_built_and_said(tmp_path):
    """With the user's word, a package of the tree is built, and the run says what that means; it is made once."""
    tree = tmp_path / "tree"
    (tree / "lib").mkdir(parents=True)
    (tree / "requirements.txt").write_text("./lib\n")
    build = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    project = f'[project]\nname = "lib"\nversion = "1"\n[build-system]\n{build}'
    (tree / "lib" / "pyproject.toml").write_text(project)
    (tree / "lib" / "backend.py").write_text(BACKEND)
    lock = find_lock(tree)
    assert lock is not None
    said: list[str] = []
    made = environment(lock, interpreter(), tree, "git:x", allow_builds=True, say=said.append)
    assert (("lib", "1"),) == made.installed
    assert any("runs code of theirs outside of the sandbox" in words for words in said)
    said.clear()
    assert made == environment(lock, interpreter(), tree, "git:x", allow_builds=True, say=said.append)
    assert [] == said
    Path(made.site, "lib-1.dist-info", "METADATA").unlink()
    Path(made.site, "lib-1.dist-info").rename(Path(made.site, "lib-2.dist-info"))
    assert made == environment(lock, interpreter(), tree, "git:x", allow_builds=True, say=said.append)
    assert said, "an environment that was touched is made again"


def test_a_python_that_is_not_there_says_so():
    """A version that nobody installed is one sentence."""
    with pytest.raises(
        TargetError, match=r"There is no Python 3.99 here. Install it, so that python3.99 is on the PATH"
    ):
        interpreter("3.99")


def test_the_commands_own_python_is_taken_where_it_fits():
    """No other interpreter is looked for where this one is the version that is asked for."""
    assert sys.executable == interpreter(f"3.{sys.version_info[1]}").command == interpreter().command
