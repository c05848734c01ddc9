"""`auditlog access`: lists who looked at what.

The rules:

1. The newest stands first; what is listed is what the ledger says, and nothing else keeps it.
2. Looking at the accesses is an access: it is written before they are listed, and stands in the next list.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, count, format_option, moment, write_rows
from auditlog.cli.options import limit_option, open_store, record_access, selection, store_option
from auditlog.cli.output import narrate

if TYPE_CHECKING:
    from auditlog.store.access import Access

_PAGE = 50

COLUMNS = (
    Column("time", "WHEN", 0, show=moment),
    Column("who", "WHO", 0, shrinks=True),
    Column("claimed", "CLAIMED", 4, shrinks=True),
    Column("host", "HOST", 6, shrinks=True),
    Column("tool", "TOOL", 5),
    Column("action", "ACTION", 0),
    Column("ids", "NAMED", 2, shrinks=True, show=", ".join),
    Column("filter", "FILTER", 1, shrinks=True),
    Column("rows", "ROWS", 3, right=True, show=count),
    Column("reason", "REASON", 1, shrinks=True),
)


@click.command()
@click.option("--who", metavar="NAME", help="Only this user's, or claimed under this name.")
@click.option(
    "--conversation", metavar="ID", help="Only those that name this conversation, run or span; lists do not."
)
@click.option("--action", metavar="ACTION", help="Only this action, such as show or reveal.")
@click.option("--since", metavar="WHEN", help="From then on: yesterday, 2h, 3d, or a date.")
@click.option("--until", metavar="WHEN", help="Up to then: today, 2h, or a date, which it includes.")
@limit_option("At most N, the newest; 0 for all. 50 in a table, all elsewhere.")
@format_option()
@store_option
def access(
    who: str | None,
    conversation: str | None,
    action: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    format: str,
    output: str | None,
    store: str,
) -> None:
    """List who looked at what, newest first.

    Each command and each view of the terminal UI that shows what was recorded is written to the ledger before it shows it.
    Exits with 1 where nobody did.
    """
    from auditlog.layout import Layout
    from auditlog.store.access import accesses

    chosen = selection(None, None, since, until)
    if limit is None:
        limit = _PAGE if format == "table" else 0
    with open_store(store) as opened:
        every = list(accesses(Layout(opened.path)))
        found = list(_matching(every, who, conversation, action, chosen.since, chosen.until))[::-1]
        shown = found[:limit] if limit else found
        told = {"who": who, "conversation": conversation, "action": action}
        words = [f"{name} {value}" for name, value in told.items() if value] + [chosen.words or ""]
        record_access(opened, "access", filter=" ".join(filter(None, words)) or None, rows=len(shown))
    if shown or format != "table":
        write_rows([row_of(each) for each in shown], COLUMNS, format, output)
    if len(shown) < len(found):
        narrate(f"{len(shown)} of {len(found)} accesses; --limit 0 lists all.")
    if not found:
        narrate(f"No access of that kind is recorded; the ledger tells of {len(every)}.")
        raise click.exceptions.Exit(Exit.NO)


def _matching(
    every: list[Access],
    who: str | None,
    named: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Iterator[Access]:
    for each in every:
        if who is not None and who not in (each.who, each.claimed):
            continue
        if named is not None and named not in each.ids:
            continue
        if action is not None and each.action != action:
            continue
        if (since is None or each.time >= since) and (until is None or each.time < until):
            yield each


def row_of(each: Access) -> dict[str, Any]:
    """Make a row of an access: its fields, and its time."""
    row = {name: getattr(each, name) for name in each.__slots__ if name != "time_ns"}
    return {"time": each.time, **row, "ids": list(each.ids) or None}
