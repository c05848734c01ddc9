"""What replay raises on purpose: errors for whoever starts a run, and stops that end a case.

The rules:

1. What the user of a command did wrong is an `AuditlogError`, as everywhere.
2. What ends a case is no `Exception`: an agent's `except Exception` cannot swallow it. What swallows it all the same
   changes nothing, since the case remembers how it ended.
3. A recorded error whose type this process does not have comes back as `ReplayedError`, which names it.
"""

from __future__ import annotations

from auditlog.errors import AuditlogError


class TargetError(AuditlogError):
    """An agent or adapter cannot be imported, found or called."""


class RunError(AuditlogError):
    """A replay run cannot be planned, started or resumed."""


class ScorerError(AuditlogError):
    """A scorer cannot be found, imported, configured or allowed what it asks for."""


class PolicyError(AuditlogError):
    """A gate's policy cannot be read, or means nothing; the message names line and column."""


class CaseStop(BaseException):
    """The base of what ends a case; the agent is not meant to handle it."""


class ReplayLeak(CaseStop):
    """Something tried to reach the world from a replay, and was refused."""


class ReplayMiss(CaseStop):
    """The agent asked for something that the recording does not hold."""


class WriteBlocked(CaseStop):
    """The agent tried a write that the recording does not hold."""


class NotServable(CaseStop):
    """The recording holds the call, and not its result as it was."""


class ImportDenied(PermissionError):
    """The agent's module tried to reach the world while it was imported.

    An ordinary error, since libraries that look around when they are imported know how to do without.
    """


class ReplayedError(Exception):
    """A recorded error of a type that this process does not have."""

    def __init__(self, type_name: str, message: str) -> None:
        """Stand in for a recorded error.

        Args:
            type_name: the recorded type, such as `shop.errors.OrderNotFound`.
            message: its recorded text.
        """
        super().__init__(message)
        self.type_name = type_name
