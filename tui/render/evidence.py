"""What stands behind one block: every fact that was recorded of a call or a turn."""

from __future__ import annotations

from collections.abc import Mapping

from auditlog.hidden import hidden_of
from auditlog.normalise import messages
from auditlog.taken_out import taken_out_of
from auditlog.values import Document, Message, Span, Turn
from auditlog.wording import many
from tui.render import formats
from tui.render.line import BLANK, Line, line, recorded, wrapped
from tui.render.transcript import Whole
from tui.render.value import compact, field, pretty, section

VALUE_LINES = 12
TEXT_LINES = 8


def of_target(
    target: object, turn: Turn | None, width: int, proven: Mapping[str, str] | None = None
) -> list[Line]:
    """Give the evidence of what the cursor is on: a span, a turn, or a message (then its turn).

    Args:
        target: what the cursor is on.
        turn: the turn that it is in.
        width: the cells of a line.
        proven: what a proof found, by span id; None where none was asked for.
    """
    match target:
        case Span():
            return of_span(target, width, proven)
        case Turn():
            return of_turn(target, width, proven)
        case Whole() if turn is not None:
            return of_turn(turn, width, proven)
        case _:
            return [line(("nothing recorded here", "muted"))]


def of_turn(turn: Turn, width: int, proven: Mapping[str, str] | None = None) -> list[Line]:
    """Give a turn's facts: who answered, with which model and prompt, at what cost."""
    agent = turn.agent
    models = turn.of_kind("model") or (agent,)
    state = formats.state_of(turn.status, ("escalated",) if turn.escalation_reason is not None else ())
    price = formats.summed(span.cost_usd for span in turn.spans)
    prompts = [(span.prompt_name, span.prompt_version) for span in turn.spans]
    lines = [
        line(("TURN ", "heading"), (str(turn.index + 1), "strong"), "  ", (state.text, state.role)),
        *field("agent", agent.agent_name or agent.name, width),
        *field("version", _version(turn), width),
        *field("requested", _each(span.model_requested for span in models), width),
        *field("served", _each(span.model_served for span in models), width),
        *field("prompt", _each(" ".join(filter(None, pair)) for pair in prompts), width),
        *field("user", agent.user_id or "", width),
        *field("tokens", formats.tokens(*formats.usage_of(models)), width),
        *field("cost", formats.cost(price), width),
        *field("took", formats.duration(agent.duration_ms), width),
        *field("started", formats.full(agent.start), width),
        *field("hidden", hidden_of(turn.spans), width, role="warn"),
        *field("redacted", taken_out_of(turn.spans), width, role="warn"),
        *field("erased", _erased(turn), width, role="warn"),
        *field("tags", " ".join(f"{key}={value}" for key, value in agent.tags.items()), width),
    ]
    for judged in agent.evaluations:
        value = formats.UNKNOWN if judged.value is None else f"{judged.value:g}"
        lines += field("evaluation", f"{judged.name} {value} {judged.label or ''}", width)
    if turn.system_prompt:
        lines += [BLANK, section("SYSTEM PROMPT"), *wrapped(turn.system_prompt, width, most=TEXT_LINES)]
    return lines + _fault(agent, width) + _ids(agent, width, proven)


def of_span(span: Span, width: int, proven: Mapping[str, str] | None = None) -> list[Line]:
    """Give a call's facts: what it was asked, what came back, and where the record stands."""
    state = formats.state_of(span.status)
    lines = [
        line(
            (f"{span.kind.upper()} ", "heading"),
            recorded(span.name, "strong", max(4, width - len(span.kind) - len(state.text) - 3)),
            "  ",
            (state.text, state.role),
        ),
        *field("requested", span.model_requested or "", width),
        *field("served", span.model_served or "", width),
        *field("provider", span.provider or "", width),
        *field("effect", _effect(span), width, role="write" if span.effect in (None, "write") else ""),
        *field("version", span.agent_version or "", width),
        *field("prompt", " ".join(filter(None, (span.prompt_name, span.prompt_version))), width),
        *field("parameters", " ".join(f"{k}={compact(v, 60)}" for k, v in span.parameters.items()), width),
        *field("tokens", _tokens(span), width),
        *field("cost", "" if span.cost_usd is None else formats.cost(span.cost_usd), width),
        *field("took", _took(span), width),
        *field("finish", ", ".join(span.finish_reasons), width),
        *field("replay", _replay(span), width),
        *field("lossy", _lossy(span), width, role="warn"),
        *field("escalated", span.escalation_reason or "", width, role="warn"),
        *field("hidden", hidden_of([span]), width, role="warn"),
        *field("redacted", taken_out_of([span]), width, role="warn"),
        *field(
            "erased",
            "its content was taken away; its place in the ledger still proves" if span.erased else "",
            width,
            role="warn",
        ),
        *field("encrypted", "the content key is not here" if span.closed else "", width, role="warn"),
    ]
    asked = asked_of(span)
    if span.kind == "model" and asked:
        lines += _messages("ASKED", asked[-3:], width, of=len(asked))
        lines += _messages("ANSWERED", span.output_messages, width)
        if not span.output_messages:
            lines += [
                BLANK,
                section("ANSWERED"),
                *pretty(span.output_text or span.output, width, most=VALUE_LINES),
            ]
    else:
        lines += [BLANK, section("ARGUMENTS"), *_arguments(span, width)]
        if span.documents:
            lines += [BLANK, section(f"DOCUMENTS ({len(span.documents)})")]
            for document in span.documents:
                lines += _document(document, width)
        elif span.status != "incomplete":
            lines += [BLANK, section("RESULT"), *pretty(span.output, width, most=VALUE_LINES)]
    return lines + _fault(span, width) + _ids(span, width, proven)


def asked_of(span: Span) -> tuple[Message, ...]:
    """Give the messages of a model call, also where they came as its `messages` argument."""
    if span.input_messages or not isinstance(span.input, dict):
        return span.input_messages
    return messages(span.input.get("messages"))


def _version(turn: Turn) -> str:
    return _each(span.agent_version for span in turn.spans)


def _each(values: object) -> str:
    """Name each different value once."""
    return ", ".join(dict.fromkeys(value for value in values if value))  # type: ignore[attr-defined]


def _effect(span: Span) -> str:
    if span.kind != "tool":
        return ""
    return span.effect or "not declared: a replay takes it for write"


def _erased(turn: Turn) -> str:
    gone = sum(span.erased for span in turn.spans)
    return f"{many(gone, 'call')} of {len(turn.spans)}: their content was taken away" if gone else ""


def _integrity(span: Span, proven: Mapping[str, str] | None) -> str:
    if span.segment is None:
        return "nothing to prove yet: it is not sealed"
    if proven is None:
        return "its content is that of its leaf; v proves the leaf against the signed ledger"
    return proven.get(span.span_id, "not proven: the ledger's entry for it is not signed yet")


def _lossy(span: Span) -> str:
    if not span.lossy:
        return ""
    told = span.attributes.get("auditlog.inexact")
    why = "; ".join(map(str, told)) if isinstance(told, list) else ""
    return f"kept as text: {why}" if why else "a value could not be kept as it was"


def _tokens(span: Span) -> str:
    used = span.usage
    if used.input_tokens is None and used.output_tokens is None:
        return ""
    extra = [
        f"{formats.count(number)} {name}"
        for name, number in (("cached", used.cache_read_tokens), ("reasoning", used.reasoning_tokens))
        if number
    ]
    return ", ".join((formats.tokens(used.input_tokens, used.output_tokens), *extra))


def _took(span: Span) -> str:
    first = f", first chunk after {formats.duration(span.ttft_ms)}" if span.ttft_ms is not None else ""
    return formats.duration(span.duration_ms) + first


def _replay(span: Span) -> str:
    if span.replay is None:
        return ""
    lineage = span.replay
    return " ".join(filter(None, (lineage.run_id, lineage.arm, lineage.match_tier)))


def _arguments(span: Span, width: int) -> list[Line]:
    if not isinstance(span.input, dict):
        return pretty(span.input, width, most=VALUE_LINES)
    lines: list[Line] = []
    for name, value in span.input.items():
        short = compact(value, width * 2)
        if len(name) + len(short) + 4 <= width:
            lines.append(line("  ", recorded(str(name), "muted"), " ", short))
        else:
            lines.append(line("  ", recorded(str(name), "muted", width - 2)))
            lines += pretty(value, width, indent=4, most=VALUE_LINES)
    return lines or [line("  ", ("none", "muted"))]


def _document(document: Document, width: int) -> list[Line]:
    score = f"{document.score:.3f} " if document.score is not None else ""
    head = line(
        "  ",
        (score, "muted"),
        recorded(document.id or "document", "strong", 30),
        " ",
        recorded(document.source, "muted", 40),
    )
    return [head, *(wrapped(document.content, width, indent=4, most=4) if document.content else [])]


def _messages(title: str, said: tuple[Message, ...], width: int, of: int | None = None) -> list[Line]:
    if not said:
        return []
    more = f" (the last {len(said)} of {of})" if of is not None and of > len(said) else ""
    lines = [BLANK, section(title + more)]
    for message in said:
        lines.append(line("  ", recorded(message.role, "muted", 20)))
        for part in message.parts:
            match part.type:
                case "text" | "reasoning":
                    lines += wrapped(part.content, width, indent=4, most=6)
                case "tool_call":
                    lines += wrapped(
                        f"calls {part.name} {compact(part.arguments, width * 4)}", width, indent=4, most=4
                    )
                case "tool_call_response":
                    given = part.response
                    text = given if isinstance(given, str) else compact(given, width * 4)
                    lines += wrapped(f"→ {text}", width, indent=4, most=4)
                case _:
                    lines += wrapped(f"{part.type} {compact(part.raw, width * 4)}", width, indent=4, most=4)
    return lines


def _fault(span: Span, width: int) -> list[Line]:
    if span.fault is None:
        return []
    text = f"{span.fault.type}: {span.fault.message}"
    return [BLANK, section("ERROR"), *wrapped(text, width, "error", indent=2, most=TEXT_LINES)]


def _ids(span: Span, width: int, proven: Mapping[str, str] | None) -> list[Line]:
    return [
        BLANK,
        section("RECORD"),
        *field("held in", span.segment or "the journal: not sealed yet", width),
        *field(
            "integrity",
            told := _integrity(span, proven),
            width,
            role="error" if told.startswith("INVALID") else "",
        ),
        *field("source", span.source, width),
        *field("conversation", span.conversation_id or "", width, label=13),
        *field("span", span.span_id, width),
        *field("trace", span.trace_id, width),
        *field("parent", span.parent_span_id or "", width),
        *field("definition", span.tool_digest or "", width),
    ]
