"""Finds the recorded turns that attacks are laid into, and what in them can fill a text's gaps.

The rules:

1. A turn is a host when its recorded arguments hold the customer's words as they are, so that they can be exchanged.
2. Gaps are filled from what the turn's own tools were asked and answered: an attack speaks of things that the recording has
   answers for, so that the agent gets far enough to do harm.
3. Words can come in by the customer's message always; by a document, a tool's result or the memory where the turn has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from auditlog.values import Json, Span, Turn
from replay.attack.model import Host
from replay.risks.taxonomy import Surface
from replay.running.cases import unreplayable

_EMAIL = re.compile(r"[^\s@<>\"']{1,64}@[^\s@<>\"']{1,190}\.[a-zA-Z]{2,24}")
_IDENTIFIER = re.compile(r"(?=[^\s]*\d)[A-Za-z0-9][\w\-./#]{2,40}")
_AMOUNTS = ("amount", "total", "price", "sum", "balance")


def hosts_of(turns: Iterable[Turn]) -> Iterator[Host]:
    """Give the turns that attacks can be laid into, as hosts.

    Args:
        turns: recorded turns.
    """
    for turn in turns:
        if unreplayable(turn) is None and (said := turn.user_text) and path_of(turn.agent.input, said):
            agent = turn.agent
            yield Host(
                conversation_id=agent.conversation_id or "",
                trace_id=agent.trace_id,
                span_id=agent.span_id,
                said=said,
                gaps=_gaps(turn),
                surfaces=frozenset(_surfaces(turn, said)),
                empty=sum(v is None for s in turn.spans if s.kind == "tool" for _, v in leaves(s.output)),
            )


def path_of(arguments: Json, text: str) -> tuple[str | int, ...] | None:
    """Give where a text stands in the arguments: the last place, which is the newest message; None where it does not.

    Args:
        arguments: the recorded agent call's, by name.
        text: what the customer said.
    """
    return next((path for path, value in reversed(list(leaves(arguments))) if value == text), None)


def leaves(value: Json) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Give every scalar of a JSON value with the keys and positions that lead to it, in order."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        match item:
            case dict():
                waiting.extend(((*path, key), item[key]) for key in reversed(item))
            case list():
                waiting.extend(((*path, i), item[i]) for i in reversed(range(len(item))))
            case _:
                yield path, item


def _gaps(turn: Turn) -> dict[str, str]:
    tools = [span for span in turn.spans if span.kind == "tool"]
    asked = [v for span in tools for _, v in leaves(span.input) if isinstance(v, str)]
    found: dict[str, str] = {}
    if identifier := next((text for text in asked if _IDENTIFIER.fullmatch(text)), None):
        found["id"] = identifier
    results = [pair for span in tools for pair in leaves(span.output)]
    if email := next((m[0] for _, v in results if isinstance(v, str) and (m := _EMAIL.search(v))), None):
        found["email"] = email
    amounts = (v for p, v in results if p and p[-1] in _AMOUNTS and isinstance(v, int | float))
    if (amount := next(amounts, None)) is not None:
        found["amount"] = f"{amount:g}"
    return found


def _surfaces(turn: Turn, said: str) -> Iterator[Surface]:
    yield "user"
    if any(span.kind == "retriever" and _has_text(span) for span in turn.spans):
        yield "document"
    if any(span.kind == "tool" and _has_text(span) for span in turn.spans):
        yield "tool"
    path = path_of(turn.agent.input, said)
    others = (p for p, v in leaves(turn.agent.input) if p != path and isinstance(v, str) and len(v) > 1)
    if path is not None and any(path[: len(p) - 1] != p[:-1] for p in others):
        yield "memory"


def _has_text(span: Span) -> bool:
    return any(isinstance(value, str) and len(value) > 1 for _, value in leaves(span.output))
