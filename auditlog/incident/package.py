"""Puts an incident's files together, and writes them as a folder or a zip.

The rules:

1. The same conversation, evidence and zone give the same bytes: files are in order of their names, and a zip's times are
   those of the conversation's beginning.
2. A folder appears whole or not at all, and never over another: it is written beside its place and renamed.
3. `SHA256SUMS` lists every other file, as `sha256sum -c` reads it.
4. A file's name is ours, never a recorded text.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import uuid
import zipfile
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path

import orjson

from auditlog.errors import AuditlogError
from auditlog.exporters import jsonl, otlp_json
from auditlog.incident import html, markdown
from auditlog.incident.blocks import Block
from auditlog.incident.evidence import Evidence
from auditlog.incident.proven import proof_blocks
from auditlog.incident.story import Clock, story
from auditlog.values import Conversation, utc

COMMAND = "auditlog verify --proof proof.json --public-key public-key.txt"


def files_of(conversation: Conversation, evidence: Evidence, zone: tzinfo) -> dict[str, bytes]:
    """Give an incident's files by name.

    Args:
        conversation: what happened.
        evidence: what is proven of it.
        zone: the local time zone that the page names beside UTC.
    """
    clock = Clock(zone)
    blocks: list[Block] = [
        *story(conversation, evidence, clock),
        *proof_blocks(conversation, evidence, clock, COMMAND),
    ]
    title = f"Incident file: {conversation.conversation_id}"
    found: dict[str, bytes] = {
        "incident.html": html.page(title, blocks).encode(),
        "incident.md": markdown.page(blocks).encode(),
        "conversation.jsonl": b"".join(jsonl.lines([conversation])),
        "conversation.otlp.jsonl": b"".join(otlp_json.lines([conversation])),
        **evidence.proofs,
    }
    if evidence.checkpoint is not None:
        found["checkpoint"] = evidence.checkpoint.encode()
    if evidence.public_key is not None:
        found["public-key.txt"] = f"{evidence.public_key}\n".encode()
    if evidence.accesses is not None:
        rows = [
            {
                "time": utc(a.time_ns).isoformat(),
                "who": a.who,
                "action": a.action,
                "rows": a.rows,
                "reason": a.reason,
            }
            for a in evidence.accesses
        ]
        found["access.jsonl"] = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(found.items()))
    found["SHA256SUMS"] = sums.encode()
    return dict(sorted(found.items()))


def zipped(files: Mapping[str, bytes], conversation: Conversation) -> bytes:
    """Give files as a zip, the same bytes for the same files."""
    began = min(span.start_ns for span in conversation.spans)
    moment = max(utc(began).timetuple()[:6], (1980, 1, 1, 0, 0, 0))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            entry.create_system = 3
            archive.writestr(entry, data)
    return packed.getvalue()


def write_folder(files: Mapping[str, bytes], target: Path) -> None:
    """Write files into a new folder.

    Raises:
        AuditlogError: there is something at that path, or it cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise AuditlogError(
            f"{target} is there already, and an incident never goes over other files. Name a new one."
        )
    draft = target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}"
    try:
        draft.mkdir(mode=0o700)
        for name, data in files.items():
            path = draft / name
            path.parent.mkdir(exist_ok=True, mode=0o700)
            path.write_bytes(data)
        draft.rename(target)
    except OSError as error:
        raise AuditlogError(f"{target} cannot be written: {error.strerror}. Name another place.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
