"""A conversation as one reads it: what was said, with retrieved documents and calls where they happened.

The rules:

1. Conversation first, JSON second: a call takes one line, its result one more, its documents one each.
2. Every block can be opened whole; what is clipped says so.
3. `/` finds what a block holds, also what its lines clip.
4. What was erased or is encrypted is said where it stood; it never looks like something that was not said.
"""

from __future__ import annotations

from functools import partial

from auditlog.safe_text import cell_width, safe_text
from auditlog.values import Conversation, Document, Span, Turn, user_text_of
from auditlog.wording import many
from tui.render import formats
from tui.render.block import Block
from tui.render.line import BLANK, Line, Piece, fitted, line, recorded, rule, wrapped
from tui.render.value import arguments, compact, searchable

LABEL = 8
MESSAGE_LINES = 14
DOCUMENTS_SHOWN = 8
ERASED = "(its content is gone: erased or pruned)"
CLOSED = "(encrypted: the content key is not here)"


def blocks(conversation: Conversation, *, message_lines: int = MESSAGE_LINES) -> list[Block]:
    """Lay out a conversation, oldest turn first."""
    laid: list[Block] = []
    for turn in conversation.turns:
        laid += turn_blocks(turn, message_lines=message_lines)
    return laid


def turn_blocks(turn: Turn, *, message_lines: int = MESSAGE_LINES) -> list[Block]:
    """Lay out one turn: its heading, the user's message, the calls, the agent's answer."""
    agent = turn.agent
    made = [Block(f"{agent.span_id}/turn", partial(_heading, turn), "", turn)]
    for position, (role, text) in enumerate(_said_before(turn)):
        draw = partial(_said, role, text, message_lines)
        made.append(Block(f"{agent.span_id}/history/{position}", draw, text, Whole(role, text)))
    if user := turn.user_text:
        draw = partial(_said, "user", user, message_lines)
        made.append(Block(f"{agent.span_id}/user", draw, user, Whole("user", user)))
    elif missing := _missing(agent):
        made.append(Block(f"{agent.span_id}/user", partial(_gone, "user", missing), missing, agent))
    depths = _depths(turn)
    for span in turn.spans:
        if span.span_id != agent.span_id:
            draw = partial(_call, span, depths[span.span_id])
            made.append(Block(span.span_id, draw, partial(_text_of, span), span))
    if answer := turn.answer_text:
        draw = partial(_said, "agent", answer, message_lines)
        made.append(Block(f"{agent.span_id}/answer", draw, answer, Whole("agent", answer)))
    elif agent.output is not None:
        made.append(
            Block(
                f"{agent.span_id}/answer", partial(_output, agent), partial(searchable, agent.output), agent
            )
        )
    elif missing := _missing(agent):
        made.append(Block(f"{agent.span_id}/answer", partial(_gone, "agent", missing), missing, agent))
    if agent.fault is not None:
        text = f"{agent.fault.type}: {agent.fault.message}"
        made.append(Block(f"{agent.span_id}/fault", partial(_fault, agent), text, agent))
    if (reason := turn.escalation_reason) is not None:
        made.append(Block(f"{agent.span_id}/escalation", partial(_escalation, turn, reason), reason, agent))
    return made


class Whole:
    """A message to open whole."""

    __slots__ = ("role", "text")

    def __init__(self, role: str, text: str) -> None:
        self.role = role
        self.text = text


def _said_before(turn: Turn) -> list[tuple[str, str]]:
    """Give the messages that only this turn's first call knows: a conversation that was imported as one call.

    The first turn alone can hold such a history; later ones repeat what the screen shows above them.
    """
    if turn.index:
        return []
    messages = turn.agent.input_messages or next(
        (s.input_messages for s in turn.spans if s.input_messages), ()
    )
    said = [(message.role, message.text) for message in messages if message.text and message.role != "system"]
    return (
        said[:-1]
        if said and said[-1] == ("user", turn.user_text)
        else [pair for pair in said if pair[0] != "user"]
    )


def _depths(turn: Turn) -> dict[str, int]:
    parents = {span.span_id: span.parent_span_id for span in turn.spans}
    depths: dict[str, int] = {turn.agent.span_id: 0}
    for span_id in parents:
        chain: list[str] = []
        at: str | None = span_id
        while at is not None and at in parents and at not in depths and at not in chain:
            chain.append(at)
            at = parents[at]
        depth = depths.get(at, 0) if at is not None else 0
        for name in reversed(chain):
            depth += 1
            depths[name] = depth
    return depths


def _heading(turn: Turn, width: int) -> list[Line]:
    state = formats.state_of(turn.status)
    models = turn.of_kind("model") or (turn.agent,)
    price = formats.summed(span.cost_usd for span in turn.spans)
    facts = [
        formats.clock(turn.agent.start),
        formats.duration(turn.agent.duration_ms),
        formats.cost(price) if price is not None else "",
        f"{used} tokens" if (used := formats.tokens(*formats.usage_of(models))) != formats.UNKNOWN else "",
    ]
    title = (
        Piece(f"turn {turn.index + 1}", "strong"),
        Piece("".join(f" · {fact}" for fact in facts if fact), "muted"),
        Piece(" · ", "muted"),
        Piece(state.text, state.role),
    )
    return [*([BLANK] if turn.index else []), rule(title, width)]


def _said(role: str, text: str, most: int, width: int) -> list[Line]:
    label = "agent" if role in ("agent", "assistant") else role
    kind = label if label in ("user", "agent") else "agent"
    first = Piece(safe_text(label, width=LABEL - 1), f"{kind}-label")
    return wrapped(text, width, kind, first=first, indent=LABEL, most=most)


def _missing(span: Span) -> str:
    """Say why a call has no content; nothing where it may have."""
    return ERASED if span.erased else CLOSED if span.closed else ""


def _gone(label: str, missing: str, width: int) -> list[Line]:
    return [fitted(line((label.ljust(LABEL), f"{label}-label"), (missing, "warn")), width)]


def _output(span: Span, width: int) -> list[Line]:
    text = compact(span.output, width * 3)
    return wrapped(text, width, first=Piece("agent", "agent-label"), indent=LABEL, most=3)


def _fault(span: Span, width: int) -> list[Line]:
    assert span.fault is not None
    text = f"{span.fault.type}: {span.fault.message}"
    return wrapped(text, width, "error", first=Piece("✗ error", "error"), indent=LABEL, most=4)


def _escalation(turn: Turn, reason: str, width: int) -> list[Line]:
    to = next((span.escalation_to for span in turn.spans if span.escalation_to), None)
    text = f"escalated{f' to {to}' if to else ''}: {reason}"
    return wrapped(text, width, "warn", first=Piece("▲", "warn"), indent=2, most=4)


def _call(span: Span, depth: int, width: int) -> list[Line]:
    indent = " " * min(2 * depth, width // 4)
    state = formats.state_of(span.status)
    head: list[Piece] = [
        Piece(indent),
        Piece(f"{formats.KIND_GLYPHS[span.kind]} ", "call"),
        Piece(f"{span.kind} ", "muted"),
    ]
    facts: list[Piece] = []
    match span.kind:
        case "model":
            head.append(recorded(model_of(span), "call", 40))
            used = formats.tokens(span.usage.input_tokens, span.usage.output_tokens)
            facts.append(Piece("" if used == formats.UNKNOWN else f" {used} tokens", "muted"))
        case "tool":
            head.append(recorded(span.name, "call", 40))
            facts.append(
                Piece(f" {span.effect or 'effect?'}", "write" if span.effect in (None, "write") else "muted")
            )
            tier = span.replay.match_tier if span.replay else None
            facts.append(
                recorded(f" [{tier}]" if tier else "", "warn" if tier in ("miss", "blocked") else "muted")
            )
        case _:
            head.append(recorded(span.name, "call", 40))
    facts.append(Piece(f" {formats.duration(span.duration_ms)}", "muted"))
    if span.status != "ok":
        facts.append(Piece(f" {state.text}", state.role))
    inner = f"{indent}    "
    room = width - line(*head, *facts).width - 1
    asked = _asked(span, max(room, width - len(inner)))
    if not asked or cell_width(asked) <= room:
        lines = [fitted(line(*head, (f" {asked}" if asked else ""), *facts), width)]
    else:
        lines = [fitted(line(*head, *facts), width), fitted(line(inner, asked), width)]
    lines += [_document(document, inner, width) for document in span.documents[:DOCUMENTS_SHOWN]]
    if len(span.documents) > DOCUMENTS_SHOWN:
        lines.append(line(inner, (f"… {len(span.documents) - DOCUMENTS_SHOWN} more documents", "muted")))
    if missing := _missing(span):
        lines.append(fitted(line(inner, (missing, "warn")), width))
    elif span.fault is not None:
        lines += wrapped(
            f"{span.fault.type}: {span.fault.message}", width, "error", indent=len(inner), most=2
        )
    elif span.kind not in ("model", "retriever", "agent") and span.output is not None:
        lines.append(
            fitted(line(inner, ("→ ", "muted"), compact(span.output, max(1, width - len(inner) - 2))), width)
        )
    return lines


def _asked(span: Span, room: int) -> str:
    if span.kind == "model":
        names = ", ".join(
            part.name or "" for m in span.output_messages for part in m.parts if part.type == "tool_call"
        )
        return safe_text(f"calls {names}", width=room) if names else ""
    if span.kind == "agent":
        return ""
    if span.kind == "retriever" and isinstance(span.input, dict) and (query := user_text_of(span.input)):
        # What was looked for comes first, and needs no name.
        others = {name: value for name, value in span.input.items() if value != query}
        return safe_text(f"{compact(query, room)} {arguments(others, room)}".rstrip(), width=room)
    return arguments(span.input, room)


def _document(document: Document, indent: str, width: int) -> Line:
    score = f"{document.score:.2f} " if document.score is not None else ""
    name = recorded(document.id or document.source or "document", "strong", 28)
    room = max(0, width - len(indent) - len(score) - len(name.text) - 2)
    return fitted(
        line(indent, (score, "muted"), name, "  ", recorded(document.content, "document", room)), width
    )


def model_of(span: Span) -> str:
    """Name the model: the one requested, and the one served where it differs."""
    asked, served = span.model_requested, span.model_served
    if asked and served and asked != served:
        return f"{asked} → {served}"
    return served or asked or span.name


def _text_of(span: Span) -> str:
    documents = [text for d in span.documents for text in (d.id, d.content) if text]
    fault = f"{span.fault.type}: {span.fault.message}" if span.fault else None
    said = span.output_text if span.kind == "model" else searchable(span.input, span.output)
    return searchable(span.name, said, fault, *documents)


def title_of(turn: Turn, width: int) -> Line:
    """Write a turn for the list of turns."""
    state = formats.state_of(turn.status, ("escalated",) if turn.escalation_reason is not None else ())
    head = f"{turn.index + 1:>3} "
    words = recorded(turn.user_text or turn.agent.name, "", max(0, width - len(head) - 2))
    return fitted(line((head, "muted"), (f"{state.glyph} ", state.role), words), width)


def turn_list(conversation: Conversation) -> list[Block]:
    """Lay out the list of turns: two lines each."""

    def draw(turn: Turn, width: int) -> list[Line]:
        state = formats.state_of(turn.status, ("escalated",) if turn.escalation_reason is not None else ())
        calls = len(turn.of_kind("tool", "retriever", "handoff"))
        facts = f"    {state.word} · {many(calls, 'call')}"
        return [title_of(turn, width), fitted(line((facts, "muted")), width)]

    return [Block(turn.turn_id, partial(draw, turn), turn.user_text, turn, 2) for turn in conversation.turns]
