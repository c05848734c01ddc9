"""What an exported span says about itself, so that importing it gives the same span again.

The rules:

1. It is one attribute, `auditlog.export`, of JSON text: what OpenTelemetry has no place for, and the names of the
   attributes that the exporter added for other readers or had to write as JSON text.
2. Reading it trusts nothing: a marker that does not hold together is none, and the span is then anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from auditlog.values import KINDS, Json

ATTRIBUTE = "auditlog.export"
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """What `auditlog.export` holds."""

    kind: str
    name: str
    turn: str | None = None
    conversation: str | None = None
    added: tuple[str, ...] = ()
    """Attributes that stand there for other readers only."""
    as_text: tuple[str, ...] = ()
    """Attributes whose value is JSON text, since OTLP has no word for it."""

    def text(self) -> str:
        """Give the attribute's value."""
        fields = {
            "format": FORMAT,
            "kind": self.kind,
            "name": self.name,
            "turn": self.turn,
            "conversation": self.conversation,
            "added": self.added,
            "as_text": self.as_text,
        }
        return orjson.dumps(fields).decode()

    @classmethod
    def read(cls, attributes: Mapping[str, Json]) -> Marker | None:
        """Read the marker of a span's attributes; None where there is none that holds together.

        Raises:
            ValueError: a newer version of auditlog wrote it.
        """
        text = attributes.get(ATTRIBUTE)
        try:
            fields = orjson.loads(text) if isinstance(text, str) else None
        except orjson.JSONDecodeError:
            return None
        match fields:
            case {"format": int(version)} if version > FORMAT:
                ours = f"this version reads format {FORMAT}"
                msg = f"was exported in format {version}, and {ours}: upgrade auditlog-replay"
                raise ValueError(msg)
            case {
                "format": 1,
                "kind": str(kind),
                "name": str(name),
                "added": list(added),
                "as_text": list(as_text),
            } if kind in KINDS:
                return cls(
                    kind=kind,
                    name=name,
                    turn=_hex(fields.get("turn")),
                    conversation=_text(fields.get("conversation")),
                    added=tuple(n for n in added if isinstance(n, str)),
                    as_text=tuple(n for n in as_text if isinstance(n, str)),
                )
            case _:
                return None


def restore(marker: Marker, attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Give the attributes as they were before the export."""
    left = {name: value for name, value in attributes.items() if name not in (ATTRIBUTE, *marker.added)}
    for name in marker.as_text:
        value = left.get(name)
        if isinstance(value, str):
            try:
                left[name] = orjson.loads(value)
            except orjson.JSONDecodeError:
                continue
    return left


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _hex(value: Any) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{16}", value) else None
