"""The lock of a run: whoever runs it holds it, for as long as it runs.

The rules:

1. A run is under way exactly while somebody holds its lock. It is the kernel's (flock), so that it goes with the process that
   held it, however that ended, and holds between containers and hosts that share the store's directory.
2. It lies beside the store's other locks, under a name made of the run's id: what an id says is no path. It stays there until
   the run is complete.
3. Where there can be no lock (a file system that has none, a ledger that whoever replays may not write into), the newest
   manifest's process says whether the run is under way, as far as this machine can tell.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from auditlog.layout import Layout
from replay.errors import RunError

_PATIENCE_SECONDS = 0.5
"""Somebody who only looks holds the lock for a moment."""
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextlib.contextmanager
def held(layout: Layout, run_id: str) -> Iterator[None]:
    """Hold a run's lock.

    Raises:
        RunError: somebody runs it, or the store cannot be written into.
    """
    descriptor = _taken(_path(layout, run_id), run_id)
    if descriptor is None:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def forget(layout: Layout, run_id: str) -> None:
    """Take the lock of a run away that is complete; whoever holds it may."""
    with contextlib.suppress(OSError):
        _path(layout, run_id).unlink()


def is_held(layout: Layout, run_id: str) -> bool | None:
    """Say whether somebody runs a run; None where its lock does not say.

    Args:
        layout: the store's.
        run_id: the run's.
    """
    try:
        descriptor = os.open(_path(layout, run_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _taken(path: Path, run_id: str) -> int | None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        if (descriptor := _opened(path)) is None:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                os.close(descriptor)
                return None
            said = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
            os.close(descriptor)
            if time.monotonic() > until:
                msg = f"Run {run_id} is under way in {said or 'another process'}. Wait for it, or start a new one with --fresh."
                raise RunError(msg) from None
            time.sleep(0.02)
            continue
        if _is_at(descriptor, path):
            return descriptor
        # Whoever held it took it away with the end of the run.
        os.close(descriptor)


def _opened(path: Path) -> int | None:
    try:
        # Another user may look whether somebody runs it, and take it over when nobody does.
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno not in _MAY_NOT:
            msg = f"{path} cannot be opened: {error.strerror}. A run writes into the store; check its owner and mode."
            raise RunError(msg) from None
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except OSError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _path(layout: Layout, run_id: str) -> Path:
    return layout.ledger / f"run-{hashlib.sha256(run_id.encode()).hexdigest()[:16]}.lock"
