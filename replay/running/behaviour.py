"""Which cases differ so far, cheaply, while a run is under way.

The rules:

1. Two executions behave alike when they made the same calls with the same arguments in the same order, and ended alike.
   The words of an answer do not count, and the full diff is made when the run is read.
2. Only cases of which one side is done are remembered, so the memory stays flat.
"""

from __future__ import annotations

from collections.abc import Iterable

from auditlog.record import decode_record
from auditlog.values import Turn
from replay.canonical import match_key
from replay.diff import steps_of
from replay.diff.model import CaseStatus

Behaviour = tuple[str, ...]


class Behaviours:
    """Counts the cases whose candidate behaves unlike its baseline."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self.differing = 0
        self._waiting: dict[str, tuple[str, Behaviour]] = {}

    def recorded(self, case_id: str, turn: Turn) -> None:
        """Take a recorded turn for the baseline of its case."""
        calls = [step for step in steps_of([turn]) if step.kind != "answer"]
        keys = [match_key(step.kind, step.name, step.arguments) for step in calls]
        self._met(case_id, "baseline", (*keys, "complete"))

    def replayed(self, case_id: str, arm: str, payloads: Iterable[bytes], status: CaseStatus) -> None:
        """Take an execution's records."""
        if arm in ("baseline", "candidate"):
            self._met(case_id, arm, (*_calls(payloads), status))

    def _met(self, case_id: str, arm: str, behaviour: Behaviour) -> None:
        other = self._waiting.pop(case_id, None)
        if other is None or other[0] == arm:
            self._waiting[case_id] = (arm, behaviour)
        elif other[1] != behaviour:
            self.differing += 1


def _calls(payloads: Iterable[bytes]) -> Iterable[str]:
    inside: set[str] = set()
    for payload in payloads:
        record = decode_record(payload)
        entry = record.entry
        kind = entry.get("kind")
        if record.type not in ("start", "span") or kind not in ("tool", "retriever", "handoff"):
            continue
        if entry.get("parent") not in inside:
            yield match_key(kind, entry["name"], record.json("input"))
        inside.add(entry["span"])
