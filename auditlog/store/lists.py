"""Answers what needs no content: lists, counts, ids; from the index where it can, from the segments where it must.

The rules:

1. The index answers when it holds exactly the segments of the reader's picture. One that is a little behind is brought up
   first; one that is far behind, or cannot be written, is left alone, and the segments answer.
2. Both give the same answers.
3. An index that turns out to be damaged is not asked again until the picture is another; an update makes it anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from auditlog.errors import StoreError
from auditlog.filters.index import content_terms
from auditlog.store.index.reading import Index, Place
from auditlog.store.index.schema import UnusableError, open_for_reading, remove
from auditlog.store.index.update import index_path, update
from auditlog.store.summary import SUMMARY_COLUMNS, summaries_of
from auditlog.store.text.search import READ, TextSearch

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlog.filters.language import Match, Term
    from auditlog.layout import Layout
    from auditlog.store.content import Contents
    from auditlog.store.index.reading import Range
    from auditlog.store.reader import Reader
    from auditlog.values import ConversationSummary

MOST_ROWS = 100_000
"""How many spans a reader takes into the index before it answers: what takes a second or two."""

_MOST_NAMED = 1_000

T = TypeVar("T")

STARTS = "(SELECT conversation_id, min(start_ns) AS start_ns FROM spans GROUP BY conversation_id)"
"""What listing ids without a filter reads."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which conversations are asked for."""

    terms: tuple[Term, ...] = ()
    range: Range = (None, None)
    """From when on they began, and before when; nanoseconds."""

    def sql(self) -> tuple[str, list[Any]]:
        """Give the condition over the view `conversations`."""
        parts, params = ["true"], []
        if self.terms:
            from auditlog.filters.language import Filter

            text, values = Filter(self.terms).where()
            parts.append(f"({text})")
            params += values
        for moment, comparison in zip(self.range, (">=", "<"), strict=True):
            if moment is not None:
                parts.append(f"start_ns {comparison} ?")
                params.append(moment)
        return " AND ".join(parts), params


class Lists:
    """The lists of one store, in the reader's picture."""

    def __init__(self, layout: Layout, store_id: str, reader: Reader) -> None:
        """Take the reader; nothing is opened yet."""
        self._layout = layout
        self._id = store_id
        self._reader = reader
        self.search = TextSearch(layout, store_id, reader)
        self._contents: Contents | None = None
        self._index: Index | None = None
        self._shown: tuple[Any, Any] | None = None
        """The picture that the index was opened for, or could not be."""

    def close(self) -> None:
        """Let go of the index."""
        if self._index is not None:
            self._index.close()
        self._index = self._shown = None

    def update(
        self,
        *,
        text: bool | None = None,
        wait: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> bool:
        """Bring the indexes up to what is sealed; see `Store.update_index`."""
        from auditlog.store.text import shards

        told = progress or (lambda _what, _done, _total: None)
        is_there = False
        try:
            is_there = update(
                self._layout, self._id, wait=wait, progress=lambda done, total: told("Indexing:", done, total)
            )
            if self._reader.key is not None:
                # Words in plain would tell what the files do not.
                return is_there
            if text or (text is None and shards.exists(self._layout)):
                is_there &= shards.build(
                    self._layout,
                    self._id,
                    self._reader.segments,
                    wait=wait,
                    progress=lambda done, total: told("Indexing text:", done, total),
                )
        except (UnusableError, StoreError, OSError, ValueError):
            is_there = False
        self._shown = None
        return is_there

    def bytes(self) -> tuple[int, int]:
        """Give the bytes of the index of conversations, and of that of words."""
        from auditlog.store.text import shards

        path, place = index_path(self._layout), shards.directory_of(self._layout)
        words = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
        return path.stat().st_size if path.exists() else 0, words

    def remove(self) -> None:
        """Delete the indexes.

        Raises:
            OSError: they cannot be deleted.
        """
        import shutil

        from auditlog.store.text import shards

        self.close()
        place = shards.directory_of(self._layout)
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            shutil.rmtree(place)
        remove(index_path(self._layout))

    @property
    def index(self) -> Index | None:
        """The index, where it holds exactly what the reader sees."""
        picture = (self._reader.segments, self._reader.live_rows)
        shown = self._shown
        if shown is None or shown[0] != picture[0]:
            self.close()
            self._shown = picture
            self._index = self._opened()
            if self._index is not None and picture[1] is not None:
                self._set_live(self._index, picture[1])
        elif shown[1] is not picture[1]:
            self._shown = picture
            if self._index is not None:
                self._set_live(self._index, picture[1])
        return self._index

    def summaries(self, where: Where, limit: int | None, offset: int) -> list[ConversationSummary]:
        """Summarise conversations, newest first."""
        return self._asked(
            lambda index: self._told(
                index.summaries(where.terms, where.range, limit, offset, self._found(where))
            ),
            lambda: self._scanned_summaries(where, limit, offset),
        )

    def count(self, where: Where) -> int:
        """Count conversations."""
        return self._asked(
            lambda index: index.count(where.terms, where.range, self._found(where)),
            lambda: self._scanned_count(where),
        )

    def names(self, where: Where, limit: int | None = None, *, newest_first: bool = False) -> list[str]:
        """List the ids of conversations by their start."""
        return self._asked(
            lambda index: index.names(
                where.terms, where.range, limit, self._found(where), newest_first=newest_first
            ),
            lambda: self.scanned_names(where, limit, newest_first=newest_first),
        )

    def rank(self, name: str, where: Where) -> int:
        """Say how many conversations come before one in the list, newest first."""
        return self._asked(
            lambda index: index.rank(name, where.terms, self._found(where)),
            lambda: self._scanned_rank(name, where),
        )

    def histogram(self, where: Where, cells: int) -> tuple[int, int, list[tuple[int, int, int]]] | None:
        """Count conversations and failed ones in equal spans of time; see `Index.histogram`."""
        return self._asked(
            lambda index: index.histogram(where.terms, cells, self._found(where)),
            lambda: self._scanned_histogram(where, cells),
        )

    def places(self, names: Sequence[str]) -> list[Place] | None:
        """Say where the sealed rows of conversations lie; None where only reading everything tells."""
        return self._asked(lambda index: index.places(names), lambda: None)

    def contents(self) -> Contents:
        """Give what reads the rows at places."""
        from auditlog.store.content import Contents

        if self._contents is None:
            self._contents = Contents(self._layout.root, self._reader.key)
        return self._contents

    def starting_with(self, beginning: str, limit: int) -> list[str]:
        """List ids that begin so; those of replays only where no other does."""
        return self._asked(
            lambda index: index.starting_with(beginning, limit),
            lambda: self._scanned_starting(beginning, limit),
        )

    def names_around(self, wanted: str, limit: int) -> list[str]:
        """List ids in their order: all, or as many as that on either side of one that is not there."""
        return self._asked(
            lambda index: index.names_around(wanted, limit),
            lambda: self._scanned_around(wanted, limit),
        )

    def scanned_names(
        self,
        where: Where,
        limit: int | None = None,
        *,
        newest_first: bool = False,
        run: str | None = None,
        arm: str | None = None,
    ) -> list[str]:
        """List ids without the index; those of a replay run where one is named."""
        condition, params = where.sql()
        order = "start_ns DESC, conversation_id" if newest_first else "start_ns, conversation_id"
        page = "" if limit is None else f" LIMIT {int(limit)}"
        found = self._reader.table(
            f"SELECT conversation_id FROM {'conversations' if where.terms else STARTS} WHERE {condition} ORDER BY {order}{page}",
            params,
            run=run,
            arm=arm,
        )
        return found.column("conversation_id").to_pylist()

    def _opened(self) -> Index | None:
        if not self._reader.segments:
            # A store with nothing sealed has its lists in its journal.
            return None
        with contextlib.suppress(UnusableError):
            return self._open()
        with contextlib.suppress(UnusableError):
            if update(self._layout, self._id, most_rows=MOST_ROWS):
                return self._open()
        return None

    def _open(self) -> Index:
        connection = open_for_reading(index_path(self._layout), self._id)
        try:
            return Index(connection, self._reader.segments)
        except BaseException:
            connection.close()
            raise

    def _set_live(self, index: Index, rows: pa.Table | None) -> None:
        try:
            if rows is None:
                index.set_live((), ())
            else:
                from auditlog.store.index import pieces

                with contextlib.closing(pieces.engine()) as engine:
                    index.set_live(*pieces.of_rows(engine, rows, encrypted=self._reader.key is not None))
        except UnusableError:
            self._let_go()

    def _asked(self, ask: Callable[[Index], T], scan: Callable[[], T]) -> T:
        index = self.index
        if index is not None:
            try:
                return ask(index)
            except UnusableError:
                self._let_go()
        return scan()

    def _let_go(self) -> None:
        """Go on without the index until there is another picture."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def _found(self, where: Where) -> Mapping[int, Collection[str]]:
        """Find the conversations for which each term about content holds."""
        from auditlog.filters.language import Match

        found = {}
        for place in content_terms(where.terms):
            term = where.terms[place]
            assert isinstance(term, Match)
            found[place] = self._searched(term)
        return found

    def _told(self, found: list[ConversationSummary]) -> list[ConversationSummary]:
        """Add what the index of a store that encrypts does not hold: what was said last."""
        if self._reader.key is None or not found:
            return found
        names = [summary.conversation_id for summary in found]
        condition, params = among(names) if len(names) <= _MOST_NAMED else ("true", [])
        source = "structure" if self._reader.is_closed else "all_spans"
        rows = self._reader.table(
            "SELECT conversation_id AS id, arg_max(user_text, start_ns) AS said "
            f"FROM {source} WHERE span_id = turn_id AND user_text <> '' AND replay_run_id IS NULL AND {condition} GROUP BY id",
            params,
        )
        said = dict(zip(*(rows.column(name).to_pylist() for name in ("id", "said")), strict=True))
        return [replace(summary, last_user_text=said.get(summary.conversation_id, "")) for summary in found]

    def _searched(self, term: Match) -> list[str]:
        return self.search.find(term, self._content)

    def _content(self, names: Collection[str]) -> pa.Table | None:
        """Read the content of conversations that people search, sealed ones only; None where the index cannot tell it."""
        ordered = sorted(names)
        places = self.places(ordered)
        if places is None:
            return None
        return self.contents().rows(places, None, ordered, READ, ordinary=True)

    def _scanned_summaries(self, where: Where, limit: int | None, offset: int) -> list[ConversationSummary]:
        condition, params = where.sql()
        page = "" if limit is None else f" LIMIT {int(limit)}"
        page += f" OFFSET {int(offset)}" if offset else ""
        order = "ORDER BY start_ns DESC, conversation_id"
        if page and not where.terms:
            ids = self._reader.table(
                f"SELECT conversation_id AS id FROM {STARTS} WHERE {condition} {order}{page}", params
            )
            names = ids.column("id").to_pylist()
            condition, params, page = among(names)[0], names, ""
        found = self._reader.table(
            f"SELECT {SUMMARY_COLUMNS} FROM conversations WHERE {condition} {order}{page}", params
        )
        return summaries_of(found)

    def _scanned_count(self, where: Where) -> int:
        condition, params = where.sql()
        source = "conversations" if where.terms else STARTS
        found = self._reader.table(f"SELECT count(*) AS n FROM {source} WHERE {condition}", params)
        return int(found.column("n")[0].as_py())

    def _scanned_rank(self, name: str, where: Where) -> int:
        condition, params = where.sql()
        found = self._reader.table(
            "WITH here AS (SELECT start_ns AS s, conversation_id AS i FROM conversations WHERE conversation_id = ?) "
            f"SELECT count(*) AS n FROM conversations, here WHERE ({condition}) "
            "AND (start_ns > s OR (start_ns = s AND conversation_id < i))",
            [name, *params],
        )
        return int(found.column("n")[0].as_py())

    def _scanned_histogram(
        self, where: Where, cells: int
    ) -> tuple[int, int, list[tuple[int, int, int]]] | None:
        condition, params = where.sql()
        ends = self._reader.table(
            f"SELECT min(start_ns) AS a, max(start_ns) AS b FROM conversations WHERE {condition}", params
        ).to_pylist()[0]
        first, last = ends["a"], ends["b"]
        if first is None:
            return None
        rows = self._reader.table(
            "SELECT (start_ns - ?) // ? AS cell, count(*) AS n, count(*) FILTER (WHERE status = 'error') AS failed "
            f"FROM conversations WHERE {condition} GROUP BY cell",
            [first, max(1, (last - first) // cells + 1), *params],
        )
        return first, last, [(row["cell"], row["n"], row["failed"]) for row in rows.to_pylist()]

    def _scanned_around(self, wanted: str, limit: int) -> list[str]:
        found = self._reader.table(
            "WITH names AS (SELECT DISTINCT conversation_id AS id FROM all_spans) "
            "(SELECT id FROM names WHERE id < $1 ORDER BY id DESC LIMIT $2) UNION "
            "(SELECT id FROM names WHERE id > $1 ORDER BY id LIMIT $2) ORDER BY id",
            [wanted, limit],
        )
        return found.column("id").to_pylist()

    def _scanned_starting(self, beginning: str, limit: int) -> list[str]:
        for source in ("spans", "all_spans"):
            # A recorded conversation is meant rather than its replays, whose ids may begin the same.
            found = self._reader.table(
                f"SELECT DISTINCT conversation_id AS id FROM {source} WHERE starts_with(conversation_id, ?) ORDER BY id LIMIT ?",
                [beginning, limit],
            )
            if found.num_rows:
                return found.column("id").to_pylist()
        return []


def among(names: Sequence[str]) -> tuple[str, list[Any]]:
    """Give the condition that a row is of one of these conversations."""
    marks = ", ".join("?" * len(names))
    return (f"conversation_id IN ({marks})", list(names)) if names else ("false", [])
