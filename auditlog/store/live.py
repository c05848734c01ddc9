"""The rows of the journals that are not sealed yet, kept up to date.

The rules:

1. A file is read on from where reading stopped; what has been read is not read again.
2. A span whose END is in is made a row once; one that is still open, or may yet inherit a turn, is made again each time.
3. A file that vanished has been sealed: the caller reads the ledger again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from auditlog.sealing.merge import Merger
from auditlog.sealing.rows import arrow_schema, table_of
from auditlog.sealing.scan import JournalFile, by_process, feed, journal_files


@dataclass(slots=True)
class _Process:
    """What has been read of one process's files."""

    merger: Merger = field(default_factory=Merger)
    offsets: dict[str, int] = field(default_factory=dict)
    settled: list[pa.Table] = field(default_factory=list)
    fresh: pa.Table | None = None


class LiveRows:
    """Reads the live rows of one journal directory."""

    def __init__(self, directory: Path) -> None:
        """Begin with nothing read."""
        self._directory = directory
        self._processes: dict[tuple[str, int], _Process] = {}
        self._table: pa.Table = arrow_schema().empty_table()

    def read(self, sealed: Collection[str]) -> pa.Table | None:
        """Give the rows of the files whose writers are not sealed; the same object when nothing changed.

        Args:
            sealed: the writers that the ledger lists.

        Returns:
            The rows, or None when a file vanished while it was read.
        """
        files = [file for file in journal_files(self._directory) if file.stem not in sealed]
        groups = {group[0].process: group for group in by_process(files)}
        changed = False
        for process in self._processes.keys() - groups.keys():
            del self._processes[process]
            changed = True
        for process, group in groups.items():
            try:
                changed |= self._read_process(process, group)
            except FileNotFoundError:
                self._processes.pop(process, None)
                return None
        if changed:
            tables = [
                t
                for p in self._processes.values()
                for t in (*p.settled, p.fresh)
                if t is not None and t.num_rows
            ]
            self._table = pa.concat_tables(tables) if tables else arrow_schema().empty_table()
        return self._table

    def _read_process(self, name: tuple[str, int], files: list[JournalFile]) -> bool:
        known = self._processes.get(name)
        stems = {file.stem for file in files}
        if known is None or not known.offsets.keys() <= stems:
            # A file of this process has been sealed: its spans are in the segments, and must not stay here.
            known = self._processes[name] = _Process()
        changed = False
        for file in files:
            before = known.offsets.get(file.stem, 0)
            after = feed(known.merger, file, before)
            known.offsets[file.stem] = after
            changed |= after != before
        if changed or known.fresh is None:
            spans = known.merger.take()
            settled = [span for span in spans if span.settled]
            if settled:
                known.settled.append(table_of(settled))
            if len(known.settled) > _MANY_TABLES:
                known.settled = [pa.concat_tables(known.settled).combine_chunks()]
            known.fresh = table_of([*(s for s in spans if not s.settled), *known.merger.unfinished()])
            changed = True
        return changed


_MANY_TABLES = 64
