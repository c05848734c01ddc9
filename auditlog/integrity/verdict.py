"""What verifying a store can come to.

The rules:

1. There are four outcomes. Damage is INVALID; a ledger that is whole, and another than somebody outside has seen, is
   DIVERGED; a ledger of which nobody outside has seen anything is VALID-BUT-UNANCHORED.
2. Every fault names its file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """The four outcomes."""

    VALID = "VALID"
    """All is as it was sealed, and somebody outside has seen this ledger."""
    UNANCHORED = "VALID-BUT-UNANCHORED"
    """All is as it was sealed, as far as the store itself can tell."""
    INVALID = "INVALID"
    """A file is damaged, missing, planted, or not what the ledger says."""
    DIVERGED = "DIVERGED"
    """The ledger is another than the one that somebody outside has seen: cut, rolled back, or written anew."""


class Fault(NamedTuple):
    """One thing that is wrong with one file."""

    path: str
    """Relative to the store."""
    what: str


class Anchor(NamedTuple):
    """A checkpoint that was seen outside, and found to be a beginning of this ledger."""

    where: str
    size: int


@dataclass(slots=True)
class Report:
    """What verifying a store found."""

    outcome: Outcome = Outcome.VALID
    faults: list[Fault] = field(default_factory=list)
    divergences: list[str] = field(default_factory=list)
    anchors: list[Anchor] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no fault, and worth knowing."""
    origin: str | None = None
    key: str | None = None
    """The verifier key that was trusted."""
    root: str = ""
    """Of the tree over all entries, hex."""
    entries: int = 0
    signed: int = 0
    """How many of the entries the checkpoint covers."""
    signed_ns: int = 0
    """The time in the last entry that it covers, nanoseconds since the epoch."""
    segments: int = 0
    rows: int = 0
    bytes: int = 0
    gone: dict[str, int] = field(default_factory=dict)
    """Segments that signed entries took away, by the entry's type."""
    deep: bool = False
    """Whether every row was made again from its content."""

    @property
    def unsigned(self) -> int:
        """Entries behind the checkpoint."""
        return max(0, self.entries - self.signed)

    @property
    def anchored(self) -> int:
        """The largest size that was seen outside."""
        return max((anchor.size for anchor in self.anchors), default=0)

    def conclude(self) -> None:
        """Set the outcome by what was found."""
        if self.faults:
            self.outcome = Outcome.INVALID
        elif self.divergences:
            self.outcome = Outcome.DIVERGED
        else:
            self.outcome = Outcome.VALID if self.anchors else Outcome.UNANCHORED
