"""Which conversations were pruned: enough to say of an id that it was, and when.

`ledger/pruned/` holds, for each PRUNE entry, the first eight bytes of the SHA-256 of each conversation id, sorted; the entry
names the file and its SHA-256.
"""

from __future__ import annotations

import bisect
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlog.errors import StoreError
from auditlog.layout import sync_directory
from auditlog.ledger.ledger import read_ledger
from auditlog.values import utc

if TYPE_CHECKING:
    from auditlog.layout import Layout

_PREFIX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Pruned:
    """When a conversation was pruned."""

    time_ns: int
    older_than: str
    reason: str

    def sentence(self, conversation_id: str) -> str:
        """Say it of a conversation."""
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"Conversation {conversation_id!r} was pruned on {utc(self.time_ns):%Y-%m-%d %H:%M} UTC, as everything older "
            f"than {self.older_than}{why}. The ledger says so; its content is gone."
        )


def pruned(layout: Layout, conversation_id: str) -> Pruned | None:
    """Say when a conversation was pruned; None where it was not."""
    wanted = _prefix(conversation_id)
    latest = None
    if not (layout.ledger / "pruned").is_dir():
        return None
    for entry in read_ledger(layout.entries).each_entry():
        if entry["type"] != "prune" or not isinstance(entry.get("ids"), dict):
            continue
        if _holds(layout, entry["ids"], wanted):
            latest = Pruned(entry["time"], str(entry.get("older_than", "")), str(entry.get("reason", "")))
    return latest


def write_ids(layout: Layout, conversations: set[str]) -> dict[str, Any]:
    """Write the ids of pruned conversations; give what the entry says of them.

    Raises:
        StoreError: the file system refuses.
    """
    data = b"".join(sorted(map(_prefix, conversations)))
    digest = hashlib.sha256(data).hexdigest()
    directory = layout.ledger / "pruned"
    path = directory / f"{digest[:32]}.ids"
    draft = path.with_suffix(".draft")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_directory(directory)
        sync_directory(layout.ledger)
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}. Nothing was pruned; try again when it can."
        raise StoreError(msg) from None
    return {"file": path.name, "sha256": digest, "count": len(conversations)}


def _prefix(conversation_id: str) -> bytes:
    return hashlib.sha256(conversation_id.encode("utf-8", "surrogatepass")).digest()[:_PREFIX_BYTES]


def _holds(layout: Layout, ids: dict[str, Any], wanted: bytes) -> bool:
    name = Path(str(ids.get("file", ""))).name
    try:
        data = (layout.ledger / "pruned" / name).read_bytes()
    except OSError:
        return False
    if hashlib.sha256(data).hexdigest() != ids.get("sha256"):
        return False
    rows = range(len(data) // _PREFIX_BYTES)
    at = bisect.bisect_left(rows, wanted, key=lambda n: data[n * _PREFIX_BYTES : (n + 1) * _PREFIX_BYTES])
    return data[at * _PREFIX_BYTES : (at + 1) * _PREFIX_BYTES] == wanted
