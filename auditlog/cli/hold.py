"""`auditlog hold` and `auditlog release`: what must not be pruned or erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auditlog.cli.confirm import reason_option
from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, format_option, moment, write_rows
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import narrate, print_line
from auditlog.errors import FilterError
from auditlog.safe_text import safe_text
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.keeping.holds import Hold
    from auditlog.store import Store

_COLUMNS = (
    Column("held", "held", shrinks=True),
    Column("conversations", "now", right=True),
    Column("since", "since", show=moment),
    Column("who", "by", rank=1),
    Column("against", "against", rank=2),
    Column("reason", "reason", shrinks=True),
)


@click.command()
@click.argument("id", metavar="[ID]", required=False)
@click.option("--where", metavar="FILTER", help="Whatever matches, also what is recorded later.")
@reason_option("Why; it stands in the ledger for ever.")
@click.option("--list", "show", is_flag=True, help="List what is held.")
@format_option("table", "json", "jsonl", "csv")
@store_option
def hold(
    id: str | None, where: str | None, reason: str, show: bool, format: str, output: str | None, store: str
) -> None:
    """Keep a conversation, or whatever matches a filter, from being pruned or erased.

    ID is a conversation's id, or a beginning of it that no other has.
    """
    from auditlog.keeping.holds import held, holds, place
    from auditlog.ledger import signing
    from auditlog.ledger.ledger import read_ledger

    if show:
        if id or where or reason:
            raise FilterError("--list takes no conversation, filter or reason.")
        with open_store(store) as opened:
            head = signing.head_of(opened.layout)
            ledger = read_ledger(opened.layout.entries)
            signing.refuse_other_past(opened.layout, ledger, head)
            placed = holds(ledger)
            write_rows([_row(opened, each) for each in placed], _COLUMNS, format, output)
        raise click.exceptions.Exit(Exit.OK if placed else Exit.NO)
    _refuse_other_than_one(id, where, reason)
    with open_store(store) as opened:
        placed_now = place(opened, conversation=id, where=where, reason=reason)
        count = len(held(opened, [placed_now]))
    print_line(f"Held: {safe_text(placed_now.target)} ({many(count, 'conversation')} now).")
    if where:
        narrate("The filter stands in the ledger for ever, as it was written or redacted.")


@click.command()
@click.argument("id", metavar="[ID]", required=False)
@click.option("--where", metavar="FILTER", help="The filter that the hold was placed with.")
@reason_option("Why; it stands in the ledger for ever.")
@store_option
def release(id: str | None, where: str | None, reason: str, store: str) -> None:
    """Release a hold, by the conversation or the filter that it was placed with."""
    from auditlog.keeping.holds import release as releasing

    _refuse_other_than_one(id, where, reason)
    with open_store(store) as opened:
        gone = releasing(opened, conversation=id, where=where, reason=reason)
    print_line(f"Released: {safe_text(gone.target)}.")


def _refuse_other_than_one(id: str | None, where: str | None, reason: str) -> None:
    if (id is None) == (where is None):
        raise FilterError("Name one conversation, or a filter with --where.")
    if not reason.strip():
        raise FilterError("Say why with --reason: who reads the ledger in a year will ask.")


def _row(store: Store, placed: Hold) -> dict[str, object]:
    from auditlog.keeping.holds import held

    return {
        "held": placed.target,
        "conversations": len(held(store, [placed])),
        "since": placed.time,
        "who": placed.who,
        "against": "pruning and erasing" if placed.against == "all" else placed.against,
        "reason": placed.reason,
    }
