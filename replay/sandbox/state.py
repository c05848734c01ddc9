"""The one case that a worker process runs, and what became of it.

The rules:

1. A worker runs one case at a time, so whatever happens on whatever thread belongs to that case.
2. A decorated call must stand in the case's context (a ContextVar), or its span would belong to no turn: a call on a
   thread that lost the context is a violation.
3. The first stop ends the case, and every later call of it is refused with the same stop.
4. A violation makes the case `invalid`, whatever else became of it, and whoever swallowed it.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

from replay.errors import CaseStop, NotServable, ReplayMiss, WriteBlocked

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

Phase = Literal["import", "idle", "case"]

_MOST_REMEMBERED = 100

_STATUS: dict[type[CaseStop], CaseStatus] = {
    ReplayMiss: "diverged",
    WriteBlocked: "blocked",
    NotServable: "unreplayable",
}


class CaseState:
    """What became of one case so far."""

    def __init__(self, case_id: str) -> None:
        """Begin a case."""
        self.case_id = case_id
        self.stopped: CaseStop | None = None
        """What ended it; None while it goes on."""
        self._lock = threading.Lock()

    def stop(self, reason: CaseStop) -> CaseStop:
        """End the case; give what ended it first."""
        with self._lock:
            if self.stopped is None:
                self.stopped = reason
            return self.stopped

    def status(self) -> CaseStatus | None:
        """Give the status that the stop means; None where nothing stopped it."""
        return None if self.stopped is None else _STATUS.get(type(self.stopped), "invalid")


class ProcessState:
    """What this process is doing, and what it was refused."""

    def __init__(self) -> None:
        """Begin outside of any case."""
        self.phase: Phase = "import"
        self.case: CaseState | None = None
        self._violations: list[str] = []
        self._refused = 0
        self._lock = threading.Lock()

    def begin(self, case: CaseState) -> None:
        """Enter a case."""
        self.case, self.phase = case, "case"

    def end(self) -> tuple[str, ...]:
        """Leave the case, or the import; give what was refused since the last time."""
        self.case, self.phase = None, "idle"
        with self._lock:
            taken, self._violations = tuple(self._violations), []
            more, self._refused = self._refused - len(taken), 0
        return (*taken, f"and {more} more") if more > 0 else taken

    def remember(self, what: str) -> None:
        """Remember a violation, on whatever thread it happened."""
        with self._lock:
            self._refused += 1
            if len(self._violations) < _MOST_REMEMBERED:
                self._violations.append(what)


process = ProcessState()
"""This process's."""

current_case: ContextVar[CaseState | None] = ContextVar("replay-case", default=None)
"""The case that the running code belongs to."""
