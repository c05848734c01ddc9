"""Gives turns by id, their fields made when somebody asks for them: for who reads many and of each a little.

The rules:

1. What is read is an entry and its parts, and they have to be what was sealed: the leaf is made again of them. Every other
   field is derived from these, and no other column is believed.
2. A field that nobody asks for costs nothing; one that was asked for is kept.
3. A row that is not plain (its content was erased, or cannot be read) is read as all rows are.
4. A turn without its rows is not there.
5. Who reads many turns a few at a time looks through the whole store once, for when their spans began; each reading then
   goes only where those lie. That counts for the picture of the store that it was made of, and no other.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import orjson

from auditlog import normalise
from auditlog.chat import Chat, chat_of
from auditlog.errors import DamageError
from auditlog.record import LEAF_BYTES, PARTS, leaf_hash
from auditlog.sealing.rows import leaf_text_of
from auditlog.store.build import NO_CHAT, documents, evaluations_of, fault_of, loads, order_of, replay_of
from auditlog.values import Span, Turn, Usage

if TYPE_CHECKING:
    import pyarrow as pa

    from auditlog.store import Store

_COLUMNS = ("entry", "salt", "commitments", "leaf", *PARTS)
_MESSAGES = ("input_messages", "output_messages")


_TOGETHER = 64
"""Turns that are next to one another in a list whose spans' beginning is known together."""


class TurnsInOrder:
    """Reads recorded turns by their place in a list, which is best in the order of time."""

    def __init__(self, store: Store, turn_ids: Sequence[str]) -> None:
        """Read nothing yet.

        Args:
            store: where they are.
            turn_ids: the list.
        """
        self._store, self._ids = store, turn_ids
        self._picture: tuple[object, object] | None = None
        self._began: dict[int, tuple[int, int] | None] = {}
        """When the first and the last of a part's spans began; None where one could be anywhere."""

    def read(self, wanted: Sequence[str], first: int, end: int) -> tuple[dict[str, Turn], int]:
        """Give some of the turns, as `turns_by_id` does.

        Args:
            wanted: their ids.
            first: the place in the list of the first that is wanted.
            end: the place behind the last.

        Raises:
            StoreError: a sealed row is not what was recorded; the message names the file and the span.
        """
        if self._store._reader.is_closed or len(self._ids) <= end - first:  # noqa: SLF001 - of one package
            return turns_by_id(self._store, wanted)
        self._look()
        parts = range(first // _TOGETHER, (end - 1) // _TOGETHER + 1)
        began = [self._began[part] for part in parts if part in self._began]
        known = [times for times in began if times is not None]
        within = (min(low for low, _ in known), max(high for _, high in known)) if known else None
        found = turns_by_id(self._store, wanted, within if len(known) == len(began) else None)
        # What came into the store meanwhile may lie anywhere.
        return found if self._is_same() else turns_by_id(self._store, wanted)

    def _is_same(self) -> bool:
        reader, known = self._store._reader, self._picture  # noqa: SLF001
        return known is not None and known[0] is reader.segments and known[1] is reader.live_rows

    def _look(self) -> None:
        if self._is_same():
            return
        reader = self._store._reader  # noqa: SLF001
        picture = (reader.segments, reader.live_rows)
        rows = self._store.query(
            "SELECT listed.part, min(s.start_ns), max(s.start_ns), bool_or(s.start_ns IS NULL) "
            f"FROM (SELECT unnest(?::VARCHAR[]) AS id, unnest(range(?)) // {_TOGETHER} AS part) listed "
            "JOIN all_spans s ON s.turn_id = listed.id WHERE s.replay_run_id IS NULL GROUP BY listed.part",
            [list(self._ids), len(self._ids)],
        )
        columns = [column.to_pylist() for column in rows.columns]
        self._began = {
            part: None if is_somewhere else (low, high)
            for part, low, high, is_somewhere in zip(*columns, strict=True)
        }
        self._picture = picture


def turns_by_id(
    store: Store, turn_ids: Sequence[str], within: tuple[int, int] | None = None
) -> tuple[dict[str, Turn], int]:
    """Give recorded turns, those of replays left out.

    Args:
        store: where they are.
        turn_ids: their agent spans' ids.
        within: when the first and the last of their spans began, in ns; None where nobody knows.

    Returns:
        What is there, by id, and how many bytes of content were read for it.

    Raises:
        StoreError: a sealed row is not what was recorded; the message names the file and the span.
    """
    if store._reader.is_closed:  # noqa: SLF001 - of one package
        return _read_whole(store, turn_ids), 0
    found = store.query(
        f"SELECT {', '.join(_COLUMNS)}, segment FROM all_spans WHERE turn_id IN (SELECT unnest(?::VARCHAR[])) "
        f"AND replay_run_id IS NULL{'' if within is None else ' AND start_ns BETWEEN ? AND ?'}",
        [list(turn_ids), *(within or ())],
    )
    members: defaultdict[str, list[Span]] = defaultdict(list)
    rest: set[str] = set()
    for cells in _rows(found):
        span = _span(cells, store)
        if span is None:
            rest.add(orjson.loads(cells["entry"])["turn"])
        else:
            members[span.turn_id or span.span_id].append(span)
    turns = {name: _turn(name, spans) for name, spans in members.items() if name not in rest}
    return turns | (_read_whole(store, sorted(rest)) if rest else {}), found.nbytes


def _read_whole(store: Store, turn_ids: Sequence[str]) -> dict[str, Turn]:
    members: defaultdict[str, list[Span]] = defaultdict(list)
    condition = "turn_id IN (SELECT unnest(?::VARCHAR[])) AND replay_run_id IS NULL"
    for span in store.spans(condition, [list(turn_ids)]):
        members[span.turn_id or span.span_id].append(span)
    return {name: _turn(name, spans) for name, spans in members.items()}


def _turn(name: str, spans: list[Span]) -> Turn:
    spans.sort(key=order_of)
    agent = next((span for span in spans if span.span_id == name), None)
    agent = agent or next((span for span in spans if span.kind == "agent"), spans[0])
    return Turn(agent, tuple(spans))


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    count, names = table.num_rows, table.column_names
    # Most columns are empty, and are not gone through.
    values = [
        column.to_pylist() if column.null_count < count else itertools.repeat(None, count)
        for column in table.columns
    ]
    for cells in zip(*values, strict=True):
        yield dict(zip(names, cells, strict=True))


def _span(row: Mapping[str, Any], store: Store) -> Span | None:
    """Make a span of a row; None where it is not plain."""
    if row["commitments"] is not None:
        return None
    try:
        entry = orjson.loads(row["entry"])
        if row["segment"] is not None and leaf_hash(leaf_text_of(row))[:LEAF_BYTES] != row["leaf"]:
            raise _changed(row, entry.get("span"), store)
        attributes, given, returned, error = (
            None if (content := row[name]) is None else orjson.loads(content)
            for name in ("attributes", "input", "output", "error")
        )
    except (ValueError, TypeError, KeyError):
        if row["segment"] is not None and row["leaf"] is None:
            raise _changed(row, None, store) from None
        return None
    if not isinstance(attributes, dict | None) or not isinstance(entry, dict):
        return None
    if "auditlog.inexact" not in (attributes or {}):
        # What an import kept as text says more than its value would.
        given = normalise.decoded(given)
    source = _Source(entry, attributes or {}, given, returned, error, row)
    if any(row[name] is not None for name in _MESSAGES):
        # Previews are made of them, and of what they cannot be made of the whole row is read otherwise.
        try:
            _ = source.whole
        except Exception:  # noqa: BLE001 - recorded content is whatever it is
            return None
    return LazySpan.of(source)


def _changed(row: Mapping[str, Any], span: Any, store: Store) -> DamageError:
    return DamageError(
        f"{store.path / row['segment']} is damaged: the content of span {span!r} is not what was recorded. "
        "Put the file back from a copy of the store."
    )


class _Source:
    """What a span is made of."""

    __slots__ = ("attributes", "chat_read", "entry", "error", "given", "returned", "row")

    def __init__(
        self,
        entry: Mapping[str, Any],
        attributes: dict[str, Any],
        given: Any,
        returned: Any,
        error: Any,
        row: Mapping[str, Any],
    ) -> None:
        self.entry, self.attributes, self.given = entry, attributes, given
        self.returned, self.error, self.row = returned, error, row
        self.chat_read: Chat | None = None

    def column(self, name: str) -> Any:
        """Give what the normaliser puts into a column."""
        attributes = self.attributes
        for attribute in normalise.mapping()["columns"][name]:
            if attributes.get(attribute) is not None:
                return normalise.typed(name, attributes[attribute])
        return None

    def part(self, name: str) -> Any:
        """Decode a part."""
        return loads(self.row[name])

    @property
    def chat(self) -> Chat:
        """What a model call's arguments and answer hold."""
        if self.chat_read is None:
            is_model = self.entry["kind"] == "model"
            self.chat_read = chat_of(self.given, self.returned) if is_model else NO_CHAT
        return self.chat_read

    @property
    def whole(self) -> Mapping[str, Any]:
        """Every column that is filled."""
        parts = {name: self.row[name] for name in PARTS if self.row[name] is not None}
        return normalise.filled(self.entry, parts)


class LazySpan(Span):  # pyrefly: ignore
    """A span whose fields are made of its source when they are first asked for."""

    # A slot that is empty asks `__getattr__`, and one that is filled does not.
    __slots__ = ("_source",)
    _source: _Source

    @classmethod
    def of(cls, source: _Source) -> LazySpan:
        """Make one of its source."""
        span = object.__new__(cls)
        object.__setattr__(span, "_source", source)
        return span

    def __getattr__(self, name: str) -> Any:
        """Make a field that was not asked for before."""
        make = _FIELDS.get(name)
        if make is None:
            raise AttributeError(name)
        value = make(self._source)
        object.__setattr__(self, name, value)
        return value

    def __eq__(self, other: object) -> bool:
        """Compare with any span, by what they say."""
        return isinstance(other, Span) and all(getattr(self, n) == getattr(other, n) for n in _FIELDS)

    def __hash__(self) -> int:
        """Hash by id."""
        return hash(self.span_id)


def _entry(name: str) -> Callable[[_Source], Any]:
    return lambda source: source.entry.get(name)


def _column(name: str) -> Callable[[_Source], Any]:
    return lambda source: source.column(name)


def _constant(value: Any) -> Callable[[_Source], Any]:
    return lambda _: value


def _with_prefix(source: _Source, prefix: str, column: str) -> dict[str, Any]:
    told = normalise.mapping()[prefix]
    if not any(name.startswith(told) for name in source.attributes):
        return {}
    found = loads(source.whole.get(column))
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _finish_reasons(source: _Source) -> tuple[str, ...]:
    value = loads(source.column("finish_reasons"))
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _documents(source: _Source) -> Any:
    is_its_own = source.entry["kind"] == "retriever" and source.row["documents"] is None
    return documents(normalise.decoded(source.returned if is_its_own else source.part("documents")))


def _effect(source: _Source) -> Any:
    effect = source.column("effect")
    return effect if effect in ("read", "write", "control") else None


def _text_of(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


_FIELDS: dict[str, Callable[[_Source], Any]] = {
    "trace_id": lambda source: source.entry["trace"] or "",
    "span_id": lambda source: source.entry["span"] or "",
    "parent_span_id": _entry("parent"),
    "turn_id": _entry("turn"),
    "conversation_id": _entry("conversation"),
    "kind": lambda source: source.entry["kind"] if source.entry["kind"] in normalise.KINDS else "other",
    "name": lambda source: source.entry["name"] or "",
    "status": lambda source: (
        source.entry["status"] if source.entry["status"] in ("ok", "error") else "incomplete"
    ),
    "start_ns": lambda source: source.entry["start"] or 0,
    "end_ns": _entry("end"),
    "source": lambda source: source.entry["source"] or "decorator",
    **{
        name: _column(name)
        for name in (
            *("agent_name", "agent_version", "user_id", "model_requested", "model_served", "provider"),
            *("cost_usd", "prompt_name", "prompt_version", "tool_call_id", "tool_digest"),
            *("escalation_reason", "escalation_to"),
        )
    },
    "ttft_ms": lambda source: source.whole.get("ttft_ms"),
    "parameters": lambda source: _with_prefix(source, "parameters", "parameters"),
    "finish_reasons": _finish_reasons,
    "usage": lambda source: Usage(
        *(
            source.column(f"{name}_tokens")
            for name in ("input", "output", "cache_read", "cache_write", "reasoning")
        )
    ),
    "effect": _effect,
    "lossy": lambda source: bool(source.column("lossy")),
    "stream": lambda source: bool(source.column("stream")),
    "input": lambda source: source.given,
    "output": lambda source: source.returned,
    "system_instructions": lambda source: (
        normalise.system_text(source.part("system_instructions")) or source.chat.system
    ),
    "input_messages": lambda source: (
        normalise.messages(source.part("input_messages")) or source.chat.input_messages
    ),
    "output_messages": lambda source: (
        normalise.messages(source.part("output_messages")) or source.chat.output_messages
    ),
    "tool_definitions": lambda source: (
        normalise.decoded(source.part("tool_definitions")) or source.chat.tool_definitions
    ),
    "documents": _documents,
    "fault": lambda source: fault_of(source.error),
    "evaluations": lambda source: evaluations_of(source.part("evaluations")),
    "tags": lambda source: {
        key: _text_of(value) for key, value in _with_prefix(source, "tags", "tags").items()
    },
    "attributes": lambda source: source.attributes,
    "replay": lambda source: (
        None
        if source.column("replay_run_id") is None
        else replay_of({name: source.column(name) for name in _REPLAYED})
    ),
    "segment": lambda source: source.row["segment"],
    "erased": _constant(value=False),
    "closed": _constant(None),
}

_REPLAYED = tuple(name for name in normalise.columns() if name.startswith("replay_"))


def fields_made() -> Iterable[str]:
    """Name the fields of a span that can be made."""
    return _FIELDS
