"""Gives conversations back in other formats.

The rules:

1. An exporter is pure: conversations in, lines of bytes out, each ending with a newline; it opens no file and no store.
2. `otlp-json` is lossless: importing it gives equal conversations. `jsonl` is for people and scripts, and is not
   read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from auditlog.exporters import jsonl, otlp_json
from auditlog.values import Conversation

__all__ = ["FORMATS", "Exporter"]

Exporter = Callable[[Iterable[Conversation]], Iterator[bytes]]

FORMATS: Mapping[str, Exporter] = {"otlp-json": otlp_json.lines, "jsonl": jsonl.lines}
"""The exporters by the name that the command line gives them."""
