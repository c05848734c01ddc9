"""What an execution did, made of its records: the records to keep, what it took, and what it is known by.

The rules:

1. A worker answers when its case is over, so a START record alone says nothing that its END does not: both become one SPAN
   record. A call that never ended stays a START.
2. The agent's record comes last and carries the case's status: an execution is done exactly when that is there.
3. A behaviour's digest covers, byte for byte, what the agent did in order, what it was answered, and what it said. Equal
   digests are equal behaviours; of different ones only the diff says whether they differ.
4. Spend is what live model calls recorded: what a recording answered costs nothing.
5. An execution failed because of the infrastructure when its agent failed and the last model call before that ended in a
   rate limit, a server's error, a timeout or a lost connection, as the recorded error's type or status says. An agent that
   answered all the same did what it does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from auditlog import normalise
from auditlog.joined import joined
from auditlog.record import Record, decode_record, encode_record
from auditlog.values import Span, Turn
from replay.running.limits import NOTHING_SPENT, Spend
from replay.running.records import STATUS, WHY

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

_TIER = "auditlog.replay.match_tier"

_INFRASTRUCTURE = re.compile(
    r"(RateLimit|TooManyRequests|ServiceUnavailable|InternalServer|BadGateway|Overloaded|Timeout|TimedOut|APIConnection|Connect"
    r"|ConnectionError|ConnectionReset|ConnectionAborted|ConnectionRefused|RemoteProtocol|ReadError|WriteError|ServerDisconnected"
    r"|IncompleteRead|BrokenPipe)(Error|Exception|d)?$|^(Timeout|ConnectTimeout|ReadTimeout|PoolTimeout)$"
)
_STATUS_NAMES = ("http.response.status_code", "error.status_code", "http.status_code")
_SAID_STATUS = re.compile(r"^(?:Error code: |HTTP(?: Error)? |Server error '|Client error ')(\d{3})\b")
_RETRIED_STATUSES = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of an execution, beside its status."""

    records: tuple[bytes, ...]
    behaviour: str = ""
    """Empty where it is not known."""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    spend: Spend = NOTHING_SPENT
    infrastructure: str = ""
    """The type of the infrastructure's error that it failed with; empty where it was none."""


def executed(
    payloads: Iterable[bytes], status: CaseStatus, why: str, more: Mapping[str, Any] | None = None
) -> Executed | None:
    """Make what is kept of the records of one case.

    Args:
        payloads: as the recorder made them, oldest first.
        status: how the case ended.
        why: one sentence; empty where there is nothing to say.
        more: further attributes of the agent's record.

    Returns:
        None where no outermost agent call has begun and ended among them.
    """
    calls, unfinished = _calls(payloads)
    agent = next((call for call in calls if call.kind == "agent" and call.entry["turn"] == call.span), None)
    if agent is None:
        return None
    marks = orjson.dumps({STATUS: status, **({WHY: why} if why else {}), **(more or {})})
    known = agent.parts.get("attributes")
    agent.parts["attributes"] = marks if known is None or known == b"{}" else known[:-1] + b"," + marks[1:]
    others = [call for call in calls if call is not agent]
    models = [call for call in others if call.kind in ("model", "embedding")]
    return Executed(
        (*unfinished, *(call.payload() for call in others), agent.payload()),
        behaviour="" if unfinished or status != "complete" else _behaviour(agent, others),
        measures=_measures(agent, others, models),
        spend=_spend(models),
        infrastructure=_infrastructure(models) if status == "errored" else "",
    )


def behaviour_of(turn: Turn) -> str:
    """Give the digest of a recorded turn's behaviour; empty where it is not known.

    Args:
        turn: the recorded turn.
    """
    if turn.agent.status != "ok" or turn.agent.output is None:
        return ""
    places = {turn.turn_id: 0}
    said: list[object] = []
    for span in turn.spans:
        if span is turn.agent or span.kind in ("model", "embedding"):
            continue
        if span.status == "incomplete" or (span.documents and span.output is None):
            return ""
        places[span.span_id] = len(places)
        said.append(
            [
                span.kind,
                span.name,
                places.get(span.parent_span_id or "", 0),
                span.status,
                _fault_of(span),
                span.escalation_reason,
                span.escalation_to,
            ]
        )
        said += [span.input, span.output]
    said += [turn.agent.escalation_reason, turn.agent.output]
    return _digest(map(orjson.dumps, said))


class _Call:
    """A call that has ended, taken apart."""

    __slots__ = ("_attributes", "_whole", "entry", "kind", "parts", "span")

    def __init__(self, entry: dict[str, Any], parts: dict[str, bytes]) -> None:
        self.entry, self.parts = entry, parts
        self.kind: str = entry["kind"]
        self.span: str = entry["span"]
        self._attributes: dict[str, Any] | None = None
        self._whole: Mapping[str, Any] | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        if self._attributes is None:
            self._attributes = orjson.loads(self.parts.get("attributes", b"{}"))
        return self._attributes

    @property
    def columns(self) -> Mapping[str, Any]:
        if self._whole is None:
            self._whole = normalise.filled({**self.entry, "start": self.entry["time"]}, self.parts)
        return self._whole

    def fault(self) -> list[Any] | None:
        told = orjson.loads(self.parts["error"]) if "error" in self.parts else None
        return [told.get("type"), told.get("message")] if isinstance(told, dict) else None

    def payload(self) -> bytes:
        return encode_record(self.entry, self.parts)


def _calls(payloads: Iterable[bytes]) -> tuple[list[_Call], list[bytes]]:
    """Join the records of each call; give the calls that ended, as they began, and the STARTs of the others."""
    found: dict[str, tuple[bytes, Record | None, Record | None]] = {}
    for payload in payloads:
        record = decode_record(payload)
        span = record.entry["span"]
        if record.type == "start":
            found[span] = (payload, record, None)
        elif record.type in ("end", "span"):
            before = found.get(span, (payload, None, None))
            found[span] = (before[0], before[1], record)
    calls, unfinished = [], []
    for payload, start, end in found.values():
        if end is None:
            unfinished.append(payload)
            continue
        facts, parts = joined(start, end)
        facts["type"], facts["time"] = "span", facts.pop("start")
        calls.append(_Call(facts, parts))
    return calls, unfinished


def _behaviour(agent: _Call, others: Sequence[_Call]) -> str:
    if "output" not in agent.parts or agent.entry["status"] != "ok":
        return ""
    places = {agent.span: 0}
    said: list[bytes] = []
    for call in others:
        if call.kind in ("model", "embedding"):
            continue
        if "documents" in call.parts:
            return ""
        places[call.span] = len(places)
        entry, hands_off = call.entry, b"auditlog.escalation" in call.parts.get("attributes", b"")
        said.append(
            orjson.dumps(
                [
                    call.kind,
                    entry["name"],
                    places.get(entry["parent"] or "", 0),
                    entry["status"],
                    call.fault(),
                    call.attributes.get("auditlog.escalation.reason") if hands_off else None,
                    call.attributes.get("auditlog.escalation.to") if hands_off else None,
                ]
            )
        )
        said += [call.parts.get("input", b"null"), call.parts.get("output", b"null")]
    handed = b"auditlog.escalation" in agent.parts["attributes"]
    reason = agent.attributes.get("auditlog.escalation.reason") if handed else None
    said += [orjson.dumps(reason), agent.parts["output"]]
    return _digest(said)


def _digest(pieces: Iterable[bytes]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        found.update(b"%d:" % len(piece))
        found.update(piece)
    return found.hexdigest()


def _fault_of(span: Span) -> list[Any] | None:
    return None if span.fault is None else [span.fault.type, span.fault.message]


def _measures(agent: _Call, others: Sequence[_Call], models: Sequence[_Call]) -> dict[str, float | None]:
    ended = agent.entry["end"]
    found: dict[str, float | None] = {
        "latency_ms": None if ended is None else (ended - agent.entry["time"]) / 1e6,
        "model_calls": float(sum(call.kind == "model" for call in models)),
        "tool_calls": float(sum(call.kind == "tool" for call in others)),
    }
    for name in ("cost_usd", "input_tokens", "output_tokens"):
        reported = [value for call in models if (value := call.columns.get(name)) is not None]
        if not reported and (b"usage" in agent.parts["attributes"] or b"cost" in agent.parts["attributes"]):
            reported = [value for value in (agent.columns.get(name),) if value is not None]
        found[name] = sum(reported) if reported else None
    return found


def _spend(models: Iterable[_Call]) -> Spend:
    spend = NOTHING_SPENT
    for call in models:
        if _TIER in call.attributes:
            continue
        columns = call.columns
        usd = columns.get("cost_usd")
        tokens = (columns.get("input_tokens") or 0) + (columns.get("output_tokens") or 0)
        spend = spend.plus(Spend(usd or 0.0, tokens, 1, int(usd is None)))
    return spend


def _infrastructure(models: Sequence[_Call]) -> str:
    asked = [call for call in models if call.kind == "model"]
    if not asked or asked[-1].entry["status"] != "error" or _TIER in asked[-1].attributes:
        return ""
    kind, message = asked[-1].fault() or ("", "")
    return is_infrastructure(str(kind or ""), str(message or ""), asked[-1].attributes)


def is_infrastructure(kind: str, message: str = "", attributes: Mapping[str, Any] | None = None) -> str:
    """Say which error of the infrastructure a recorded error is; empty where it is none.

    Args:
        kind: the recorded error's type, such as `openai.RateLimitError`.
        message: its recorded text; only a status at its beginning, as clients write it, counts.
        attributes: the call's.
    """
    name = kind.rpartition(".")[2]
    statuses = [value for key in _STATUS_NAMES if isinstance(value := (attributes or {}).get(key), int)]
    if not statuses and (said := _SAID_STATUS.match(message)):
        statuses = [int(said[1])]
    if statuses:
        return f"{name} {statuses[0]}".strip() if statuses[0] in _RETRIED_STATUSES else ""
    return name if _INFRASTRUCTURE.search(name) else ""
