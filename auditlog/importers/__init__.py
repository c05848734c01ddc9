"""Reads files of other tools into a store.

The rules:

1. A file is parsed wholly before its first record is written: a bad file imports nothing.
2. A span that the store already holds is not written again, so importing a file a second time brings nothing new,
   and importing a file that has grown, or whose first import was broken off, brings the rest.
3. What could not be imported is reported with a reason, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from auditlog.errors import ImportFileError, StoreError
from auditlog.importers.detect import Shape, detect_shape, shape_names
from auditlog.importers.reading import SourceFile, read_source
from auditlog.journal import entry_of

if TYPE_CHECKING:
    from auditlog.store import Store

__all__ = ["ImportReport", "Shape", "SourceFile", "import_file", "import_into", "shape_names"]

SpanKey = tuple[str, str]
"""A trace id and a span id."""


class Writer(Protocol):
    """Takes records; a store's JournalWriter."""

    def append(self, payload: bytes) -> bool:
        """Keep one record, and say whether it is kept."""
        ...


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    path: Path
    format: str
    conversations: int
    """Conversations of which something was written."""
    spans: int
    """Spans written."""
    skipped: tuple[str, ...] = ()
    """A sentence for each thing that was not imported."""
    known_conversations: int = 0
    """Conversations that the store already held wholly."""
    known_spans: int = 0
    """Spans that the store already held."""


def import_file(
    path: Path | str,
    writer: Writer,
    *,
    format: str | None = None,  # noqa: A002 - what the command line calls it
    tags: Mapping[str, str] | None = None,
    known: Callable[[Collection[SpanKey]], Collection[SpanKey]] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> ImportReport:
    """Read a file, and write what is in it as records.

    Args:
        path: the file.
        writer: takes the records.
        format: the shape that the file must have, such as `tau2`; None to find out.
        tags: labels for everything that is imported.
        known: gives those of some (trace id, span id) that the store already holds; None to write everything.
        progress: called now and then with the records written and their number.

    Raises:
        ImportFileError: the file is unreadable, of no known shape, or holds nothing; nothing is written.
        StoreError: the records cannot be written.
    """
    source = read_source(Path(path))
    shape = detect_shape(source, format)
    skipped: list[str] = []
    try:
        payloads = list(shape.records(source, dict(tags or {}), skipped.append))
    except RecursionError:
        msg = f"{source.path} is nested more deeply than a record can be. Nothing was imported."
        raise ImportFileError(msg) from None
    entries = [entry_of(payload) for payload in payloads]
    keys = [(entry["trace"], entry["span"]) for entry in entries]
    held = set(known(keys)) if known is not None and keys else set()
    if not payloads:
        why = f" {skipped[0][0].upper()}{skipped[0][1:]}." if skipped else ""
        msg = f"{source.path} is {shape.title} ({shape.name}) without anything to import.{why}"
        raise ImportFileError(msg)
    # As readers do, a span without a conversation counts for the one that its trace names elsewhere.
    of_trace = {entry["trace"]: entry["conversation"] for entry in entries if "conversation" in entry}
    written: set[str] = set()
    seen: set[str] = set()
    count = 0
    for position, (payload, entry, key) in enumerate(zip(payloads, entries, keys, strict=True)):
        name = entry.get("conversation") or of_trace.get(entry["trace"], entry["trace"])
        seen.add(name)
        if key in held:
            continue
        held.add(key)
        if not writer.append(payload):
            msg = f"{count} of {len(payloads)} records of {source.path} were written, then the store took no more."
            raise StoreError(
                f"{msg} Make room or repair its permissions, and import again: the rest is added."
            )
        count += 1
        written.add(name)
        if progress is not None and position % 256 == 0:
            progress(position, len(payloads))
    if progress is not None:
        progress(len(payloads), len(payloads))
    return ImportReport(
        path=source.path,
        format=shape.name,
        conversations=len(written),
        spans=count,
        skipped=tuple(skipped),
        known_conversations=len(seen - written),
        known_spans=len(payloads) - count,
    )


def import_into(
    store: Store,
    path: Path | str,
    *,
    format: str | None = None,  # noqa: A002 - what the command line calls it
    tags: Mapping[str, str] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> ImportReport:
    """Import a file into a store, leaving out what the store already holds.

    Raises:
        ImportFileError: as `import_file`.
        StoreError: as `import_file`.
    """

    def known(keys: Collection[SpanKey]) -> Collection[SpanKey]:
        traces = sorted({trace for trace, _ in keys})
        sql = "SELECT trace_id, span_id FROM all_spans WHERE trace_id IN (SELECT unnest(?::VARCHAR[]))"
        table = store.query(sql, [traces])
        return set(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))

    from auditlog.redaction.writer import redacting

    writer = store.writer()
    try:
        redacted = redacting(store.layout, writer)
        report = import_file(path, redacted, format=format, tags=tags, known=known, progress=progress)
    finally:
        # A file without a writer can be sealed at once.
        writer.close()
    store.refresh()
    return report
