"""Turns the terms of a filter into SQL over the views `conversations`, `turns` and `spans`.

The rules:

1. Every term becomes a condition of its own, true or false and never NULL; a filter is all of them.
2. What a list shows of a conversation or turn (status, counts, sums) is compared as the view has it; everything else
   asks whether any span of it is so.
3. The SQL is put together of this module's own words; a filter's values are bound, with their wildcards escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

from auditlog.record import PARTS

if TYPE_CHECKING:
    from auditlog.filters.language import Level, Match, Pattern, Term

Sql = tuple[str, list[Any]]

_TEXT_COLUMNS = ("input", "output", "input_messages", "output_messages", "documents")
_SUBJECT_COLUMNS = (
    "conversation_id",
    "user_id",
    *(name for name in PARTS if name not in ("vault", "tool_definitions", "resource", "scope")),
)
_JOINED = "array_to_string(TRY(CAST(output AS JSON)::VARCHAR[]), '')"
_NAME_COLUMNS = {
    "agent": ("agent_name",),
    "version": ("agent_version",),
    "model": ("model_requested", "model_served"),
    "provider": ("provider",),
    "user": ("user_id",),
    "conversation": ("conversation_id",),
    "error": ("error_type",),
    "prompt": ("prompt_name", "prompt_name || '@' || prompt_version"),
}
_WHY = {
    "error": "kind <> 'tool' AND status = 'error'",
    "escalated": "(escalation_reason IS NOT NULL OR kind = 'handoff')",
    "incomplete": "status = 'incomplete'",
    "tool error": "kind = 'tool' AND status = 'error'",
    "lossy": "lossy",
}
_MEASURES = {
    "tokens": "coalesce(input_tokens, 0)::HUGEINT + coalesce(output_tokens, 0)",
    "cost": "cost_usd",
    "duration": "duration_ms / 1e3",
    "turns": "turns",
    "tools": "tool_calls",
}
_OPERATORS = {":": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def condition(terms: Iterable[Term], level: Level) -> Sql:
    """Give the condition that all terms hold; see `Filter.where`."""
    parts: list[str] = []
    values: list[Any] = []
    for term in terms:
        sql, bound = _of_term(term, level)
        parts.append(f"NOT {sql}" if term.negated else sql)
        values += bound
    return " AND ".join(parts) or "TRUE", values


def _of_term(term: Term, level: Level) -> Sql:
    from auditlog.filters.language import Comparison

    if isinstance(term, Comparison):
        sql = f"coalesce({_MEASURES[term.field]} {_OPERATORS[term.op]} ?, FALSE)"
        if term.field == "turns" and level == "turn":
            sql = f"conversation_id IN (SELECT conversation_id FROM conversations WHERE {sql})"
        return f"({sql})", [term.number]
    if term.field == "escalated":
        return _any_of("coalesce(escalated, FALSE) = ?", [value.literal == "yes" for value in term.values])
    if term.field == "status":
        return _any_of("status = ?", [value.literal for value in term.values])
    test, values = spans_where(term)
    return f"({_inside(_key(level), f'({test})')})", values


def spans_where(term: Match) -> Sql:
    """Give the condition on rows of `spans` that makes a term hold for their conversation, whatever its sign."""
    choices = [_of_value(term, value) for value in term.values]
    return " OR ".join(sql for sql, _ in choices), [value for _, bound in choices for value in bound]


def _any_of(test: str, values: list[Any]) -> Sql:
    return f"({' OR '.join([test] * len(values))})", values


def _key(level: Level) -> str:
    return "conversation_id" if level == "conversation" else "turn_id"


def _inside(key: str, test: str) -> str:
    # NOT IN over a NULL would be neither true nor false, and drop every row.
    return f"{key} IN (SELECT {key} FROM spans WHERE {key} IS NOT NULL AND {test})"


def _of_value(term: Match, value: Pattern) -> Sql:
    match term.field:
        case "text":
            needle = _contained(value)
            tests = [f"{column} ILIKE ? ESCAPE '\\'" for column in _TEXT_COLUMNS]
            # A stream is recorded chunk by chunk, and people look for what it said.
            tests.append(
                f"CASE WHEN stream THEN coalesce({_JOINED} ILIKE ? ESCAPE '\\', FALSE) ELSE FALSE END"
            )
            said = "%".join(("", *map(_like, value.pieces), ""))
            return f"({' OR '.join(tests)})", [needle] * len(_TEXT_COLUMNS) + [said]
        case "subject":
            # A token stands where it stands: no case to fold, no escape, never split over the chunks of a stream.
            needle = _bindable("".join(value.pieces))
            tests = [f"coalesce(contains({column}, ?), FALSE)" for column in _SUBJECT_COLUMNS]
            return f"({' OR '.join(tests)})", [needle] * len(_SUBJECT_COLUMNS)
        case "doc":
            ids = [_contained(value, before=f'"{name}":"', after='"') for name in ("id", "source")]
            return (
                "(documents ILIKE ? ESCAPE '\\' OR documents ILIKE ? ESCAPE '\\')",
                ids,
            )
        case "tag":
            assert term.key is not None
            pointer = "/" + term.key.replace("~", "~0").replace("/", "~1")
            sql, bound = _named("json_extract_string(tags, ?)", value)
            return sql, [_bindable(pointer), *bound]
        case "tool":
            sql, bound = _named("name", value)
            return f"(kind = 'tool' AND {sql})", bound
        case "why":
            return f"({_WHY[value.literal or '']})", []
        case "kind" | "effect":
            return f"{term.field} = ?", [value.literal]
        case _:
            tests = [_named(column, value) for column in _NAME_COLUMNS[term.field]]
            return f"({' OR '.join(sql for sql, _ in tests)})", [v for _, bound in tests for v in bound]


def _named(column: str, value: Pattern) -> Sql:
    if value.literal is not None:
        return f"lower({column}) = lower(?)", [_bindable(value.literal)]
    return f"{column} ILIKE ? ESCAPE '\\'", ["%".join(_like(piece) for piece in value.pieces)]


def _contained(value: Pattern, before: str = "%", after: str = "%") -> str:
    """Give the LIKE pattern of a text inside JSON as the recorder writes it."""
    inner = "%".join(_like(_json(piece)) for piece in value.pieces)
    return f"%{before}{inner}{after}%" if before != "%" else f"%{inner}%"


def _json(piece: str) -> str:
    return orjson.dumps(_bindable(piece))[1:-1].decode()


def _bindable(piece: str) -> str:
    # A lone surrogate is in no column, and the database takes none.
    return piece.encode("utf-8", "replace").decode()


def _like(piece: str) -> str:
    return _bindable(piece).replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
