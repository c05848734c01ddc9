"""Lays an attack into a recorded turn: other arguments, or other recorded answers.

The rules:

1. The customer's words are exchanged where they stand in the arguments, and nothing else in them.
2. A document or a tool's result keeps all that it said; the attack is added to its longest text, as somebody who may write
   one field of a record or one page of a help centre would add it. Where that is, `replay.attack.hosts` says.
3. What the agent remembers gets the attack at the end of its last text.
4. The recording itself is never changed: this makes values for a worker.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from auditlog.values import Json, Turn
from replay.attack.hosts import memory_of, path_of, text_of
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
    elif attack.cell.surface == "memory" and (place := memory_of(turn, path)) is not None:
        _put(given, place, f"{_at(given, place)} {attack.text}")
    return given


def answers_of(attack: AttackCase, calls: Iterable[Recorded]) -> tuple[Recorded, ...]:
    """Give the recorded answers that the agent is served.

    Args:
        attack: what is tried.
        calls: the turn's recorded calls.
    """
    kind = {"document": "retriever", "tool": "tool"}.get(attack.cell.surface)
    return tuple(
        replace(call, output=_with_text(call.output, call.types, attack.text)) if call.kind == kind else call
        for call in calls
    )


def _with_text(output: Json, types: Mapping[str, Any] | None, text: str) -> Json:
    place = text_of(output, types)
    if place is None:
        return output
    said = f"{_at(output, place)}\n{text}"
    if not place:
        return said
    given: Any = copy.deepcopy(output)
    _put(given, place, said)
    return given


def _put(value: Any, path: tuple[str | int, ...], text: str) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = text


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value
