"""What a worker told of a case while it ran: the calls whose bodies ran for real, and the calls around them.

The rules:

1. What is told is kept at once. When its case is over in the ordinary way, the rest of its records follow, and nothing twice.
   A call that has not ended by then stays as it began, for who judges the case as for who reads the store.
2. A case without an answer ends here: what had begun gets an end, the agent's with the case's status, so that what it did for
   real stands in the turn that did it.
3. What its live model calls took counts, whatever became of the case.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from auditlog.record import Record, decode_record, encode_record
from auditlog.values import Json
from replay.running.calls import Call
from replay.running.executed import spend_of
from replay.running.protocol import Result, Told
from replay.running.records import RETRIED_FOR, STATUS, WHY

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus
    from replay.running.limits import Spend


class ToldCase:
    """What was told of one case."""

    def __init__(self, lineage: Mapping[str, Json], keep: Callable[[Sequence[bytes]], object] | None) -> None:
        """Begin with nothing.

        Args:
            lineage: the attributes of all its records.
            keep: keeps records at once; None where only an answer reaches the run: then they go with it.
        """
        self._lineage = lineage
        self._keep = keep
        self._waiting: list[bytes] = []
        self._calls: dict[str, Call] = {}

    @property
    def _said(self) -> bytes:
        return orjson.dumps(self._lineage)

    def __bool__(self) -> bool:
        """Whether anything was told."""
        return bool(self._calls)

    def take(self, told: Sequence[Told]) -> None:
        """Keep what was told."""
        for _, record in told:
            self._take(record)
        payloads = [payload for payload, _ in told]
        if self._keep is None:
            self._waiting += payloads
        else:
            self._keep(payloads)

    def with_rest(self, result: Result) -> Result:
        """Give the result of a case that answered, with what was told of it."""
        # The agent, and an agent within it, ends with its case: what the rest has is whole there.
        rest = {record.entry["span"] for record in map(decode_record, result.payloads)}
        told = (call.payload(self._said) for call in self._calls.values() if call.span not in rest)
        return replace(
            result,
            payloads=(*self._waiting, *result.payloads),
            whole=(*told, *result.payloads),
        )

    @property
    def spend(self) -> Spend:
        """What its live model calls took."""
        return spend_of(call for call in self._calls.values() if call.kind in ("model", "embedding"))

    def cut_short(self, status: CaseStatus, why: str) -> Result | None:
        """End a case that gave no answer; None where its agent was not told of, so that nothing of it is there to end.

        Args:
            status: how it ended.
            why: one sentence.
        """
        agent = next((call for call in self._calls.values() if call.entry.get("turn") == call.span), None)
        if agent is None or agent.kind != "agent":
            return None
        spend = self.spend
        ends = self._ends({STATUS: status, WHY: why}, status, why)
        whole = [call.payload(self._said) for call in self._calls.values() if call is not agent]
        return Result(status, why, ends, spend=spend, whole=(*whole, agent.payload(self._said)))

    def given_up(self, why: str) -> tuple[bytes, ...]:
        """End what had begun of a case that runs once more: it has no status, and is known for what it is."""
        return self._ends({RETRIED_FOR: why}, "lost", why)

    def _take(self, record: Record) -> None:
        entry = dict(record.entry)
        span = entry["span"]
        if entry["type"] == "start":
            for name in ("v", "parts"):
                entry.pop(name, None)
            self._calls.setdefault(span, Call(entry, dict(record.parts)))
        elif (call := self._calls.get(span)) is not None:
            call.end(entry["time"], entry["status"], record.parts)

    def _ends(self, marks: Mapping[str, Any], fault: str, why: str) -> tuple[bytes, ...]:
        open_calls = [call for call in self._calls.values() if not call.ended]
        # The agent's, with what makes the case done, comes last.
        ends = []
        for call in reversed(open_calls):
            attributes = {**self._lineage, **(marks if call.entry.get("turn") == call.span else {})}
            parts = {
                "error": orjson.dumps({"type": fault, "message": why}),
                "attributes": orjson.dumps(attributes),
            }
            call.end(time.time_ns(), "error", parts)
            entry = {
                "type": "end",
                "time": call.entry["end"],
                "trace": call.entry["trace"],
                "span": call.span,
                "status": "error",
            }
            ends.append(encode_record(entry, parts))
        return (*self._waiting, *ends)
