"""What a scoring process and its workers say to one another, over two pipes of their own.

The rules:

1. A message is a JSON object behind its length, in either direction: nothing that was recorded is ever unpickled.
2. An execution travels as its values: what comes out is equal to what went in, but for what JSON does not have.

::

    u32 length, little-endian | JSON
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import orjson

from auditlog.values import (
    Document,
    Evaluation,
    Fault,
    Message,
    Part,
    Replay,
    Span,
    Turn,
    Usage,
)
from replay.pipes import read_exactly, write_all
from replay.running.cases import Case
from replay.scorers.model import Subject

LENGTH = struct.Struct("<I")


def framed(message: Mapping[str, Any]) -> bytes:
    """Frame a message."""
    try:
        body = orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Numbers beyond 64 bits, and text that is no Unicode.
        body = json.dumps(message, default=_plain).encode()
    return LENGTH.pack(len(body)) + body


def loaded(body: bytes) -> dict[str, Any] | None:
    """Read a message's JSON; None where it is no object."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            return None
    return message if isinstance(message, dict) else None


def write_message(descriptor: int, message: Mapping[str, Any]) -> None:
    """Write a whole message; for the worker's side.

    Raises:
        OSError: the other side is gone.
    """
    write_all(descriptor, framed(message))


def read_message(descriptor: int) -> dict[str, Any] | None:
    """Read a whole message; None at the end of the talk. For the worker's side."""
    head = read_exactly(descriptor, LENGTH.size)
    body = None if head is None else read_exactly(descriptor, LENGTH.unpack(head)[0])
    return None if body is None else loaded(body)


def subject_json(subject: Subject) -> dict[str, Any]:
    """Give an execution as what JSON can write."""
    return {
        "case": subject.case,
        "run": _turn_json(subject.run),
        "reference": _turn_json(subject.reference),
        "recorded": _turn_json(subject.recorded),
        "history": [_turn_json(turn) for turn in subject.history],
        "arm": subject.arm,
        "repeat": subject.repeat,
        "status": subject.status,
        "reference_status": subject.reference_status,
        "expected": dict(subject.expected),
    }


def subject_of(message: Mapping[str, Any]) -> Subject:
    """Read back what `subject_json` gave."""
    run = _turn(message["run"])
    assert run is not None
    fields: dict[str, Any] = {
        **message,
        "case": Case(**message["case"]),
        "run": run,
        "reference": _turn(message["reference"]),
        "recorded": _turn(message["recorded"]),
        "history": tuple(turn for item in message["history"] if (turn := _turn(item)) is not None),
    }
    return Subject(**fields)


def _turn_json(turn: Turn | None) -> dict[str, Any] | None:
    if turn is None:
        return None
    at = next((i for i, span in enumerate(turn.spans) if span is turn.agent), -1)
    return {"agent": turn.agent if at < 0 else at, "spans": turn.spans, "index": turn.index}


def _turn(content: Mapping[str, Any] | None) -> Turn | None:
    if content is None:
        return None
    spans = tuple(map(_span, content["spans"]))
    agent = content["agent"]
    return Turn(spans[agent] if isinstance(agent, int) else _span(agent), spans, content["index"])


def _span(content: Mapping[str, Any]) -> Span:
    fields: dict[str, Any] = {
        **content,
        "usage": Usage(**content["usage"]),
        "finish_reasons": tuple(content["finish_reasons"]),
        "input_messages": tuple(map(_message, content["input_messages"])),
        "output_messages": tuple(map(_message, content["output_messages"])),
        "documents": tuple(Document(**item) for item in content["documents"]),
        "evaluations": tuple(Evaluation(**item) for item in content["evaluations"]),
        "fault": None if content["fault"] is None else Fault(**content["fault"]),
        "replay": None if content["replay"] is None else Replay(**content["replay"]),
    }
    return Span(**fields)


def _message(content: Mapping[str, Any]) -> Message:
    parts = tuple(Part(**item) for item in content["parts"])
    return Message(content["role"], parts, content["finish_reason"])


def _plain(value: Any) -> Any:
    """Give a dataclass's fields, for Python's own writer of JSON."""
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}
