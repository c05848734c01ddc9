"""Recorded turns in, the steps that the agent took out.

The rules:

1. Tools, retrievers and hand-offs are steps, in the order in which they began; the turn's answer is its last step.
   The steps of several turns follow one another.
2. What a tool does inside itself is the tool's doing: a call that was made within a tool or retriever is not a step.
   (A replay serves the outer call without entering it, so only the outer call can be compared.)
3. A turn without an answer, because it failed or was stopped, has no answer step. An answer that is not text is
   compared as its JSON.
4. A tool whose effect nobody declared writes, unless its name begins with a word for reading or says that it
   hands the customer to a person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from auditlog.values import Fault, Json, Span, Turn
from replay.attributes import MATCH_RULES, MISS_HINT, MISS_RULE, NEAREST, PATCH, PATCH_SIZE
from replay.diff.json_diff import canonical
from replay.diff.model import Match, Step

UNSERVED = ("miss", "blocked")
"""The match tiers of calls that a replay did not serve."""

_CallKind = Literal["tool", "retriever", "handoff"]
_STEP_KINDS: tuple[_CallKind, ...] = ("tool", "retriever", "handoff")

_READING = frozenset(
    (
        "calculate check count describe fetch find get list look lookup peek query read retrieve search "
        "show think view"
    ).split()
)
_STOPPING = frozenset({"close", "done", "end", "exit", "finish", "stop", "terminate"})
_TO_A_PERSON = re.compile(
    r"escalat|hand_?off|hand_?over|(transfer|connect|route).*(human|person|agent|staff)"
)


class Key(NamedTuple):
    """What makes two steps the same."""

    kind: str
    name: str
    said: str
    """The arguments in canonical form; the text of an answer."""


def steps_of(turns: Sequence[Turn]) -> tuple[Step, ...]:
    """Give the steps of these turns, oldest turn first."""
    return tuple(step for turn in turns for step in _turn_steps(turn))


def key_of(step: Step) -> Key:
    """Give what two steps share when they are the same call, or the same answer."""
    return Key(step.kind, step.name, step.text if step.kind == "answer" else canonical(step.arguments))


def is_write(step: Step) -> bool:
    """Whether the step changes the world, as far as anybody said."""
    if step.kind != "tool" or step.effect is not None:
        return step.kind == "tool" and step.effect == "write"
    return _first_word(step.name) not in _READING and not is_escalation(step)


def is_escalation(step: Step) -> bool:
    """Whether the step hands the customer to a person."""
    match step.kind:
        case "handoff":
            return True
        case "tool":
            if step.effect == "control":
                return _first_word(step.name) not in _STOPPING
            return _TO_A_PERSON.search(_snake(step.name)) is not None
        case _:
            return False


def unserved(step: Step) -> bool:
    """Whether a replay could not or would not serve the call."""
    return step.match_tier in UNSERVED


def _turn_steps(turn: Turn) -> list[Step]:
    parents = {span.span_id: span.parent_span_id for span in turn.spans}
    callers = {span.span_id for span in turn.spans if span.kind in ("tool", "retriever")}
    calls = sorted(turn.of_kind(*_STEP_KINDS), key=lambda span: span.start_ns)
    steps = [_step(span) for span in calls if not _is_within(span, parents, callers)]
    # A lone tool call recorded without an agent is its own turn; its result is no answer.
    if turn.agent.kind not in _STEP_KINDS and (said := _answer(turn)):
        steps.append(Step("answer", "answer", text=said, span_id=turn.turn_id))
    return steps


def _is_within(span: Span, parents: dict[str, str | None], callers: set[str]) -> bool:
    """Whether an ancestor of the span is a tool or retriever call."""
    seen: set[str] = set()
    parent = span.parent_span_id
    while parent is not None and parent not in seen:
        if parent in callers and parent != span.span_id:
            return True
        seen.add(parent)
        parent = parents.get(parent)
    return False


def _step(span: Span) -> Step:
    fault = span.fault or (Fault("error") if span.status == "error" else None)
    match span.kind:
        case "tool":
            return _call("tool", span, span.input, fault)
        case "retriever":
            return _call("retriever", span, span.input, fault)
        case _:
            facts = {"reason": span.escalation_reason, "to": span.escalation_to}
            said = {key: value for key, value in facts.items() if value is not None}
            return _call("handoff", span, span.input if span.input is not None else said or None, fault)


def _call(kind: _CallKind, span: Span, arguments: Json, fault: Fault | None) -> Step:
    return Step(
        kind=kind,
        name=span.name or kind,
        arguments=arguments,
        result=span.output,
        documents=span.documents,
        fault=fault,
        effect=span.effect,
        span_id=span.span_id,
        match_tier=span.replay.match_tier if span.replay else None,
        match=_match(span.attributes) if span.replay else None,
    )


def _match(attributes: Mapping[str, Json]) -> Match | None:
    """Read what a replay noted about a match; content that is not as it is written there is left out."""
    rules, patch, size = attributes.get(MATCH_RULES), attributes.get(PATCH), attributes.get(PATCH_SIZE)
    found = Match(
        rules=tuple(map(str, rules)) if isinstance(rules, list) else (),
        miss=str(attributes.get(MISS_RULE) or ""),
        hint=str(attributes.get(MISS_HINT) or ""),
        nearest_span_id=str(attributes.get(NEAREST) or ""),
        patch=tuple(item for item in patch if isinstance(item, dict)) if isinstance(patch, list) else (),
        patch_size=size if isinstance(size, int) else 0,
    )
    return found if found != Match() else None


def _answer(turn: Turn) -> str:
    said = turn.answer_text
    output = turn.agent.output
    if said or output is None or output in ("", [], {}):
        return said
    return json.dumps(output, indent=1, sort_keys=True, ensure_ascii=False, default=str)


def _first_word(name: str) -> str:
    return _snake(name).split("_", 1)[0]


def _snake(name: str) -> str:
    """Give a tool's name in lower case with words parted by underscores; a path or namespace before it is dropped."""
    last = re.split(r"[./:]|__", name)[-1]
    return re.sub(r"[\s\-]+|(?<=[a-z0-9])(?=[A-Z])", "_", last).lower()
