"""What an execution did, made of its records: the records to keep, what it took, and what it is known by.

The rules:

1. A worker answers when its case is over, so a START record alone says nothing that its END does not: a call is one SPAN
   record. A call that never ended stays a START; one whose body did not run for real says so there, since it has no END that
   could. What was told while the case ran is not told again.
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

from auditlog.values import Span, Turn
from replay.running.calls import Call, CaseCalls
from replay.running.limits import NOTHING_SPENT, Spend
from replay.running.records import STATUS, WHY

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

_TIER = "auditlog.replay.match_tier"
_LEFT = "left"
"""The match tier of a call that was answered by the replay, and whose answer, a stream, the agent never took to its end."""

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
    case: CaseCalls, status: CaseStatus, why: str, more: Mapping[str, Any] | None = None
) -> Executed | None:
    """Make what is kept of the calls of one case.

    Args:
        case: its calls.
        status: how the case ended.
        why: one sentence; empty where there is nothing to say.
        more: further attributes of the agent's record.

    Returns:
        None where no outermost agent call has begun and ended among them.
    """
    calls = [call for call in case.calls.values() if call.ended]
    agent = next((call for call in calls if call.kind == "agent" and call.entry["turn"] == call.span), None)
    if agent is None:
        return None
    has_unfinished = len(calls) < len(case.calls)
    marks = orjson.dumps({STATUS: status, **({WHY: why} if why else {}), **(more or {})})
    known = agent.parts.get("attributes")
    agent.parts["attributes"] = marks if known is None or known == b"{}" else known[:-1] + b"," + marks[1:]
    others = [call for call in calls if call is not agent]
    models = [call for call in others if call.kind in ("model", "embedding")]
    asked = [call for call in case.calls.values() if call.kind in ("model", "embedding")]
    return Executed(
        (*payloads_of(case, agent), agent.payload(case.lineage)),
        behaviour="" if has_unfinished or status != "complete" else _behaviour(agent, others),
        measures=_measures(agent, others, models),
        # Of a call that never ended nothing says that it was served, but that it was never told as live.
        spend=spend_of(call for call in asked if call.ended or call.told),
        infrastructure=_infrastructure(models) if status == "errored" else "",
    )


def payloads_of(case: CaseCalls, agent: Call | None = None) -> list[bytes]:
    """Give the records of a case's calls that were not told yet, those that never ended first.

    Args:
        case: its calls.
        agent: one that is left out.
    """
    calls = [call for call in case.calls.values() if call is not agent]
    if any(not call.ended for call in calls):
        calls.sort(key=lambda call: call.ended)
        for call in calls:
            # A body that runs for real is told of before it does.
            if not (call.ended or call.told or call.kind == "agent") and call.span in case.opened:
                call.tell_of({_TIER: _LEFT})
    # Of a call that was told its end was told, too; an agent within the agent ends with its case.
    return [
        call.payload(case.lineage) for call in calls if not call.told or (call.ended and call.kind == "agent")
    ]


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


def _behaviour(agent: Call, others: Sequence[Call]) -> str:
    # An agent that returns nothing says what its model said last, and that is in no behaviour.
    if agent.parts.get("output", b"null") == b"null" or agent.entry["status"] != "ok":
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


def _measures(agent: Call, others: Sequence[Call], models: Sequence[Call]) -> dict[str, float | None]:
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


def spend_of(models: Iterable[Call]) -> Spend:
    """Give what live model calls took, those that never ended among them.

    Args:
        models: recorded calls of models.
    """
    spend = NOTHING_SPENT
    for call in models:
        if _TIER in call.attributes:
            continue
        columns = call.columns
        usd = columns.get("cost_usd")
        told = [columns[name] for name in ("input_tokens", "output_tokens") if columns.get(name) is not None]
        spend = spend.plus(Spend(usd or 0.0, sum(told), 1, int(usd is None), int(not told)))
    return spend


def _infrastructure(models: Sequence[Call]) -> str:
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
