"""Our directory for what can be made again: the files of commits, and environments.

The rules:

1. It stands where the user's caches stand, belongs to the user alone, and may be deleted whenever no run is under way.
2. What is in it is made beside its place, or under a lock, and counts only when it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from replay.errors import TargetError

VARIABLE = "AUDITLOG_REPLAY_CACHE"


def directory(*below: str) -> Path:
    """Give a directory of the cache, made where it is not there.

    Raises:
        TargetError: it cannot be made, or belongs to somebody else.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    given = os.environ.get(VARIABLE)
    top = Path(given) if given else (Path(home) if home else Path.home() / ".cache") / "auditlog-replay"
    top = top.absolute()
    path = top.joinpath(*below)
    try:
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        if top.stat().st_uid != os.getuid():
            msg = f"The cache {top} belongs to another user, who could change it. Set {VARIABLE} to a directory of yours."
            raise TargetError(msg)
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The cache {path} cannot be made: {error.strerror}. Set {VARIABLE} to a directory that can be written."
        raise TargetError(msg) from None
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold what is made at a path, so that two commands do not make it at once.

    Args:
        path: what is made; the lock is a file beside it.
    """
    with path.with_name(f"{path.name}.lock").open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
