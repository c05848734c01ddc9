"""Lays a conversation out as text: what was said, retrieved, called and answered, turn by turn.

The rules:

1. Conversation first, JSON second: the user's words and the answer stand in full, calls in the order they were made.
2. All recorded text passes `safe_text`; a line never exceeds the width.
3. A text longer than the limit is clipped with a note that says how much there is and how to see it.
4. A failed call says what it raised, where it stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from auditlog.cli.formats import count, dollars, milliseconds, moment
from auditlog.safe_text import cell_width, clip, safe_text, wrap
from auditlog.taken_out import taken_out_of
from auditlog.values import Conversation, Document, Json, Span, Turn
from auditlog.wording import many

_LABEL = 10
_LINE = "─"
_ERASED = "(its content is gone: erased or pruned)"
_CLOSED = "(encrypted: the content key is not here)"


@dataclass(frozen=True, slots=True)
class Style:
    """How much to show, and how wide."""

    width: int = 100
    full: bool = False
    """Show prompts, whole documents and whole values."""

    @property
    def most_characters(self) -> int:
        """How much of one text is shown."""
        return 1_000_000 if self.full else 2_000


def conversation_lines(
    conversation: Conversation, style: Style, turns: tuple[Turn, ...] | None = None
) -> Iterator[str]:
    """Give the lines of a conversation.

    Args:
        conversation: what to show.
        style: how.
        turns: the turns to show; all where it is None.
    """
    first = conversation.turns[0].agent
    facts = [
        safe_text(conversation.conversation_id),
        many(len(conversation.turns), "turn"),
        moment(first.start),
        _agent(first),
        f"user {safe_text(first.user_id)}" if first.user_id else "",
        " ".join(safe_text(f"{key}={value}") for key, value in conversation.tags.items()),
        _replayed(first),
    ]
    yield from wrap(" · ".join(fact for fact in facts if fact), style.width)
    shown = conversation.turns if turns is None else turns
    if taken_out := taken_out_of(span for turn in shown for span in turn.spans):
        yield from wrap(safe_text(f"redacted: {taken_out}"), style.width)
    for evaluation in conversation.evaluations:
        said = " ".join(
            str(part)
            for part in (evaluation.value, evaluation.label, evaluation.explanation)
            if part is not None
        )
        yield clip(safe_text(f"evaluation {evaluation.name}: {said}"), style.width)
    for turn in shown:
        yield ""
        yield from turn_lines(turn, len(conversation.turns), style)


def turn_lines(turn: Turn, turns: int, style: Style) -> Iterator[str]:
    """Give the lines of one turn."""
    took = turn.agent.duration_ms
    facts = [f"Turn {turn.index + 1} of {turns}", turn.agent.start.astimezone().strftime("%H:%M:%S")]
    facts += [milliseconds(took)] if took is not None else []
    facts += [turn.status] if turn.status != "ok" else []
    head = clip(" · ".join(facts), style.width)
    yield head + " " + _LINE * (style.width - cell_width(head) - 1)
    if style.full and turn.system_prompt:
        yield from _labelled("system", turn.system_prompt, style)
    gone = _gone(turn.agent)
    if gone is not None:
        yield from _labelled("user", gone, style)
    elif turn.user_text or turn.agent.input is not None:
        yield from _labelled("user", turn.user_text or _json(turn.agent.input), style)
    for span in turn.spans:
        if span is not turn.agent:
            yield from _span_lines(span, style)
    if turn.escalation_reason is not None and not turn.of_kind("handoff"):
        yield from _labelled("hand-off", f"{turn.escalation_reason}{_to(turn.agent)}", style)
    if turn.agent.fault is not None:
        yield from _labelled("error", _fault(turn.agent), style)
    answer = turn.answer_text
    if gone is not None:
        yield from _labelled("answer", gone, style)
    elif answer or turn.agent.output is not None:
        yield from _labelled("answer", answer or _json(turn.agent.output), style)


def _gone(span: Span) -> str | None:
    """Say why a span has no content to show; None where it has."""
    return _ERASED if span.erased else _CLOSED if span.closed else None


def _times(span: Span) -> str:
    """Say how a call whose content does not show went."""
    facts = [] if span.status == "ok" else [span.status]
    facts += [] if span.duration_ms is None else [milliseconds(span.duration_ms)]
    return "".join(f" · {fact}" for fact in facts) if span.closed else ""


def _span_lines(span: Span, style: Style) -> Iterator[str]:
    gone = _gone(span)
    if gone is not None:
        label = {"retriever": "retrieved", "handoff": "hand-off"}.get(span.kind, span.kind)
        yield from _labelled(label, f"{span.name}{_times(span)} {gone}", style)
        return
    match span.kind:
        case "model":
            yield from _labelled("model", _model(span), style)
            if style.full:
                for message in span.output_messages:
                    for part in message.parts:
                        if part.type == "reasoning":
                            yield from _labelled("reasoning", part.content, style)
        case "tool":
            effect = f" ({span.effect})" if span.effect else ""
            yield from _labelled("tool", f"{span.name}{effect} {_arguments(span.input)}{_tier(span)}", style)
            if span.fault is None and span.status != "incomplete":
                yield from _labelled("", f"→ {_json(span.output)}", style)
        case "retriever":
            found = many(len(span.documents), "document") if span.documents else _json(span.output)
            yield from _labelled(
                "retrieved", f"{span.name} {_arguments(span.input)} → {found}{_tier(span)}", style
            )
            for document in span.documents:
                yield from _document_lines(document, style)
        case "handoff":
            yield from _labelled(
                "hand-off", f"{span.escalation_reason or _json(span.input)}{_to(span)}", style
            )
        case _:
            yield from _labelled(span.kind, f"{span.name} {_arguments(span.input)}", style)
    if span.fault is not None:
        yield from _labelled("", f"! {_fault(span)}", style)
    elif span.status == "incomplete":
        yield from _labelled("", "! its end was never recorded", style)


def _document_lines(document: Document, style: Style) -> Iterator[str]:
    score = f"{document.score:.2f}  " if document.score is not None else ""
    name = " · ".join(dict.fromkeys(part for part in (document.id, document.source) if part)) or "?"
    if style.full:
        yield from _labelled("", f"{score}{name}", style)
        yield from _labelled("", document.content or "", style)
    else:
        preview = " ".join((document.content or "")[: style.width].split())
        yield from _labelled("", safe_text(f"{score}{name}  {preview}", width=style.width - _LABEL), style)


def _labelled(label: str, text: str, style: Style) -> Iterator[str]:
    room = max(20, style.width - _LABEL)
    cut = len(text) > style.most_characters
    shown = safe_text(text[: style.most_characters], newlines=True)
    for number, line in enumerate(wrap(shown, room)):
        yield f"{label if number == 0 else '':<{_LABEL}}{line}".rstrip()
    if cut:
        yield f"{'':<{_LABEL}}… {count(len(text))} characters; --full shows them."


def _model(span: Span) -> str:
    names = dict.fromkeys(name for name in (span.model_requested, span.model_served) if name)
    usage = span.usage
    tokens = [
        f"{count(number)} {word}"
        for number, word in ((usage.input_tokens, "in"), (usage.output_tokens, "out"))
        if number is not None
    ]
    prompt = "@".join(part for part in (span.prompt_name, span.prompt_version) if part)
    facts = [
        " → ".join(names) or span.name,
        ", ".join(tokens),
        f"prompt {prompt}" if prompt else "",
        dollars(span.cost_usd) if span.cost_usd is not None else "",
        milliseconds(span.duration_ms) if span.duration_ms is not None else "",
        ", ".join(span.finish_reasons),
    ]
    return " · ".join(fact for fact in facts if fact)


def _arguments(arguments: Json) -> str:
    if isinstance(arguments, dict):
        return " ".join(f"{name}={_json(value)}" for name, value in arguments.items())
    return _json(arguments) if arguments is not None else ""


def _json(value: Json) -> str:
    # With a space behind each comma, so that lines break between values.
    return json.dumps(value, ensure_ascii=False, default=str)


def _agent(span: Span) -> str:
    return safe_text(" ".join(part for part in (span.agent_name, span.agent_version) if part))


def _replayed(span: Span) -> str:
    return safe_text(f"replay {span.replay.run_id} {span.replay.arm}") if span.replay else ""


def _tier(span: Span) -> str:
    return f" [{span.replay.match_tier}]" if span.replay and span.replay.match_tier else ""


def _to(span: Span) -> str:
    return f" → {span.escalation_to}" if span.escalation_to else ""


def _fault(span: Span) -> str:
    assert span.fault is not None
    return f"{span.fault.type}: {span.fault.message}" if span.fault.message else span.fault.type
