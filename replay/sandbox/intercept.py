"""Answers every decorated call of a replay: from the recording, or not at all.

The rules:

1. An agent's body runs. A model's runs when the model is live. No other body is entered, whatever it is.
2. A call outside of the case's context is refused, and the case is invalid: its span would belong to no turn.
3. What the recording holds is served: its value, its error, its facts, and the hand-offs that happened inside it.
4. What it does not hold ends the case: a write, declared or not declared at all, as `blocked`; anything else as
   `diverged`. A hand-off is not made up either: it is the case's last step, plainly visible.
5. A tool that the recording or the agent calls a write is a write.
6. After the case has ended, every further call is refused with what ended it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from auditlog import config, context
from auditlog.encoding.encode import encode
from auditlog.interception import Call, Raised, Served
from auditlog.values import Effect, Json
from replay.errors import CaseStop, NotServable, ReplayLeak, ReplayMiss, WriteBlocked
from replay.matching.cassette import Cassette, Hit, Miss
from replay.matching.recorded import Handoff, Recorded, is_write
from replay.matching.restore import NotRestorable, restored
from replay.matching.revive import error_of, value_of
from replay.sandbox.state import CaseState, ProcessState, current_case

TIER = "auditlog.replay.match_tier"

_MOST_DIFFERENCES = 20


class CaseInterceptor:
    """Stands below every decorator of the process."""

    def __init__(self, process: ProcessState) -> None:
        """Answer the calls of whatever case the process is in."""
        self._process = process
        self._cassette = Cassette(())
        self._model: Literal["live", "recorded"] = "live"

    def load(self, cassette: Cassette, model: Literal["live", "recorded"]) -> None:
        """Take the recording of the next case.

        Args:
            cassette: its recorded answers.
            model: whether models run or are served, too.
        """
        self._cassette, self._model = cassette, model

    def before(self, call: Call) -> Served | Raised | None:
        """Answer a call; None lets the body run."""
        operation = call.operation
        case = self._process.case
        if case is None or current_case.get() is not case:
            return self._leak(call, case)
        if case.stopped is not None:
            return Raised(case.stopped, {TIER: "stopped"})
        if operation.kind == "agent" or (operation.kind == "model" and self._model == "live"):
            return None
        effect = self._effect(call)
        found = self._cassette.take(
            operation.kind, operation.name, call.arguments, effect=effect, digest=operation.digest
        )
        if isinstance(found, Miss):
            return _missed(case, call, found, effect)
        return _served(case, call, found)

    def _effect(self, call: Call) -> Effect | None:
        operation = call.operation
        recorded = self._cassette.effect_of(operation.kind, operation.name)
        return "write" if recorded == "write" else operation.effect

    def _leak(self, call: Call, case: CaseState | None) -> Raised:
        what = (
            f"call {call.operation.kind} {call.operation.name} outside of the case's context "
            "(auditlog.propagate(executor) and asyncio.to_thread hand it on to threads)"
        )
        self._process.remember(what)
        leak: CaseStop = ReplayLeak(
            f"The agent tried to {what}: on a thread that lost it, or before or after the case. "
            "Put what a module does when it is run under `if __name__ == '__main__':`."
        )
        return Raised(leak if case is None else case.stop(leak), {TIER: "leak"})


def _missed(case: CaseState, call: Call, miss: Miss, effect: Effect | None) -> Raised:
    operation = call.operation
    why = miss.explain(operation.kind, operation.name)
    writes = is_write(operation.kind, effect)
    stop: CaseStop
    if writes:
        declared = "a write" if effect == "write" else "taken for a write, since its effect is not declared"
        stop = WriteBlocked(f"{operation.name} ({declared}) was blocked: {why}.")
    else:
        stop = ReplayMiss(f"{operation.name} was not served: {why}.")
    facts: dict[str, Json] = {TIER: "blocked" if writes else "miss", "auditlog.replay.miss_rule": miss.rule}
    if miss.nearest is not None:
        facts["auditlog.replay.nearest_span_id"] = miss.nearest.span_id
        facts["auditlog.replay.difference"] = [_patch(change) for change in miss.changes[:_MOST_DIFFERENCES]]
    return Raised(case.stop(stop), facts)


def _patch(change: Any) -> dict[str, Json]:
    """Write a change as an RFC 6902 operation."""
    patch: dict[str, Json] = {"op": change.op, "path": change.path}
    return patch if change.op == "remove" else {**patch, "value": change.after}


def _served(case: CaseState, call: Call, hit: Hit) -> Served | Raised:
    recorded = hit.recorded
    if (why := recorded.unservable) is not None:
        return _unservable(case, recorded, why)
    try:
        value = _value(recorded)
    except NotRestorable as error:
        return _unservable(case, recorded, str(error))
    _hand_off_again(call, recorded.handoffs)
    facts = _facts(recorded, hit)
    if recorded.fault is not None:
        return Raised(error_of(recorded.fault), facts)
    return Served(value, facts)


def _value(recorded: Recorded) -> Any:
    """Make a recorded result again.

    Raises:
        NotRestorable: it holds a type that is not there.
    """
    if recorded.fault is not None:
        return None
    if not recorded.lossy:
        try:
            return restored(recorded.output, recorded.types)
        except NotRestorable:
            if recorded.kind != "model":
                raise
    return value_of(recorded.output, was_object=recorded.kind == "model")


def _unservable(case: CaseState, recorded: Recorded, why: str) -> Raised:
    stop = NotServable(f"{recorded.name} cannot be served: {why}.")
    return Raised(case.stop(stop), {TIER: "unservable", "auditlog.replay.served_span_id": recorded.span_id})


def _facts(recorded: Recorded, hit: Hit) -> Mapping[str, Json]:
    facts: dict[str, Json] = {
        **recorded.facts,
        TIER: hit.tier,
        "auditlog.replay.served_span_id": recorded.span_id,
    }
    if hit.definition_changed:
        facts["auditlog.replay.definition_changed"] = True
    if hit.other_epoch:
        facts["auditlog.replay.other_epoch"] = True
    return facts


def _hand_off_again(call: Call, handoffs: tuple[Handoff, ...]) -> None:
    """Record what the body would have handed off: the body is not entered, and the turn was escalated all the same."""
    recorder, frame = config.recorder(), context.current()
    if recorder is None:
        return
    for handoff in handoffs:
        facts = {"auditlog.escalation.reason": handoff.reason}
        if handoff.to is not None:
            facts["auditlog.escalation.to"] = handoff.to
        if frame is not None:
            frame.turn_facts.update(facts)
        entry = {
            "time": time.time_ns(),
            "end": time.time_ns(),
            "trace": call.trace_id,
            "span": context.new_span_id(),
            "parent": call.span_id,
            "turn": frame.turn_id if frame is not None else None,
            "conversation": frame.conversation_id if frame is not None else None,
            "kind": "handoff",
            "name": handoff.name,
            "source": "decorator",
            "status": "ok",
        }
        said = {"input": encode({"reason": handoff.reason, "to": handoff.to}).text}
        recorder.span(entry, {"gen_ai.operation.name": "handoff", **facts}, said)
