"""What a run and its workers say to one another, over two pipes of their own.

The rules:

1. A message is a JSON object behind its length; records travel as base64 text in it.
2. The run says `setup` once and then one `case` at a time; the worker answers `ready` or `failed`, and then a
   `result` for each case. The end of either pipe is the end of the talk.
3. The pipes are not the agent's standard streams: what an agent prints is nobody's message. What it writes into them all the
   same is no result, unless it is one of the case that was asked for.

::

    u32 length, little-endian | JSON
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from auditlog.errors import FormatError
from auditlog.record import decode_record
from auditlog.values import Json
from replay.matching.rules import NO_RULES, MatchRules, rules_from_json
from replay.sandbox.modes import Modes, modes_from_json

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

LENGTH = struct.Struct("<I")
MAX_MESSAGE_BYTES = 1 << 30

_STATUSES = ("complete", "diverged", "blocked", "errored", "unreplayable", "invalid")

LOCKS = ("guard", "intercept", "threads", "network", "landlock")
"""Every lock that a worker takes; a test that shows what a lock is for leaves it out."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is."""

    target: str
    adapter: bool
    modes: Modes
    paths: tuple[str, ...]
    """Directories to import from, before the installed packages."""
    scratch: str
    hosts: tuple[tuple[str, int], ...] = ()
    memory_bytes: int | None = None
    locks: tuple[str, ...] = LOCKS
    matching: MatchRules = NO_RULES
    """The declared differences between two calls that are none."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What the worker found the target to be."""

    name: str
    digest: str
    version: str | None
    locks: tuple[str, ...]
    """The locks that took hold on this machine."""
    refused: tuple[str, ...] = ()
    """What the target's modules were refused while they were imported."""
    unresolved: tuple[str, ...] = ()
    """Allowed hosts that have no address."""


@dataclass(frozen=True, slots=True)
class Job:
    """One case to run."""

    case_id: str
    arguments: Mapping[str, Json]
    """The recorded agent call's, by name."""
    cassette: list[dict[str, Any]]
    lineage: Mapping[str, Json]
    """Attributes of every span."""
    conversation_id: str
    user_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    agent_version: str | None = None
    types: Mapping[str, Any] | None = None
    """What stood in the arguments where JSON has another word: see `replay.matching.restore`."""
    before_fork: tuple[str, ...] = ()
    """Of a fork: the span ids of the recorded calls that come before it."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case."""

    status: CaseStatus
    why: str
    payloads: tuple[bytes, ...]
    """Its records; the agent's END is the last."""
    spent: bool = False
    """The worker cannot run another case: something of this one goes on in it."""


def pack(message: Mapping[str, Any]) -> bytes:
    """Frame a message."""
    body = orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
    return LENGTH.pack(len(body)) + body


def write_message(descriptor: int, message: Mapping[str, Any]) -> None:
    """Write a whole message; for the worker's side.

    Raises:
        OSError: the run is gone.
    """
    rest = memoryview(pack(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read_message(descriptor: int) -> dict[str, Any] | None:
    """Read a whole message; None at the end of the talk. For the worker's side."""
    head = _read_exactly(descriptor, LENGTH.size)
    if head is None:
        return None
    body = _read_exactly(descriptor, LENGTH.unpack(head)[0])
    return None if body is None else orjson.loads(body)


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Read a whole message; None at the end of the talk. For the run's side."""
    try:
        (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
        if length > MAX_MESSAGE_BYTES:
            return None
        message = orjson.loads(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError, orjson.JSONDecodeError):
        return None
    return message if isinstance(message, dict) else None


def setup_message(setup: Setup) -> dict[str, Any]:
    """Say `setup`."""
    return {"say": "setup", **asdict(setup)}


def read_setup(message: Mapping[str, Any]) -> Setup:
    """Understand `setup`."""
    fields: dict[str, Any] = {name: value for name, value in message.items() if name != "say"}
    fields["hosts"] = tuple((name, port) for name, port in fields["hosts"])
    fields["modes"] = modes_from_json(fields["modes"])
    fields["paths"], fields["locks"] = tuple(fields["paths"]), tuple(fields["locks"])
    fields["matching"] = rules_from_json(fields.get("matching"))
    return Setup(**fields)


def ready_message(ready: Ready) -> dict[str, Any]:
    """Say `ready`."""
    return {"say": "ready", **asdict(ready)}


def read_ready(message: Mapping[str, Any]) -> Ready:
    """Understand `ready`."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in message.items()
    }
    del fields["say"]
    return Ready(**fields)


def job_message(job: Job) -> dict[str, Any]:
    """Say `case`."""
    return {"say": "case", **{name: getattr(job, name) for name in Job.__slots__}}


def read_job(message: Mapping[str, Any]) -> Job:
    """Understand `case`."""
    return Job(**{name: value for name, value in message.items() if name != "say"})


def result_message(case_id: str, result: Result) -> dict[str, Any]:
    """Say `result`."""
    return {
        "say": "result",
        "case": case_id,
        "status": result.status,
        "why": result.why,
        "spent": result.spent,
        "payloads": [base64.b64encode(payload).decode("ascii") for payload in result.payloads],
    }


def read_result(case_id: str, message: Mapping[str, Any]) -> Result | None:
    """Understand `result`; None where it is no result of this case."""
    match message:
        case {
            "say": "result",
            "case": case,
            "status": str(status),
            "why": str(why),
            "spent": bool(spent),
            "payloads": [*texts],
        } if case == case_id and status in _STATUSES:
            pass
        case _:
            return None
    try:
        payloads = _decoded(texts)
        for payload in payloads:
            decode_record(payload)
    except (TypeError, ValueError, FormatError):
        return None
    return Result(status, why, payloads, spent=spent)


def _decoded(texts: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(text) for text in texts)


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
