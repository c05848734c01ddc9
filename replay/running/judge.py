"""Judges the cases of a run while it runs, as soon as their executions are there.

The rules:

1. A case is judged when the first repeat of all its arms is done. Until then its executions' records are remembered, and
   nothing after: the memory is that of the cases under way.
2. Executions whose behaviours are byte for byte the same are `identical`; nothing is compared for that.
3. Where a redactor changes what is written, what is compared must be what can be read: such cases are judged from the
   store when the run is over, and so are those that an earlier process had begun.
4. A judgement is written behind the records that it is made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from auditlog import normalise
from auditlog.joined import joined
from auditlog.record import decode_record
from auditlog.values import Json, Turn
from replay.diff import CaseClass, Diff, Measure
from replay.diff.measures import MEASURES, quantities
from replay.running.executed import behaviour_of
from replay.running.judging import Judgement, Sides, payload_of, verdict_of
from replay.running.protocol import Result

if TYPE_CHECKING:
    from replay.diff.compare import Forgiven
    from replay.running.cases import Case
    from replay.running.jobs import Task
    from replay.running.run_plan import RunPlan


class _Waiting:
    """A case whose executions are not all there."""

    __slots__ = ("recorded", "results", "user_text")

    def __init__(self, recorded: Turn | None) -> None:
        self.recorded = recorded
        """None, too, where it is not what the candidate is compared with."""
        self.user_text = "" if recorded is None else recorded.user_text
        self.results: dict[str, Result] = {}


class Judge:
    """Judges the cases of one process's part of a run."""

    def __init__(self, plan: RunPlan, forgiven: Forgiven | None) -> None:
        """Begin with nothing known.

        Args:
            plan: the run.
            forgiven: declared differences that are none.
        """
        self._plan = plan
        self._rerun = plan.baseline is not None
        self._forgiven = forgiven
        self._waiting: dict[str, _Waiting] = {}
        self.classes: Counter[CaseClass] = Counter()
        self.differing = 0
        """Cases whose candidate behaves unlike its baseline, and no chance of the baseline's explains it."""
        self.judged: set[str] = set()
        """The recorded agent spans of the cases that are judged."""

    def expect(self, task: Task) -> None:
        """Take a task that will run."""
        if task.execution.repeat == 0 and task.execution.case.span_id not in self._waiting:
            waiting = self._waiting[task.execution.case.span_id] = _Waiting(task.recorded)
            if self._rerun:
                waiting.recorded = None

    def take(self, task: Task, result: Result) -> bytes | None:
        """Take an execution; give the record of the case's judgement where it is the last of them."""
        execution = task.execution
        case = execution.case
        waiting = self._waiting.get(case.span_id)
        if execution.repeat or waiting is None:
            return None
        waiting.results[execution.arm] = result
        arms = {"candidate"} if not self._rerun else {"candidate", "baseline"}
        if self._rerun and case.sampled:
            arms.add("baseline_2")
        if waiting.results.keys() < arms:
            return None
        del self._waiting[case.span_id]
        judgement = self._judge(case, waiting)
        self.judged.add(case.span_id)
        self.classes[judgement.diff.case_class] += 1
        self.differing += judgement.diff.behaves_differently and judgement.diff.case_class not in (
            "unstable",
            "no-recording",
        )
        return payload_of(self._plan.run_id, case, judgement, _whose(task))

    def _judge(self, case: Case, waiting: _Waiting) -> Judgement:
        found = waiting.results
        candidate, baseline, again = (found.get(arm) for arm in ("candidate", "baseline", "baseline_2"))
        assert candidate is not None
        turns: dict[int, Turn] = {}

        def turn(result: Result | None) -> Turn | None:
            if result is None:
                return None
            if id(result) not in turns:
                turns[id(result)] = turn_of(result)
            return turns[id(result)]

        diff = _same(baseline if self._rerun else waiting.recorded, candidate)
        noise = None if again is None else _same(baseline, again)
        if diff is None or (again is not None and noise is None):
            tried = turn(candidate)
            assert tried is not None
            sides = Sides(waiting.recorded, tried, turn(baseline), turn(again))
            diff, noise = verdict_of(sides, rerun=self._rerun, forgiven=self._forgiven)
        spans = tuple(
            "" if result is None else _agent_span(result) for result in (candidate, baseline, again)
        )
        said = waiting.user_text or turn_of(candidate).user_text
        return Judgement(case.span_id, spans, said, candidate.status, candidate.why, diff, noise)


def turn_of(result: Result) -> Turn:
    """Make the turn of an execution's records, as the store will give it."""
    from auditlog.store.build import READ_COLUMNS, span_of, turns_of

    starts: dict[str, Any] = {}
    spans = []
    for payload in result.seen:
        record = decode_record(payload)
        if record.type == "start":
            starts[record.entry["span"]] = record
            continue
        facts, parts = joined(starts.pop(record.entry["span"], None), record)
        spans.append((facts, parts))
    spans += [joined(record, None) for record in starts.values()]
    rows = [{**dict.fromkeys(READ_COLUMNS), **normalise.row(facts, parts)} for facts, parts in spans]
    turns = turns_of(map(span_of, rows))
    return next(t for t in turns if t.agent.kind == "agent" and t.agent.replay and t.agent.replay.status)


def _same(before: Result | Turn | None, after: Result) -> Diff | None:
    """Give the diff of two behaviours that are the same byte for byte; None where they are not."""
    if before is None or not after.behaviour or after.status != "complete":
        return None
    if isinstance(before, Turn):
        behaviour, took = behaviour_of(before), quantities((before,))
    else:
        behaviour, took = before.behaviour, before.measures
    if behaviour != after.behaviour:
        return None
    measures = {name: Measure(took.get(name), after.measures.get(name)) for name in MEASURES}
    return Diff("identical", group="identical", measures=measures)


def _agent_span(result: Result) -> str:
    payload = result.seen[-1]
    size = int.from_bytes(payload[:4], "little")
    return orjson.loads(payload[4 : 4 + size])["span"]


def _whose(task: Task) -> Mapping[str, Json]:
    return {} if task.place.user_id is None else {"user.id": task.place.user_id}
