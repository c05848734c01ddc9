"""The records of a replay: a case's lineage and status on its spans, and cases that never ran.

The rules:

1. A replay's result is an ordinary audit trail: new ids, a new conversation, and attributes that say where it came from.
2. A case's status stands on its agent's record, which is written last: a case is done exactly when that is there.
3. A case that never came to run an agent has an agent span all the same, made here, so that every case is counted.
4. A run's manifest and its end are spans, too: kind `other`, with the run's id, so that ordinary queries leave them out.
5. Such records count only where this program wrote them: what an import or somebody's instrumentation says under their names is
   no run, no score, no verdict and no attack. Neither is what a worker sends that is not of its very execution.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from auditlog.context import new_span_id
from auditlog.record import Record, decode_record, encode_record
from auditlog.reserved import is_reserved
from auditlog.values import Json, Span

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.diff.model import CaseStatus

RUN = "auditlog.replay.run_id"
ARM = "auditlog.replay.arm"
REPEAT = "auditlog.replay.repeat"
SOURCE_TRACE = "auditlog.replay.source_trace_id"
SOURCE_SPAN = "auditlog.replay.source_span_id"
CANDIDATE_DIGEST = "auditlog.replay.candidate_digest"
MODE = "auditlog.replay.mode"
STATUS = "auditlog.replay.status"
WHY = "auditlog.replay.why"
CASE = "auditlog.replay.case"
OVERRIDDEN = "auditlog.replay.overridden"
"""What of a candidate's overrides reached something in a case, by label."""

MANIFEST = "replay_run"
"""The name of a run's first span; its input is the manifest."""
RUN_END = "replay_run_end"
"""The name of a complete run's last span; its input holds the counts."""
RUN_STOP = "replay_run_stop"
"""The name of the last span of a process that a budget stopped; its input says which."""
RETRIED = "auditlog.replay.retried"
"""How often an execution had been tried when it failed in this span and was tried again; such a span has no status."""
RETRIED_FOR = "auditlog.replay.retried_for"


class Place(NamedTuple):
    """Where a case's records belong."""

    conversation_id: str
    user_id: str | None
    tags: Mapping[str, str]
    lineage: Mapping[str, Json]


def retried(payloads: Sequence[bytes], attempt: int, infrastructure: str) -> list[bytes]:
    """Mark an execution that failed and is tried again: it has no status, so it is not done, and it is known why.

    Args:
        payloads: its records, the agent's last.
        attempt: from 1.
        infrastructure: the error.
    """
    agent = decode_record(payloads[-1])
    attributes = agent.json("attributes") or {}
    attributes.pop(STATUS, None)
    entry = {name: value for name, value in agent.entry.items() if name not in ("v", "parts")}
    marked = {**attributes, RETRIED: attempt, RETRIED_FOR: infrastructure}
    return [*payloads[:-1], encode_record(entry, {**agent.parts, "attributes": orjson.dumps(marked)})]


def is_own(
    record: Record,
    lineage: Mapping[str, Json],
    types: tuple[str, ...] = ("start", "span"),
    *,
    closes: bool = False,
) -> bool:
    """Whether a record that a worker sent is of its execution, and is none that only a run writes.

    Args:
        record: what it sent.
        lineage: the attributes that every span of its execution has.
        types: what it may be.
        closes: whether it is the one that says how the execution ended: a second one would be a second execution.
    """
    entry = record.entry
    if entry["type"] not in types or is_reserved(str(entry.get("kind")), str(entry.get("name"))):
        return False
    attributes = record.json("attributes")
    if not isinstance(attributes, dict) or (STATUS in attributes and not closes):
        return False
    return lineage.items() <= attributes.items()


def own_records(
    store: Store, name: str, run_id: str | None = None, condition: str = "", given: Sequence[Any] = ()
) -> Iterator[Span]:
    """Give the records of a name that this program itself wrote into a store.

    Args:
        store: where they are.
        name: theirs, such as `MANIFEST`.
        run_id: of this run only.
        condition: what else must hold of them, as SQL.
        given: its parameters.
    """
    of_run = "replay_run_id IS NOT NULL" if run_id is None else "replay_run_id = ?"
    conditions = f"kind = 'other' AND name = ? AND source = 'decorator' AND {of_run}"
    if condition:
        conditions += f" AND {condition}"
    yield from store.spans(conditions, [name, *([] if run_id is None else [run_id]), *given])


def unrun_case(
    place: Place, agent_name: str, arguments: Json, status: CaseStatus, why: str, *, fault: str | None = None
) -> bytes:
    """Make the agent span of a case in which no agent ran to its end.

    Args:
        place: its conversation and lineage.
        agent_name: the recorded agent's name.
        arguments: what the agent was to be called with.
        status: how the case ended.
        why: one sentence.
        fault: the error's type; by default the status.
    """
    attributes = {
        **place.lineage,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": agent_name,
        STATUS: status,
        WHY: why,
        **({"user.id": place.user_id} if place.user_id is not None else {}),
        **{f"auditlog.tag.{key}": value for key, value in place.tags.items()},
    }
    error = {"type": fault or status, "message": why}
    parts = _parts(attributes, {"input": arguments, "error": error})
    return _lone_span("agent", agent_name, place.conversation_id, "error", parts)


def run_span(
    name: str,
    run_id: str,
    content: Json,
    attributes: Mapping[str, Json] | None = None,
    conversation_id: str | None = None,
) -> bytes:
    """Make a run's manifest, its end, or what is said of one of its executions.

    Args:
        name: `MANIFEST`, `RUN_END`, or what the reader looks for.
        run_id: the run.
        content: what it says, as JSON.
        attributes: further attributes.
        conversation_id: where it belongs; by default to the run's own records. What is said of a customer's turn belongs
            elsewhere, with the recorded turn's trace among the attributes, so that it is erased with it.
    """
    parts = _parts({RUN: run_id, **(attributes or {})}, {"input": content})
    return _lone_span("other", name, conversation_id or f"{run_id}/run", "ok", parts)


def _lone_span(kind: str, name: str, conversation_id: str, status: str, parts: Mapping[str, bytes]) -> bytes:
    """Make a span that is a turn by itself and took no time."""
    span, now = new_span_id(), time.time_ns()
    entry = {
        "type": "span",
        "time": now,
        "end": now,
        "trace": new_span_id() + new_span_id(),
        "span": span,
        "parent": None,
        "turn": span,
        "conversation": conversation_id,
        "kind": kind,
        "name": name,
        "source": "decorator",
        "status": status,
    }
    return encode_record(entry, parts)


def _parts(attributes: Mapping[str, Json], contents: Mapping[str, Json]) -> dict[str, bytes]:
    given = {name: orjson.dumps(content) for name, content in contents.items() if content is not None}
    return {**given, "attributes": orjson.dumps(attributes, default=str)}
