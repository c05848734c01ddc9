"""`auditlog migrate`: brings a store of an older version to the present format."""

from __future__ import annotations

import click

from auditlog.cli.exits import Exit
from auditlog.cli.options import DEFAULT_STORE, store_option
from auditlog.cli.output import Progress, narrate, print_line
from auditlog.safe_text import safe_text
from auditlog.wording import many


@click.command()
@click.argument("directory", metavar="[STORE]", required=False)
@click.option("--dry-run", is_flag=True, help="Verify what is there and count it, and change nothing.")
@click.option(
    "--despite-damage", is_flag=True, help="Migrate although something does not verify; that is left out."
)
@store_option
def migrate(directory: str | None, dry_run: bool, despite_damage: bool, store: str) -> None:
    """Bring a store of an older version to the present format.

    Agents that record there must be stopped. The old store stays beside the new one. Exits with 1 where something does not
    verify, and then changes nothing.
    """
    from auditlog.keeping.migrate import migrate as migrating
    from auditlog.layout import FORMAT

    path = directory or store or DEFAULT_STORE
    with Progress("Migrating files:") as progress:
        report = migrating(path, dry_run=dry_run, despite_damage=despite_damage, progress=progress.update)
    if report.before == FORMAT:
        print_line(f"{safe_text(path)} has format {FORMAT} already.")
        return
    counted = (
        f"{many(report.segments, 'file')} with {many(report.spans, 'span')}, and {many(report.journals, 'journal file')} "
        f"with {many(report.records, 'record')}"
    )
    for fault in report.faults[:20]:
        narrate(f"does not verify: {fault}")
    if len(report.faults) > 20:
        narrate(f"… and {len(report.faults) - 20:,} more")
    if report.kept is not None:
        print_line(f"Migrated {counted}, from format {report.before} to {FORMAT}.")
        narrate(f"The old store is in {report.kept}. Remove it when you have looked at the new one.")
    elif report.faults:
        print_line(f"Nothing was migrated: {many(len(report.faults), 'fault')} found.")
        narrate("Put the files back from a copy, or migrate what verifies with --despite-damage.")
    else:
        print_line(f"Would migrate {counted}, from format {report.before} to {FORMAT}; all of it verifies.")
    raise click.exceptions.Exit(Exit.NO if report.faults else Exit.OK)
