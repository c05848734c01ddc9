"""Reading a repository: what is there is given, what is not is explained, and nothing in it runs."""

from __future__ import annotations

import os
import subprocess

import pytest

from replay.errors import TargetError
from replay.targets.git import Repository
from replay.targets.trees import code_of_tree, tree_of


def files_of(home):
    """Give the files below a directory with their content."""
    return {
        str(path.relative_to(home)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in home.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def test_a_commit_is_taken_out_as_it_was(scratch):
    """The files, modes and links of a commit are there, whatever the working tree holds."""
    scratch.write({"run.sh": "#!/bin/sh\n"})
    (scratch.path / "run.sh").chmod(0o755)
    (scratch.path / "link").symlink_to("bot/agent.py")
    first = scratch.commit("Begin", {"bot/agent.py": "one = 1\n", "ünïcode name.md": "x"})
    scratch.commit("Go on", {"bot/agent.py": "two = 2\n"})
    repository = Repository(scratch.path)
    home, notes = tree_of(repository, repository.commit(first))
    expected = {
        "bot/agent.py": "one = 1\n",
        "ünïcode name.md": "x",
        "run.sh": "#!/bin/sh\n",
        "link": "bot/agent.py",
    }
    assert (expected, ()) == (files_of(home), notes)
    assert os.access(home / "run.sh", os.X_OK)


@pytest.mark.parametrize("revision", ["main", "HEAD", "HEAD~1", "v1", "old"])
def test_any_revision_names_a_commit(revision, scratch):
    """Branches, tags and expressions are what git says they are."""
    scratch.commit("Begin", {"a": "1"})
    scratch.git("tag", "v1")
    scratch.git("branch", "old")
    scratch.commit("Go on", {"a": "2"})
    assert scratch.git("rev-parse", revision) == Repository(scratch.path).commit(revision).commit


@pytest.mark.parametrize("revision", ["mian", "--help", "-c core.pager=x", "main:a", "no/such/branch"])
def test_an_unknown_revision_names_the_nearest(revision, scratch):
    """What names nothing is said with the nearest branches, and never taken for an option."""
    scratch.commit("Begin", {"a": "1"})
    scratch.git("branch", "release/2")
    with pytest.raises(TargetError, match=r"has no revision .* The nearest: .*main"):
        Repository(scratch.path).commit(revision)


def test_a_directory_without_a_repository_says_so(tmp_path):
    """Where there is no repository, the option that names one is named."""
    with pytest.raises(TargetError, match=r"is in no git repository.*--path"):
        Repository(tmp_path)


def test_nothing_of_a_repository_runs(scratch, tmp_path, monkeypatch):
    """Hooks, filters, text conversions, monitors, pagers and transports of a repository's own configuration stay unused."""
    canary = tmp_path / "canary"
    program = tmp_path / "program.sh"
    program.write_text(f"#!/bin/sh\necho ran >> {canary}\ncat\n")
    program.chmod(0o755)
    first = scratch.commit(
        "Begin",
        {
            ".gitattributes": "* filter=evil diff=evil\n*.md ident export-subst\n",
            "a.md": "$Id$ $Format:%H$\n",
        },
    )
    for key in (
        "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "diff.evil.textconv", "diff.evil.command",
        "core.fsmonitor", "core.pager", "core.sshCommand", "core.editor", "diff.external", "gpg.program",
        "core.alternateRefsCommand", "credential.helper", "uploadpack.packObjectsHook",
    ):  # fmt: skip
        scratch.git("config", key, str(program))
    scratch.git("config", "log.showSignature", "true")
    scratch.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    (tmp_path / "hooks").mkdir()
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman"):
        (tmp_path / "hooks" / hook).write_text(program.read_text())
        (tmp_path / "hooks" / hook).chmod(0o755)
    canary.unlink(missing_ok=True)
    (scratch.path / "a.md").write_text("changed")
    repository = Repository(scratch.path)
    home, _ = tree_of(repository, repository.commit("main"))
    code = code_of_tree(repository, repository.commit("HEAD"), ".")
    with pytest.raises(TargetError):
        repository.commit("nope")
    assert ("$Id$ $Format:%H$\n", ("a.md",), first) == (
        (home / "a.md").read_text(),
        code.changed_names,
        code.commit,
    )
    assert not canary.exists()


def test_a_missing_object_is_not_fetched(scratch, tmp_path):
    """A clone without its blobs asks nobody for them: what it lacks is named."""
    scratch.commit("Begin", {"a.md": "content"})
    scratch.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    scratch.git("clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{scratch.path}", str(partial))
    program = tmp_path / "upload.sh"
    program.write_text(f'#!/bin/sh\ntouch {tmp_path}/canary\nexec git-upload-pack "$@"\n')
    program.chmod(0o755)
    subprocess.run(["git", "config", "remote.origin.uploadpack", str(program)], cwd=partial, check=True)
    repository = Repository(partial)
    with pytest.raises(TargetError, match="lacks the content of a.md"):
        tree_of(repository, repository.commit("HEAD"))
    assert not (tmp_path / "canary").exists()


def test_submodules_and_large_files_that_are_elsewhere_are_said(scratch, tmp_path):
    """What a commit names and does not hold is left out, and counted."""
    other = type(scratch)(tmp_path / "other")
    other.commit("Begin", {"x": "1"})
    scratch.commit(
        "Begin", {"weights.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"}
    )
    scratch.git("submodule", "--quiet", "add", str(other.path), "vendored")
    scratch.git("commit", "-q", "-m", "Vendor")
    repository = Repository(scratch.path)
    home, notes = tree_of(repository, repository.commit("HEAD"))
    assert not (home / "vendored").exists()
    assert ["1 submodules", "1 files"] == [" ".join(note.split(" ")[:2]) for note in notes]


@pytest.mark.parametrize("name", ["..", ".git", ".GIT"])
def test_a_path_that_leaves_the_tree_is_refused(name, scratch):
    """A commit that was made by hand to write elsewhere is not taken out."""
    scratch.commit("Begin", {"a": "1"})
    blob = scratch.git("rev-parse", "HEAD:a")
    inner = scratch.git("mktree", input=f"100644 blob {blob}\tconfig\n")
    tree = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=scratch.path,
        input=f"40000 {name}\0".encode() + bytes.fromhex(inner),
        capture_output=True,
        check=True,
    ).stdout.decode()
    commit = scratch.git("commit-tree", tree.strip(), "-m", "Escape")
    repository = Repository(scratch.path)
    with pytest.raises(TargetError, match="which no checkout should hold"):
        tree_of(repository, repository.commit(commit))


def test_no_file_is_written_through_a_link(scratch, tmp_path):
    """A tree that holds a link and a directory of one name writes nothing outside of it."""
    scratch.commit("Begin", {"a": "1"})
    blob = scratch.git("rev-parse", "HEAD:a")
    link = scratch.git("hash-object", "-w", "--stdin", input=str(tmp_path))
    inner = scratch.git("mktree", input=f"120000 blob {blob}\tescaped\n")
    raw = b"120000 d\0" + bytes.fromhex(link) + b"40000 d\0" + bytes.fromhex(inner)
    tree = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        cwd=scratch.path, input=raw, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    commit = scratch.git("commit-tree", tree.strip(), "-m", "Escape")
    repository = Repository(scratch.path)
    with pytest.raises(TargetError, match="two things at"):
        tree_of(repository, repository.commit(commit))
    assert not (tmp_path / "escaped").is_symlink()


def test_a_tree_that_was_touched_is_taken_out_again(scratch):
    """What the cache holds is compared with the commit, so that a changed file is never run."""
    commit = scratch.commit("Begin", {"bot.py": "x = 1\n"})
    repository = Repository(scratch.path)
    home, _ = tree_of(repository, repository.commit(commit))
    (home / "bot.py").write_text("x = 2\n")
    (home / "more.py").write_text("y = 2\n")
    assert {"bot.py": "x = 1\n"} == files_of(tree_of(repository, repository.commit(commit))[0])


def test_what_is_uncommitted_is_part_of_a_working_tree(scratch):
    """Changed, new and removed files count; ignored ones, audit stores and what is no source or data do not."""
    scratch.commit(
        "Begin", {"bot.py": "1", "gone.md": "x", "same.py": "y", ".gitignore": "*.log\nsecret.json\n"}
    )
    repository = Repository(scratch.path)
    head = repository.commit("HEAD")
    clean = code_of_tree(repository, head, ".")
    scratch.write(
        {
            "bot.py": "2",
            "prompts/new.md": "n",
            "secret.json": "{}",
            "run.log": "x",
            "picture.png": "p",
            "audit/store.toml": "format = 2",
            "audit/more.json": "{}",
        }
    )
    (scratch.path / "gone.md").unlink()
    changed = code_of_tree(repository, head, ".")
    assert (0, "", 3, ("bot.py", "gone.md", "prompts/new.md")) == (
        clean.changed, clean.changed_digest, changed.changed, changed.changed_names,
    )  # fmt: skip
    scratch.write({"prompts/new.md": "other"})
    assert changed.changed_digest != code_of_tree(repository, head, ".").changed_digest


def test_a_repository_is_found_from_below_and_whatever_git_says_around_it(scratch, monkeypatch):
    """A directory inside counts from the top, and variables of a hook that runs us do not lead elsewhere."""
    scratch.commit("Begin", {"services/bot/agent.py": "1"})
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    found = Repository(scratch.path / "services" / "bot")
    assert (scratch.path, "services/bot") == (found.top, found.below)
