"""What a digest of the code covers: what is imported, what lies beside it, and what is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = (
    "import sys, json; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2]);"
    "from replay.targets.sources import seen; s = seen(); print(json.dumps([s.code, s.packages, s.files]))"
)

TREE = {
    "agent.py": "import helpers.words\n",
    "prompts/greeting.md": "Hello",
    "helpers/__init__.py": "",
    "helpers/words.py": "WORD = 1\n",
    "helpers/late.py": "LATE = 1\n",
    "helpers/table.dat": "1",
}


def look(tree: Path, module: str = "agent") -> list[object]:
    """Import a module in a process of its own, and give what it is."""
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(tree), module], capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def tree(tmp_path):
    """An agent with a prompt beside it, and a package with data."""
    for name, content in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", [*TREE, "prompts/new.yaml", "helpers/new.bin"])
def test_a_change_beside_the_code_is_a_change(name, tree):
    """A prompt, a data file, a sibling package and what of it is not imported yet are all part of what is run."""
    before = look(tree)
    with (tree / name).open("a", encoding="utf-8") as file:
        file.write("# more\n")
    assert before[0] != look(tree)[0]


def test_an_agents_package_may_have_the_name_of_one_of_ours(tmp_path):
    """What the agent calls `tui` is the agent's, and a change in it is one."""
    (tmp_path / "tui").mkdir()
    (tmp_path / "tui" / "__init__.py").write_text("from tui import words\n", encoding="utf-8")
    (tmp_path / "tui" / "words.py").write_text("WORD = 1\n", encoding="utf-8")
    before = look(tmp_path, "tui")
    (tmp_path / "tui" / "words.py").write_text("WORD = 2\n", encoding="utf-8")
    assert before[0] != look(tmp_path, "tui")[0]


@pytest.mark.parametrize(
    "name", [".cache/x.md", "audit/store.toml", "__pycache__/agent.pyc", "out.log", "venv/pyvenv.cfg"]
)
def test_what_is_nobodys_code_is_none(name, tree):
    """Hidden files, byte code, audit stores, virtual environments and logs change nothing."""
    before = look(tree)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("x", encoding="utf-8")
    (tree / name).parent.joinpath("more.md").write_text("x", encoding="utf-8") if "/" in name else None
    assert before == look(tree)


def test_the_same_files_elsewhere_are_the_same_code(tree, tmp_path_factory):
    """Where a tree lies is no part of what it is."""
    import shutil

    other = tmp_path_factory.mktemp("other") / "place"
    shutil.copytree(tree, other)
    assert look(tree) == look(other)


def test_an_installed_package_is_its_version(tree):
    """Another version of a package on the path is another digest of packages, and the same code."""
    before = look(tree)
    (tree / "politeness-1.0.dist-info").mkdir()
    after = look(tree)
    assert (True, False) == (before[0] == after[0], before[1] == after[1])


def test_prompts_behind_a_link_are_part_of_the_code(tree, tmp_path_factory):
    """A directory that is a link is followed, once: one that leads back to itself ends nowhere."""
    shared = tmp_path_factory.mktemp("shared")
    (tree / "linked").symlink_to(shared)
    (tree / "linked" / "back").symlink_to(tree)
    before = look(tree)
    (shared / "greeting.md").write_text("Hello", encoding="utf-8")
    assert before[0] != look(tree)[0]
