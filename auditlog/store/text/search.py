"""Finds the conversations that hold a text, with the full-text index where there is one.

The rules:

1. What the index names is read, and asked with the very condition that a search through everything asks.
2. Segments that the index does not hold, and live rows, are searched whole.
3. Everything is searched whole where the words say nothing, where too much would be left to read, and where a shard cannot be
   read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from auditlog.filters.sql import spans_where
from auditlog.store import views
from auditlog.store.text import needle, shards, vocabulary
from auditlog.store.text.shards import Shard

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlog.filters.language import Match
    from auditlog.layout import Layout
    from auditlog.store.reader import Reader

_REMEMBERED = 32
_LEAST_LIMIT = 200
_ROWS_A_CANDIDATE = 400
"""With a candidate for so many rows, reading everything in order is as quick as reading here and there."""
_MOST_CANDIDATES = 10_000
"""What memory has room for."""


_FEW_CANDIDATES = 20
"""Up to these, reading them is about as quick as asking the index more closely."""


_ASKED = ("conversation_id", "stream", *shards.COLUMNS)
READ = (*_ASKED, "replay_run_id", "start_ns", "span_id", "segment")
"""The columns of candidates that a search needs."""


class TextSearch:
    """Searches one store's content, in the reader's picture."""

    def __init__(self, layout: Layout, store_id: str, reader: Reader) -> None:
        """Open nothing yet."""
        self._layout = layout
        self._id = store_id
        self._reader = reader
        self._opened: dict[str, tuple[Any, Any]] = {}
        self._analyzer: Any = None
        self.is_used = True
        """Whether the index may be asked."""
        self._picture: tuple[Any, Any] = (None, None)
        self._remembered: dict[str, list[str]] = {}
        """What was found in the present picture: a list asks again for its next page."""
        self.unindexed = 0
        """How many spans the last search read whole; what a person who waits may want to know."""

    def find(
        self,
        term: Match,
        read: Callable[[Collection[str]], pa.Table | None],
    ) -> list[str]:
        """Give the ids of the conversations for which a term about content holds, whatever its sign.

        Args:
            term: what is searched.
            read: gives the rows of conversations, or None where only reading everything gives them.
        """
        if self._reader.key is not None and self._reader.key.secret is None and self._reader.segments:
            raise self._reader.key.needed("Searching what was said")
        picture = (self._reader.segments, self._reader.live_rows)
        if (
            self._picture[0] != picture[0]
            or self._picture[1] is not picture[1]
            or len(self._remembered) > _REMEMBERED
        ):
            self._picture, self._remembered = picture, {}
        key = str(term).removeprefix("-")
        if key not in self._remembered:
            self._remembered[key] = self._found(term, read)
        return self._remembered[key]

    def forget(self) -> None:
        """Forget what was found before."""
        self._remembered = {}

    def _found(
        self,
        term: Match,
        read: Callable[[Collection[str]], pa.Table | None],
    ) -> list[str]:
        segments = {(segment.path, segment.sha256): segment for segment in self._reader.segments}
        held, candidates = self._candidates(term, set(segments))
        rows = read(candidates) if candidates else None
        if candidates and rows is None:
            held, candidates = set(), []
        left = [segment for key, segment in segments.items() if key not in held]
        self.unindexed = sum(segment.rows for segment in left)
        if not held:
            return self._asked(term, "spans")
        found = set(self._asked_rows(term, rows)) if rows is not None else set()
        if left or self._reader.live_rows is not None:
            found.update(self._asked(term, self._of([segment.path for segment in left])))
        return sorted(found)

    def _candidates(self, term: Match, live: set[tuple[str, str]]) -> tuple[set[tuple[str, str]], list[str]]:
        """Give the segments that the index answers for, and the conversations that it names."""
        # A shard of which a segment is gone counts for those that are left.
        kept = [
            s
            for s in (
                shards.listed(self._layout, self._id) if self.is_used and self._reader.key is None else ()
            )
            if live & set(s.segments)
        ]
        if not kept or term.field != "text":
            return set(), []
        self._analyzer = self._analyzer or needle.analyzer()
        ways = needle.words(term, self._analyzer)
        if ways is None:
            return set(), []
        rows = sum(segment.rows for segment in self._reader.segments)
        limit = min(_MOST_CANDIDATES, max(_LEAST_LIMIT, rows // _ROWS_A_CANDIDATE))
        names: set[str] = set()
        held: set[tuple[str, str]] = set()
        for shard in kept:
            try:
                names.update(self._named(shard, ways, limit))
            except (ValueError, OSError, RuntimeError):
                # Damaged, foreign or just replaced: its segments are read whole.
                continue
            held.update(live & set(shard.segments))
            if len(names) > limit:
                return set(), []
        return held, sorted(names)

    def _named(self, shard: Shard, ways: list[list[needle.Way]], limit: int) -> Iterator[str]:
        index, schema = self._open(shard)
        searcher, hits = index.searcher(), None
        place = shards.directory_of(self._layout) / shard.name
        try:
            for query in needle.queries(ways, schema, lambda word: vocabulary.pattern(place, word)):
                hits = searcher.search(query, limit=limit + 1, count=False).hits
                if len(hits) <= _FEW_CANDIDATES:
                    break
        except ValueError:
            # Too many words begin or end so; what a wider query found holds all that this one would.
            if hits is None:
                raise
        for _, address in hits or ():
            yield searcher.doc(address)["conversation"][0]

    def _open(self, shard: Shard) -> tuple[Any, Any]:
        found = self._opened.get(shard.name)
        if found is None:
            import tantivy

            place = shards.directory_of(self._layout) / shard.name
            if place.is_symlink() or not place.is_dir():
                raise OSError(0, f"{place} is no directory")
            index = tantivy.Index.open(str(place))
            index.register_tokenizer(needle.FIELD, self._analyzer)
            found = self._opened[shard.name] = (index, index.schema)
        return found

    def _asked(self, term: Match, source: str) -> list[str]:
        condition, params = spans_where(term)
        sql = f"SELECT DISTINCT conversation_id AS id FROM {source} WHERE {condition}"
        return self._reader.table(sql, params).column("id").to_pylist()

    def _of(self, paths: Sequence[str]) -> str:
        root = str(self._layout.root)
        sealed = [f"{root}/{path}" for path in paths]
        return f"({views.some_spans(sealed, root, with_live=self._reader.live_rows is not None)})"

    def _asked_rows(self, term: Match, rows: pa.Table) -> list[str]:
        condition, params = spans_where(term)
        sql = f"SELECT DISTINCT conversation_id AS id FROM ({views.ordinary('candidates', _ASKED)}) WHERE {condition}"
        return self._reader.table(sql, params, tables={"candidates": rows}).column("id").to_pylist()
