"""The thread that waits for the disk, so that no caller does.

The rules:

1. It holds its writer weakly: a writer that nobody holds ends its thread.
2. It sleeps until something is written, then waits `SYNC_SECONDS` for more, unless somebody waits for it.
3. While something is wrong it looks again every `PROBE_SECONDS`, also when nobody records.
4. Where no thread can be had, recording goes on; syncing is left to `flush`, rotation and `close`.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import Protocol

SYNC_SECONDS = 0.05
PROBE_SECONDS = 0.25


class Ticking(Protocol):
    """What the thread works for."""

    def tick(self) -> bool:
        """Sync, and mend what is broken; say whether all is well."""
        ...


class Syncer:
    """Starts the thread, and wakes it."""

    def __init__(self, owner: Ticking) -> None:
        """Prepare; the thread starts with the first `ensure`."""
        self._wake = threading.Event()
        self._hurry = threading.Event()
        # The thread would wait for ever for a writer that nobody holds any more.
        self._owner = weakref.ref(owner, _setter(self._wake, self._hurry))
        self._thread: threading.Thread | None = None

    def ensure(self) -> bool:
        """Have the thread run; say whether it does."""
        if self._thread is not None and self._thread.is_alive():
            # The threads of a dying interpreter stand still, and still count as alive.
            return not sys.is_finalizing()
        if sys.is_finalizing():
            # A new thread would never run, and `start` would wait for it for ever.
            return False
        thread = threading.Thread(
            target=_run, args=(self._owner, self._wake, self._hurry), name="auditlog-sync", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def wake(self, *, hurry: bool = False) -> None:
        """Say that there is something to sync; `hurry` where somebody waits for it."""
        if hurry:
            self._hurry.set()
        self._wake.set()


def _setter(*events: threading.Event) -> Callable[[object], None]:
    def set_all(_: object) -> None:
        for event in events:
            event.set()

    return set_all


def _run(reference: weakref.ref[Ticking], wake: threading.Event, hurry: threading.Event) -> None:
    well = True
    while True:
        wake.wait(None if well else PROBE_SECONDS)
        hurry.wait(SYNC_SECONDS)
        wake.clear()
        hurry.clear()
        owner = reference()
        if owner is None:
            return
        well = owner.tick()
        del owner
