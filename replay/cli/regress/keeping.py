"""`auditlog regress add`, `ls`, `show`, `rm` and `history`: what is in the set, and what is expected of it.

The rules:

1. A turn that cannot be a case is left out and said; where it was the only one, it is an error.
2. What is expected comes from the turn, from a person's change of a draft, and from the words of whoever adds it.
3. An empty set or a set without history is an answer, and its exit code is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, format_option, moment, write_rows
from auditlog.cli.options import open_store, record_access, store_option
from auditlog.cli.output import narrate, print_line
from auditlog.errors import AuditlogError
from auditlog.safe_text import safe_text
from auditlog.wording import many
from replay.cli.regress.writing import case_row, say_case

if TYPE_CHECKING:
    from replay.regress.expectations import Expectations


@click.command(short_help="Put a recorded conversation into the set.")
@click.argument("id", metavar="[ID]", required=False)
@click.option(
    "--turn", type=click.IntRange(min=1), metavar="N", help="Only the Nth turn of the conversation."
)
@click.option(
    "--reviewed",
    is_flag=True,
    help="Every turn of which a person changed the draft, instead of one conversation.",
)
@click.option(
    "--expect",
    multiple=True,
    metavar="WHAT",
    help="tool:NAME {ARGUMENTS}, escalation, refusal, text:PATTERN or fact:VALUE; may be repeated.",
)
@click.option(
    "--forbid",
    multiple=True,
    metavar="WHAT",
    help="The same; also write (any that is not expected) and act:NAME. May be repeated.",
)
@click.option(
    "--expectations",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="All that is expected, as TOML, in place of what the turn lets expect.",
)
@click.option(
    "--sealed/--no-sealed",
    default=None,
    help="Whether the case is shown; where neither is said, the hash decides.",
)
@click.option(
    "--sealed-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="The share of new cases that the hash seals.",
)
@click.option("--reason", metavar="TEXT", default="", help="Why it is in the set.")
@store_option
def add(
    id: str | None,
    turn: int | None,
    reviewed: bool,
    expect: Sequence[str],
    forbid: Sequence[str],
    expectations: str | None,
    sealed: bool | None,
    sealed_share: float,
    reason: str,
    store: str,
) -> None:
    """Put the turns of a recorded conversation into the regression set; of a case that is in it, change what is expected.

    What the recorded turn did is expected: its writes and no others, and its hand-off or that there is none. Where a person
    changed the agent's draft, what the person took out is forbidden.
    """
    from replay.regress import keeping
    from replay.regress.expectations import from_words

    if (id is None) is not reviewed:
        raise click.UsageError("Name one conversation, or say --reviewed.")
    more = from_words(expect, forbid)
    written = None if expectations is None else _read_expectations(expectations)
    with open_store(store) as opened:
        turns = keeping.turns_named(opened, id, turn) if id is not None else keeping.reviewed_turns(opened)
        record_access(
            opened, "regress add", ids=[t.agent.conversation_id or "" for t in turns], rows=len(turns)
        )
        added, refused = 0, ""
        for one in turns:
            try:
                promoted = keeping.add(
                    opened, one, written, more=more, sealed=sealed, sealed_share=sealed_share, reason=reason
                )
            except AuditlogError as error:
                if len(turns) == 1:
                    raise
                refused = str(error)
                narrate(f"Turn {one.index + 1} of {one.agent.conversation_id} is left out: {error}")
                continue
            added += 1
            say_case(promoted.case, {"add": "Added", "edit": "Changed"}[promoted.event], promoted.version)
            if promoted.held:
                narrate(f"It is not held against pruning: {promoted.held}")
        if not turns:
            narrate("There is no such turn: nobody changed a draft in this store.")
        if not added:
            raise click.exceptions.Exit(Exit.NO if not refused else Exit.ERROR)


@click.command(short_help="List the cases of the set.")
@format_option("table", "json", "jsonl", "csv")
@store_option
def ls(format: str, output: str | None, store: str) -> None:
    """List the cases of the set; of a sealed one, that it is there."""
    from replay.regress.keeping import load_set

    columns = (
        Column("case", "CASE"),
        Column("conversation", "CONVERSATION", 1, shrinks=True),
        Column("turn", "TURN", 2, right=True),
        Column("expected", "EXPECTED", 1, right=True),
        Column("reviewed", "REVIEWED", 3),
        Column("reason", "WHY", 2, shrinks=True),
    )
    with open_store(store) as opened:
        found = load_set(opened)
        record_access(opened, "regress ls", rows=len(found.cases))
    if found.cases or format != "table":
        write_rows([case_row(case) for case in found.cases], columns, format, output)
    gone = f"; {found.erased} changes were erased" if found.erased else ""
    narrate(f"Version {found.version}, digest {found.digest[:12]}, {many(len(found.cases), 'case')}{gone}.")
    if not found.cases:
        raise click.exceptions.Exit(Exit.NO)


@click.command(short_help="Show what is expected of a case.")
@click.argument("case", metavar="CASE")
@click.option("--unsealed", is_flag=True, help="Show a sealed case, too; the ledger keeps who did.")
@store_option
def show(case: str, unsealed: bool, store: str) -> None:
    """Show what is expected of a case; CASE is its id, a beginning of it, or its conversation's."""
    from replay.regress.expectations import words
    from replay.regress.keeping import load_set

    with open_store(store) as opened:
        found = load_set(opened).case(case)
        told = "unsealed" if found.sealed and unsealed else None
        record_access(opened, "regress show", filter=told, ids=[found.conversation_id], rows=1)
    print_line(f"case {found.case_id} · digest {found.digest[:12]}")
    if found.sealed and not unsealed:
        print_line(
            "It is sealed: neither what was recorded nor what is expected is shown. --unsealed shows it."
        )
        return
    print_line(
        f"{safe_text(found.conversation_id)} turn {found.turn_index + 1} · {safe_text(found.agent_name)}"
    )
    if found.reason:
        print_line(f"added because {safe_text(found.reason)}")
    for said in words(found.expected):
        print_line(f"  {safe_text(said)}")


@click.command(short_help="Take a case out of the set.")
@click.argument("case", metavar="CASE")
@store_option
def rm(case: str, store: str) -> None:
    """Take a case out of the set; what was recorded stays, and so does its history."""
    from replay.regress.keeping import load_set, remove

    with open_store(store) as opened:
        gone = remove(opened, case)
        version = load_set(opened).version
    print_line(f"Removed {gone.case_id}; the set is at version {version}.")


@click.command(short_help="List the versions of the set.")
@format_option("table", "json", "jsonl", "csv")
@store_option
def history(format: str, output: str | None, store: str) -> None:
    """List every change of the set, with the digest that it had then."""
    from replay.regress.keeping import history as changes_of

    columns = (
        Column("version", "VERSION", right=True),
        Column("time", "WHEN", 1, show=moment),
        Column("who", "WHO", 2, shrinks=True),
        Column("event", "CHANGE"),
        Column("case", "CASE"),
        Column("digest", "DIGEST", show=lambda digest: str(digest)[:12]),
    )
    with open_store(store) as opened:
        changes = changes_of(opened)
        record_access(opened, "regress history", rows=len(changes))
    rows = [
        {
            "version": c.version,
            "time": c.time,
            "who": c.who,
            "event": c.event,
            "case": c.case_id,
            "digest": c.digest,
        }
        for c in changes
    ]
    if rows or format != "table":
        write_rows(rows, columns, format, output)
    if not rows:
        narrate("The regression set never had a case. `auditlog regress add CONVERSATION` makes one.")
        raise click.exceptions.Exit(Exit.NO)


def _read_expectations(path: str) -> Expectations:
    from pathlib import Path

    from replay.errors import RunError
    from replay.regress.expectations import from_toml

    try:
        return from_toml(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"The expectations in {path} cannot be read: {error}.") from None
