"""Anchors: checkpoints of the ledger that are kept where whoever can change the store cannot change them.

The rules:

1. An ANCHOR entry says where a checkpoint went, and its size and root. So whoever verifies knows where to look.
2. Into a file goes one line, appended and synced; into a git repository a commit of the note, on a branch of its own, that
   touches neither the working tree nor what is staged; to OpenTelemetry a log record, through the provider that the
   program has configured. Nothing else leaves the machine.
3. Only a checkpoint whose signature verifies is anchored.
4. Reading an anchor follows no instruction that stands in it: a regular file of at most 64 MB, or blobs of a repository's
   one branch, are looked through for checkpoints.
"""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from auditlog.errors import ConfigurationError, StoreError
from auditlog.layout import Layout, read_settings
from auditlog.ledger import keys
from auditlog.ledger.ledger import append_entry
from auditlog.ledger.note import Checkpoint, find_checkpoints

BRANCH = "auditlog"
"""The branch, in a git repository, that checkpoints are committed to."""

_MOST_BYTES = 64 << 20
_MOST_COMMITS = 10_000
_GIT_SECONDS = 60
_AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "auditlog"), ("EMAIL", "auditlog@localhost"))
}
_BODY = "auditlog checkpoint"


class Reached(NamedTuple):
    """What was found at an anchor's place."""

    where: str
    checkpoints: list[Checkpoint]
    missing: str | None
    """Why there is nothing; None where there is."""


def current(layout: Layout) -> Checkpoint:
    """Give the store's checkpoint, its signature verified.

    Raises:
        StoreError: the ledger is not signed.
        FormatError: the checkpoint is damaged.
    """
    head, key = keys.read_checkpoint(layout), keys.public_key(read_settings(layout))
    if head is None or key is None or not head.signers([key]):
        msg = f"The ledger of {layout.root} has no signed checkpoint. Seal the store once, as the user who owns its keys."
        raise StoreError(msg)
    return head


def to_file(layout: Layout, path: Path | str) -> Checkpoint:
    """Append the checkpoint to a file, in one line.

    Raises:
        StoreError: the ledger is not signed, or the file cannot be written.
    """
    head, target = current(layout), Path(path).absolute()
    try:
        descriptor = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            line = f"{head.line()}\n".encode()
            if os.write(descriptor, line) != len(line):
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror}. Name a file in a directory that exists."
        raise StoreError(msg) from None
    _remember(layout, head, "file", str(target))
    return head


def to_git(layout: Layout, repository: Path | str) -> Checkpoint:
    """Commit the checkpoint to a git repository, on a branch of its own.

    Raises:
        StoreError: the ledger is not signed, or git refuses.
    """
    head, place = current(layout), Path(repository).absolute()
    name, tip = _name(read_settings(layout).id), f"refs/heads/{BRANCH}"
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        parent = _git(place, "rev-parse", "--verify", "--quiet", tip, fails=True).decode().strip()
        if parent:
            _git(place, "read-tree", parent, more=index)
        blob = _git(place, "hash-object", "-w", "--stdin", data=head.note().encode()).decode().strip()
        _git(place, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", more=index)
        tree = _git(place, "write-tree", more=index).decode().strip()
        parents = ["-p", parent] if parent else []
        said = f"Checkpoint {head.size} of {head.origin}\n".encode()
        commit = _git(place, "commit-tree", tree, *parents, data=said, more=_AUTHOR).decode().strip()
        _git(place, "update-ref", "-m", "auditlog anchor", tip, commit, parent or "0" * 40)
    _remember(layout, head, "git", str(place))
    return head


def to_otel(layout: Layout, provider: Any = None) -> Checkpoint:
    """Emit the checkpoint as a log record.

    Args:
        layout: the store.
        provider: an OpenTelemetry logger provider; the one that the program has configured where it is None.

    Raises:
        ConfigurationError: there is none.
        StoreError: the ledger is not signed, or the provider says that the record did not go out.
    """
    from opentelemetry._logs import LogRecord, SeverityNumber, get_logger_provider

    head, provider = current(layout), provider or get_logger_provider()
    if type(provider).__name__ in ("ProxyLoggerProvider", "NoOpLoggerProvider"):
        msg = (
            "No OpenTelemetry logger provider is configured in this process. Run the command under "
            "`opentelemetry-instrument`, or call auditlog.ledger.anchors.to_otel in a program that has set one."
        )
        raise ConfigurationError(msg)
    attributes = {
        "auditlog.ledger.origin": head.origin,
        "auditlog.ledger.size": head.size,
        "auditlog.ledger.root": head.root.hex(),
        "auditlog.ledger.checkpoint": head.note(),
    }
    record = LogRecord(  # pyrefly: ignore[direct-abstract-base-instantiation] - it has no abstract method
        timestamp=time.time_ns(),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=_BODY,
        attributes=attributes,
    )
    provider.get_logger("auditlog").emit(record)
    if hasattr(provider, "force_flush") and provider.force_flush() is False:
        raise StoreError(
            "The logger provider did not send the checkpoint in time. Nothing is anchored; try again."
        )
    _remember(layout, head, "otel", "")
    return head


def reachable(layout: Layout, entries: Iterable[Mapping[str, Any]]) -> list[Reached]:
    """Look at the places that ANCHOR entries tell of, each once.

    Args:
        layout: the store.
        entries: the ANCHOR entries.
    """
    places = dict.fromkeys((str(entry.get("to")), str(entry.get("where"))) for entry in entries)
    found = []
    for kind, where in places:
        if kind == "file":
            found.append(_in_file(where))
        elif kind == "git":
            found.append(_in_git(layout, where))
    return found


def _remember(layout: Layout, head: Checkpoint, kind: str, where: str) -> None:
    entry = {"type": "anchor", "to": kind, "where": where, "size": head.size, "root": head.root.hex()}
    append_entry(layout, entry)


def _in_file(where: str) -> Reached:
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            told = os.fstat(descriptor)
            if not stat.S_ISREG(told.st_mode):
                return Reached(where, [], "it is no regular file")
            file.seek(max(0, told.st_size - _MOST_BYTES))
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except (OSError, ValueError) as error:
        return Reached(where, [], getattr(error, "strerror", None) or str(error))
    found = find_checkpoints(text)
    return Reached(where, found, None if found else "it holds no checkpoint")


def _in_git(layout: Layout, where: str) -> Reached:
    if not Path(where).is_dir():
        return Reached(where, [], "No such directory")
    try:
        name, place = _name(read_settings(layout).id), Path(where)
        tip = f"refs/heads/{BRANCH}"
        commits = _git(place, "rev-list", f"--max-count={_MOST_COMMITS}", tip, "--", name).decode().split()
        wanted = "".join(f"{commit}:{name}\n" for commit in commits).encode()
        text = _git(place, "cat-file", "--batch", data=wanted).decode(errors="replace")
    except StoreError as error:
        return Reached(where, [], str(error))
    found = find_checkpoints(text)
    return Reached(where, found, None if found else f"its branch {BRANCH} holds no checkpoint")


def _name(store_id: str) -> str:
    return f"{''.join(sign for sign in store_id if sign.isalnum() or sign == '-')}.checkpoint"


def _git(
    place: Path, *words: str, data: bytes = b"", more: Mapping[str, str] | None = None, fails: bool = False
) -> bytes:
    """Run git in a repository, without its hooks, and without what the caller's own git has set."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", **(more or {})}
    command = [
        "git",
        "-C",
        str(place),
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
        *words,
    ]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, env=environment, timeout=_GIT_SECONDS, check=False
        )
    except FileNotFoundError:
        raise StoreError("git is not installed, and anchoring into a repository needs it.") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"git does not run in {place}: {error}") from None
    if done.returncode and not fails:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise StoreError(f"git refuses in {place}: {said}. Make the repository with `git init` first.")
    return b"" if done.returncode else done.stdout
