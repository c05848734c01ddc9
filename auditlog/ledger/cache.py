"""What a long ledger's entries came to, kept so that opening a store does not read them all.

The rules:

1. The cache is derived and disposable: torn, foreign or absent, it is as if there were none.
2. It says at which offset the entry stands that it goes up to, and that entry's leaf hash; whoever uses it checks both.
   Verifying a store never uses it, and compares it.
3. It is written under the ledger's lock, by whoever appended, once in many entries.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import orjson

FORMAT = 1


def cache_path(cache: Path) -> Path:
    """Give the place of the cached state in a store's directory of caches."""
    return cache / "ledger.json"


def load(cache: Path) -> dict[str, Any] | None:
    """Read the state that was kept; None where there is none that is whole."""
    try:
        descriptor = os.open(cache_path(cache), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            digest, _, body = file.read().partition(b"\n")
    except OSError:
        return None
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    try:
        state = orjson.loads(body)
    except ValueError:
        return None
    return state if isinstance(state, dict) and state.get("v") == FORMAT else None


def keep(cache: Path, state: dict[str, Any]) -> None:
    """Keep a state; a store that takes none goes without."""
    body = orjson.dumps({"v": FORMAT, **state})
    draft = cache / f".ledger-{os.getpid()}.json"
    with contextlib.suppress(OSError):
        cache.mkdir(mode=0o700, exist_ok=True)
        draft.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        draft.replace(cache_path(cache))
