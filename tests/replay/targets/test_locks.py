"""What a tree asks for, in each of the formats that say it."""

from __future__ import annotations

import pytest

from replay.errors import TargetError
from replay.targets.locks import find_lock

PROJECT = """
[project]
name = "bot"
version = "1"
requires-python = ">=3.11"
dependencies = ["politeness>=1", "tables[csv] ; sys_platform == 'linux'"]
"""


def lock(tmp_path, files, **options):
    """Write a tree and read its lock."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return find_lock(tmp_path, **options)


def test_a_requirements_file_is_installed_as_it_is(tmp_path):
    """Pins, hashes, markers and files that it names are kept; comments are not."""
    found = lock(
        tmp_path,
        {
            "requirements.txt": "-r base.txt\n-c limits.txt\npoliteness==1.0 \\\n    --hash=sha256:aa  # a comment\n\n",
            "base.txt": "tables==2 ; python_version > '3'\n# only a comment\n",
            "limits.txt": "other<3\n",
        },
    )
    assert ("tables==2 ; python_version > '3'", "politeness==1.0      --hash=sha256:aa") == found.requirements
    assert (("other<3",), ()) == (found.constraints, found.notes)


def test_indexes_of_a_file_are_left_out_and_said(tmp_path):
    """Packages come from the user's indexes, not from those that a commit names."""
    found = lock(
        tmp_path,
        {"requirements.txt": "--index-url https://elsewhere.example/simple\n--no-binary :all:\n-e .\na==1\n"},
    )
    assert ("a==1",) == found.requirements
    assert ["names package indexes", "says --no-binary", "installs the tree itself"] == [
        next(
            words
            for words in ("names package indexes", "says --no-binary", "installs the tree itself")
            if words in note
        )
        for note in found.notes
    ]


@pytest.mark.parametrize(
    ("line", "builds"),
    [
        ("a==1", False),
        ("./wheels/a-1-py3-none-any.whl", False),
        (".", False),
        ("-e .[extra]", False),
        ("./lib", True),
        ("../lib", True),
        ("-e ./lib", True),
        ("a @ https://example.com/a.tar.gz", True),
        ("a @ https://example.com/a-1-py3-none-any.whl", True),
        ("git+https://example.com/a.git", True),
        ("file:///somewhere/a", True),
        ("a[x, y]>=1,<2 ; python_version > '3'", False),
        ("a==1 --hash=sha256:00", False),
        ("--editable lib", True),
        ("evil-1.0.zip", True),
        ("evil-1.0.tar.gz", True),
        ("evil@file:evil", True),
        ("evil@git+file:x", True),
    ],
)
def test_what_has_to_be_built_or_is_from_elsewhere_is_told(line, builds, tmp_path):
    """Paths, archives, repositories and addresses are no packages of an index."""
    assert builds == bool(lock(tmp_path, {"requirements.txt": line + "\n"}).builds)


def test_a_constraint_that_is_an_address_is_told(tmp_path):
    """An installer takes a constraint's address for the package's: it is no mere version."""
    files = {"requirements.txt": "evil\n-c c.txt\n", "c.txt": "evil @ file:///somewhere/evil\n"}
    assert ("evil @ file:///somewhere/evil",) == lock(tmp_path, files).builds


@pytest.mark.parametrize("line", ["a==1 ; ${HOME}", "a @ https://x.example/${AWS_SECRET}.whl"])
def test_variables_of_the_user_do_not_go_into_a_requirement(line, tmp_path):
    """An installer would put the user's secrets into an address."""
    with pytest.raises(TargetError, match="is no requirement"):
        lock(tmp_path, {"requirements.txt": line + "\n"})


def test_a_list_of_dependencies_holds_no_options(tmp_path):
    """What a project calls a dependency cannot be an option of the installer."""
    with pytest.raises(TargetError, match="is no requirement"):
        lock(
            tmp_path,
            {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["--index-url=https://x.example"]\n'},
        )


def test_a_lock_of_uv_binds_what_the_project_asks_for(tmp_path):
    """The versions of the lock are constraints; what the lock says of the tree itself is not."""
    text = """
version = 1
[[package]]
name = "bot"
version = "1"
source = { editable = "." }
[[package]]
name = "politeness"
version = "1.0"
source = { registry = "https://elsewhere.example" }
[[package]]
name = "forked"
version = "1"
[[package]]
name = "forked"
version = "2"
"""
    found = lock(tmp_path, {"pyproject.toml": PROJECT, "uv.lock": text})
    assert ("uv.lock", ("politeness==1.0",), ">=3.11") == (
        found.name,
        found.constraints,
        found.requires_python,
    )
    assert ("politeness>=1", "tables[csv] ; sys_platform == 'linux'") == found.requirements
    assert "several versions of forked" in found.notes[0]


def test_a_lock_of_poetry_binds_names_and_extras(tmp_path):
    """Poetry's own table of dependencies is read, without its Python and what is optional."""
    project = """
[tool.poetry.dependencies]
python = "^3.11"
politeness = "^1.0"
tables = { version = "*", extras = ["csv"] }
rare = { version = "1", optional = true }
"""
    found = lock(
        tmp_path,
        {"pyproject.toml": project, "poetry.lock": '[[package]]\nname = "politeness"\nversion = "1.0"\n'},
    )
    assert (("politeness", "tables[csv]"), ("politeness==1.0",)) == (found.requirements, found.constraints)


def test_a_standard_lock_is_read_with_its_hashes(tmp_path):
    """Of a pylock.toml, packages, markers and hashes are kept; what belongs to an extra is not."""
    text = """
lock-version = "1.0"
[[packages]]
name = "politeness"
version = "1.0"
marker = "sys_platform == 'linux'"
wheels = [{ name = "x", hashes = { sha256 = "aa" } }]
[[packages]]
name = "tester"
version = "1"
marker = "'dev' in dependency_groups"
[[packages]]
name = "fetched"
vcs = { url = "https://example.com" }
"""
    found = lock(tmp_path, {"pylock.toml": text})
    assert (("politeness==1.0 ; sys_platform == 'linux' --hash=sha256:aa",), ("fetched",)) == (
        found.requirements, found.builds,
    )  # fmt: skip


def test_a_project_without_a_lock_says_that_nothing_is_pinned(tmp_path):
    """What is installed then depends on the day, and that is said."""
    assert "pins no versions" in lock(tmp_path, {"pyproject.toml": PROJECT}).notes[0]


def test_the_nearest_lock_is_found_on_the_way_up(tmp_path):
    """In a repository of several services, the agent's own lock comes before that of the top."""
    files = {
        "requirements.txt": "top==1\n",
        "services/bot/requirements.txt": "bot==1\n",
        "services/other/x.py": "",
    }
    assert ("bot==1",) == lock(tmp_path, files, below="services/bot").requirements
    assert ("top==1",) == lock(tmp_path, files, below="services/other").requirements
    assert lock(tmp_path / "services" / "other", {}) is None


@pytest.mark.parametrize(
    ("files", "named", "message"),
    [
        ({"requirements.txt": "a\n"}, "requirement.lock", "There is requirements.txt"),
        ({"uv.lock": "not toml ="}, "", "uv.lock cannot be read"),
        ({"uv.lock": "version = 1"}, "", "no pyproject.toml beside it"),
        ({"requirements.txt": "-r ../outside.txt\n"}, "", "not in the tree"),
        ({"requirements.txt": "-r requirements.txt\n"}, "", "Is there a circle"),
        ({"pyproject.toml": '[project]\nname = "x"\ndynamic = ["dependencies"]\n'}, "", "Name a lock"),
    ],
)
def test_a_lock_that_cannot_be_read_says_why(files, named, message, tmp_path):
    """A missing or broken lock is one sentence that says what is there."""
    with pytest.raises(TargetError, match=message):
        lock(tmp_path, files, named=named)


@pytest.mark.parametrize("line", ["./wheels/a-1-py3-none-any.whl", "./lib", "-e ./lib"])
def test_the_content_of_a_path_is_part_of_a_lock(line, tmp_path):
    """Two commits that name the same path with other content do not share an environment."""
    files = {"requirements.txt": line + "\n", "wheels/a-1-py3-none-any.whl": "one", "lib/a.py": "one"}
    first = lock(tmp_path, files).digest
    assert first == lock(tmp_path, files).digest
    assert first != lock(tmp_path, {**files, "wheels/a-1-py3-none-any.whl": "two", "lib/a.py": "two"}).digest
