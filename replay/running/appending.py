"""Appends what a replay found to the store's journal.

The rules:

1. What is appended is redacted where the store's recorder redacts.
2. A record that cannot be kept ends whoever appends it, with what can be done; what was kept before stays.
3. Records that are whole go to the journal together; those of a call that is told of while it runs go one by one, so that the
   journal knows which calls are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from auditlog.errors import StoreError
from auditlog.journal import JournalWriter, entry_of
from auditlog.redaction.writer import redacting

if TYPE_CHECKING:
    from auditlog.recorder import Sink
    from auditlog.store import Store

GOES_ON = "What was written is kept; the same command goes on from there."


class Appender:
    """Appends records to a journal."""

    def __init__(self, writer: Sink, what: str, advice: str = GOES_ON) -> None:
        """Begin with nothing open.

        Args:
            writer: the store's.
            what: what is appended, as the subject of a sentence.
            advice: what whoever cannot append it can do.
        """
        self._writer = writer
        failure = f"{what} cannot be written into the store's journal: is the disk full, or the store read-only? {advice}"
        self._failure = failure.rstrip()
        self._open: set[object] = set()
        """Spans whose call was told of and has not ended."""

    @property
    def redacts(self) -> bool:
        """Whether what is kept may differ from what is appended."""
        return not isinstance(self._writer, JournalWriter)

    def append(self, payloads: Sequence[bytes]) -> None:
        """Append records, in their order.

        Raises:
            StoreError: one cannot be kept.
        """
        writer = self._writer
        if isinstance(writer, JournalWriter) and not self._open and all(map(_is_whole, payloads)):
            kept = not payloads or writer.extend(payloads)
        else:
            kept = all(map(self._append, payloads))
        if not kept:
            raise StoreError(self._failure)

    def _append(self, payload: bytes) -> bool:
        entry = entry_of(payload)
        span = entry["span"]
        if entry["type"] == "start":
            self._open.add(span)
            return self._writer.append(payload, opens=span)
        # What began while its case ran is ended by whatever record of it comes next.
        self._open.discard(span)
        return self._writer.append(payload, closes=span)

    def flush(self) -> None:
        """Have on the disk what was appended.

        Raises:
            StoreError: it cannot be.
        """
        if not self._writer.flush():
            raise StoreError(self._failure)


@contextmanager
def appending(store: Store, what: str, advice: str = GOES_ON) -> Iterator[Appender]:
    """Give an appender to a store; what it appended is on the disk when the block ends well.

    Args:
        store: which.
        what: as of `Appender`.
        advice: as of `Appender`.

    Raises:
        StoreError: what was appended cannot be kept.
    """
    writer = redacting(store.layout, store.writer())
    try:
        appender = Appender(writer, what, advice)
        yield appender
        appender.flush()
    finally:
        writer.close()


def keep(store: Store, payloads: Iterable[bytes], what: str, advice: str = "") -> None:
    """Append records to a store that then sees them.

    Args:
        store: which.
        payloads: the records.
        what: as of `Appender`.
        advice: as of `Appender`.

    Raises:
        StoreError: they cannot be kept.
    """
    with appending(store, what, advice) as appender:
        appender.append(list(payloads))
    store.refresh()


def _is_whole(payload: bytes) -> bool:
    """Whether a record opens and closes nothing: a quoted name stands in an entry only where it is one."""
    return payload.find(b'"type":"span"', 4, 4 + int.from_bytes(payload[:4], "little")) > 0
