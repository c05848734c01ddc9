"""What an incident's page knows of proofs: values only.

The rules:

1. A record is `proven` (a proof of it is in the folder), `erased` (its content is gone, its place still proves), `unsealed`
   (it was not in the ledger yet) or `unproven` (the reason is said).
2. Nothing here is computed from content: whoever made the proofs says what they show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["proven", "erased", "unsealed", "unproven"]


@dataclass(frozen=True, slots=True)
class RecordEvidence:
    """What is proven of one span."""

    span_id: str
    state: State
    proof: str | None = None
    """The proof's file in the folder."""
    why: str = ""
    """Where it is not proven: the reason."""


@dataclass(frozen=True, slots=True)
class Access:
    """One time that somebody read the conversation."""

    time_ns: int
    who: str
    action: str
    rows: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a conversation besides what was said."""

    store_id: str
    records: tuple[RecordEvidence, ...] = ()
    checkpoint: str | None = None
    """The signed note, whole."""
    origin: str | None = None
    """The name that the checkpoint is signed under."""
    public_key: str | None = None
    """The key that verifies it, as the store's settings hold it."""
    anchors: tuple[str, ...] = ()
    """Where checkpoints were made known outside the store, one line each."""
    lost_records: int = 0
    """Records that could not be written while the conversation went on."""
    accesses: tuple[Access, ...] | None = None
    """None where the ledger holds no access records."""
    other_accesses: int = 0
    """Lists, searches and queries since it began that name no conversation, and may have shown some of it."""
    sealed_ns: tuple[int, ...] = ()
    """When its records were taken into the ledger."""
    notes: tuple[str, ...] = ()
    """What else a reader should know: holds, erasures, damage."""
    proofs: Mapping[str, bytes] = field(default_factory=dict)
    """The proofs' files by name."""

    def of(self, span_id: str) -> RecordEvidence | None:
        """Give what is known of one span."""
        return next((record for record in self.records if record.span_id == span_id), None)
