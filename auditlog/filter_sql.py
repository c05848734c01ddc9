"""Turns the terms of a filter into SQL over the columns of a span.

The rules:

1. Every term becomes a condition of its own on `conversation_id` or `turn_id`; a filter is all of them.
2. The SQL is put together of this module's own words; a filter's values are bound, with their wildcards escaped.
3. What counts and sums mean is what the views `conversations` and `turns` show: tokens and cost are summed over the
   model calls, or taken from the other spans where no model call reports any.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from auditlog.filter import Comparison, Level, Match, Pattern, Term

Sql = tuple[str, list[Any]]

_TEXT_COLUMNS = ("input", "output", "input_messages", "output_messages", "documents")
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
    "error": "span_id = turn_id AND status = 'error'",
    "escalated": "(escalation_reason IS NOT NULL OR kind = 'handoff')",
    "incomplete": "span_id = turn_id AND status = 'incomplete'",
    "tool error": "kind = 'tool' AND status = 'error'",
    "lossy": "lossy",
}
_TURN_STATUS = (
    "CASE WHEN bool_or(status = 'error') THEN 'error' "
    "WHEN bool_or(status = 'incomplete') THEN 'incomplete' ELSE 'ok' END"
)


def _sum(expression: str) -> str:
    return f"coalesce(sum({expression}) FILTER (kind = 'model'), sum({expression}))"


_MEASURES = {
    "tokens": _sum("coalesce(input_tokens, 0) + coalesce(output_tokens, 0)"),
    "cost": _sum("cost_usd"),
    "duration": "(max(end_ns) - min(start_ns)) / 1e9",
    "turns": "count(DISTINCT turn_id)",
    "tools": "count(*) FILTER (kind = 'tool')",
}
_OPERATORS = {":": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def condition(terms: Iterable[Term], level: Level, spans: str) -> Sql:
    """Give the condition that all terms hold; see `Filter.where`."""
    parts: list[str] = []
    values: list[Any] = []
    for term in terms:
        sql, bound = _of_term(term, level, spans)
        parts.append(f"NOT {sql}" if term.negated else sql)
        values += bound
    return " AND ".join(parts) or "TRUE", values


def _of_term(term: Term, level: Level, spans: str) -> Sql:
    from auditlog.filter import Comparison

    if isinstance(term, Comparison):
        return _of_comparison(term, level, spans)
    # Whether a conversation is escalated, or ended well, is about all of it: the terms for `no` and `ok` are no
    # question that one span answers.
    if term.field == "escalated":
        wanted = {value.literal for value in term.values}
        inside = _inside(_key(level), spans, _WHY["escalated"])
        sql = "TRUE" if len(wanted) > 1 else inside if wanted == {"yes"} else f"NOT {inside}"
        return f"({sql})", []
    if term.field == "status":
        marks = ", ".join("?" * len(term.values))
        ended = f"HAVING {_TURN_STATUS} IN ({marks})"
        key = _key(level)
        sql = (
            f"SELECT {key} FROM {spans} WHERE {key} IS NOT NULL AND span_id = turn_id GROUP BY {key} {ended}"
        )
        return f"({key} IN ({sql}))", [value.literal for value in term.values]
    choices = [_of_value(term, value) for value in term.values]
    test = " OR ".join(sql for sql, _ in choices)
    return f"({_inside(_key(level), spans, f'({test})')})", [value for _, bound in choices for value in bound]


def _of_comparison(term: Comparison, level: Level, spans: str) -> Sql:
    # How many turns there are is a fact of the conversation at either level.
    key = "conversation_id" if term.field == "turns" else _key(level)
    measure = f"{_MEASURES[term.field]} {_OPERATORS[term.op]} ?"
    sql = f"SELECT {key} FROM {spans} WHERE {key} IS NOT NULL GROUP BY {key} HAVING {measure}"
    return f"({key} IN ({sql}))", [term.number]


def _key(level: Level) -> str:
    return "conversation_id" if level == "conversation" else "turn_id"


def _inside(key: str, spans: str, test: str) -> str:
    # NOT IN over a NULL would be neither true nor false, and drop every row.
    return f"{key} IN (SELECT {key} FROM {spans} WHERE {key} IS NOT NULL AND {test})"


def _of_value(term: Match, value: Pattern) -> Sql:
    match term.field:
        case "text":
            needle = _contained(value)
            tests = [f"TRY(decode({column})) ILIKE ? ESCAPE '\\'" for column in _TEXT_COLUMNS]
            return f"({' OR '.join(tests)})", [needle] * len(tests)
        case "doc":
            ids = [_contained(value, before=f'"{name}":"', after='"') for name in ("id", "source")]
            return (
                "(TRY(decode(documents)) ILIKE ? ESCAPE '\\' OR TRY(decode(documents)) ILIKE ? ESCAPE '\\')",
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
