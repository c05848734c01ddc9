"""Where a store's files lie, and what makes a directory a store.

The rules:

1. A directory is a store when it holds `store.toml`; that file says the format version and the store's id, once and for all.
2. Making a store is safe in several processes at once: one of them wins, the others find it made.
3. A store is made in a new or an empty directory, never among other people's files.
4. Nothing inside a store may be a symlink: whoever can plant one could make the store read or write elsewhere.
5. A store of a newer format is refused, not guessed at.
6. This module imports neither DuckDB nor pyarrow: recording uses it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from auditlog.errors import FormatError, StoreError

FORMAT = 2
"""The version of a store's layout."""

REWRITTEN = re.compile(r"(?P<stem>.+?)-(?P<kind>[cpe])(?P<number>[0-9]+)")
"""The stem of a sealed file that was written anew: c for compacted, p for pruned, e for erased, and the ledger's length then."""

_PARTS = ("journal", "segments", "ledger", "cache", "keys")
_LOOKED_AT = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one store."""

    root: Path

    @property
    def settings(self) -> Path:
        """`store.toml`."""
        return self.root / "store.toml"

    @property
    def journal(self) -> Path:
        """The directory of the files that capture writes."""
        return self.root / "journal"

    @property
    def segments(self) -> Path:
        """The directory of the sealed files."""
        return self.root / "segments"

    @property
    def ledger(self) -> Path:
        """The directory of the ledger."""
        return self.root / "ledger"

    @property
    def entries(self) -> Path:
        """The ledger's append-only file of entries."""
        return self.ledger / "entries.log"

    @property
    def cache(self) -> Path:
        """What is derived, and may be deleted at any time."""
        return self.root / "cache"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `store.toml` says."""

    format: int
    id: str
    """A UUID, made with the store."""
    created: datetime
    ledger_origin: str | None = None
    """The name under which the ledger's checkpoints are signed; None while nobody signs."""
    public_key: str | None = None
    """The key that verifies those signatures."""
    access_required: bool = False
    """Whether nothing may be shown that is not recorded as an access."""
    content_key: str | None = None
    """The id of the key that encrypts content; None where nothing does."""


def ensure(path: Path | str) -> Layout:
    """Give the store at a path, made when it is not there; what recording calls.

    Raises:
        StoreError: the directory holds other files, cannot be written, or has a symlink where a part belongs.
        FormatError: the store is of a newer format.
    """
    layout = _layout(path)
    if not layout.settings.exists():
        _refuse_foreign(layout)
        _make(layout)
    read_settings(layout)
    refuse_symlinks(layout)
    return layout


def find(path: Path | str) -> Layout:
    """Give the store at a path.

    Raises:
        StoreError: there is none; the message names the nearest one, or says how to make one.
        FormatError: the store is of a newer format.
    """
    layout = _layout(path)
    if not layout.settings.is_file():
        raise StoreError(_not_a_store(layout.root))
    read_settings(layout)
    refuse_symlinks(layout)
    return layout


def read_settings(layout: Layout) -> Settings:
    """Read `store.toml`.

    Raises:
        StoreError: it cannot be read.
        FormatError: it is of a newer format, or not what it should be.
    """
    import tomllib

    mode = _mode(layout.settings)
    if mode is not None and not stat.S_ISREG(mode):
        # Whoever opens a FIFO waits for ever.
        raise StoreError(
            f"{layout.settings} is {_thing(mode)}, and must be a file. Put it back from a copy of the store."
        )
    try:
        found: dict[str, Any] = tomllib.loads(layout.settings.read_text(encoding="utf-8"))
        version, created = found["format"], found["created"]
        ledger = found.get("ledger", {})
        settings = Settings(
            version,
            str(found["id"]),
            created,
            ledger.get("origin"),
            ledger.get("public_key"),
            found.get("access", {}).get("required") is True,
            str(found["content"]["key"]) if "content" in found else None,
        )
    except OSError as error:
        msg = f"{layout.settings} cannot be read: {error.strerror}. Check its owner and mode."
        raise StoreError(msg) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = f"{layout.settings} is damaged: it must say `format`, `id` and `created`. Put it back from a copy of the store."
        raise FormatError(msg) from None
    if not isinstance(version, int) or not isinstance(created, datetime) or version < 1:
        msg = f"{layout.settings} is damaged: `format` must be a positive number and `created` a time."
        raise FormatError(msg)
    if version > FORMAT:
        msg = f"The store {layout.root} has format {version}, and this version reads format {FORMAT}. Upgrade auditlog-replay."
        raise FormatError(msg)
    if version < FORMAT:
        msg = f"The store {layout.root} has format {version}, and this version reads format {FORMAT}. Run `auditlog migrate`."
        raise FormatError(msg)
    return settings


def refuse_symlinks(layout: Layout) -> None:
    """Raise StoreError when one of the store's own names is a symlink, or is not the sort of thing it must be."""
    for path in (layout.settings, *(layout.root / name for name in _PARTS), layout.entries):
        mode = _mode(path)
        if mode is None:
            continue
        if stat.S_ISLNK(mode):
            msg = f"{path} is a symlink, and nothing inside a store may be one. Put the real file or directory there."
            raise StoreError(msg)
        if path.name in _PARTS and not stat.S_ISDIR(mode):
            msg = f"{path} is no directory, as it must be in a store. Move it away."
            raise StoreError(msg)
        if path == layout.entries and not stat.S_ISREG(mode):
            # Whoever opens a FIFO waits for ever.
            msg = f"{path} is {_thing(mode)}, and must be a file. Put it back from a copy of the store."
            raise StoreError(msg)


def refuse_irregular(path: Path) -> int:
    """Give a file's size, or raise StoreError when it is missing, a symlink, a FIFO or another thing that is no file."""
    try:
        found = path.lstat()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Put it back from a copy of the store."
        raise StoreError(msg) from None
    if not stat.S_ISREG(found.st_mode):
        thing = _thing(found.st_mode)
        msg = f"{path} is no regular file but {thing}, which a store never holds. Remove it and put the real file back."
        raise StoreError(msg)
    if path.parent.is_symlink():
        msg = f"{path.parent} is a symlink, and nothing inside a store may be one. Put the real directory there."
        raise StoreError(msg)
    return found.st_size


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def nearest_store(path: Path) -> Path | None:
    """Find a store just below a path, or in one of the directories above it."""
    with contextlib.suppress(OSError):
        children = sorted(islice(path.iterdir(), _LOOKED_AT)) if path.is_dir() else []
        for child in (path / "audit", *children, *(child / "audit" for child in children)):
            if (child / "store.toml").is_file():
                return child
    for parent in islice(path.parents, 5):
        for place in (parent, parent / "audit"):
            with contextlib.suppress(OSError):
                if (place / "store.toml").is_file():
                    return place
    return None


def _layout(path: Path | str) -> Layout:
    layout = Layout(Path(path).absolute())
    try:
        str(layout.root).encode()
    except UnicodeEncodeError:
        msg = f"The path {str(layout.root)!r} is not UTF-8, and the engine that reads a store takes no other. Rename it."
        raise StoreError(msg) from None
    return layout


def _make(layout: Layout) -> None:
    text = (
        "# This directory is an auditlog store: `auditlog ls --store PATH` lists what it holds.\n"
        f'format = {FORMAT}\nid = "{uuid.uuid4()}"\ncreated = {datetime.now(UTC).replace(microsecond=0).isoformat()}\n'
    )
    draft = layout.root / f".store-{os.getpid()}-{uuid.uuid4().hex}.toml"
    try:
        for directory in (layout.root, layout.journal, layout.segments, layout.ledger):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        try:
            # A link, unlike a rename, loses against a store that another process made meanwhile.
            with contextlib.suppress(FileExistsError):
                os.link(draft, layout.settings)
        finally:
            draft.unlink()
        sync_directory(layout.root)
        sync_directory(layout.root.parent)
    except OSError as error:
        msg = f"No store can be made at {layout.root}: {error.strerror}. Choose a directory that you may write to."
        raise StoreError(msg) from None


def _refuse_foreign(layout: Layout) -> None:
    mode = _mode(layout.root)
    if mode is None:
        return
    if not layout.root.is_dir():
        msg = f"{layout.root} is no directory, so no store can be made there. Name another path."
        raise StoreError(msg)
    try:
        foreign = next(
            (p.name for p in layout.root.iterdir() if p.name not in _PARTS and p.name[:7] != ".store-"), None
        )
    except OSError as error:
        msg = f"{layout.root} cannot be read: {error.strerror}. Name another path."
        raise StoreError(msg) from None
    if foreign is not None and not layout.settings.exists():
        msg = (
            f"{layout.root} holds other files ({foreign!r} for one), and a store wants a directory of its own. "
            f"Name a new one, such as {layout.root / 'audit'}."
        )
        raise StoreError(msg)


def _not_a_store(root: Path) -> str:
    wrong = "does not exist" if _mode(root) is None else "is not a store (it has no store.toml)"
    if any((root / "journal").glob("*.wal")):
        wrong += ", and its journal holds records: a store that vanished while it was recorded into"
    near = nearest_store(root)
    hint = f"A store lies in {_shown(near)}." if near else f"Make one with `auditlog init {_shown(root)}`."
    return f"{_shown(root)} {wrong}. {hint}"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return f"./{path.relative_to(here)}" if path != here and path.is_relative_to(here) else str(path)


def _mode(path: Path) -> int | None:
    try:
        return path.lstat().st_mode
    except OSError:
        return None


def _thing(mode: int) -> str:
    for test, name in ((stat.S_ISLNK, "a symlink"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISDIR, "a directory")):
        if test(mode):
            return name
    return "a device or socket"
