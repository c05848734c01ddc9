"""Merges the records of journals into spans.

The rules:

1. Pure: frames in, spans out; no files, no clock.
2. START and END meet by (trace, span). A START without an END is a span too, incomplete; so is an END without its START.
3. A record counts once: two frames of one (writer, sequence), a START carried into the next file, a SPAN written twice.
   Of a span's second, different END the first holds; the second is counted as a conflict.
4. A span without a turn inherits it: from the nearest ancestor that has one, else the outermost agent among itself and
   its ancestors, else the topmost of them. A conversation is inherited the same way, then from anywhere in the trace; a
   trace that names none is its own conversation.
5. Gaps and records that are none are counted, never dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from auditlog import normalise
from auditlog.errors import FormatError
from auditlog.journal import entry_of
from auditlog.journal.gap import Gap
from auditlog.record import FORMAT, Record, decode_record, other_format

MAX_ID_CHARACTERS = 256

_TOLD = ("bytes", "unsure", "late", "refused", "rewritten", "reasons", "policy")
_SPAN_RECORDS = ("start", "end", "span")


class Located(NamedTuple):
    """A record and where it was written."""

    writer: str
    """The journal file's stem."""
    sequence: int
    record: Record


class MergedSpan(NamedTuple):
    """The records of one span, and what it inherited."""

    start: Located | None
    end: Located | None
    """The END or SPAN record."""
    turn_id: str
    conversation_id: str
    settled: bool
    """Whether no later record can change turn or conversation."""

    @property
    def home(self) -> str:
        """The writer whose file the span is sealed with."""
        last = self.end or self.start
        assert last is not None
        return last.writer


class _Link(NamedTuple):
    parent: str | None
    is_agent: bool
    turn: str | None
    conversation: str | None


@dataclass(slots=True)
class Merger:
    """Takes the frames of one process's journal files in order, and gives the spans; may go on after giving some."""

    gaps: list[Gap] = field(default_factory=list)
    duplicates: dict[str, int] = field(default_factory=dict)
    """Records counted once already, by writer."""
    conflicts: dict[str, int] = field(default_factory=dict)
    """Second ENDs of a span, by writer."""
    unreadable: dict[str, int] = field(default_factory=dict)
    """Frames that hold no record, by writer."""
    carried: dict[str, set[str]] = field(default_factory=dict)
    """The span ids that a writer's CLOSE record carried into its next file."""
    closed: set[str] = field(default_factory=set)
    """Writers that ended with a CLOSE record."""
    _open: dict[tuple[str, str], Located] = field(default_factory=dict)
    _done: dict[tuple[str, str], tuple[Located | None, Located]] = field(default_factory=dict)
    _ended: dict[tuple[str, str], int] = field(default_factory=dict)
    _started: set[tuple[str, str]] = field(default_factory=set)
    _links: dict[tuple[str, str], _Link] = field(default_factory=dict)
    _conversations: dict[str, str] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)

    def feed(self, writer: str, sequence: int, payload: bytes) -> None:
        """Take one frame.

        Raises:
            FormatError: the record is of another format.
        """
        if sequence <= self._last.get(writer, -1):
            _count(self.duplicates, writer)
            return
        self._last[writer] = sequence
        record = _decoded(payload)
        if record is None:
            _count(self.unreadable, writer)
            return
        entry = record.entry
        match entry["type"]:
            case "start" | "end" | "span":
                self._feed_span(Located(writer, sequence, record), (entry["trace"], entry["span"]))
            case "gap":
                lost, since = entry.get("lost"), entry.get("since")
                reason = str(entry.get("reason", ""))
                self.gaps.append(
                    Gap(
                        writer,
                        lost if isinstance(lost, int) else 1,
                        since if isinstance(since, int) else 0,
                        reason,
                        {name: entry[name] for name in _TOLD if name in entry},
                    )
                )
            case "close":
                names = entry.get("carried")
                self.carried[writer] = (
                    {n for n in names if isinstance(n, str)} if isinstance(names, list) else set()
                )
                self.closed.add(writer)
            case "open":
                pass
            case _:
                _count(self.unreadable, writer)

    def take(self) -> list[MergedSpan]:
        """Give the ended spans since the last time, and forget those that are settled."""
        spans = []
        unsettled = {}
        for key, (start, end) in self._done.items():
            span = self._resolve(key, start, end)
            spans.append(span)
            if not span.settled:
                unsettled[key] = (start, end)
        self._done = unsettled
        return spans

    def unfinished(self) -> Iterator[MergedSpan]:
        """Give the spans whose end has not been seen."""
        for key, start in self._open.items():
            yield self._resolve(key, start, None)

    def keys(self) -> set[tuple[str, str]]:
        """Give the (trace, span) of every span seen."""
        return set(self._links)

    def started(self) -> set[tuple[str, str]]:
        """Give the (trace, span) of every span whose START was seen."""
        return set(self._started)

    def forget(self, writer: str, keep: set[tuple[str, str]]) -> None:
        """Forget the unfinished spans of a writer, which are sealed or go on in a later file, but for those to keep."""
        self._open = {
            key: start for key, start in self._open.items() if start.writer != writer or key in keep
        }
        self._done.clear()

    def last_sequence(self, writer: str) -> int:
        """Give the last sequence seen of a writer; -1 where none was."""
        return self._last.get(writer, -1)

    def _feed_span(self, found: Located, key: tuple[str, str]) -> None:
        record = found.record
        if record.entry["type"] == "start":
            if key in self._ended or (key in self._open and self._open[key].writer == found.writer):
                _count(self.duplicates, found.writer)
                return
            # The copy in a later file is the one that counts: the earlier file is sealed without it.
            self._open[key] = found
            self._started.add(key)
        else:
            # Keyed by a secret of this process, so that nobody can make two records that pass for one.
            told = hash((record.entry_bytes, *record.parts.values()))
            if key in self._ended:
                same = self._ended[key] == told
                _count(self.duplicates if same else self.conflicts, found.writer)
                return
            self._ended[key] = told
            self._done[key] = (self._open.pop(key, None), found)
        known = self._links.get(key)
        if known is not None and known.turn and known.conversation and "kind" not in record.entry:
            return
        link = _link(record, look=known is None or known.conversation is None)
        if known is not None:
            # What an OpenTelemetry span is, and where it belongs, may be known only when it ends.
            is_agent = link.is_agent if "kind" in record.entry else known.is_agent
            parent, turn = known.parent or link.parent, known.turn or link.turn
            link = _Link(parent, is_agent, turn, known.conversation or link.conversation)
        self._links[key] = link
        if link.conversation is not None:
            self._conversations.setdefault(key[0], link.conversation)

    def _resolve(self, key: tuple[str, str], start: Located | None, end: Located | None) -> MergedSpan:
        trace, span = key
        own = self._links[key]
        if own.turn is not None and own.conversation is not None:
            return MergedSpan(start, end, own.turn, own.conversation, settled=True)
        turn = agent = conversation = None
        top, at, seen = span, own, {span}
        while True:
            turn = turn or at.turn
            conversation = conversation or at.conversation
            agent = top if at.is_agent else agent
            above = self._links.get((trace, at.parent)) if at.parent else None
            if above is None or at.parent is None or at.parent in seen:
                break
            top, at = at.parent, above
            seen.add(top)
        rooted = at.parent is None
        settled = (turn is not None or rooted) and (
            conversation is not None or (rooted and (trace, top) in self._ended)
        )
        conversation = conversation or self._conversations.get(trace, trace)
        return MergedSpan(start, end, turn or agent or top, conversation, settled)


def _decoded(payload: bytes) -> Record | None:
    try:
        record = decode_record(payload)
    except FormatError:
        _refuse_other_format(payload)
        return None
    entry = record.entry
    kind = entry["type"]
    if kind in _SPAN_RECORDS:
        if (
            not _is_id(entry.get("trace"))
            or not _is_id(entry.get("span"))
            or not isinstance(entry.get("time"), int)
        ):
            return None
    elif not isinstance(kind, str):
        return None
    return record


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS


def _refuse_other_format(payload: bytes) -> None:
    try:
        version: Any = entry_of(payload)["v"]
    except Exception:  # noqa: BLE001 - whatever it is, it is no entry
        return
    if isinstance(version, int) and version != FORMAT and version > 0:
        raise FormatError(f"holds records of {other_format(version)}")


def _link(record: Record, *, look: bool) -> _Link:
    """Give what a record says of its span's place; `look` for the conversation among the attributes too."""
    entry = record.entry
    conversation = _text(entry.get("conversation"))
    if look and conversation is None and "attributes" in record.parts:
        try:
            attributes = normalise.attributes_of(record)
            conversation = _text(normalise.first(attributes, normalise.mapping()["conversation"]))
        except (ValueError, AttributeError):
            conversation = None
    parent = _text(entry.get("parent"))
    return _Link(parent, entry.get("kind") == "agent", _text(entry.get("turn")), conversation)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(counts: dict[str, int], writer: str) -> None:
    counts[writer] = counts.get(writer, 0) + 1
