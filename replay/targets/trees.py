"""The files of a commit as a directory of ours, and what a working tree holds that no commit does.

The rules:

1. A commit's files are taken out once, whole or not at all, and compared with the commit before each use.
2. A working tree is run where it is; what of it is uncommitted is part of what the target is.
3. What a commit names and does not hold (submodules, Git LFS) is said.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from replay.errors import TargetError
from replay.targets import cache
from replay.targets.git import Commit, Entry, Repository, is_blob, is_elsewhere
from replay.targets.planned import Code
from replay.targets.sources import DATA_SUFFIXES, is_store

_MOST_NAMED = 10


def tree_of(repository: Repository, commit: Commit) -> tuple[Path, tuple[str, ...]]:
    """Give a commit's files as a directory, and what is to be said of it.

    Raises:
        TargetError: the repository does not hold them all.
    """
    home = cache.directory("trees") / commit.tree
    entries = repository.entries(commit.commit)
    with cache.locked(home):
        if not _is_whole(home, entries):
            shutil.rmtree(home, ignore_errors=True)
            making = Path(tempfile.mkdtemp(prefix="making-", dir=home.parent))
            try:
                repository.extract(commit.commit, making)
                making.rename(home)
            except BaseException:
                shutil.rmtree(making, ignore_errors=True)
                raise
    short = commit.commit[:8]
    notes = []
    if modules := sum(entry.mode == "160000" for entry in entries):
        notes.append(f"{modules} submodules of {short} are not there: a replay fetches nothing.")
    if pointers := sum(_is_pointer(home / entry.path) for entry in entries if entry.mode.startswith("100")):
        notes.append(f"{pointers} files of {short} are Git LFS pointers, and their content is not there.")
    return home, tuple(notes)


def code_of_tree(repository: Repository, commit: Commit, spec: str) -> Code:
    """Say what a working tree is: the commit below it, and what is not as in it."""
    changed = [name for name in repository.changed(commit.commit) if _counts(repository.top, name)]
    digest = hashlib.sha256()
    for name in changed:
        digest.update(os.fsencode(name) + b"\0" + _content(repository.top / name))
    return Code(
        repository=repository.top.name,
        commit=commit.commit,
        subject=commit.subject,
        revision="" if spec == "." else spec,
        below=repository.below,
        changed=len(changed),
        changed_digest=digest.hexdigest() if changed else "",
        changed_names=tuple(changed[:_MOST_NAMED]),
    )


def _counts(top: Path, name: str) -> bool:
    """Whether a changed file can change what an agent does: sources and data, and nothing inside an audit store."""
    path = top / name
    if path.suffix.lower() not in DATA_SUFFIXES and path.name not in (
        "requirements.lock",
        "uv.lock",
        "poetry.lock",
    ):
        return False
    return not any(is_store(parent) for parent in path.parents if parent != top and top in parent.parents)


def _is_whole(home: Path, entries: list[Entry]) -> bool:
    if not home.is_dir():
        return False
    wanted = {entry.path: entry for entry in entries if entry.mode != "160000"}
    there = {
        os.path.relpath(os.path.join(directory, name), home)  # noqa: PTH118
        for directory, directories, names in os.walk(home)
        for name in (*names, *(d for d in directories if os.path.islink(os.path.join(directory, d))))  # noqa: PTH114, PTH118
    }
    return there == wanted.keys() and all(_is_as_in(home / name, entry) for name, entry in wanted.items())


def _is_as_in(path: Path, entry: Entry) -> bool:
    try:
        content = os.fsencode(path.readlink()) if entry.mode == "120000" else path.read_bytes()
    except OSError:
        return False
    return is_blob(content, entry.blob)


def _is_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_elsewhere(file.read(64))
    except OSError as error:
        raise TargetError(f"{path.name} of the commit cannot be read: {error.strerror}.") from None


def _content(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b"gone"
