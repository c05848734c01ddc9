"""Redacts what others have made into records already: imports.

The rules:

1. A record is taken apart, redacted as the recorder would, and put together again; whatever is no record is not written.
2. Where the store's recorder redacts, so do its imports (see `settings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from auditlog.record import decode_record, encode_record
from auditlog.redaction.token import in_use

if TYPE_CHECKING:
    from auditlog.recorder import Redacts
    from auditlog.store.layout import Layout


class Writer(Protocol):
    """Takes records; a store's JournalWriter."""

    def append(self, payload: bytes) -> bool:
        """Keep one record, and say whether it is kept."""
        ...


class RedactingWriter:
    """Writes records without what redaction takes out of them."""

    def __init__(self, writer: Writer, redactor: Redacts) -> None:
        """Write into a writer."""
        self._writer = writer
        self._redactor = redactor

    def append(self, payload: bytes) -> bool:
        """Redact one record and keep it; say whether it is kept.

        Raises:
            FormatError: it is no record.
        """
        record = decode_record(payload)
        entry: dict[str, Any] = {name: value for name, value in record.entry.items() if name != "parts"}
        return self._writer.append(encode_record(entry, self._redactor.record(entry, record.parts)))


def redacting(layout: Layout, writer: Writer) -> Writer:
    """Give a writer that redacts where a store says so; else the writer itself.

    Raises:
        ConfigurationError: what the store says means nothing, or its key cannot be read.
    """
    if not in_use(layout):
        return writer
    from auditlog.redaction.settings import for_store

    redactor = for_store(layout)
    return writer if redactor is None else RedactingWriter(writer, redactor)
