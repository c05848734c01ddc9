"""Answers from the index: lists, counts, ids, and where conversations lie.

The rules:

1. An answer is of one revision of the index, the one that held exactly the reader's segments; when it has gone on, there
   is no answer.
2. Live rows stand in tables of this connection, merged with what the index holds of the same conversations.
3. What is read is checked for its type: a file in a cache may be anything.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.filters import index as filter_index
from auditlog.fold import fold
from auditlog.store.index.rollup import COLUMNS, WHY, Rollup, merged, plain_tags
from auditlog.store.index.schema import UnusableError
from auditlog.store.index.update import spelled
from auditlog.values import ConversationSummary, utc

if TYPE_CHECKING:
    from auditlog.filters.language import Term
    from auditlog.ledger.ledger import Segment
    from auditlog.store.index.pieces import Fact, Piece

_NAMED_AT_ONCE = 500
_SHOWN = (
    "name, start_ns, end_ns, flags, coalesce(agent, any_agent), coalesce(version, any_version), model, user, turns, spans, "
    f"tools, tool_errors, {filter_index.INPUT_TOKENS}, {filter_index.OUTPUT_TOKENS}, {filter_index.COST}, "
    "coalesce(said, ''), tags"
)
_ORDER = {True: "start_ns DESC, name", False: "start_ns, name DESC"}


class Place(NamedTuple):
    """Where a segment holds rows of a conversation."""

    segment: str
    """The file's path in the store."""
    first: int
    last: int
    """Behind the last row."""


class Index:
    """An open index that holds exactly the segments it was opened for."""

    def __init__(self, connection: sqlite3.Connection, segments: Sequence[Segment]) -> None:
        """Take an open file.

        Raises:
            UnusableError: it holds other segments.
        """
        self._connection = connection
        self._lock = threading.RLock()
        listed = {(segment.path, segment.sha256) for segment in segments}
        with self._reading(check=False):
            held = set(connection.execute("SELECT path, sha256 FROM segments"))
            if held != listed:
                raise UnusableError("it holds other segments")
            self._revision = self._read_revision()
        connection.create_function("fold", 1, fold, deterministic=True)
        connection.create_function("like_folded", 2, filter_index.like_folded, deterministic=True)
        connection.execute(
            "CREATE TEMP TABLE found (term INTEGER, conversation INTEGER, PRIMARY KEY (term, conversation))"
        )
        self._show([])

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def set_live(self, pieces: Sequence[Piece], facts: Iterable[Fact]) -> None:
        """Take what the live rows say, in the place of what they said before."""
        with self._reading():
            self._show(pieces)
            numbers = dict(self._connection.execute("SELECT name, id FROM temp.live_conversations"))
            names: dict[tuple[str, str], int] = {}
            said = []
            for name, field, value in facts:
                for key in spelled(field, value):
                    # What is live has negative numbers, so that it is never taken for what is sealed.
                    number = names.setdefault(key, -1 - len(names))
                    said.append((number, numbers[name]))
            self._connection.executemany("INSERT OR IGNORE INTO temp.live_said VALUES (?, ?)", said)
            self._connection.executemany(
                "INSERT INTO temp.live_names VALUES (?, ?, ?, ?)",
                ((number, field, value, fold(value)) for (field, value), number in names.items()),
            )

    def _show(self, pieces: Sequence[Piece]) -> None:
        """Make the tables of live rows, and the views that queries name."""
        run = self._connection.execute
        for view in ("rollup", "saying", "naming", "known"):
            run(f"DROP VIEW IF EXISTS temp.{view}")
        for table in ("rollups", "said", "names", "conversations"):
            run(f"DROP TABLE IF EXISTS temp.live_{table}")
        run(
            f"CREATE TEMP TABLE live_rollups (conversation INTEGER PRIMARY KEY, name TEXT, {', '.join(COLUMNS)})"
        )
        run("CREATE TEMP TABLE live_conversations (id INTEGER PRIMARY KEY, name TEXT UNIQUE, folded TEXT)")
        run(
            "CREATE TEMP TABLE live_said (name INTEGER, conversation INTEGER, PRIMARY KEY (name, conversation))"
        )
        run("CREATE TEMP TABLE live_names (id INTEGER PRIMARY KEY, field TEXT, value TEXT, folded TEXT)")
        if pieces:
            self._add_live(pieces)
        for view, table in (
            ("rollup", "rollups"),
            ("saying", "said"),
            ("naming", "names"),
            ("known", "conversations"),
        ):
            sealed = f"SELECT * FROM main.{table}"
            if not pieces:
                run(f"CREATE TEMP VIEW {view} AS {sealed}")
                continue
            besides = {
                "rollups": " WHERE conversation NOT IN (SELECT conversation FROM temp.live_rollups)",
                "conversations": " WHERE id NOT IN (SELECT id FROM temp.live_conversations)",
            }.get(table, "")
            run(f"CREATE TEMP VIEW {view} AS {sealed}{besides} UNION ALL SELECT * FROM temp.live_{table}")

    def _add_live(self, pieces: Sequence[Piece]) -> None:
        names = sorted({piece.name for piece in pieces})
        numbers = {name: number for number, name in self._named(names)}
        for name in names:
            numbers.setdefault(name, -1 - len(numbers))
        self._connection.executemany(
            "INSERT INTO temp.live_conversations VALUES (?, ?, ?)",
            ((numbers[name], name, folded if (folded := fold(name)) != name else None) for name in names),
        )
        told: dict[str, Rollup] = {}
        for piece in pieces:
            if piece.run is None:
                known = told.get(piece.name)
                told[piece.name] = merged(known, piece.rollup) if known else piece.rollup
        sealed = dict(self._sealed_rollups([numbers[name] for name in told if numbers[name] >= 0]))
        self._connection.executemany(
            f"INSERT INTO temp.live_rollups VALUES ({', '.join('?' * (len(COLUMNS) + 2))})",
            (
                (numbers[name], name, *(merged(sealed[name], rollup) if name in sealed else rollup))
                for name, rollup in told.items()
            ),
        )

    def _sealed_rollups(self, numbers: Sequence[int]) -> Iterator[tuple[str, Rollup]]:
        for some, marks in _some(numbers):
            sql = f"SELECT * FROM main.rollups WHERE conversation IN ({marks})"
            for _, name, *rollup in self._connection.execute(sql, some):
                yield name, rollup

    def _named(self, names: Sequence[str]) -> Iterator[tuple[int, str]]:
        for some, marks in _some(names):
            yield from self._connection.execute(
                f"SELECT id, name FROM main.conversations WHERE name IN ({marks})", some
            )

    def summaries(
        self,
        terms: Sequence[Term] = (),
        range_: Range = (None, None),
        limit: int | None = None,
        offset: int = 0,
        found: Mapping[int, Collection[str]] | None = None,
    ) -> list[ConversationSummary]:
        """Summarise conversations, newest first.

        Args:
            terms: what has to hold.
            range_: from when on they began, and before when; nanoseconds.
            limit: how many at most.
            offset: how many to leave out first.
            found: for each place of a term about content, the conversations that it holds for.

        Raises:
            UnusableError: the index has gone on, or is damaged.
        """
        with self._reading():
            condition, values = self._where(terms, range_, found)
            page, is_turned = self._page(condition, values, limit, offset)
            rows = self._connection.execute(
                f"SELECT {_SHOWN} FROM rollup WHERE {condition} ORDER BY {_ORDER[not is_turned]}{page}",
                values,
            ).fetchall()
        try:
            return [_summary(row) for row in (reversed(rows) if is_turned else rows)]
        except (TypeError, ValueError, KeyError, OverflowError, AttributeError) as error:
            raise UnusableError(str(error)) from None

    def count(
        self,
        terms: Sequence[Term] = (),
        range_: Range = (None, None),
        found: Mapping[int, Collection[str]] | None = None,
    ) -> int:
        """Count conversations."""
        with self._reading():
            condition, values = self._where(terms, range_, found)
            return self._connection.execute(
                f"SELECT count(*) FROM rollup WHERE {condition}", values
            ).fetchone()[0]

    def names(
        self,
        terms: Sequence[Term] = (),
        range_: Range = (None, None),
        limit: int | None = None,
        found: Mapping[int, Collection[str]] | None = None,
        *,
        newest_first: bool = False,
    ) -> list[str]:
        """List the ids of conversations by their start."""
        order = "start_ns DESC, name" if newest_first else "start_ns, name"
        page = "" if limit is None else f" LIMIT {int(limit)}"
        with self._reading():
            condition, values = self._where(terms, range_, found)
            rows = self._connection.execute(
                f"SELECT name FROM rollup WHERE {condition} ORDER BY {order}{page}", values
            ).fetchall()
        return [name for (name,) in rows]

    def starting_with(self, beginning: str, limit: int) -> list[str]:
        """List ids that begin so; those of replays only where no other does."""
        after = beginning + chr(0x10FFFF)
        found: list[str] = []
        with self._reading():
            for table, column in (("rollup", "name"), ("known", "name")):
                if not found:
                    # SQLite has text in the order of its bytes, which is that of its characters.
                    sql = (
                        f"SELECT {column} FROM {table} WHERE {column} >= ? AND {column} < ? ORDER BY {column} LIMIT ?"
                        if table == "known"
                        else "SELECT k.name FROM known k JOIN rollup r ON r.conversation = k.id "
                        "WHERE k.name >= ? AND k.name < ? ORDER BY k.name LIMIT ?"
                    )
                    found = [name for (name,) in self._connection.execute(sql, (beginning, after, limit))]
        return found

    def names_around(self, wanted: str, limit: int) -> list[str]:
        """List ids in their order: all, or as many as that on either side of one that is not there."""
        sql = (
            "SELECT name FROM (SELECT name FROM known WHERE name < $1 ORDER BY name DESC LIMIT $2) "
            "UNION SELECT name FROM (SELECT name FROM known WHERE name > $1 ORDER BY name LIMIT $2) ORDER BY 1"
        )
        with self._reading():
            return [name for (name,) in self._connection.execute(sql, (wanted, limit))]

    def places(self, names: Sequence[str]) -> list[Place]:
        """Say where sealed rows of conversations lie."""
        found: list[Place] = []
        with self._reading():
            for some, marks in _some(names):
                found += map(
                    Place._make,
                    self._connection.execute(
                        "SELECT s.path, p.first, p.last FROM main.conversations c JOIN main.places p ON p.conversation = c.id "
                        f"JOIN main.segments s ON s.id = p.segment WHERE c.name IN ({marks})",
                        some,
                    ),
                )
        return found

    def histogram(
        self, terms: Sequence[Term], cells: int, found: Mapping[int, Collection[str]] | None = None
    ) -> tuple[int, int, list[tuple[int, int, int]]] | None:
        """Count conversations and failed ones in equal spans of time.

        Returns:
            The first start, the last, and for each span that holds any: its number, how many, how many failed.
        """
        with self._reading():
            condition, values = self._where(terms, (None, None), found)
            first, last = self._connection.execute(
                f"SELECT min(start_ns), max(start_ns) FROM rollup WHERE {condition}", values
            ).fetchone()
            if first is None:
                return None
            width = max(1, (last - first) // cells + 1)
            rows = self._connection.execute(
                f"SELECT (start_ns - ?) / ?, count(*), sum(flags & 1) FROM rollup WHERE {condition} GROUP BY 1",
                [first, width, *values],
            ).fetchall()
        return first, last, rows

    def rank(
        self, name: str, terms: Sequence[Term] = (), found: Mapping[int, Collection[str]] | None = None
    ) -> int:
        """Say how many conversations come before one in the list of a filter."""
        with self._reading():
            condition, values = self._where(terms, (None, None), found)
            row = self._connection.execute("SELECT start_ns FROM rollup WHERE name = ?", (name,)).fetchone()
            if row is None:
                return 0
            return self._connection.execute(
                f"SELECT count(*) FROM rollup WHERE ({condition}) AND (start_ns > ? OR (start_ns = ? AND name < ?))",
                [*values, row[0], row[0], name],
            ).fetchone()[0]

    def _where(
        self, terms: Sequence[Term], range_: Range, found: Mapping[int, Collection[str]] | None
    ) -> tuple[str, list[Any]]:
        condition, values = filter_index.condition(terms)
        for comparison, moment in zip((">=", "<"), range_, strict=True):
            if moment is not None:
                condition += f" AND start_ns {comparison} ?"
                values.append(moment)
        self._connection.execute("DELETE FROM temp.found")
        for place, names in (found or {}).items():
            for some, marks in _some(list(names)):
                self._connection.execute(
                    f"INSERT OR IGNORE INTO temp.found SELECT ?, id FROM known WHERE name IN ({marks})",
                    [place, *some],
                )
        return condition, values

    def _page(self, condition: str, values: list[Any], limit: int | None, offset: int) -> tuple[str, bool]:
        """Give the page's SQL, and whether it is counted from the other end."""
        if limit is None and not offset:
            return "", False
        if offset > _FAR and limit is not None:
            every = self._connection.execute(
                f"SELECT count(*) FROM rollup WHERE {condition}", values
            ).fetchone()[0]
            if offset > every // 2:
                wanted = max(0, min(limit, every - offset))
                return f" LIMIT {wanted} OFFSET {max(0, every - offset - wanted)}", True
        return f" LIMIT {-1 if limit is None else int(limit)} OFFSET {int(offset)}", False

    def _read_revision(self) -> str:
        return self._connection.execute("SELECT value FROM facts_about WHERE key = 'revision'").fetchone()[0]

    @contextlib.contextmanager
    def _reading(self, *, check: bool = True) -> Iterator[None]:
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                try:
                    if check and self._read_revision() != self._revision:
                        raise UnusableError("it has gone on")
                    yield
                finally:
                    self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise UnusableError(str(error)) from None


Range = tuple[int | None, int | None]

_FAR = 10_000


def _some(keys: Sequence[Any]) -> Iterator[tuple[Sequence[Any], str]]:
    for at in range(0, len(keys), _NAMED_AT_ONCE):
        some = keys[at : at + _NAMED_AT_ONCE]
        yield some, ", ".join("?" * len(some))


def _summary(row: Sequence[Any]) -> ConversationSummary:
    (
        name,
        start,
        end,
        flags,
        agent,
        version,
        model,
        user,
        turns,
        spans,
        tools,
        errors,
        read,
        written,
        cost,
        said,
        tags,
    ) = row
    if not (
        isinstance(name, str) and isinstance(said, str) and isinstance(turns, int) and isinstance(spans, int)
    ):
        raise TypeError(name)
    return ConversationSummary(
        conversation_id=name,
        start=utc(start),
        end=None if end is None else utc(end),
        duration_ms=None if end is None else (end - start) / 1e6,
        status="error" if flags & 1 else "incomplete" if flags & 2 else "ok",
        why=tuple(word for bit, word in WHY if flags & bit),
        agent_name=agent,
        agent_version=version,
        model=model,
        user_id=user,
        turns=turns,
        spans=spans,
        tool_calls=tools,
        tool_errors=errors,
        input_tokens=read,
        output_tokens=written,
        cost_usd=cost,
        last_user_text=said,
        tags=plain_tags(tags),
    )
