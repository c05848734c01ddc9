"""Turns the terms of a filter into SQL over the index of a store: what `filter_sql` says, for SQLite.

The rules:

1. A filter means the same here as over the view `conversations`; a term that asks for content is not for the index, and
   comes as the conversations that were found for it.
2. Names were folded when they were taken in; a filter's values are folded the same way.
3. The SQL is put together of this module's own words; a filter's values are bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from auditlog.fold import fold
from auditlog.store.index.rollup import ERROR, ESCALATED, INCOMPLETE

if TYPE_CHECKING:
    from auditlog.filters.language import Match, Pattern, Term

Sql = tuple[str, list[Any]]

CONTENT_FIELDS = frozenset(("text", "doc", "subject"))
"""The fields that ask for content."""

STATUS = f"CASE WHEN flags & {ERROR} THEN 'error' WHEN flags & {INCOMPLETE} THEN 'incomplete' ELSE 'ok' END"
INPUT_TOKENS = "coalesce(call_input, every_input)"
OUTPUT_TOKENS = "coalesce(call_output, every_output)"
COST = "coalesce(call_cost, every_cost)"
DURATION_MS = "(end_ns - start_ns) / 1e6"

_MEASURES = {
    "tokens": f"coalesce({INPUT_TOKENS}, 0) + coalesce({OUTPUT_TOKENS}, 0)",
    "cost": COST,
    "duration": f"{DURATION_MS} / 1e3",
    "turns": "turns",
    "tools": "tools",
}
_OPERATORS = {":": "=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def content_terms(terms: Iterable[Term]) -> list[int]:
    """Give the places of the terms that ask for content."""
    return [place for place, term in enumerate(terms) if term.field in CONTENT_FIELDS]


def condition(terms: Iterable[Term]) -> Sql:
    """Give the condition that all terms hold, on rows of `rollup`.

    The conversations for which a term about content holds stand in the table `found`, under the term's place.
    """
    parts: list[str] = []
    values: list[Any] = []
    for place, term in enumerate(terms):
        if term.field in CONTENT_FIELDS:
            sql, bound = "conversation IN (SELECT conversation FROM found WHERE term = ?)", [place]
        else:
            sql, bound = _of_term(term)
        parts.append(f"NOT ({sql})" if term.negated else f"({sql})")
        values += bound
    return " AND ".join(parts) or "TRUE", values


def _of_term(term: Term) -> Sql:
    from auditlog.filters.language import Comparison

    if isinstance(term, Comparison):
        return f"coalesce({_MEASURES[term.field]} {_OPERATORS[term.op]} ?, FALSE)", [term.number]
    match term.field:
        case "escalated":
            tests = [f"(flags & {ESCALATED} <> 0) = ?"] * len(term.values)
            return " OR ".join(tests), [value.literal == "yes" for value in term.values]
        case "status":
            return f"{STATUS} IN ({_marks(term.values)})", [value.literal for value in term.values]
        case "conversation":
            return _any_of([_conversation(value) for value in term.values])
        case _:
            field = f"tag.{term.key}" if term.field == "tag" else term.field
            sql, bound = _any_of([_name(term, value) for value in term.values])
            names = f"SELECT id FROM naming WHERE field = ? AND ({sql})"
            return f"conversation IN (SELECT conversation FROM saying WHERE name IN ({names}))", [
                _bindable(field),
                *bound,
            ]


def _conversation(value: Pattern) -> Sql:
    if value.literal is None:
        return "like_folded(?, fold(name))", [_pattern(value)]
    folded = _folded(value.literal)
    # Most names are their own folded form, and those that are not have it beside them.
    return (
        "conversation IN (SELECT id FROM known WHERE folded = ? OR (name = ? AND folded IS NULL))",
        [folded, folded],
    )


def _name(term: Match, value: Pattern) -> Sql:
    if term.field in ("why", "kind", "effect"):
        return "value = ?", [_bindable(value.literal or "")]
    if value.literal is None:
        return "like_folded(?, folded)", [_pattern(value)]
    return "folded = ?", [_folded(value.literal)]


def _any_of(tests: list[Sql]) -> Sql:
    return " OR ".join(f"({sql})" for sql, _ in tests), [value for _, bound in tests for value in bound]


def _marks(values: tuple[Pattern, ...]) -> str:
    return ", ".join("?" * len(values))


def _pattern(value: Pattern) -> str:
    r"""Write a pattern's folded pieces as one value: NUL stands between them, and `\0` for NUL itself."""
    return "\0".join(_folded(piece).replace("\\", "\\\\").replace("\0", "\\0") for piece in value.pieces)


def like_folded(pattern: str, text: str) -> bool:
    """Say whether a text holds the pieces of `_pattern` in order, from its beginning to its end."""
    first, *between, last = (_unescaped(piece) for piece in pattern.split("\0"))
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in between:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _unescaped(piece: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\0" if found[1] == "0" else found[1], piece, flags=re.DOTALL)


def _folded(text: str) -> str:
    return fold(_bindable(text))


def _bindable(piece: str) -> str:
    # A lone surrogate is in no column, and the database takes none.
    return piece.encode("utf-8", "replace").decode()
