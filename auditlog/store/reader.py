"""Reads a store through DuckDB: the one wrapper around the connection.

The rules:

1. DuckDB lives in memory and reads files; it is never the store.
2. What is read is one consistent picture: the ledger's list, and the journals that it does not list. When the ledger grew
   while the journals were read, they are read again; when a file that the picture names was replaced, so is the picture.
3. Every result is drained before the connection is used again, under a lock: the connection serves one thread at a time.
4. A sealed file is a regular file of the size that the ledger says, or the store says which file is at fault.
5. An internal error of DuckDB kills its connection; a new one takes its place.
6. Neither DuckDB nor pyarrow is loaded before a query, or before the journals hold a span.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditlog.errors import AuditlogError, DamageError, FilterError, StoreError
from auditlog.journal import entry_of, read_frames
from auditlog.layout import Layout, refuse_irregular
from auditlog.ledger.ledger import Ledger, Segment, read_ledger
from auditlog.record import FORMAT
from auditlog.sealing import content_key
from auditlog.sealing.scan import JournalFile, journal_files
from auditlog.store import views

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from auditlog.store.live import LiveRows

_TRIES = 5


class Reader:
    """A picture of a store, and queries on it."""

    def __init__(self, layout: Layout) -> None:
        """Read the ledger and the journals; the engine starts with the first query.

        Raises:
            StoreError: a file is damaged, missing, or not what it should be.
            FormatError: a file is of a newer format.
        """
        self._layout = layout
        self._lock = threading.RLock()
        self._live: LiveRows | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._shown: tuple[tuple[Segment, ...], pa.Table | None] | None = None
        """The sealed files and live rows that the engine's views show."""
        self._chosen: tuple[str | None, str | None] = (None, None)
        self._has_replayed = False
        self._checked: set[str] = set()
        self.key = content_key.of(layout.root)
        """The key of its content; None where nothing is encrypted."""
        self._ledger = Ledger()
        self._live_rows: pa.Table | None = None
        self._is_due = False
        self.refresh()

    @property
    def ledger(self) -> Ledger:
        """The sealed files' list, of the picture that is due."""
        if self._is_due:
            self.refresh()
        return self._ledger

    @property
    def live_rows(self) -> pa.Table | None:
        """The rows of the journals that are not sealed; None where there are none."""
        if self._is_due:
            self.refresh()
        return self._live_rows

    @property
    def is_closed(self) -> bool:
        """Whether sealed content is encrypted, and the key is not here."""
        return self.key is not None and self.key.secret is None

    @property
    def paths(self) -> list[str]:
        """The sealed files' absolute paths."""
        return [str(self._layout.root / segment.path) for segment in self.ledger.segments]

    @property
    def live(self) -> pa.Table:
        """The rows of the journals that are not sealed."""
        from auditlog.sealing.rows import arrow_schema

        return arrow_schema().empty_table() if self.live_rows is None else self.live_rows

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The sealed files of this picture."""
        return self.ledger.segments

    def refresh_when_read(self) -> None:
        """Take a new picture with the next question: whoever wrote a lot and asks nothing needs none."""
        self._is_due = True

    def refresh(self) -> None:
        """Take a new picture: what was written or sealed since.

        Raises:
            StoreError: as when opening.
            FormatError: as when opening.
        """
        with self._lock:
            self._is_due = False
            while True:
                self._ledger = read_ledger(self._layout.entries, self._ledger)
                try:
                    self._check_segments()
                except StoreError:
                    if self.is_behind():
                        continue
                    raise
                is_whole, live = self._read_live()
                if is_whole and read_ledger(self._layout.entries, self._ledger) == self._ledger:
                    break
            self._live_rows = live

    def _read_live(self) -> tuple[bool, pa.Table | None]:
        """Give the live rows, None where there are none; not whole when a file vanished meanwhile."""
        if self._live is None:
            files = [f for f in journal_files(self._layout.journal) if f.stem not in self.ledger.sources]
            try:
                if not any(map(_holds_spans, files)):
                    return True, None
            except FileNotFoundError:
                return False, None
            from auditlog.store.live import LiveRows

            self._live = LiveRows(self._layout.journal)
        rows = self._live.read(self.ledger.sources)
        return rows is not None, rows if rows is not None and rows.num_rows else None

    def table(
        self,
        sql: str,
        params: Sequence[Any] = (),
        *,
        run: str | None = None,
        arm: str | None = None,
        tables: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """Run one query and give its whole result.

        Args:
            sql: the query; `spans`, `turns` and `conversations` in it are ordinary ones, or those of `run`.
            params: what its `?` stand for.
            run: a replay run's id.
            arm: one of its arms; all where it is None.
            tables: rows of the caller's that the query names.

        Raises:
            FilterError: the query does not parse or bind.
            StoreError: a sealed file is damaged.
        """
        with self._lock:
            for _ in range(_TRIES):
                try:
                    return self._table(sql, params, run, arm, tables or {})
                except AuditlogError:
                    # Compacting, pruning and erasing put other files in the place of those that this picture names.
                    if not self.is_behind():
                        raise
                    self.refresh()
            return self._table(sql, params, run, arm, tables or {})

    def _table(
        self,
        sql: str,
        params: Sequence[Any],
        run: str | None,
        arm: str | None,
        tables: Mapping[str, pa.Table],
    ) -> pa.Table:
        import duckdb

        from auditlog.store.engine import DEAD, first_line, is_about_text

        try:
            connection = self._open()
            self._choose(connection, run, arm)
            for name, rows in tables.items():
                connection.register(name, rows)
            relation = connection.sql(sql, params=list(params)) if params else connection.sql(sql)
            return _empty() if relation is None else relation.to_arrow_table()
        except DEAD as error:
            self.close()
            self.name_damage()
            msg = f"The query broke the engine ({first_line(error)}). The store is unharmed; ask in another way."
            raise StoreError(msg) from None
        except (duckdb.Error, OSError, ValueError, RuntimeError) as error:
            if self.key is not None and self.key.secret is None and self.key.id in str(error):
                raise self.key.needed() from None
            if is_about_text(error):
                self.name_damaged_footer()
            else:
                self.name_damage()
            raise FilterError(f"The query fails: {first_line(error)}") from None

    def close(self) -> None:
        """Let go of the connection; the next query opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> duckdb.DuckDBPyConnection:
        """Give the connection, its views brought up to the present picture."""
        if self._connection is None:
            import duckdb

            self._connection = duckdb.connect(
                ":memory:",
                config={
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "preserve_insertion_order": "false",
                    "python_enable_replacements": "false",
                    # What is encrypted in the files is not to lie beside them in plain.
                    "temp_directory": str(self._layout.cache / "duckdb") if self.key is None else "",
                },
            )
            self._connection.execute("SET TimeZone = 'UTC'")
            # It would be drawn on stdout, which is for data, in any query that takes seconds.
            self._connection.execute("SET enable_progress_bar = false")
            # Sealed files never change, so their footers are read once.
            self._connection.execute("SET parquet_metadata_cache = true")
            self._shown, self._chosen, self._has_replayed = None, (None, None), False
        connection = self._connection
        before, (segments, live) = self._shown, (self.ledger.segments, self.live_rows)
        if before is None or before[1] is not live:
            connection.register("live", self.live)
        if before is None or before[0] != segments or (before[1] is None) != (live is None):
            root, with_live = str(self._layout.root), live is not None
            encrypted = self._encrypted(connection)
            connection.execute(views.all_spans(self.paths, root, with_live=with_live, encrypted=encrypted))
            if encrypted is not None and not encrypted.opened:
                connection.execute(
                    views.structure(self.paths, root, with_live=with_live, encrypted=encrypted)
                )
        if before is None:
            for statement in views.derived_views():
                connection.execute(statement)
        self._shown = (segments, live)
        return connection

    def _encrypted(self, connection: duckdb.DuckDBPyConnection) -> views.Encrypted | None:
        """Let the engine read what is encrypted, where the key is here."""
        if self.key is None:
            return None
        if self.key.secret is not None:
            from auditlog.store.decrypted import sealed_rows

            connection.register("sealed", sealed_rows(str(self._layout.root), self.paths, self.key.secret))
        return views.Encrypted(content_key.missing(self.key.id), self.key.secret is not None)

    def _choose(self, connection: duckdb.DuckDBPyConnection, run: str | None, arm: str | None) -> None:
        """Let `spans`, `turns` and `conversations` mean the ordinary ones, or those of a run."""
        if (run, arm) == self._chosen:
            return
        if run is not None and not self._has_replayed:
            for statement in views.replayed_views():
                connection.execute(statement)
            self._has_replayed = True
        connection.execute("SET VARIABLE run = ?", [run])
        connection.execute("SET VARIABLE arm = ?", [arm])
        connection.execute(f"SET search_path = '{'main' if run is None else f'{views.REPLAYED},main'}'")
        self._chosen = (run, arm)

    def _check_segments(self) -> None:
        if not self.ledger.size:
            self._refuse_lost_ledger()
        for segment in self.ledger.segments:
            if segment.path in self._checked:
                continue
            path = self._layout.root / segment.path
            size = refuse_irregular(path)
            if size != segment.bytes:
                msg = (
                    f"{path} is damaged: it has {size} bytes, and the ledger says {segment.bytes}. "
                    "Put the file back from a copy of the store."
                )
                raise StoreError(msg)
            self._checked.add(segment.path)

    def _refuse_lost_ledger(self) -> None:
        """Raise StoreError when there are sealed files, whose journals are gone, and no ledger that lists them."""
        sealed = {path.stem for path in self._layout.segments.glob("day=*/*.parquet")}
        left = {path.stem for path in self._layout.journal.glob("*.wal")} if sealed else set()
        if sealed - left and not read_ledger(self._layout.entries).size:
            msg = (
                f"{self._layout.entries} is missing, and {self._layout.segments} holds sealed files that it listed. "
                "Put it back from a copy of the store."
            )
            raise StoreError(msg)

    def is_behind(self) -> bool:
        """Say whether files of this picture were taken away, and the ledger says so."""
        now = read_ledger(self._layout.entries, self.ledger)
        return not {s.path for s in self.ledger.segments} <= {s.path for s in now.segments}

    def name_damaged_footer(self) -> None:
        """Raise StoreError naming the first sealed file that does not have the columns of a segment."""
        from auditlog.sealing.segment import refuse_other_columns

        for segment in self.ledger.segments:
            refuse_other_columns(self._layout.root / segment.path)

    def name_damage(self) -> None:
        """Raise StoreError naming the first sealed file whose bytes are not those that the ledger lists."""
        from auditlog.sealing.segment import damaged

        for segment in self.ledger.segments:
            path = self._layout.root / segment.path
            if refuse_irregular(path) != segment.bytes:
                raise DamageError(damaged(path, "its size is not the ledger's"))
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != segment.sha256:
                    raise DamageError(damaged(path, "its SHA-256 is not the ledger's"))


def _holds_spans(file: JournalFile) -> bool:
    """Say whether a journal file may have a record of a span, or of another format."""
    for frame in read_frames(file.path, 0):
        try:
            entry = entry_of(frame.payload)
            if entry["type"] not in _OTHER_RECORDS or entry["v"] != FORMAT:
                return True
        except (ValueError, KeyError, TypeError):
            return True
    return False


def _empty() -> pa.Table:
    import pyarrow as pa

    return pa.table({})


_OTHER_RECORDS = ("open", "close", "gap")
