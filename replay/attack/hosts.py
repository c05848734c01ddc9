"""Finds the recorded turns that attacks are laid into, and what in them can fill a text's gaps.

The rules:

1. A turn is a host when its recorded arguments hold the customer's words as they are, so that they can be exchanged.
2. Gaps are filled from what the turn's own tools were asked and answered: an attack speaks of things that the recording has
   answers for, so that the agent gets far enough to do harm.
3. Words can come in by the customer's message always; by a document, a tool's result or the memory where the turn has one.
4. They go where somebody's words stand: not where a text was recorded in the place of something else (a date, bytes), nor into a
   role or a name; of an HTTP response only into its body.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from auditlog.values import Json, Turn
from replay.attack.model import Host
from replay.matching.recorded import types_of
from replay.risks.taxonomy import Surface
from replay.running.cases import unreplayable

_EMAIL = re.compile(r"[^\s@<>\"']{1,64}@[^\s@<>\"']{1,190}\.[a-zA-Z]{2,24}")
_IDENTIFIER = re.compile(r"(?=[^\s]*\d)[A-Za-z0-9][\w\-./#]{2,40}")
Path = tuple[str | int, ...]
"""Keys and positions that lead to a value."""

_LABELS = frozenset(
    ("role", "type", "kind", "id", "name", "tool_call_id", "channel", "locale", "language", "base64")
)
_MARKED = frozenset(("bytes", "bytearray", "text", "int", "float", "ndarray"))
"""What is recorded as a mapping of its own, such as bytes: its fields are nobody's words."""
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


def path_of(arguments: Json, text: str) -> Path | None:
    """Give where a text stands in the arguments: the last place, which is the newest message; None where it does not.

    Args:
        arguments: the recorded agent call's, by name.
        text: what the customer said.
    """
    return next((path for path, value in reversed(list(leaves(arguments))) if value == text), None)


def leaves(value: Json) -> Iterator[tuple[Path, Any]]:
    """Give every scalar of a JSON value with the keys and positions that lead to it, in order."""
    waiting: list[tuple[Path, Any]] = [((), value)]
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
    for surface, kind in (("document", "retriever"), ("tool", "tool")):
        if any(text_of(s.output, types_of(s, "output")) is not None for s in turn.spans if s.kind == kind):
            yield surface  # type: ignore[misc]
    path = path_of(turn.agent.input, said)
    if path is not None and memory_of(turn, path) is not None:
        yield "memory"


def text_of(output: Json, types: Mapping[str, Any] | None = None) -> Path | None:
    """Give where the longest text of a result stands; None where it has none.

    Args:
        output: the recorded result.
        types: what stood in it where JSON has another word.
    """
    body = output.get("body") if _is_response(output) else None
    texts = [
        (path, value)
        for path, value in leaves(output)
        if _is_said(path, value, types) and (body is None or path[:1] == ("body",))
    ]
    return max(texts, key=lambda pair: len(pair[1]))[0] if texts else None


def memory_of(turn: Turn, message: Path) -> Path | None:
    """Give where the last text stands that an agent was given beside the customer's message; None where there is none.

    Args:
        turn: the recorded turn.
        message: where the message stands in its arguments.
    """
    types = types_of(turn.agent, "input")
    found = [
        path
        for path, value in leaves(turn.agent.input)
        # Not beside the message in one mapping: that is said of it, and not before it.
        if path != message and message[: len(path) - 1] != path[:-1] and _is_said(path, value, types)
    ]
    return found[-1] if found else None


def _is_said(path: Path, value: Any, types: Mapping[str, Any] | None) -> bool:
    """Whether a leaf is words of somebody's."""
    if not isinstance(value, str) or len(value) < 2 or (path and path[-1] in _LABELS):
        return False
    tree: Any = types
    for key in path:
        if not isinstance(tree, Mapping):
            return True
        if tree.get("as") in _MARKED:
            return False
        inner = (tree.get("of") or {}).get(str(key))
        tree = inner if inner is not None else tree.get("each")
    return not isinstance(tree, Mapping) or "as" not in tree


def _is_response(output: Json) -> bool:
    """Whether a result is an HTTP response, as undecorated HTTP is recorded."""
    return isinstance(output, dict) and {"status", "headers", "body"} <= output.keys()
