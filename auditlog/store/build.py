"""Builds the values that people read (Span, Turn, Conversation) of rows of columns.

The rules:

1. Pure: rows in, values out.
2. Content is decoded from JSON; what is no JSON, or more than the decoder takes, stays as text. Nothing recorded raises.
3. A conversation's turns are in the order of their start, and so are a turn's spans.
4. A decorated model call holds its messages once, in its arguments and its answer, and a decorated retriever its
   documents in what it returned: they are read out of there, and a part of their own goes before.
5. Columns that are empty throughout cost nothing: tables are read by column, not by cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import orjson
import pyarrow as pa

from auditlog import normalise
from auditlog.chat import Chat, chat_of
from auditlog.values import Conversation, Document, Evaluation, Fault, Json, Replay, Span, Turn, Usage

Row = Mapping[str, Any]

NO_CHAT = Chat(None, (), (), None)
"""What a call that is no model's has of messages."""

_SKIPPED = {"start_time", "answer_text", "user_text", "error_type"} | {
    column["name"] for column in normalise.columns().values() if column["origin"] in ("evidence", "sealed")
}
READ_COLUMNS = (*(name for name in normalise.columns() if name not in _SKIPPED), "segment")
"""The columns of `all_spans` that a Span is made of."""


def spans_of(columns: pa.Table) -> Iterator[Span]:
    """Give a Span for each row of a table with READ_COLUMNS."""
    count = columns.num_rows
    values = [
        [None] * count if column.null_count == count else column.to_pylist()
        for column in columns.itercolumns()
    ]
    names = columns.column_names
    for cells in zip(*values, strict=True):
        yield span_of(dict(zip(names, cells, strict=True)))


def turns_of(spans: Iterable[Span]) -> tuple[Turn, ...]:
    """Make the turns of one conversation's spans."""
    by_turn: dict[str, list[Span]] = {}
    for span in spans:
        by_turn.setdefault(span.turn_id or span.span_id, []).append(span)
    turns = [sorted(members, key=order_of) for members in by_turn.values()]
    turns.sort(key=lambda members: order_of(_agent(members)))
    return tuple(Turn(_agent(members), tuple(members), index) for index, members in enumerate(turns))


def conversations_of(spans: Iterable[Span]) -> dict[str, Conversation]:
    """Make conversations of spans, by id."""
    ordered = sorted(spans, key=lambda span: span.conversation_id or span.trace_id)
    return {
        name: Conversation(name, turns_of(members))
        for name, members in groupby(ordered, key=lambda span: span.conversation_id or span.trace_id)
    }


def span_of(row: Row) -> Span:
    """Make a Span of one row."""
    attributes = loads(row["attributes"])
    given, returned = loads(row["input"]), loads(row["output"])
    if not (isinstance(attributes, dict) and "auditlog.inexact" in attributes):
        # What an import kept as text says more than its value would.
        given = normalise.decoded(given)
    chat = chat_of(given, returned) if row["kind"] == "model" else NO_CHAT
    found = returned if row["kind"] == "retriever" and row["documents"] is None else loads(row["documents"])
    return Span(
        trace_id=row["trace_id"] or "",
        span_id=row["span_id"] or "",
        parent_span_id=row["parent_span_id"],
        turn_id=row["turn_id"],
        conversation_id=row["conversation_id"],
        kind=row["kind"] if row["kind"] in normalise.KINDS else "other",
        name=row["name"] or "",
        status=row["status"] if row["status"] in ("ok", "error") else "incomplete",
        start_ns=row["start_ns"] or 0,
        end_ns=row["end_ns"],
        source=row["source"] or "decorator",
        agent_name=row["agent_name"],
        agent_version=row["agent_version"],
        user_id=row["user_id"],
        model_requested=row["model_requested"],
        model_served=row["model_served"],
        provider=row["provider"],
        parameters=_mapping(row["parameters"]),
        finish_reasons=_texts(row["finish_reasons"]),
        usage=Usage(
            row["input_tokens"],
            row["output_tokens"],
            row["cache_read_tokens"],
            row["cache_write_tokens"],
            row["reasoning_tokens"],
        ),
        cost_usd=row["cost_usd"],
        ttft_ms=row["ttft_ms"],
        prompt_name=row["prompt_name"],
        prompt_version=row["prompt_version"],
        effect=row["effect"] if row["effect"] in ("read", "write", "control") else None,
        tool_call_id=row["tool_call_id"],
        tool_digest=row["tool_digest"],
        escalation_reason=row["escalation_reason"],
        escalation_to=row["escalation_to"],
        lossy=bool(row["lossy"]),
        stream=bool(row["stream"]),
        input=given,
        output=returned,
        system_instructions=normalise.system_text(loads(row["system_instructions"])) or chat.system,
        input_messages=normalise.messages(loads(row["input_messages"])) or chat.input_messages,
        output_messages=normalise.messages(loads(row["output_messages"])) or chat.output_messages,
        tool_definitions=normalise.decoded(loads(row["tool_definitions"])) or chat.tool_definitions,
        documents=documents(normalise.decoded(found)),
        fault=fault_of(loads(row["error"])),
        evaluations=evaluations_of(loads(row["evaluations"])),
        tags={
            key: value if isinstance(value, str) else _dumped(value)
            for key, value in _mapping(row["tags"]).items()
        },
        attributes=_mapping(row["attributes"]),
        replay=replay_of(row),
        segment=row["segment"],
        erased=row.get("erased", False),
        closed=row.get("closed"),
    )


def loads(content: bytes | str | None) -> Json:
    """Decode JSON; what is none stays text."""
    if content is None:
        return None
    try:
        return orjson.loads(content)
    except ValueError:
        return content if isinstance(content, str) else content.decode("utf-8", "backslashreplace")


def documents(value: Json) -> tuple[Document, ...]:
    """Make documents of a recorded list; an entry that is no mapping is a document's content."""
    return tuple(_document(item) for item in value) if isinstance(value, list) else ()


def _document(item: Json) -> Document:
    if not isinstance(item, dict):
        return Document(None, item if isinstance(item, str) else _dumped(item))
    content = next(
        (item[name] for name in ("content", "text", "page_content") if item.get(name) is not None), None
    )
    score, source = item.get("score"), item.get("source")
    return Document(
        id=None if item.get("id") is None else str(item["id"]),
        content=content if content is None or isinstance(content, str) else _dumped(content),
        score=float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
        source=source if source is None or isinstance(source, str) else _dumped(source),
    )


def evaluations_of(value: Json) -> tuple[Evaluation, ...]:
    """Make judgements of a recorded list."""
    found = []
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            number = item.get("value")
            fits = isinstance(number, int | float)
            found.append(
                Evaluation(
                    item["name"],
                    float(number) if fits else None,
                    _text(item, "label"),
                    _text(item, "explanation"),
                )
            )
    return tuple(found)


def fault_of(value: Json) -> Fault | None:
    """Make an error of what was recorded of it."""
    match value:
        case None:
            return None
        case {"type": str(kind)}:
            return Fault(kind, _text(value, "message") or "", _text(value, "stack"))
        case dict():
            return Fault("", _text(value, "message") or _dumped(value), _text(value, "stack"))
        case _:
            return Fault("", value if isinstance(value, str) else _dumped(value))


def replay_of(row: Row) -> Replay | None:
    """Say where a replayed span came from, by its columns; None for a recorded one."""
    if row["replay_run_id"] is None:
        return None
    return Replay(
        run_id=row["replay_run_id"],
        arm=row["replay_arm"] or "",
        repeat=row["replay_repeat"] or 0,
        source_trace_id=row["replay_source_trace_id"],
        source_span_id=row["replay_source_span_id"],
        candidate_digest=row["replay_candidate_digest"],
        mode=row["replay_mode"],
        match_tier=row["replay_match_tier"],
        status=row["replay_status"],
    )


def _agent(members: list[Span]) -> Span:
    named = next((span for span in members if span.span_id == span.turn_id), None)
    return named or next((span for span in members if span.kind == "agent"), members[0])


def order_of(span: Span) -> tuple[int, bool, str]:
    """Give what spans of a turn are ordered by."""
    # Of two spans that began in the same nanosecond, the one that called the other comes first.
    return span.start_ns, span.span_id != span.turn_id, span.span_id


def _mapping(content: bytes | str | None) -> dict[str, Json]:
    value = loads(content)
    return value if isinstance(value, dict) else {}


def _texts(content: str | None) -> tuple[str, ...]:
    value = loads(content)
    if isinstance(value, str):
        return (value,)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _text(item: Mapping[str, Json], name: str) -> str | None:
    value = item.get(name)
    return value if value is None or isinstance(value, str) else _dumped(value)


def _dumped(value: Json) -> str:
    return orjson.dumps(value).decode()
