"""Brings the index up to what the ledger lists.

The rules:

1. One process updates at a time, under a lock of its own; the others go on without.
2. Each step is one transaction, after which the index holds exactly the segments that it lists.
3. A segment is read only after its bytes have been hashed, and found to be those that the ledger lists. One that is not
   stays out.
4. A segment that goes while it is read is looked for in the ledger again: compacting disturbs nobody.
5. What a segment that goes said of a conversation that others hold too is told again from those others.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from auditlog.fold import fold
from auditlog.layout import read_settings
from auditlog.ledger.ledger import read_ledger
from auditlog.store.index.rollup import COLUMNS, Rollup, merged
from auditlog.store.index.schema import UnusableError, open_for_reading, open_for_writing

if TYPE_CHECKING:
    import duckdb

    from auditlog.layout import Layout
    from auditlog.ledger.ledger import Segment
    from auditlog.store.index.pieces import Fact, Piece

STEP_ROWS = 200_000
"""How many spans one transaction takes in, at the least one segment."""

_ASKED_AT_ONCE = 500
_TRIES = 5


class _VanishedError(Exception):
    """A segment was taken away after it was listed: the ledger says by what."""


def index_path(layout: Layout) -> Path:
    """Give the place of a store's index."""
    return layout.cache / "index.sqlite"


def update(
    layout: Layout,
    store_id: str,
    *,
    wait: bool = False,
    most_rows: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Take in the segments that the ledger lists by now, and let go of those that it no longer lists.

    Args:
        layout: the store.
        store_id: its id.
        wait: whether to wait for another process that updates.
        most_rows: how many spans are worth taking in now; where more are new, nothing is done.
        progress: is told how many of how many spans are in.

    Returns:
        Whether the index holds exactly what the ledger lists.

    Raises:
        UnusableError: the index cannot be written.
    """
    with _locked(layout, wait=wait) as held:
        if not held:
            return False
        for _ in range(_TRIES):
            segments = read_ledger(layout.entries).segments
            if most_rows is not None and _is_far_behind(layout, store_id, segments, most_rows):
                return False
            with contextlib.closing(open_for_writing(index_path(layout), store_id)) as database:
                try:
                    return _Update(layout, database, segments, progress).run()
                except sqlite3.Error as error:
                    raise UnusableError(str(error)) from None
                except _VanishedError:
                    continue
        return False


def _is_far_behind(layout: Layout, store_id: str, segments: Sequence[Segment], most_rows: int) -> bool:
    held: set[tuple[str, str]] = set()
    with (
        contextlib.suppress(UnusableError, sqlite3.Error),
        contextlib.closing(open_for_reading(index_path(layout), store_id)) as database,
    ):
        held = set(database.execute("SELECT path, sha256 FROM segments"))
    return sum(s.rows for s in segments if (s.path, s.sha256) not in held) > most_rows


@contextlib.contextmanager
def _locked(layout: Layout, *, wait: bool) -> Iterator[bool]:
    try:
        layout.cache.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(layout.cache / "index.lock", flags, 0o600)
    except OSError as error:
        raise UnusableError(error.strerror or str(error)) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


class _Update:
    """One update, under the lock."""

    def __init__(
        self,
        layout: Layout,
        database: sqlite3.Connection,
        segments: Sequence[Segment],
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._layout = layout
        self._database = database
        self._segments = segments
        self._progress = progress or (lambda _done, _total: None)
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._encrypted = read_settings(layout).content_key is not None

    def run(self) -> bool:
        known = {
            (path, digest): number
            for number, path, digest in self._database.execute("SELECT id, path, sha256 FROM segments")
        }
        listed = {(segment.path, segment.sha256): segment for segment in self._segments}
        gone = [number for key, number in known.items() if key not in listed]
        fresh = [segment for key, segment in listed.items() if key not in known]
        if not gone and not fresh:
            return True
        total, done = sum(segment.rows for segment in fresh), 0
        if gone:
            with self._step():
                self._let_go(gone)
        for step in _steps(fresh):
            sound = [segment for segment in step if self._is_sound(segment)]
            if sound:
                with self._step():
                    self._take_in(sound)
            done += sum(segment.rows for segment in step)
            self._progress(done, total)
        return self._database.execute("SELECT count(*) FROM segments").fetchone()[0] == len(listed)

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute(
                "UPDATE facts_about SET value = CAST(value AS INTEGER) + 1 WHERE key = 'revision'"
            )
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def _is_sound(self, segment: Segment) -> bool:
        try:
            descriptor = os.open(self._layout.root / segment.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
                return hashlib.file_digest(file, "sha256").hexdigest() == segment.sha256
        except OSError:
            return False

    def _take_in(self, segments: Sequence[Segment]) -> None:
        paths = {str(self._layout.root / segment.path): segment for segment in segments}
        pieces, facts = self._read(list(paths))
        numbers = {}
        for path, segment in paths.items():
            row = (segment.path, segment.sha256, segment.rows)
            numbers[path] = self._database.execute(
                "INSERT INTO segments (path, sha256, rows) VALUES (?, ?, ?)", row
            ).lastrowid
        names = self._numbers_of({piece.name for piece in pieces})
        self._database.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)",
            ((names[p.name], numbers[p.segment or ""], p.run, p.arm, p.first, p.last) for p in pieces),
        )
        self._tell(pieces, facts, names)

    def _let_go(self, gone: Sequence[int]) -> None:
        """Forget segments, and tell what remains of their conversations again."""
        database = self._database
        database.execute("CREATE TEMP TABLE gone (id INTEGER PRIMARY KEY)")
        database.execute("CREATE TEMP TABLE touched (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO gone VALUES (?)", ((number,) for number in gone))
        database.execute(
            "INSERT INTO touched SELECT DISTINCT conversation FROM places WHERE segment IN (SELECT id FROM gone)"
        )
        database.execute("DELETE FROM places WHERE segment IN (SELECT id FROM gone)")
        database.execute("DELETE FROM segments WHERE id IN (SELECT id FROM gone)")
        database.execute("DELETE FROM rollups WHERE conversation IN (SELECT id FROM touched)")
        database.execute("DELETE FROM said WHERE conversation IN (SELECT id FROM touched)")
        database.execute("DELETE FROM names WHERE id NOT IN (SELECT name FROM said)")
        left = database.execute(
            "SELECT c.name, s.path FROM touched t JOIN places p ON p.conversation = t.id JOIN segments s ON s.id = p.segment "
            "JOIN conversations c ON c.id = t.id"
        ).fetchall()
        database.execute(
            "DELETE FROM conversations WHERE id IN (SELECT id FROM touched) AND id NOT IN (SELECT conversation FROM places)"
        )
        database.execute("DROP TABLE gone")
        database.execute("DROP TABLE touched")
        if left:
            paths = sorted({str(self._layout.root / path) for _, path in left})
            only = sorted({name for name, _ in left})
            pieces, facts = self._read(paths, only)
            self._tell(pieces, facts, self._numbers_of(only))

    def _tell(self, pieces: Iterable[Piece], facts: Iterable[Fact], names: dict[str, int]) -> None:
        """Merge what pieces say into the roll-ups."""
        told: dict[int, tuple[str, Rollup]] = {}
        for piece in pieces:
            if piece.run is None:
                number = names[piece.name]
                known = told.get(number)
                told[number] = (
                    piece.name,
                    merged(known[1], piece.rollup) if known else piece.rollup,
                )
        for number, name, *before in self._rows_of("rollups", "conversation", list(told)):
            told[number] = (name, merged(before, told[number][1]))
        marks = ", ".join("?" * (len(COLUMNS) + 2))
        self._database.executemany(
            f"INSERT OR REPLACE INTO rollups VALUES ({marks})",
            ((number, name, *rollup) for number, (name, rollup) in told.items()),
        )
        self._say(facts, names)

    def _say(self, facts: Iterable[Fact], names: dict[str, int]) -> None:
        known: dict[tuple[str, str], int] = {}
        rows = []
        for name, field, value in facts:
            for key in spelled(field, value):
                number = known.get(key)
                if number is None:
                    number = known[key] = self._name(*key)
                rows.append((number, names[name]))
        rows.sort()
        self._database.executemany("INSERT OR IGNORE INTO said VALUES (?, ?)", rows)

    def _name(self, field: str, value: str) -> int:
        row = (field, value)
        found = self._database.execute("SELECT id FROM names WHERE field = ? AND value = ?", row).fetchone()
        if found:
            return found[0]
        made = self._database.execute(
            "INSERT INTO names (field, value, folded) VALUES (?, ?, ?)", (*row, fold(value))
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def _numbers_of(self, names: Iterable[str]) -> dict[str, int]:
        every = list(names)
        self._database.executemany(
            "INSERT OR IGNORE INTO conversations (name, folded) VALUES (?, ?)",
            ((name, folded if (folded := fold(name)) != name else None) for name in every),
        )
        return {name: number for number, name, _ in self._rows_of("conversations", "name", every)}

    def _rows_of(self, table: str, column: str, keys: Sequence[str | int]) -> Iterator[tuple]:
        for at in range(0, len(keys), _ASKED_AT_ONCE):
            asked = keys[at : at + _ASKED_AT_ONCE]
            marks = ", ".join("?" * len(asked))
            yield from self._database.execute(f"SELECT * FROM {table} WHERE {column} IN ({marks})", asked)

    def _read(
        self, paths: Sequence[str], only: Sequence[str] | None = None
    ) -> tuple[list[Piece], list[Fact]]:
        import duckdb

        from auditlog.store.index import pieces

        if self._engine is None:
            self._engine = pieces.engine()
        try:
            return pieces.of_segments(self._engine, paths, only, encrypted=self._encrypted)
        except duckdb.IOException as error:
            if all(map(os.path.exists, paths)):
                raise UnusableError(str(error).partition("\n")[0]) from None
            raise _VanishedError from None


def spelled(field: str, value: str) -> Iterator[tuple[str, str]]:
    """Give what a fact is called in the index: the tags of a JSON object one by one."""
    if field != "tags":
        yield field, value
        return
    try:
        tags = orjson.loads(value)
    except ValueError:
        return
    if isinstance(tags, dict):
        for key, said in tags.items():
            if said is not None:
                yield f"tag.{key}", said if isinstance(said, str) else orjson.dumps(said).decode()


def _steps(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    step: list[Segment] = []
    rows = 0
    for segment in segments:
        if step and rows + segment.rows > STEP_ROWS:
            yield step
            step, rows = [], 0
        step.append(segment)
        rows += segment.rows
    if step:
        yield step
