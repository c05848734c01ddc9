"""`auditlog export --incident`: writes one conversation as a folder or zip for people who were not there."""

from __future__ import annotations

import contextlib
import hashlib
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditlog.cli.options import open_store, record_access
from auditlog.cli.output import destination, narrate, print_line
from auditlog.errors import StoreError
from auditlog.safe_text import safe_text

if TYPE_CHECKING:
    from auditlog.values import Conversation


def write_incident(store: str, name: str, out: str | None, reason: str) -> None:
    """Write an incident's file.

    Args:
        store: the store's path.
        name: the conversation's id, or a beginning of it.
        out: a new folder, or a file that ends in `.zip`; a new folder here where it is None.
        reason: why, for the access record.

    Raises:
        NotFoundError: there is no such conversation.
        AuditlogError: there is something at that place, or it cannot be written.
    """
    from auditlog.incident.gather import gather
    from auditlog.incident.package import files_of, write_folder, zipped

    with open_store(store) as opened:
        # What is finished and not sealed yet can be proven a moment later; where it cannot be sealed, the page says so.
        with contextlib.suppress(StoreError):
            opened.seal(wait=False)
        conversation = opened.conversation(name)
        ids, spans = [conversation.conversation_id], len(conversation.spans)
        record_access(opened, "export incident", ids=ids, rows=spans, reason=reason or None)
        evidence = gather(opened, conversation)
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    files = files_of(conversation, evidence, zone)
    place = out or default_name(conversation)
    if place.endswith(".zip"):
        with destination(place) as file:
            file.write(zipped(files, conversation))
    else:
        write_folder(files, Path(place).absolute())
        narrate(f"Wrote {place}")
    proven = sum(
        record.state in ("proven", "erased") and record.proof is not None for record in evidence.records
    )
    print_line(f"{safe_text(conversation.conversation_id)}: {proven} of {spans} records proven.")
    if proven < spans:
        why = next((record.why for record in evidence.records if record.why), "")
        narrate(f"Not all is proven: {why}.".replace("..", "."))


def default_name(conversation: Conversation) -> str:
    """Give a folder's name; an id is anybody's text, and never becomes a path."""
    digest = hashlib.sha256(conversation.conversation_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"incident-{conversation.turns[0].agent.start:%Y-%m-%d}-{digest[:8]}"
