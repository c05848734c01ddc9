"""A key of 32 random bytes in a file of a store: read, or made once.

The rules:

1. It is in hex, of mode 0600, and a regular file. One that is damaged is said, and never replaced.
2. Of several processes that make it one wins, and the others take what it made.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import uuid
from pathlib import Path

from auditlog.errors import ConfigurationError

KEY_BYTES = 32


def find(path: Path, needs: str) -> bytes | None:
    """Read a key; None where there is none.

    Args:
        path: where it is.
        needs: what cannot be done without it, for messages.

    Raises:
        ConfigurationError: it is there, and cannot be used.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"{path} is no regular file. Put the store's key back from a copy.")
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. {needs} needs it; check its owner and mode."
        raise ConfigurationError(msg) from None
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path} is damaged: it must hold 32 bytes in hex. Put it back from a copy.")
    return key


def ensure(path: Path, needs: str) -> bytes:
    """Read a key, made where there is none.

    Args:
        path: where it is.
        needs: what cannot be done without it, for messages.

    Raises:
        ConfigurationError: it can neither be read nor made.
    """
    key = find(path, needs)
    if key is not None:
        return key
    draft = path.with_name(f".{path.stem}-{os.getpid()}-{uuid.uuid4().hex}.key")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor has no path
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
                file.flush()
                os.fsync(descriptor)
            # A link, unlike a rename, loses against a key that another process made meanwhile.
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
        _sync(path.parent)
    except OSError as error:
        msg = f"No {path.stem} key can be made in {path.parent}: {error.strerror}. Check the store's owner and mode."
        raise ConfigurationError(msg) from None
    key = find(path, needs)
    if key is None:
        raise ConfigurationError(f"{path} was made, and is gone again. Call configure once more.")
    return key


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
