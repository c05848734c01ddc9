"""Makes the records of imported spans.

The rules:

1. A whole call is one SPAN record with source `import`; a call whose end the file does not hold is a START record.
2. What is made up of a file has ids derived from the file's content, so importing it again makes the same ids.
3. A name or conversation id is bounded, since an entry is; what is cut off is replaced by its hash.
4. No file is believed to be a run of this store, its scores, its verdict or an attack: see `auditlog.reserved`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from auditlog.names import bounded
from auditlog.record import encode_record
from auditlog.reserved import imported_attributes, imported_name
from auditlog.values import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSpan:
    """One span of a file, ready to be written."""

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    turn_id: str | None = None
    conversation_id: str | None = None
    kind: str = "other"
    name: str = ""
    status: str = "ok"
    start_ns: int = 0
    end_ns: int | None = None
    """None where the file does not hold the end: the span is then `incomplete`."""
    attributes: Mapping[str, Json] = field(default_factory=dict)
    content: Mapping[str, Json] = field(default_factory=dict)
    """Content by part name; a part that is None is left out."""

    def payload(self) -> bytes:
        """Give the record."""
        entry: dict[str, Any] = {
            "type": "start" if self.end_ns is None else "span",
            "time": self.start_ns,
            "trace": self.trace_id,
            "span": self.span_id,
            "parent": self.parent_span_id,
            "turn": self.turn_id,
            "conversation": bounded(self.conversation_id) if self.conversation_id else None,
            "kind": self.kind,
            "name": bounded(imported_name(self.kind, self.name)),
            "source": "import",
        }
        if self.end_ns is not None:
            entry |= {"end": self.end_ns, "status": self.status}
        parts = {"attributes": imported_attributes(self.attributes), **self.content}
        return encode_record(
            {name: value for name, value in entry.items() if value is not None},
            {name: _encoded(value) for name, value in parts.items() if value is not None},
        )


def content_digest(*values: Json) -> str:
    """Give SHA-256, hex, of JSON values; the order of an object's keys does not matter."""
    return hashlib.sha256(_encoded(values, orjson.OPT_SORT_KEYS)).hexdigest()


def conversation_name(tags: Mapping[str, str], digest: str) -> str:
    """Make a readable conversation id: domain, task and trial, then what makes it unique."""
    said = (tags.get(key, "") for key in ("domain", "task_id", "trial"))
    words = (re.sub(r"[^A-Za-z0-9_.]+", "-", word).strip("-")[:40] for word in said)
    return "-".join([*(word for word in words if word), digest[:12]])


def derived_id(digits: int, *values: str | int) -> str:
    """Derive a trace id (32 digits) or span id (16 digits) from values that name it."""
    return hashlib.sha256(orjson.dumps(values)).hexdigest()[:digits]


def ignore(reason: str) -> None:
    """Take a reason why something was skipped, and do nothing with it."""


def _encoded(value: Json, option: int = 0) -> bytes:
    """Encode what was read from JSON, with its keys in the order they came: an agent may have shown them to a model.

    Raises:
        RecursionError: it is nested too deeply, the one thing that can be read and not written.
    """
    try:
        return orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        raise RecursionError(str(error)) from None
