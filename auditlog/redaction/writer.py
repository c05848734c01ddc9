"""Redacts what others have made into records already: imports, and replays.

The rules:

1. A record is taken apart, redacted as the recorder would, and put together again; whatever is no record is not written.
2. Where the store's recorder redacts, so do its imports and its replays (see `settings`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlog.record import decode_record, encode_record
from auditlog.redaction.token import in_use

if TYPE_CHECKING:
    from auditlog.layout import Layout
    from auditlog.recorder import Redacts, Sink


class RedactingWriter:
    """Writes records without what redaction takes out of them."""

    def __init__(self, writer: Sink, redactor: Redacts) -> None:
        """Write into a writer."""
        self._writer = writer
        self._redactor = redactor

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:
        """Redact one record and keep it; say whether it is kept.

        Raises:
            FormatError: it is no record.
        """
        record = decode_record(payload)
        entry: dict[str, Any] = {name: value for name, value in record.entry.items() if name != "parts"}
        redacted = encode_record(entry, self._redactor.record(entry, record.parts))
        return self._writer.append(redacted, opens=opens, closes=closes)

    def fault(self, reason: str) -> None:
        """Count a record that could not be made."""
        self._writer.fault(reason)

    def commit(self) -> bool:
        """Wait until what is kept so far is durable, for a bounded time; say whether it is."""
        return self._writer.commit()

    def flush(self) -> bool:
        """Make what is kept durable; say whether everything is."""
        return self._writer.flush()

    def close(self) -> None:
        """Let go of the writer's files."""
        self._writer.close()


def redacting(layout: Layout, writer: Sink) -> Sink:
    """Give a writer that redacts where a store says so; else the writer itself.

    Raises:
        ConfigurationError: what the store says means nothing, or its key cannot be read.
    """
    if not in_use(layout):
        return writer
    from auditlog.redaction.settings import for_store

    redactor = for_store(layout)
    if redactor is None:
        return writer
    return RedactingWriter(writer, redactor)
