"""`auditlog show`: shows a conversation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from auditlog.cli.formats import format_option
from auditlog.cli.options import open_store, record_access, say_closed, store_option
from auditlog.cli.output import destination, print_line, safe_json, styled, terminal_width
from auditlog.errors import NotFoundError
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.values import Conversation


@click.command()
@click.argument("id", metavar="ID")
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only the Nth turn.")
@click.option("--full", is_flag=True, help="Prompts, reasoning, whole documents and whole values too.")
@click.option(
    "--raw",
    is_flag=True,
    help="Every span as JSON with all that was recorded of it; the same as --format json.",
)
@format_option("text", "json", "jsonl")
@store_option
def show(
    id: str, turn: int | None, full: bool, raw: bool, format: str, output: str | None, store: str
) -> None:
    """Show a conversation: what was said, retrieved, called and answered.

    ID is a conversation's id, or a beginning of it that no other has. The id of a span or a trace, or eight digits of it,
    shows the turn that it belongs to.
    """
    with open_store(store) as opened:
        opened.shows_structure = True
        conversation = opened.conversation(id)
        turn = _turn_of(conversation, id) if turn is None else turn
        refuse_missing_turn(conversation, turn)
        chosen = None if turn is None else f"turn {turn}"
        shown = conversation.turns if turn is None else (conversation.turns[turn - 1],)
        spans = sum(len(each.spans) for each in shown)
        say_closed(opened)
        record_access(opened, "show", filter=chosen, ids=[conversation.conversation_id], rows=spans)
    write_conversation(conversation, turn, "json" if raw and format == "text" else format, output, full=full)


def _turn_of(conversation: Conversation, wanted: str) -> int | None:
    """Give the number of the turn that an id of a span or a trace stands in; None where it is the conversation's own."""
    if conversation.conversation_id.startswith(wanted):
        return None
    for turn in conversation.turns:
        ids = (name for span in turn.spans for name in (span.span_id, span.trace_id, span.turn_id or ""))
        if any(name.startswith(wanted) for name in ids):
            return turn.index + 1
    return None


def refuse_missing_turn(conversation: Conversation, turn: int | None) -> None:
    """Raise NotFoundError where a conversation has not so many turns."""
    if turn is not None and turn > len(conversation.turns):
        raise NotFoundError(
            f"{conversation.conversation_id} has {many(len(conversation.turns), 'turn')}, so there is no turn {turn}. "
            f"The last is --turn {len(conversation.turns)}."
        )


def write_conversation(
    conversation: Conversation, turn: int | None, format: str, output: str | None = None, *, full: bool
) -> None:
    """Write a conversation, or one turn of it, to stdout or a file."""
    lines = (
        _text(conversation, turn, full=full, output=output)
        if format == "text"
        else _json(conversation, turn, format)
    )
    if output is None:
        for line in lines:
            print_line(styled(line, bold=True) if line.startswith("Turn ") and line.endswith("─") else line)
        _say_hidden(conversation, turn)
        return
    with destination(output) as file:
        file.writelines(f"{line}\n".encode() for line in lines)


def _say_hidden(conversation: Conversation, turn: int | None) -> None:
    from auditlog.cli.output import narrate
    from auditlog.hidden import hidden_of

    chosen = conversation.turns if turn is None else (conversation.turns[turn - 1],)
    if found := hidden_of(span for shown in chosen for span in shown.spans):
        narrate(f"Characters that reorder or hide text were recorded: {found}. They stand as <U+…> above.")


def _text(conversation: Conversation, turn: int | None, *, full: bool, output: str | None) -> Iterator[str]:
    from auditlog.cli.transcript import Style, conversation_lines

    chosen = None if turn is None else (conversation.turns[turn - 1],)
    return conversation_lines(conversation, Style(100 if output else terminal_width(), full), chosen)


def _json(conversation: Conversation, turn: int | None, format: str) -> Iterator[str]:
    import orjson

    from auditlog.encoding.encode import encode
    from auditlog.exporters.jsonl import conversation_object

    found = conversation_object(conversation)
    if turn is not None:
        found["turns"] = [found["turns"][turn - 1]]
    if format == "jsonl":
        yield safe_json(encode(found).text.decode())
    else:
        yield from safe_json(
            orjson.dumps(orjson.loads(encode(found).text), option=orjson.OPT_INDENT_2).decode()
        ).split("\n")
