"""`auditlog attack ls`, `show` and `coverage`: read what campaigns found.

The rules:

1. A campaign is named by its id, a beginning of it, or `last`.
2. Of a sealed family the words are shown only to who asks for them, and the access log keeps that.
"""

from __future__ import annotations

from typing import Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import format_choice, format_option
from auditlog.cli.options import open_store, record_access, store_option


@click.command(short_help="List campaigns, newest first.")
@format_option()
@store_option
def ls(format: str, output: str | None, store: str) -> None:
    """List campaigns, newest first."""
    from auditlog.cli.formats import Column, count, moment, write_rows
    from auditlog.cli.output import narrate
    from replay.attack.keeping import load_campaigns

    columns = (
        Column("run_id", "CAMPAIGN"),
        Column("created", "BEGAN", 3, show=moment),
        Column("candidate", "CANDIDATE", 0, shrinks=True),
        Column("baseline", "BASELINE", 2, shrinks=True),
        Column("attacks", "ATTACKS", 1, right=True, show=count),
        Column("findings", "WORKED", 0, right=True, show=count),
        Column("status", "STATUS", 1),
    )
    with open_store(store) as opened:
        known = load_campaigns(opened)
        record_access(opened, "attack ls", rows=len(known))
    rows: list[dict[str, Any]] = [
        {
            "run_id": found.run_id,
            "created": found.created,
            "candidate": found.candidate,
            "baseline": found.baseline,
            "attacks": found.attacks,
            "findings": len(found.findings),
            "status": found.status,
        }
        for found in known
    ]
    if rows or format != "table":
        write_rows(rows, columns, format, output)
    if not rows:
        narrate("There are no campaigns in this store yet. `auditlog attack run --candidate SPEC` makes one.")
        raise click.exceptions.Exit(Exit.NO)


@click.command(short_help="Show what a campaign found.")
@click.argument("campaign", metavar="[CAMPAIGN]", default="last")
@click.option("--unsealed", is_flag=True, help="The words of sealed families, too.")
@format_choice("text", "json")
@store_option
def show(campaign: str, unsealed: bool, format: str, store: str) -> None:
    """Show the attacks that worked; CAMPAIGN is an id, a beginning of one, or `last`, which it is where none is named."""
    from replay.attack.keeping import load_campaign
    from replay.cli.attack.writing import write_campaign

    with open_store(store) as opened:
        found = load_campaign(opened, campaign, unsealed=unsealed)
        action = "attack show --unsealed" if unsealed else "attack show"
        # The words of an attack hold what the turn's own tools were asked and answered.
        turns = dict.fromkeys(finding.host.get("conversation_id", "") for finding in found.findings)
        record_access(opened, action, ids=[found.run_id, *turns], rows=len(found.findings))
    write_campaign(found, as_json=format == "json")


@click.command(short_help="Show which risks were tried, and by which ways.")
@click.argument("campaign", metavar="[CAMPAIGN]", default="last")
@format_choice("text", "json")
@store_option
def coverage(campaign: str, format: str, store: str) -> None:
    """Show which risks were tried by which ways in, and which could not be; of the newest campaign where none is named."""
    from replay.attack.keeping import load_campaign
    from replay.cli.attack.writing import write_coverage

    with open_store(store) as opened:
        found = load_campaign(opened, campaign)
        record_access(opened, "attack coverage", ids=[found.run_id], rows=len(found.cells))
    write_coverage(found, as_json=format == "json")
