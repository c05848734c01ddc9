"""Reads a git repository without running anything that stands in it.

The rules:

1. Objects are read as they are (`rev-parse`, `ls-tree`, `cat-file`), and files are written by us: no checkout, so no
   hook, no filter, no text conversion and no attribute of a tree is ever asked for.
2. Whatever a repository's own configuration names to be run (file system monitors, transports, replacements, pagers) is
   switched off, and nothing is fetched: what a repository does not hold is not there.
3. Submodules are left out, and so is what Git LFS keeps elsewhere: both are counted, so that it can be said.
4. A path that would leave the tree is refused. Symbolic links are made after all files, so that none is written through.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from replay.errors import TargetError

_SAFE = (
    "--no-pager",
    "--no-replace-objects",
    "--literal-pathspecs",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.untrackedCache=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.sshCommand=false"),
    *("-c", "core.askPass="),
    *("-c", "credential.helper="),
    *("-c", "protocol.allow=never"),
    *("-c", "submodule.recurse=false"),
)
_SAFE_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_LFS = b"version https://git-lfs.github.com/spec/"
_CHUNK = 256
"""Objects that are asked for at once: fewer than a pipe holds names of."""


class Entry(NamedTuple):
    """A file of a commit."""

    path: str
    mode: str
    """As git writes it: 100644, 100755, 120000 for a link, 160000 for a submodule."""
    blob: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that is there."""

    commit: str
    tree: str
    subject: str


class Repository:
    """One repository, found from a directory inside its working tree."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Find the repository around a directory.

        Raises:
            TargetError: there is none, git is not installed, or git does not trust it.
        """
        said = _git(directory, "rev-parse", "--show-toplevel", "--show-prefix")
        top, _, prefix = said.decode("utf-8", "surrogateescape").rstrip("\n").partition("\n")
        if not top:
            raise TargetError(
                f"{directory} is in a repository without a working tree. Name a checkout with --path."
            )
        self.top = Path(top)
        self.below = prefix.strip("/")
        """The directory's path inside the repository; empty at its top."""

    def commit(self, revision: str) -> Commit:
        """Find what a revision names.

        Raises:
            TargetError: nothing; the message names the nearest branches and tags.
        """
        try:
            commit = self._line(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            )
        except TargetError:
            raise TargetError(self._unknown(revision)) from None
        text = self._git("cat-file", "commit", commit).decode("utf-8", "replace")
        head, _, message = text.partition("\n\n")
        tree = next(line.split(" ", 1)[1] for line in head.splitlines() if line.startswith("tree "))
        return Commit(commit, tree, message.strip().partition("\n")[0])

    def entries(self, commit: str) -> list[Entry]:
        """List a commit's files, links and submodules.

        Raises:
            TargetError: a path leaves the tree.
        """
        listed = self._git("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
        found = []
        for line in listed.split(b"\0"):
            if line:
                facts, _, path = line.partition(b"\t")
                mode, _, blob = facts.decode("ascii").split(" ")
                found.append(Entry(_inside(path), mode, blob))
        return found

    def extract(self, commit: str, target: Path) -> None:
        """Write a commit's files into a directory that is ours and empty.

        Raises:
            TargetError: an object is missing, or a path leaves the tree.
        """
        files = [entry for entry in self.entries(commit) if entry.mode != "160000"]
        files.sort(key=lambda entry: entry.mode == "120000")
        home = target.resolve()
        for entry, content in self._contents(files):
            path = home / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent.resolve() != path.parent or path.is_symlink() or path.exists():
                raise TargetError(f"The commit holds two things at {entry.path!r}. It is not taken out.")
            if entry.mode == "120000":
                path.symlink_to(os.fsdecode(content))
                continue
            mode = 0o755 if entry.mode == "100755" else 0o644
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)

    def changed(self, commit: str) -> list[str]:
        """Name what in the working tree is not as in a commit: changed, removed, and new but not ignored.

        Files are compared by their content, as bytes; git's own `status` would run the filters of its configuration.
        """
        entries = {entry.path: entry for entry in self.entries(commit) if entry.mode != "160000"}
        new = self._git("ls-files", "-z", "--others", "--exclude-standard").split(b"\0")
        found = {os.fsdecode(path) for path in new if path}
        found |= {path for path, entry in entries.items() if not self._is_as_in(entry)}
        staged = {os.fsdecode(path) for path in self._git("ls-files", "-z").split(b"\0") if path}
        found |= {path for path in staged - entries.keys() if (self.top / path).is_file()}
        return sorted(found)

    def _is_as_in(self, entry: Entry) -> bool:
        path = self.top / entry.path
        try:
            content = os.fsencode(path.readlink()) if entry.mode == "120000" else path.read_bytes()
        except OSError:
            return False
        return is_blob(content, entry.blob)

    def _contents(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, bytes]]:
        with subprocess.Popen(
            ["git", *_SAFE, "cat-file", "--batch"],
            cwd=self.top,
            env=_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            waiting = list(entries)
            for first in range(0, len(waiting), _CHUNK):
                asked = waiting[first : first + _CHUNK]
                for entry in asked:
                    # One at a time: git answers while it is asked, and a full pipe would hold up both.
                    process.stdin.write(f"{entry.blob}\n".encode())
                    process.stdin.flush()
                    words = process.stdout.readline().split()
                    if len(words) != 3 or words[1] != b"blob":
                        msg = f"The repository {self.top} lacks the content of {entry.path}. Fetch it whole, and try again."
                        raise TargetError(msg)
                    content = process.stdout.read(int(words[2]))
                    process.stdout.read(1)
                    yield entry, content

    def _unknown(self, revision: str) -> str:
        names = self._git(
            "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"
        )
        known = names.decode("utf-8", "replace").split()
        near = difflib.get_close_matches(revision, known, 3, 0.5) or known[:3]
        nearest = f" The nearest: {', '.join(near)}." if near else " It has no branches yet."
        return f"The repository {self.top.name} has no revision {revision!r}.{nearest}"

    def _line(self, *words: str) -> str:
        return self._git(*words).decode("utf-8", "replace").strip()

    def _git(self, *words: str) -> bytes:
        return _git(self.top, *words)


def is_blob(content: bytes, blob: str) -> bool:
    """Whether a content is that of a blob, by its id: SHA-1, or SHA-256 in repositories that use it."""
    name = "sha256" if len(blob) == 64 else "sha1"
    return hashlib.new(name, b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == blob


def is_elsewhere(content: bytes) -> bool:
    """Whether a content is a pointer to a file that Git LFS keeps elsewhere."""
    return content.startswith(_LFS)


def _inside(path: bytes) -> str:
    name = os.fsdecode(path)
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or any(part == ".." or part.lower() == ".git" for part in parts):
        raise TargetError(
            f"The commit holds the path {name!r}, which no checkout should hold. It is not taken out."
        )
    return name


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give git the user's environment, without what would lead it to another repository."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_")}
    # Whoever runs this trusts directories in a configuration of their own.
    trusted = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
    kept |= {name: environment[name] for name in trusted if name in environment}
    return kept | _SAFE_ENVIRONMENT


def _git(directory: str | os.PathLike[str], *words: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", *_SAFE, *words],
            cwd=directory,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise TargetError(
            "git is not installed, and git:REV and `.` need it. Install git, or name module:attribute."
        ) from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
    if "not a git repository" in said:
        raise TargetError(f"{directory} is in no git repository. Name the agent's checkout with --path.")
    raise TargetError(f"git cannot read {directory}: {said or f'it exited with {done.returncode}'}")
