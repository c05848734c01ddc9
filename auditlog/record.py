"""One record: what a decorated call, an OpenTelemetry span or an import writes into the journal.

The rules:

1. A record is an *entry* (small JSON, never erased: ids, kind, name, times) and named *parts* (the content, erasable).
2. Nothing is hashed while an agent waits: salts and commitments are made when a span's records become a row.
3. A row has one random salt, and a part's own salt is the first 16 bytes of SHA-256(salt ‖ part name). Its commitment is
   SHA-256(part's salt ‖ content). So a part can be erased with the salt, and everything else still proves.
4. A row's leaf text is its entry with the commitments of its parts in it; the leaf is SHA-256(0x00 ‖ leaf text), as
   RFC 6962 has it. The bytes that are hashed are the bytes that are stored.
5. Decoding trusts no length: whatever does not fit the payload is a FormatError.

Layout of a payload, integers little-endian::

    u32 entry length | entry | for each name in entry["parts"], in order: u32 length | part
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import sha256 as _sha256
from typing import Any, NamedTuple

import orjson

from auditlog.errors import FormatError

FORMAT = 2
"""The version of the record layout; it stands in every entry as `v`."""

SALT_BYTES = 16
LEAF_BYTES = 8
"""How much of its leaf's hash a row holds, so that content can be checked without the rest of the file."""
MAX_ENTRY_BYTES = 64 * 1024

START_PARTS = ("input", "system_instructions", "input_messages", "tool_definitions")
"""Content that is known when a call begins."""
END_PARTS = ("output", "output_messages", "documents", "error", "evaluations", "events", "resource", "scope")
"""Content that is known when it ends."""
CONTENT_PARTS = START_PARTS + END_PARTS
PARTS = ("attributes", *CONTENT_PARTS, "vault")
"""Every part that a row may have, in the order of their columns; `vault` holds what redaction took out, encrypted."""
PACKED = "parts"
"""The column of a sealed file in which all content of a row lies: a list with an element for each of PARTS."""

_LENGTH = struct.Struct("<I")
_pack, _unpack = _LENGTH.pack, _LENGTH.unpack_from
_CUT = "A journal record ends inside a field at byte {}. The file is damaged or is no journal."
_ENCODED = tuple((name, name.encode()) for name in PARTS)
_COPIED_BYTES = 64 * 1024
"""Up to here it costs less to copy content behind its salt than to hash it in two steps."""


class Record(NamedTuple):
    """A decoded record."""

    entry_bytes: bytes
    """The entry exactly as written."""
    entry: dict[str, Any]
    parts: dict[str, bytes]
    """The content by part name."""

    @property
    def type(self) -> str:
        """`open`, `start`, `end`, `span`, `gap` or `close`."""
        return self.entry["type"]

    def json(self, part: str) -> Any:
        """Decode one part; None where the record has none."""
        found = self.parts.get(part)
        return None if found is None else orjson.loads(found)


def encode_record(entry: dict[str, Any], parts: Mapping[str, bytes]) -> bytes:
    """Make a payload of an entry and its parts.

    Args:
        entry: JSON-ready fields; `v` and `parts` are filled in here.
        parts: JSON text by part name.
    """
    entry["v"] = FORMAT
    if parts:
        entry["parts"] = list(parts)
    return payload_of(orjson.dumps(entry), parts)


def payload_of(entry: bytes, parts: Mapping[str, bytes]) -> bytes:
    """Make a payload of an entry's text, which names its parts, and of these."""
    if len(parts) == 1:
        # As most records that end a call.
        (content,) = parts.values()
        return b"".join((_pack(len(entry)), entry, _pack(len(content)), content))
    chunks = [_pack(len(entry)), entry]
    for content in parts.values():
        chunks += (_pack(len(content)), content)
    return b"".join(chunks)


def decode_record(payload: bytes) -> Record:
    """Read a payload back.

    Raises:
        FormatError: the payload is not a record, or is of another format.
    """
    total = len(payload)
    try:
        at = 4 + _unpack(payload, 0)[0]
        if at > min(total, MAX_ENTRY_BYTES + 4):
            raise FormatError(_CUT.format(0))
        entry_bytes = payload[4:at]
        entry = orjson.loads(entry_bytes)
        version, names = entry["v"], entry.get("parts", ())
        _ = entry["type"]
        if version != FORMAT:
            raise FormatError(f"A record has {other_format(version)}")
        parts: dict[str, bytes] = {}
        for name in names:
            begin = at + 4
            at = begin + _unpack(payload, at)[0]
            if at > total or not isinstance(name, str):
                raise FormatError(_CUT.format(begin))
            parts[name] = payload[begin:at]
    except struct.error:
        raise FormatError(_CUT.format(total)) from None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        msg = f"A journal record's entry is not an entry: {error!r}. The file is damaged or is no journal."
        raise FormatError(msg) from None
    return Record(entry_bytes, entry, parts)


def other_format(version: object) -> str:
    """Say of a format that is not ours what can be done about it."""
    older = isinstance(version, int) and version < FORMAT
    advice = "Run `auditlog migrate` on the store." if older else "Upgrade auditlog-replay."
    return f"format {version}, and this version reads format {FORMAT}. {advice}"


def part_salt(salt: bytes, name: str) -> bytes:
    """Give the salt of one part of a row."""
    return _sha256(salt + name.encode()).digest()[:SALT_BYTES]


def commitment(salt: bytes, content: bytes) -> str:
    """Give SHA-256(salt ‖ content), in hex; `salt` is the part's own."""
    if len(content) <= _COPIED_BYTES:
        return _sha256(salt + content).hexdigest()
    digest = _sha256(salt)
    digest.update(content)
    return digest.hexdigest()


def commitments_of(salt: bytes, parts: Mapping[str, bytes | None]) -> dict[str, str]:
    """Give the commitments of a row's parts, in the order of their columns; a part that is None has none."""
    found = {}
    for name, encoded in _ENCODED:
        content = parts.get(name)
        if content is not None:
            found[name] = commitment(_sha256(salt + encoded).digest()[:SALT_BYTES], content)
    return found


def leaf_text(entry: bytes, commitments: Mapping[str, str]) -> bytes:
    """Give what a leaf hashes: the row's entry with the commitments of its parts."""
    listed = ",".join(f'"{name}":"{digest}"' for name, digest in commitments.items())
    return b'%b,"parts":{%b}}' % (entry[:-1], listed.encode())


def leaf_hash(text: bytes) -> bytes:
    """Give the RFC 6962 leaf hash of a leaf text: SHA-256(0x00 ‖ text)."""
    return _sha256(b"\x00" + text).digest()
