"""Where records go while the journal takes none, and how a sealer finds them.

The rules:

1. A spill directory holds one directory a store, named by the store's id, mode 0700; in it, files of the journal's own form.
2. The store knows of it before anything goes wrong: a pointer in its journal, `<digest>.spill`, holds the path.
3. A pointer is believed only when it leads to a real directory, no symlink, named by this very store's id: nobody can make a
   sealer read or remove files elsewhere.
4. This module imports neither DuckDB nor pyarrow: recording uses it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from auditlog.errors import ConfigurationError

POINTER_SUFFIX = ".spill"
_MOST_BYTES = 8192


def register(journal: Path, store_id: str, directory: Path) -> Path:
    """Make a store's own directory in a spill directory, and leave the pointer to it.

    Args:
        journal: the store's journal directory.
        store_id: the store's id.
        directory: the spill directory.

    Returns:
        The directory that takes the records.

    Raises:
        ConfigurationError: it cannot be made or written to, or lies in the store.
    """
    own = directory / store_id
    if own.resolve().is_relative_to(journal.parent.resolve()):
        msg = f"The spill directory {directory} lies in the store, and would fail with it. Name one on another disk."
        raise ConfigurationError(msg)
    pointer = journal / f"{hashlib.sha256(os.fsencode(own)).hexdigest()[:16]}{POINTER_SUFFIX}"
    try:
        own.mkdir(parents=True, exist_ok=True, mode=0o700)
        if own.is_symlink() or not os.access(own, os.W_OK | os.X_OK):
            raise PermissionError(0, "it cannot be written to")
        if not pointer.exists():
            draft = pointer.with_suffix(f".{os.getpid()}.draft")
            with draft.open("w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(str(own))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(pointer)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        msg = (
            f"The spill directory {directory} cannot be used: {why}. Name one that this process may write to."
        )
        raise ConfigurationError(msg) from None
    return own


def directories(journal: Path) -> list[Path]:
    """Give the directories that hold, or held, spilled records of the store with this journal."""
    try:
        pointers = sorted(path for path in journal.iterdir() if path.suffix == POINTER_SUFFIX)
    except OSError:
        return []
    if not pointers:
        return []
    store_id = _store_id(journal.parent)
    found = []
    for pointer in pointers:
        with contextlib.suppress(OSError, UnicodeError, ValueError):
            descriptor = os.open(pointer, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                path = Path(os.read(descriptor, _MOST_BYTES).decode("utf-8", "surrogateescape"))
            finally:
                os.close(descriptor)
            if path.is_absolute() and path.name == store_id and path.is_dir() and not path.is_symlink():
                found.append(path)
    return found


def _store_id(root: Path) -> str | None:
    import tomllib

    try:
        return str(tomllib.loads((root / "store.toml").read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError):
        return None
