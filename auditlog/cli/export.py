"""`auditlog export`: writes conversations for other tools."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice
from auditlog.cli.ls import say_nothing_found
from auditlog.cli.options import (
    Selection,
    limit_option,
    open_store,
    record_access,
    selection,
    selection_options,
    store_option,
)
from auditlog.cli.output import Progress, destination, is_terminal, require_stdout, safe_json
from auditlog.errors import FilterError

if TYPE_CHECKING:
    from auditlog.store import Store
    from auditlog.values import Conversation


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@selection_options
@limit_option("At most N, the oldest.")
@format_choice(
    "otlp-json", "jsonl", help="OpenTelemetry spans that can be imported again, or plain JSON lines."
)
@click.option(
    "--incident",
    metavar="ID",
    help="One conversation with proofs, and a page that says what happened, as a folder or zip.",
)
@click.option(
    "--output",
    "--out",
    "-o",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write to FILE instead of stdout; compressed where it ends in .gz. An incident's folder, or FILE.zip.",
)
@click.option("--reason", metavar="TEXT", default="", help="Why, for the access record of an incident.")
@store_option
def export(
    ids: Sequence[str],
    where: str | None,
    agent: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    format: str,
    incident: str | None,
    output: str | None,
    reason: str,
    store: str,
) -> None:
    """Write conversations, one a line: those with these IDs, or those that match, or all.

    With --incident, write one conversation for people who were not there: what happened turn by turn, and proofs of it.
    """
    from auditlog.exporters import FORMATS

    chosen = selection(where, agent, since, until)
    if incident is not None:
        if ids or not chosen.everything or limit is not None:
            raise FilterError(
                "--incident names one conversation by itself. Leave the other ids and filters out."
            )
        from auditlog.cli.incident import write_incident

        write_incident(store, incident, output, reason)
        return
    if ids and not chosen.everything:
        raise FilterError("Conversations are named by id or chosen by a filter, not both. Leave one out.")
    with open_store(store) as opened:
        found = 0
        with Progress("Exporting conversations:") as progress:

            def counted() -> Iterator[Conversation]:
                nonlocal found
                for conversation in _conversations(opened, ids, chosen, limit):
                    found += 1
                    progress.update(found)
                    yield conversation

            lines = FORMATS[format](counted())
            first = next(lines, None)
            if first is None:
                record_access(opened, "export", filter=chosen.words, ids=ids, rows=0)
                say_nothing_found(opened, chosen)
                raise click.exceptions.Exit(Exit.NO)
            every = len(ids) or opened.count(chosen.where, chosen.since, chosen.until)
            record_access(
                opened, "export", filter=chosen.words, ids=ids, rows=min(every, limit) if limit else every
            )
            escaped = output is None and is_terminal(require_stdout())
            packed = output is not None and output.endswith(".gz")
            with destination(output) as file:
                sink = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if packed else file
                sink.write(_shown(first, escaped=escaped))
                for line in lines:
                    sink.write(_shown(line, escaped=escaped))
                if packed:
                    sink.close()


def _conversations(
    store: Store, ids: Sequence[str], chosen: Selection, limit: int | None
) -> Iterator[Conversation]:
    if not ids:
        yield from store.conversations(chosen.where, chosen.since, chosen.until, limit=limit or None)
    for conversation_id in ids:
        yield store.conversation(conversation_id)


def _shown(line: bytes, *, escaped: bool) -> bytes:
    return safe_json(line.decode()).encode() if escaped else line
