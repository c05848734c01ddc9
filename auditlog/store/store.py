"""`Store`: the one way to read what was recorded, and to seal it.

The rules:

1. Readers see what is sealed and what is live as one; `refresh` takes a new picture, and nothing changes in between.
2. Replays are left out unless a run is asked for.
3. Lists read no content; content is read for the conversations that are asked for, many at a time, and checked.
4. An id may be cut short where that is unambiguous; a miss names the nearest (see `naming`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from auditlog import layout as layouts
from auditlog.errors import AuditlogError, FilterError, StoreError
from auditlog.journal import JournalWriter
from auditlog.ledger.ledger import Segment
from auditlog.store import sql
from auditlog.store.lists import Lists, Where, among
from auditlog.store.naming import whole_id
from auditlog.store.reader import Reader
from auditlog.values import Conversation, ConversationSummary, Span, Turn

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlog.filters.language import Term
    from auditlog.sealing.content_key import ContentKey
    from auditlog.sealing.seal import SealReport
    from auditlog.store.index.reading import Place
    from auditlog.store.text.search import TextSearch

_BATCH = 512
_TRIES = 5


class Store:
    """A store that is open for reading; `with` closes it."""

    def __init__(self, layout: layouts.Layout) -> None:
        """Open the store of a layout; `Store.open` and `Store.create` take a path."""
        self._layout = layout
        self._settings = layouts.read_settings(layout)
        self._reader = Reader(layout)
        self._lists = Lists(layout, self._settings.id, self._reader)
        self.shows_structure = False
        """Whether conversations come without content where its key is not here; otherwise they do not come."""

    @classmethod
    def create(cls, path: Path | str) -> Self:
        """Make a store, or open the one that is there.

        Raises:
            StoreError: the path cannot be a store.
        """
        return cls(layouts.ensure(path))

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a store.

        Raises:
            StoreError: the path is no store; the message says where the nearest one lies, or how to make one.
            FormatError: the store, or a file in it, is of a newer format.
        """
        return cls(layouts.find(path))

    @property
    def path(self) -> Path:
        """The store's directory."""
        return self._layout.root

    @property
    def layout(self) -> layouts.Layout:
        """The paths of its parts."""
        return self._layout

    @property
    def id(self) -> str:
        """The store's UUID."""
        return self._settings.id

    @property
    def settings(self) -> layouts.Settings:
        """What `store.toml` says."""
        return self._settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the engine; using the store again opens it again."""
        self._lists.close()
        self._reader.close()

    def refresh(self) -> None:
        """See what was written and sealed since the store was opened or last refreshed."""
        self._reader.refresh()

    def refresh_when_read(self) -> None:
        """See with the next question what was written and sealed since."""
        self._reader.refresh_when_read()

    def segments(self) -> list[Segment]:
        """List the sealed files, oldest entry first."""
        return list(self._reader.segments)

    def live_rows(self) -> pa.Table:
        """Give the rows of the journals that are not sealed yet, with every column."""
        return self._reader.live

    def refuse_damage(self) -> None:
        """Read every sealed file whole, and raise StoreError naming the first whose bytes are not what was sealed."""
        self._reader.name_damage()

    def writer(self) -> JournalWriter:
        """Give a writer into this store's journal; close it when done."""
        return JournalWriter(self._layout.journal)

    def seal(self, *, wait: bool = True) -> SealReport:
        """Seal every journal file whose writer is done with it, and see the result.

        Args:
            wait: whether to wait for another process that seals; otherwise the report says `busy`.

        Raises:
            StoreError: a file cannot be read or written.
        """
        from auditlog.sealing.seal import seal

        report = seal(self._layout, wait=wait)
        self.refresh()
        if report.sealed:
            self.update_index()
        return report

    def update_index(
        self,
        *,
        text: bool | None = None,
        wait: bool = False,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> bool:
        """Bring what is derived up to what is sealed, and take out what is gone.

        Args:
            text: whether to index text; None for where that is done already.
            wait: whether to wait for another process that does it.
            progress: is told what is done, how many of how many spans.

        Returns:
            Whether all of it is there now; a store that cannot be written goes without.
        """
        self.refresh()
        return self._lists.update(text=text, wait=wait, progress=progress)

    def index_bytes(self) -> tuple[int, int]:
        """Give the bytes of the index of conversations, and of that of words."""
        return self._lists.bytes()

    def forget_removed(self) -> None:
        """Take what the ledger no longer lists out of what is derived, or take all of that away where it cannot be."""
        if not self.update_index(wait=True):
            self.remove_index()

    def remove_index(self) -> None:
        """Delete what is derived.

        Raises:
            OSError: it cannot be deleted.
        """
        self._lists.remove()

    def query(
        self, text: str, params: Sequence[Any] = (), *, run: str | None = None, arm: str | None = None
    ) -> pa.Table:
        """Run SQL over the views `spans`, `turns`, `conversations` and `all_spans`.

        Args:
            text: trusted SQL: for a user's own, see `select`.
            params: what its `?` stand for.
            run: a replay run whose spans the first three views then hold.
            arm: one of its arms.

        Raises:
            FilterError: the query does not parse or bind.
            StoreError: a sealed file is damaged.
        """
        return self._reader.table(text, params, run=run, arm=arm)

    def select(self, text: str, limit: int = sql.LIMIT, *, seconds: float = sql.SECONDS) -> pa.Table:
        """Run a user's own SELECT over the views, locked down.

        Args:
            text: one SELECT.
            limit: how many rows at most.
            seconds: how long at most.

        Raises:
            FilterError: the text is not one SELECT, does not run, reaches for a file, or takes too long.
            StoreError: a sealed file is damaged.
        """
        with sql.Query() as query:
            try:
                reader = self._reader
                return query.run(self.path, reader.paths, reader.live, text, limit, seconds, reader.key)
            except (FilterError, StoreError) as error:
                if self._reader.is_behind():
                    self.refresh()
                    return self.select(text, limit, seconds=seconds)
                if isinstance(error, FilterError):
                    self._reader.name_damaged_footer()
                    raise
                # What looks like damage is the asker's own when every file is as it was sealed.
                self._reader.name_damage()
                raise FilterError(str(error)) from None

    def summaries(
        self,
        where: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[ConversationSummary]:
        """Summarise conversations, newest first.

        Args:
            where: a filter, such as `agent:support-bot status:error`.
            since: aware; conversations that began then or later.
            until: aware; conversations that began before.
            limit: how many at most.
            offset: how many to leave out first.

        Raises:
            FilterError: the filter does not parse.
        """
        return self._lists.summaries(_where(where, since, until), limit, offset)

    def count(self, where: str = "", since: datetime | None = None, until: datetime | None = None) -> int:
        """Count the conversations that `summaries` would give."""
        return self._lists.count(_where(where, since, until))

    @property
    def content_key(self) -> ContentKey | None:
        """The key of its content; None where nothing is encrypted."""
        return self._reader.key

    @property
    def search(self) -> TextSearch:
        """How content is searched: whether with the full-text index, and how much of the last search went without."""
        return self._lists.search

    def rank(self, conversation_id: str, where: str = "") -> int:
        """Say how many conversations come before one in `summaries`."""
        return self._lists.rank(conversation_id, _where(where, None, None))

    def histogram(
        self, where: str = "", cells: int = 64
    ) -> tuple[int, int, list[tuple[int, int, int]]] | None:
        """Count the conversations that `summaries` would give, and failed ones, in equal spans of time.

        Returns:
            The first start and the last, nanoseconds, and for each span of time that holds any: its number, how many,
            and how many failed. None where there are no conversations.
        """
        return self._lists.histogram(_where(where, None, None), cells)

    @property
    def unsealed(self) -> int:
        """How many spans are in the journals, and not sealed."""
        rows = self._reader.live_rows
        return 0 if rows is None else rows.num_rows

    def conversation(self, conversation_id: str) -> Conversation:
        """Give one conversation, replayed ones too.

        Args:
            conversation_id: the id, or a beginning of it that no other has; or the id of one of its spans, turns or
                traces, or eight digits of it.

        Raises:
            NotFoundError: there is none; the message names the nearest.
        """
        found = self._read([conversation_id])
        if not found:
            found = self._read([self._whole(conversation_id)])
        return next(iter(found.values()))

    def conversation_id(self, beginning: str) -> str:
        """Give the id of the conversation that is named so, or whose id alone begins so.

        Raises:
            NotFoundError: there is none; the message names the nearest.
        """
        found = self._reader.table(
            "SELECT conversation_id FROM all_spans WHERE conversation_id = ? LIMIT 1", [beginning]
        )
        return beginning if found.num_rows else self._whole(beginning)

    def ids(self, where: str = "") -> list[str]:
        """Give the ids of the conversations that match a filter, oldest first.

        Raises:
            FilterError: the filter does not parse.
        """
        return self._lists.names(_where(where, None, None))

    def conversations(
        self,
        where: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        run: str | None = None,
        arm: str | None = None,
    ) -> Iterator[Conversation]:
        """Give conversations, oldest first.

        Args:
            where: a filter.
            since: aware; conversations that began then or later.
            until: aware; conversations that began before.
            limit: how many at most.
            run: a replay run: its conversations instead of ordinary ones.
            arm: one of its arms.

        Raises:
            FilterError: the filter does not parse.
        """
        asked = _where(where, since, until)
        lists = self._lists
        ids = (
            lists.names(asked, limit) if run is None else lists.scanned_names(asked, limit, run=run, arm=arm)
        )
        for at in range(0, len(ids), _BATCH):
            names = ids[at : at + _BATCH]
            found = self._read(names, run=run, arm=arm, ordinary=run is None)
            yield from (found[name] for name in names if name in found)

    def turns(
        self,
        where: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        run: str | None = None,
        arm: str | None = None,
    ) -> Iterator[Turn]:
        """Give the turns of the conversations that `conversations` gives."""
        for conversation in self.conversations(where, since, until, run=run, arm=arm):
            yield from conversation.turns

    def spans(self, where_sql: str = "true", params: Sequence[Any] = ()) -> Iterator[Span]:
        """Give spans by a condition over the columns of `all_spans`, by start; for this project's own use.

        Args:
            where_sql: trusted SQL, with `?` for each value.
            params: the values.
        """
        from auditlog.sealing.evidence import EVIDENCE_COLUMNS
        from auditlog.store.build import READ_COLUMNS

        source = "structure" if self._reader.is_closed else "all_spans"
        found = self._reader.table(
            f"SELECT {', '.join((*READ_COLUMNS, *EVIDENCE_COLUMNS))} FROM {source} WHERE {where_sql} ORDER BY start_ns, span_id",
            params,
        )
        return self._checked(found)

    def _checked(self, found: pa.Table) -> Iterator[Span]:
        """Give the spans of rows, which have to be what was sealed."""
        from auditlog.sealing.evidence import EVIDENCE_COLUMNS, refuse_changed
        from auditlog.store.build import spans_of

        erased = found.column("commitments").is_valid()
        rows = found.drop_columns(list(EVIDENCE_COLUMNS)).append_column("erased", erased)
        key = self._reader.key
        if key is not None and key.secret is None:
            # What is not there cannot be compared with its leaf.
            closed = [None if segment is None else key.id for segment in found.column("segment").to_pylist()]
            if not self.shows_structure and any(closed):
                raise key.needed()
            return spans_of(rows.append_column("closed", [closed]))
        refuse_changed(found, self.path)
        return spans_of(rows)

    def _read(
        self, ids: Sequence[str], *, run: str | None = None, arm: str | None = None, ordinary: bool = False
    ) -> dict[str, Conversation]:
        for _ in range(_TRIES):
            try:
                return self._read_now(ids, run, arm, ordinary=ordinary)
            except AuditlogError:
                # Compacting, pruning and erasing put other files in the place of those that this picture names.
                if not self._reader.is_behind():
                    raise
                self.refresh()
        return self._read_now(ids, run, arm, ordinary=ordinary)

    def _read_now(
        self, ids: Sequence[str], run: str | None, arm: str | None, *, ordinary: bool
    ) -> dict[str, Conversation]:
        from auditlog.store.build import conversations_of

        places = self._lists.places(ids)
        if places is not None:
            return conversations_of(self._spans_at(places, ids, run, arm, ordinary=ordinary))
        condition, params = among(ids)
        if ordinary:
            condition += " AND replay_run_id IS NULL"
        if run is not None:
            condition, params = f"{condition} AND replay_run_id = ?", [*params, run]
        if arm is not None:
            condition, params = f"{condition} AND replay_arm = ?", [*params, arm]
        return conversations_of(self.spans(condition, params))

    def _spans_at(
        self, places: Sequence[Place], ids: Sequence[str], run: str | None, arm: str | None, *, ordinary: bool
    ) -> Iterator[Span]:
        """Give the spans of conversations whose places are known, by start."""
        from auditlog.sealing.evidence import EVIDENCE_COLUMNS
        from auditlog.store.build import READ_COLUMNS

        columns = (*READ_COLUMNS, *EVIDENCE_COLUMNS)
        found = self._lists.contents().rows(
            places, self._reader.live_rows, ids, columns, run=run, arm=arm, ordinary=ordinary
        )
        return self._checked(found)

    def _whole(self, beginning: str) -> str:
        return whole_id(beginning, self._layout, self._lists, self._reader)


def _where(where: str, since: datetime | None, until: datetime | None) -> Where:
    terms: tuple[Term, ...] = ()
    if where.strip():
        from auditlog.filters.language import parse

        terms = parse(where).terms
    moments = [None if moment is None else _nanoseconds(moment) for moment in (since, until)]
    return Where(terms, (moments[0], moments[1]))


def _nanoseconds(moment: datetime) -> int:
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1000
