"""`auditlog prune`: takes away what is older than a policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auditlog.cli.compact import moment
from auditlog.cli.confirm import confirmed, reason_option, removal_options, size
from auditlog.cli.exits import Exit
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import Progress, print_line
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.keeping.prune import Plan


@click.command()
@click.option(
    "--older-than",
    metavar="WHEN",
    required=True,
    help="Conversations that ended before then: 90d, or a date.",
)
@reason_option("Why, for the ledger: the policy's name, say.")
@removal_options
@store_option
def prune(older_than: str, reason: str, dry_run: bool, yes: bool, store: str) -> None:
    """Take away conversations that ended long ago, and the replays made of them.

    The ledger keeps that they were there and when they went. What is held stays.
    """
    from auditlog.keeping import prune as pruning

    before = moment(older_than)
    assert before is not None
    with open_store(store) as opened:
        found = pruning.plan(opened, before)
        if not found.anything:
            _print(found, "Nothing to prune.")
            return
        if dry_run:
            _print(found, f"Would prune {_summary(found)}.")
            return
        if not confirmed(f"Prune {_summary(found)} for good?", yes=yes):
            raise click.exceptions.Exit(Exit.NO)
        with Progress("Writing files anew:") as progress:
            found = pruning.prune(
                opened, before, older_than=older_than, reason=reason, progress=progress.update
            )
        _print(found, f"Pruned {_summary(found)}.")


def _summary(found: Plan) -> str:
    return f"{many(len(found.conversations), 'conversation')} ({many(found.rows, 'span')})"


def _print(found: Plan, head: str) -> None:
    print_line(head)
    if found.replays:
        print_line(f"  Replays of the others among them: {many(found.replays, 'conversation')}.")
    if found.removed:
        print_line(f"  {many(len(found.removed), 'file')} whole, {size(found.bytes)}.")
    if found.rewritten:
        rows = sum(count for _, count in found.rewritten)
        print_line(
            f"  {many(len(found.rewritten), 'file')} also hold what stays: {many(rows, 'span')} there lose their content."
        )
    if found.held:
        print_line(f"  Held, and so kept: {many(found.held, 'conversation')} of that age.")
