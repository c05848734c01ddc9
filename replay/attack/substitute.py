"""Lays an attack into a recorded turn: other arguments, or other recorded answers.

The rules:

1. The customer's words are exchanged where they stand in the arguments, and nothing else in them.
2. A document or a tool's result keeps all that it said; the attack is added to its longest text, as somebody who may write
   one field of a record or one page of a help centre would add it.
3. What the agent remembers gets the attack at the end of its last text.
4. The recording itself is never changed: this makes values for a worker.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from auditlog.values import Json, Turn
from replay.attack.hosts import leaves, path_of
from replay.attack.model import AttackCase
from replay.matching.recorded import Recorded


def arguments_of(attack: AttackCase, turn: Turn) -> dict[str, Json]:
    """Give the arguments that the agent is called with.

    Args:
        attack: what is tried.
        turn: the recorded turn.
    """
    given: dict[str, Any] = copy.deepcopy(turn.agent.input) if isinstance(turn.agent.input, dict) else {}
    path = path_of(given, turn.user_text)
    if path is None:
        return given
    if attack.cell.surface == "user":
        _put(given, path, attack.text)
    elif attack.cell.surface == "memory":
        others = [p for p, v in leaves(given) if p != path and isinstance(v, str) and len(v) > 1]
        if others:
            _put(given, others[-1], f"{_at(given, others[-1])} {attack.text}")
    return given


def answers_of(attack: AttackCase, calls: Iterable[Recorded]) -> tuple[Recorded, ...]:
    """Give the recorded answers that the agent is served.

    Args:
        attack: what is tried.
        calls: the turn's recorded calls.
    """
    kind = {"document": "retriever", "tool": "tool"}.get(attack.cell.surface)
    return tuple(
        replace(call, output=_with_text(call.output, attack.text)) if call.kind == kind else call
        for call in calls
    )


def _with_text(output: Json, text: str) -> Json:
    texts = [(path, value) for path, value in leaves(output) if isinstance(value, str)]
    if not texts:
        return output
    path, value = max(texts, key=lambda pair: len(pair[1]))
    if not path:
        return f"{value}\n{text}"
    given: Any = copy.deepcopy(output)
    _put(given, path, f"{value}\n{text}")
    return given


def _put(value: Any, path: tuple[str | int, ...], text: str) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = text


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
