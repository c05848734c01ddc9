"""One record: what a decorated call, an OpenTelemetry span or an import writes into the journal.

The rules:

1. A record is an *entry* (small JSON, never erased: ids, kind, name, times) and named *parts* (the content, erasable).
2. The entry holds, for each part, the commitment SHA-256(salt ‖ part); the salt is 16 random bytes that live beside
   the part, not in the entry. So a part can be erased, and everything else still proves.
3. The bytes that are hashed are the bytes that are stored: nothing is encoded a second time on the way to the segment.
4. A ledger leaf is SHA-256(0x00 ‖ entry), as RFC 6962 has it.
5. Decoding trusts no length: whatever does not fit the payload is a FormatError.

Layout of a payload, integers little-endian::

    u32 entry length | entry | for each name in entry["parts"], in order: 16 bytes salt | u32 length | part
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from auditlog.errors import FormatError

FORMAT = 1
"""The version of the record layout; it stands in every entry as `v`."""

SALT_BYTES = 16
MAX_ENTRY_BYTES = 64 * 1024

START_PARTS = ("input", "system_instructions", "input_messages", "tool_definitions")
"""Content that is known when a call begins."""
END_PARTS = ("output", "output_messages", "documents", "error", "evaluations", "events", "resource", "scope")
"""Content that is known when it ends."""
CONTENT_PARTS = START_PARTS + END_PARTS

_LENGTH = struct.Struct("<I")


class SaltedPart(NamedTuple):
    """The bytes of one part and the salt of its commitment."""

    salt: bytes
    content: bytes


class Record(NamedTuple):
    """A decoded record."""

    entry_bytes: bytes
    """The entry exactly as hashed."""
    entry: dict[str, Any]
    parts: dict[str, SaltedPart]

    @property
    def type(self) -> str:
        """`open`, `start`, `end`, `span`, `gap` or `close`."""
        return self.entry["type"]

    def json(self, part: str) -> Any:
        """Decode one part; None where the record has none."""
        found = self.parts.get(part)
        return None if found is None else orjson.loads(found.content)


def encode_record(entry: dict[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Make a payload of an entry and its parts.

    Args:
        entry: JSON-ready fields; `v` and `parts` are filled in here.
        parts: JSON text by part name.
    """
    entry["v"] = FORMAT
    chunks: list[bytes] = []
    if parts:
        salts = os.urandom(SALT_BYTES * len(parts))
        commitments = entry["parts"] = {}
        for position, (name, content) in enumerate(parts.items()):
            salt = salts[position * SALT_BYTES : (position + 1) * SALT_BYTES]
            commitments[name] = commitment(salt, content)
            chunks += (salt, _LENGTH.pack(len(content)), content)
    head = orjson.dumps(entry)
    return b"".join((_LENGTH.pack(len(head)), head, *chunks))


def decode_record(payload: bytes) -> Record:
    """Read a payload back.

    Raises:
        FormatError: the payload is not a record, or is of a newer format.
    """
    entry_bytes, at = _take(payload, 0, MAX_ENTRY_BYTES)
    try:
        entry = orjson.loads(entry_bytes)
        version, names = entry["v"], entry.get("parts", {})
        _ = entry["type"]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        msg = f"A journal record's entry is not an entry: {error!r}. The file is damaged or is no journal."
        raise FormatError(msg) from None
    if version != FORMAT:
        msg = (
            f"A record has format {version}, and this version reads format {FORMAT}. Upgrade auditlog-replay."
        )
        raise FormatError(msg)
    parts = {}
    for name in names:
        salt, at = payload[at : at + SALT_BYTES], at + SALT_BYTES
        content, at = _take(payload, at, len(payload))
        parts[name] = SaltedPart(salt, content)
    return Record(entry_bytes, entry, parts)


def commitment(salt: bytes, content: bytes) -> str:
    """Give SHA-256(salt ‖ content), in hex."""
    return hashlib.sha256(salt + content).hexdigest()


def leaf_hash(entry_bytes: bytes) -> bytes:
    """Give the RFC 6962 leaf hash of an entry: SHA-256(0x00 ‖ entry)."""
    return hashlib.sha256(b"\x00" + entry_bytes).digest()


def _take(payload: bytes, at: int, most: int) -> tuple[bytes, int]:
    head = payload[at : at + 4]
    size = _LENGTH.unpack(head)[0] if len(head) == 4 else -1
    if not 0 <= size <= min(most, len(payload) - at - 4):
        msg = f"A journal record ends inside a field at byte {at}. The file is damaged or is no journal."
        raise FormatError(msg)
    return payload[at + 4 : at + 4 + size], at + 4 + size
