"""The two locks of a store.

The rules:

1. `ledger/lock` is held for one append to the ledger: milliseconds.
2. `ledger/seal.lock` is held while segments are made or taken away. Appending never waits for it; whoever holds it may append.
3. A lock is the kernel's (flock): it goes with the process that held it, however that ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from auditlog.errors import StoreError
from auditlog.layout import Layout


def appending(layout: Layout) -> contextlib.AbstractContextManager[bool]:
    """Hold the lock of one append."""
    return _held(layout.ledger / "lock", wait=True)


def sealing(layout: Layout, *, wait: bool = True) -> contextlib.AbstractContextManager[bool]:
    """Hold the lock of whoever makes segments or takes them away; False where another holds it, and `wait` is false."""
    return _held(layout.ledger / "seal.lock", wait=wait)


@contextlib.contextmanager
def _held(path: Path, *, wait: bool) -> Iterator[bool]:
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"{path} cannot be opened: {error.strerror}. This needs to write into the store; check its owner and mode."
        raise StoreError(msg) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
