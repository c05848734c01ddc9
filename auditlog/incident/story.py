"""Tells a conversation as blocks: what happened turn by turn, and what the agent saw when it answered.

The rules:

1. Order is the order of time. Each turn says what the customer said, what the agent looked up, what it did and with what
   effect, and what it answered.
2. Every time is given in UTC, to the millisecond, and in one named local zone.
3. A prompt or a text that recurs is told once, and referred to afterwards.
4. What is missing is said where it is missing: a call that never ended, content that was erased or could not be kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import tzinfo

from auditlog.incident.blocks import Block, Facts, Heading, Paragraph, Quote, Table, Tone
from auditlog.incident.evidence import Evidence
from auditlog.values import Conversation, Json, Message, Span, Status, Turn, utc
from auditlog.wording import many

_EFFECTS = {
    "read": "looked something up",
    "write": "changed something",
    "control": "handed over or ended the conversation",
    None: "effect not declared",
}
_TOKEN = re.compile(r"<[a-z_]{2,24}:[0-9a-f]{4,32}>")
_LATE_NS = 86_400 * 1_000_000_000
_DONE = {"ok": "completed", "error": "failed", "incomplete": "its end was never recorded"}


class Clock:
    """Writes times in UTC and in a local zone."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def both(self, nanoseconds: int) -> str:
        """Give a moment in both."""
        moment = utc(nanoseconds)
        local = moment.astimezone(self._zone)
        told = f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03} UTC"
        if not local.utcoffset():
            return told
        offset = local.strftime("%z")
        return f"{told} ({local:%Y-%m-%d %H:%M:%S} UTC{offset[:3]}:{offset[3:5]})"

    def short(self, nanoseconds: int) -> str:
        """Give the time of day in UTC."""
        moment = utc(nanoseconds)
        return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03} UTC"


def story(conversation: Conversation, evidence: Evidence, clock: Clock) -> Iterator[Block]:
    """Give the blocks of what happened."""
    yield Heading(1, f"Incident file: conversation {conversation.conversation_id}")
    yield Paragraph(
        "This page tells what was recorded of one conversation between a customer and a software agent: who said what and when, "
        "what the agent looked up, what it did, who has read the record since, what of it is proven, and what is not. It was "
        "written by a program from the record, and nothing was added or taken out by hand. Messages that the agent’s language "
        "model was given again are not repeated here; `conversation.jsonl` beside this page has every one of them."
    )
    yield Facts(_facts(conversation, evidence, clock))
    for note in _notes(conversation, evidence):
        yield Paragraph(note, "warn")
    yield Heading(2, "What happened")
    prompts: dict[str, str] = {}
    for turn in conversation.turns:
        yield from _turn(turn, len(conversation.turns), evidence, clock, prompts)
    if prompts:
        yield Heading(2, "Instructions that the agent was given")
        for text, name in prompts.items():
            yield Quote(name, text, role="code")
    if evidence.accesses is not None:
        yield Heading(2, "Who read this conversation")
        yield from _accesses(evidence, clock)


def _facts(conversation: Conversation, evidence: Evidence, clock: Clock) -> tuple[tuple[str, str], ...]:
    spans = conversation.spans
    agent = conversation.turns[0].agent
    users = dict.fromkeys(span.user_id for span in spans if span.user_id)
    agents = dict.fromkeys(
        " ".join(part for part in (span.agent_name, span.agent_version) if part) for span in spans
    )
    models = dict.fromkeys(
        name for span in spans if span.kind == "model" if (name := span.model_served or span.model_requested)
    )
    ends = [span.end_ns for span in spans if span.end_ns is not None]
    tools = [span for span in spans if span.kind == "tool"]
    writes = [span for span in tools if span.effect not in ("read", "control")]
    escalated = next(
        (turn.escalation_reason for turn in conversation.turns if turn.escalation_reason is not None), None
    )
    rows = [
        ("Conversation", conversation.conversation_id),
        ("Customer", ", ".join(users) or "not recorded"),
        ("Agent", ", ".join(name for name in agents if name) or agent.name),
        ("Model", ", ".join(models) or "not recorded"),
        ("Began", clock.both(min(span.start_ns for span in spans))),
        ("Ended", clock.both(max(ends)) if ends else "its end was never recorded"),
        ("Turns", str(len(conversation.turns))),
        ("Tool calls", f"{len(tools)}, of which {len(writes)} changed something or may have"),
        ("Handed to a person", escalated or ("yes" if any(s.kind == "handoff" for s in spans) else "no")),
        ("Labels", ", ".join(f"{key}={value}" for key, value in conversation.tags.items())),
        ("Taken into the ledger", "; ".join(map(clock.both, evidence.sealed_ns))),
        ("This file made", _made(evidence, clock)),
        ("Store", evidence.store_id),
    ]
    return tuple((label, value) for label, value in rows if value)


def _made(evidence: Evidence, clock: Clock) -> str:
    """Say when this file was made, by whom and why, as the ledger has it."""
    made = next((a for a in reversed(evidence.accesses or ()) if a.action.startswith("export")), None)
    if made is None:
        return ""
    return f"{clock.both(made.time_ns)}, by {made.who}{f': {made.reason}' if made.reason else ''}"


def _notes(conversation: Conversation, evidence: Evidence) -> Iterator[str]:
    spans = conversation.spans
    failed = sum(turn.status == "error" for turn in conversation.turns)
    if failed:
        yield f"{many(failed, 'turn')} ended in an error."
    unfinished = sum(span.status == "incomplete" for span in spans)
    if unfinished:
        yield f"{many(unfinished, 'call')} began and never ended in the record: the process went away."
    if any(span.lossy for span in spans):
        yield "Some values could not be kept as they were; where that is so, the record says what stands in their place."
    erased = sum(record.state == "erased" for record in evidence.records)
    if erased:
        yield f"The content of {many(erased, 'call')} was erased later; what is left is when and what was called."
    if evidence.lost_records:
        yield (
            f"{many(evidence.lost_records, 'record')} could not be written by the recording process around that time, "
            "so this page may not be the whole of it."
        )
    if any(_TOKEN.search(text) for span in spans for text in _texts(span)):
        yield (
            "Marks such as <email:7f3a> stand where personal data was taken out before it was recorded. One mark stands for one "
            "value throughout; the values are not in this file."
        )
    if any(span.source == "import" for span in spans):
        yield (
            "These records were imported from a file. They were not written here while the conversation went on, and nothing "
            "vouches for them before they were taken into the ledger."
        )
    elif (
        evidence.sealed_ns and evidence.sealed_ns[-1] - max(s.end_ns or s.start_ns for s in spans) > _LATE_NS
    ):
        yield (
            "The records were taken into the ledger more than a day after the conversation ended, and until then nothing vouches "
            "for them."
        )
    if any(span.replay for span in spans):
        yield "This is a replay of a recorded conversation in a test, and no customer took part in it."
    yield from evidence.notes


def _texts(span: Span) -> Iterator[str]:
    """Give what may hold marks: the words of a span, as JSON."""
    yield from (
        _json(value)
        for value in (span.input, span.output, span.output_text, span.user_id)
        if value is not None
    )
    yield from (message.text for message in (*span.input_messages, *span.output_messages) if message.text)


def _turn(
    turn: Turn, turns: int, evidence: Evidence, clock: Clock, prompts: dict[str, str]
) -> Iterator[Block]:
    yield Heading(3, f"Turn {turn.index + 1} of {turns}")
    began, ended = turn.agent.start_ns, turn.agent.end_ns
    took = f", took {turn.agent.duration_ms / 1000:.2f} s" if turn.agent.duration_ms is not None else ""
    yield Paragraph(f"{clock.both(began)}{took} · {_DONE[turn.status]}", _tone(turn.status))
    if turn.user_text or turn.agent.input is not None:
        yield Quote(
            "The customer said", turn.user_text or _json(turn.agent.input), clock.short(began), role="user"
        )
    elif _erased(turn.agent, evidence):
        yield Quote("The customer said", "(erased)", clock.short(began), role="user")
    for span in turn.spans:
        if span is not turn.agent:
            yield from _call(span, evidence, clock, prompts)
    if turn.agent.fault is not None:
        yield Quote("The turn failed", _fault(turn.agent), tone="bad")
    when = clock.short(ended) if ended is not None else ""
    if turn.answer_text or turn.agent.output is not None:
        yield Quote("The agent answered", turn.answer_text or _json(turn.agent.output), when, role="agent")
    elif _erased(turn.agent, evidence):
        yield Quote("The agent answered", "(erased)", when, role="agent")
    elif turn.status != "error":
        yield Paragraph("No answer was recorded.", "warn")


def _call(span: Span, evidence: Evidence, clock: Clock, prompts: dict[str, str]) -> Iterator[Block]:
    when, tone = clock.short(span.start_ns), _tone(span.status)
    if _erased(span, evidence):
        yield Quote(f"Step: {span.kind} “{span.name}”", "(content erased)", when)
        return
    match span.kind:
        case "model":
            yield Quote("The agent asked its language model", _model(span, prompts), when, tone)
        case "tool":
            effect = _EFFECTS[span.effect]
            yield Quote(
                f"The agent called “{span.name}” – {effect}, {_DONE[span.status]}", _tool(span), when, tone
            )
        case "retriever":
            yield Quote(f"The agent searched “{span.name}”", _documents(span), when, tone)
        case "handoff":
            to = f" to {span.escalation_to}" if span.escalation_to else ""
            yield Quote(f"Handed over{to}", span.escalation_reason or _json(span.input), when, "warn")
        case _:
            yield Quote(f"Step: {span.kind} “{span.name}”", _tool(span), when, tone)


def _model(span: Span, prompts: dict[str, str]) -> str:
    names = dict.fromkeys(name for name in (span.model_requested, span.model_served) if name)
    facts = [f"model {' → '.join(names)}"] if names else []
    if span.prompt_name:
        facts.append(f"prompt {'@'.join(part for part in (span.prompt_name, span.prompt_version) if part)}")
    if span.system_instructions:
        name = prompts.setdefault(span.system_instructions, f"Instructions {len(prompts) + 1}")
        facts.append(f"under {name}, below")
    lines = [", ".join(facts)] if facts else []
    if span.input_messages:
        earlier = len(span.input_messages) - 1
        lines.append(
            f"It was given {many(earlier, 'earlier message')} and, last:"
            if earlier
            else "It was given one message:"
        )
        last = span.input_messages[-1]
        lines.append(f"[{last.role}] {last.text or _parts(last)}")
    if span.output_text:
        lines.append(f"It gave back: {span.output_text}")
    for message in span.output_messages:
        lines += [
            f"It asked for the tool “{part.name}” with {_json(part.arguments)}"
            for part in message.parts
            if part.type == "tool_call"
        ]
    if span.fault is not None:
        lines.append(f"It failed: {_fault(span)}")
    return "\n".join(lines) or "nothing was recorded of it"


def _tool(span: Span) -> str:
    lines = _given(span)
    if span.fault is not None:
        lines.append(f"Failed: {_fault(span)}")
    elif span.output is not None:
        lines += _named("Gave back", span.output)
    elif span.status == "ok":
        lines.append("Gave back nothing.")
    return "\n".join(lines) or "nothing was recorded of it"


def _documents(span: Span) -> str:
    lines = _given(span)
    if span.fault is not None:
        lines.append(f"Failed: {_fault(span)}")
    elif span.documents:
        lines.append(f"Found {many(len(span.documents), 'document')}:")
    else:
        lines.append("Found nothing." if span.output in (None, []) else f"Found: {_json(span.output)}")
    for document in span.documents:
        name = " · ".join(dict.fromkeys(part for part in (document.id, document.source) if part)) or "?"
        score = f" (score {document.score:.2f})" if document.score is not None else ""
        lines.append(f"– {name}{score}: {document.content or ''}")
    return "\n".join(lines)


def _given(span: Span) -> list[str]:
    return [] if span.input in (None, {}) else _named("Given", span.input)


def _named(what: str, value: Json) -> list[str]:
    """Give a value after what it is; a mapping as a line for each name."""
    if isinstance(value, dict) and len(value) > 1:
        return [f"{what}:", *(f"    {name}: {_json(item)}" for name, item in value.items())]
    if isinstance(value, dict) and value:
        ((name, item),) = value.items()
        return [f"{what} {name}: {_json(item)}"]
    return [f"{what}: {_json(value)}"]


def _accesses(evidence: Evidence, clock: Clock) -> Iterator[Block]:
    accesses = evidence.accesses or ()
    others = (
        f" Besides these, {many(evidence.other_accesses, 'list or search', 'lists or searches')} that named no conversation may "
        "have shown some of it; `auditlog access` lists them."
        if evidence.other_accesses
        else ""
    )
    if not accesses:
        yield Paragraph(f"No reading of it is recorded in the ledger.{others}")
        return
    rows = tuple(
        (clock.both(a.time_ns), a.who, a.action, "" if a.rows is None else str(a.rows), a.reason)
        for a in accesses
    )
    yield Table(("When", "Who", "What", "Rows", "Reason"), rows)
    yield Paragraph(
        f"These are the readings of this conversation that went through auditlog.{others} Whoever can read the store’s files can "
        "read them without leaving a trace here."
    )


def _erased(span: Span, evidence: Evidence) -> bool:
    found = evidence.of(span.span_id)
    return found is not None and found.state == "erased"


def _fault(span: Span) -> str:
    assert span.fault is not None
    return f"{span.fault.type}: {span.fault.message}" if span.fault.message else span.fault.type


def _tone(status: Status) -> Tone:
    return "bad" if status == "error" else "warn" if status == "incomplete" else "plain"


def _parts(message: Message) -> str:
    """Give a message that says nothing in words."""
    return "\n".join(
        f"a tool’s answer: {_json(part.response)}"
        if part.type == "tool_call_response"
        else f"a call of “{part.name}” with {_json(part.arguments)}"
        if part.type == "tool_call"
        else _json(part.raw if part.raw is not None else part.content)
        for part in message.parts
    )


def _json(value: Json) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
