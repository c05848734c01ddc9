"""Recorded calls as answers: the value or the error, with its facts and the hand-offs that happened inside.

The rules:

1. A result that was not kept as it was, or whose type is not there, is not handed out: the case ends as `unreplayable`. So it
   does where a stream is read on from where its reader left it. One that failed half-way fails there again.
2. What the body would have handed off is recorded again: the body is not entered, and the turn was escalated all the same.
3. The tier says how the answer was come by, and stands on the call's span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditlog import clock, config, context
from auditlog.encoding.encode import encode
from auditlog.interception import Call, Raised, Served
from auditlog.values import Json
from replay.attributes import MATCH_RULES, OTHER_CALLER, OTHER_EPOCH, REUSED
from replay.errors import CaseStop, NotServable
from replay.matching.cassette import Hit
from replay.matching.recorded import Handoff, Recorded
from replay.matching.restore import NotRestorable, restored
from replay.matching.revive import error_of, value_of
from replay.sandbox.state import CaseState

TIER = "auditlog.replay.match_tier"


def served(case: CaseState, call: Call, hit: Hit) -> Served | Raised:
    """Answer a call with a recorded one.

    Args:
        case: the case, which ends where the recording cannot be handed out.
        call: what is answered.
        hit: what answers.
    """
    return answer_of(case, call, hit.recorded, _facts(hit))


def answer_of(case: CaseState, call: Call, recorded: Recorded, facts: Mapping[str, Json]) -> Served | Raised:
    """Answer a call with a recorded one, and with these facts beside its own."""
    if (why := recorded.unservable) is not None:
        return _unservable(case, recorded, why)
    try:
        value = value_again(recorded)
    except NotRestorable as error:
        return _unservable(case, recorded, str(error))
    _hand_off_again(call, recorded.handoffs)
    all_facts = {**recorded.facts, "auditlog.replay.served_span_id": recorded.span_id, **facts}
    fault = recorded.fault
    if fault is not None:
        return (
            Served(value, all_facts, lambda: error_of(fault)) if value else Raised(error_of(fault), all_facts)
        )
    return Served(value, all_facts, (lambda: _read_on(case, recorded)) if recorded.left else None)


def _read_on(case: CaseState, recorded: Recorded) -> CaseStop:
    why = "its reader left it half-way when it was recorded, and what comes after is not known"
    return case.stop(NotServable(f"{recorded.name} cannot be served to its end: {why}."))


def value_again(recorded: Recorded) -> Any:
    """Make a recorded result again: of an error what was streamed before it, or None.

    Raises:
        NotRestorable: it holds a type that is not there.
    """
    if recorded.fault is not None and (recorded.lossy or not isinstance(recorded.output, list)):
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


def _facts(hit: Hit) -> Mapping[str, Json]:
    facts: dict[str, Json] = {TIER: hit.tier}
    if hit.definition_changed:
        facts["auditlog.replay.definition_changed"] = True
    if hit.other_epoch:
        facts[OTHER_EPOCH] = True
    if hit.other_caller:
        facts[OTHER_CALLER] = True
    if hit.reused:
        facts[REUSED] = True
    if hit.rules:
        facts[MATCH_RULES] = [str(rule) for rule in hit.rules]
    return facts


def _hand_off_again(call: Call, handoffs: tuple[Handoff, ...]) -> None:
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
            "time": clock.time_ns(),
            "end": clock.time_ns(),
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
