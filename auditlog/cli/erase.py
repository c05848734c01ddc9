"""`auditlog erase`: takes away the content of one customer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from auditlog.cli.confirm import confirmed, reason_option, removal_options
from auditlog.cli.exits import Exit
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import Progress, narrate, print_line
from auditlog.errors import FilterError
from auditlog.safe_text import safe_text
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.keeping.erase import Plan


@click.command()
@click.option("--subject", metavar="VALUE", help="The customer: a user id, an address, a number, or a token.")
@click.option(
    "--conversation", "conversations", metavar="ID", multiple=True, help="A conversation; may be given again."
)
@click.option("--override-hold", is_flag=True, help="Erase what is held, too; needs a --reason.")
@reason_option("Why; it stands in the ledger for ever.")
@removal_options
@store_option
def erase(
    subject: str | None,
    conversations: Sequence[str],
    override_hold: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    store: str,
) -> None:
    """Take away the content of one customer, and of the replays made of it.

    Ids, names and times stay, so that everything else still proves. Exits with 1 where something is left: content in the
    journal of a process that still writes, or nothing was found.
    """
    from auditlog.keeping import erase as erasing

    if subject is None and not conversations:
        raise FilterError("Say whose data with --subject, or which conversation with --conversation.")
    if override_hold and not reason.strip():
        raise FilterError("--override-hold needs a --reason, which the ledger keeps.")
    with open_store(store) as opened:
        wanted = erasing.subject_of(opened, subject, conversations)
        with Progress("Looking through files:") as progress:
            found = erasing.plan(opened, wanted, progress.update)
        if found.held and not override_hold:
            raise erasing.HeldError(erasing.held_sentence(found.held))
        if not found.anything:
            print_line("Nothing to erase.")
            _say_left(found)
            raise click.exceptions.Exit(Exit.NO)
        if dry_run:
            _print(found, f"Would erase the content of {_summary(found)}.")
            return
        _warn(found)
        if not confirmed(f"Erase the content of {_summary(found)} for good?", yes=yes):
            raise click.exceptions.Exit(Exit.NO)
        with Progress("Writing files anew:") as progress:
            found = erasing.erase(
                opened, wanted, reason=reason, override_holds=override_hold, progress=progress.update
            )
        _print(found, f"Erased the content of {_summary(found)}.")
    if found.live_rows:
        raise click.exceptions.Exit(Exit.NO)


def _summary(found: Plan) -> str:
    return f"{many(found.rows, 'span')} in {many(len(found.found.whole | found.found.mentioning), 'conversation')}"


def _print(found: Plan, head: str) -> None:
    print_line(head)
    own, replays = len(found.found.conversations), len(found.found.replays)
    for count, what in (
        (own, f"The subject’s own: {many(own, 'conversation')}."),
        (replays, f"Replays of those: {many(replays, 'conversation')}."),
        (found.found.mentions, f"Mentions elsewhere: {many(found.found.mentions, 'span')}."),
        (len(found.segments), f"Written anew: {many(len(found.segments), 'file')}."),
        (len(found.leftovers), f"Damaged leftovers: {many(len(found.leftovers), 'file')}."),
    ):
        if count:
            print_line(f"  {what}")
    _say_left(found)


def _say_left(found: Plan) -> None:
    if found.live_rows:
        narrate(
            f"{many(found.live_rows, 'span')} of the subject are in the journal of a process that still writes. "
            "Erase again when it has gone on to another file or ended."
        )
    _warn(found)


def _warn(found: Plan) -> None:
    if found.named:
        named = ", ".join(safe_text(name) for name in found.named[:5])
        narrate(
            f"The subject's value is part of a conversation's id ({named}), and ids stay. Pruning takes them away."
        )
