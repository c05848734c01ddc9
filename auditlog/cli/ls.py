"""`auditlog ls`: lists conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, count, dollars, format_option, milliseconds, moment, write_rows
from auditlog.cli.options import (
    Selection,
    limit_option,
    open_store,
    record_access,
    say_closed,
    selection,
    selection_options,
    store_option,
    subject_option,
    tokens_of,
)
from auditlog.cli.output import narrate

if TYPE_CHECKING:
    from auditlog.store import Store
    from auditlog.values import ConversationSummary

_PAGE = 50

COLUMNS = (
    Column("conversation_id", "CONVERSATION", 0, shrinks=True),
    Column("start", "BEGAN", 3, show=moment),
    Column("status", "STATUS", 1),
    Column("why", "WHY", 2, shrinks=True, least=32, show=", ".join),
    Column("agent_name", "AGENT", 6, shrinks=True),
    Column("agent_version", "VERSION", 5, shrinks=True),
    Column("model", "MODEL", 9, shrinks=True),
    Column("turns", "TURNS", 4, right=True),
    Column("tool_calls", "TOOLS", 7, right=True),
    Column("tokens", "TOKENS", 10, right=True, show=count),
    Column("cost_usd", "COST", 11, right=True, show=dollars),
    Column("duration_ms", "TOOK", 8, right=True, show=milliseconds),
    Column("last_user_text", "LAST SAID", 1, shrinks=True, least=28),
)


@click.command()
@selection_options
@subject_option
@limit_option("At most N, the newest; 0 for all. 50 in a table, all elsewhere.")
@format_option()
@store_option
def ls(
    where: str | None,
    agent: str | None,
    since: str | None,
    until: str | None,
    subject: str | None,
    limit: int | None,
    format: str,
    output: str | None,
    store: str,
) -> None:
    """List conversations, newest first.

    Replays are left out; `auditlog replay ls` lists them.
    """
    chosen = selection(where, agent, since, until)
    if limit is None:
        limit = _PAGE if format == "table" else 0
    with open_store(store) as opened:
        if subject is not None:
            chosen = chosen.and_subject(tokens_of(opened, subject))
        found = opened.summaries(chosen.where, chosen.since, chosen.until, limit=limit or None)
        say_closed(opened)
        record_access(opened, "ls", filter=chosen.words, rows=len(found))
        if not found:
            say_nothing_found(opened, chosen)
            if format != "table":
                write_rows([], COLUMNS, format, output)
            raise click.exceptions.Exit(Exit.NO)
        write_rows([row_of(summary) for summary in found], COLUMNS, format, output)
        if limit and len(found) == limit:
            every = opened.count(chosen.where, chosen.since, chosen.until)
            if every > limit:
                narrate(f"{limit} of {every} conversations; --limit 0 lists all.")


def row_of(summary: ConversationSummary) -> dict[str, Any]:
    """Make a row of a summary: its fields, and the sum of its tokens."""
    row = {name: getattr(summary, name) for name in summary.__slots__}
    tokens = [n for n in (summary.input_tokens, summary.output_tokens) if n is not None]
    return {
        **row,
        "why": list(summary.why),
        "tags": dict(summary.tags),
        "tokens": sum(tokens) if tokens else None,
    }


def say_nothing_found(store: Store, chosen: Selection) -> None:
    """Say on stderr why there is nothing: the store is empty, or nothing matches."""
    every = store.count()
    if every == 0:
        narrate(
            f"error: The store {store.path} holds no conversations yet. Record some with "
            f'auditlog.configure("{store.path}"), or import some with `auditlog import FILE --store {store.path}`.'
        )
        return
    range_ = "" if chosen.since is None and chosen.until is None else " in that time"
    matches = f" that match {chosen.where}" if chosen.where else ""
    narrate(f"There are no conversations{range_}{matches}; the store holds {every}.")
