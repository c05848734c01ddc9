"""`auditlog find`: searches what was said, retrieved, passed to tools and given back.

The rules:

1. The words are looked for as they stand, in any case where `--case` does not ask for theirs; `*` is no wildcard here.
2. A match names the conversation, the turn, and what it is in: the span and its part.
3. A customer is looked up by token: the value that is given is neither in the store, nor in its record of accesses.
4. The snippet is a line of text around the match, safe to look at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, format_option, json_text, write_rows
from auditlog.cli.ls import say_nothing_found
from auditlog.cli.options import (
    limit_option,
    open_store,
    record_access,
    selection,
    selection_options,
    store_option,
    subject_option,
    tokens_of,
)
from auditlog.cli.output import Progress, narrate
from auditlog.errors import FilterError
from auditlog.filters.language import MAX_CHARACTERS, Filter, Match, Pattern
from auditlog.values import Conversation, Message, Span, text_of
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.store import Store

_AROUND = 32
_READ_AT_ONCE = 32
_MANY_SPANS = 100_000

COLUMNS = (
    Column("conversation_id", "CONVERSATION", 0, shrinks=True),
    Column("turn", "TURN", 2, right=True),
    Column("where", "WHERE", 1, shrinks=True),
    Column("snippet", "FOUND", 0, shrinks=True, least=24),
)


@click.command()
@click.argument("text", nargs=-1, metavar="[TEXT]...")
@selection_options
@subject_option
@click.option("--case", is_flag=True, help="Tell upper and lower case apart.")
@click.option("--no-index", is_flag=True, help="Read everything, and ask no full-text index.")
@limit_option("At most N matches; 0 for all.", default=50)
@format_option()
@store_option
def find(
    text: Sequence[str],
    where: str | None,
    agent: str | None,
    since: str | None,
    until: str | None,
    subject: str | None,
    case: bool,
    no_index: bool,
    limit: int,
    format: str,
    output: str | None,
    store: str,
) -> None:
    """Search what was said, retrieved, passed to tools and given back; newest first.

    With --subject, what a customer said, or what was said of them, without words to search for; with both, the words in
    that customer's conversations. Exits with 1 where there is no match.
    """
    wanted = " ".join(text).strip()
    if not wanted and subject is None:
        raise FilterError(
            "There is nothing to search for. Write some words, such as `auditlog find double charge`."
        )
    chosen = selection(where, agent, since, until)
    if wanted:
        chosen = chosen.and_text(wanted)
    rows: list[dict[str, Any]] = []
    with open_store(store) as opened, Progress("Searching:") as progress:
        opened.search.is_used = not no_index
        tokens = [] if subject is None else tokens_of(opened, subject)
        if tokens:
            chosen = chosen.and_subject(tokens)
        words = [wanted] if wanted else tokens
        found = opened.summaries(chosen.where, chosen.since, chosen.until)
        if opened.content_key is not None and wanted:
            narrate("Content is encrypted here, so no index holds its words: everything was read.")
        elif opened.search.unindexed > _MANY_SPANS and not no_index:
            narrate(
                f"{opened.search.unindexed:,} spans were read whole: `auditlog index` makes an index of their words, "
                "which serves words of three letters and more that not every conversation holds."
            )
        if not found:
            say_nothing_found(opened, chosen)
        for done, conversation in enumerate(_read(opened, [summary.conversation_id for summary in found])):
            rows += matches(conversation, words, everywhere=not wanted, case=case)
            progress.update(done + 1, len(found))
            if limit and len(rows) > limit:
                break
        shown = rows[:limit] if limit else rows
        named = list(dict.fromkeys(row["conversation_id"] for row in shown))
        record_access(opened, "find", filter=chosen.words, ids=named, rows=len(shown))
    if limit and len(rows) > limit:
        del rows[limit:]
        narrate(f"The first {limit} matches, in {many(len(found), 'conversation')}; --limit 0 shows all.")
    if rows or format != "table":
        write_rows(rows, COLUMNS, format, output)
    if not rows:
        raise click.exceptions.Exit(Exit.NO)


def _read(store: Store, ids: Sequence[str]) -> Iterator[Conversation]:
    """Read conversations in this order, some at a time: each reading has its price, whatever it reads."""
    for first in range(0, len(ids), _READ_AT_ONCE):
        batch = ids[first : first + _READ_AT_ONCE]
        named = Filter((Match("conversation", tuple(Pattern((name,)) for name in batch)),))
        if len(str(named)) > MAX_CHARACTERS:
            yield from map(store.conversation, batch)
            continue
        found = {
            conversation.conversation_id: conversation for conversation in store.conversations(str(named))
        }
        yield from (found[name] for name in batch if name in found)


def matches(
    conversation: Conversation, wanted: Sequence[str], *, everywhere: bool = False, case: bool = False
) -> Iterator[dict[str, Any]]:
    """Give a row for each part of a conversation that holds one of some texts.

    Args:
        conversation: where to look.
        wanted: the texts.
        everywhere: whether to look at who the user is, at errors and at attributes too, and to name each place.
        case: whether upper and lower case differ.
    """
    pattern = re.compile("|".join(map(re.escape, wanted)), re.NOFLAG if case else re.IGNORECASE)
    for turn in conversation.turns:
        said: set[str] = set()
        for span in turn.spans:
            for part, content in (*_contents(span), *(_beside(span) if everywhere else ())):
                match = pattern.search(content)
                # What the user said goes from the agent to the retriever and the model: once is enough.
                if match and (everywhere or content not in said):
                    said.add(content)
                    yield {
                        "conversation_id": conversation.conversation_id,
                        "turn": turn.index + 1,
                        "where": f"{span.kind} {span.name} · {part}"
                        if span.name
                        else f"{span.kind} · {part}",
                        "snippet": snippet(content, match),
                        "span_id": span.span_id,
                    }


def snippet(content: str, match: re.Match[str]) -> str:
    """Give the text around a match, in one line."""
    start, end = max(0, match.start() - _AROUND), match.end() + 2 * _AROUND
    before = "…" if start else ""
    after = "…" if end < len(content) else ""
    return before + " ".join(content[start:end].split()) + after


def _contents(span: Span) -> Iterator[tuple[str, str]]:
    if not span.input_messages:
        yield from _values("input", span.input)
    for message in span.input_messages[-1:] if span.kind == "model" else span.input_messages:
        yield from _message("input", message)
    for document in span.documents:
        yield f"document {document.id or '?'}", document.content or ""
    if not span.documents:
        # Said in chunks, looked for as a whole.
        yield from _values("output", (text_of(span.output) if span.stream else "") or span.output)
    for message in span.output_messages:
        yield from _message("output", message)


def _beside(span: Span) -> Iterator[tuple[str, str]]:
    if span.user_id:
        yield "user", span.user_id
    if span.fault is not None:
        yield "error", span.fault.message
    for name, value in span.attributes.items():
        if name != "user.id":
            yield from _values(name, value)


def _values(part: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case str():
            yield part, value
        case dict():
            for name, inner in value.items():
                yield f"{part} {name}", inner if isinstance(inner, str) else json_text(inner)
        case _:
            yield part, json_text(value)


def _message(part: str, message: Message) -> Iterator[tuple[str, str]]:
    for piece in message.parts:
        where = f"{part} {message.role}"
        if piece.content:
            yield where, piece.content
        for value in (piece.arguments, piece.response, piece.raw):
            yield from _values(where, value)
