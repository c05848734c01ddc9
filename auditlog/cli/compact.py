"""`auditlog compact`: makes one file a day of many small ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from auditlog.cli.confirm import size
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import Progress, narrate, print_line
from auditlog.safe_text import safe_text
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.keeping.compact import CompactReport


@click.command()
@click.option(
    "--older-than",
    metavar="WHEN",
    help="Only what began before then: 1d, 2h, or a date. All where it is not given.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the old files stay for readers that are under way.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@store_option
def compact(older_than: str | None, grace: float, dry_run: bool, store: str) -> None:
    """Make one file a day of many small ones, sorted by conversation.

    Nothing changes for readers, and every proof still holds. Run it once a day; what is compacted already is left alone.
    """
    from auditlog.keeping import compact as compacting

    before = moment(older_than)
    with open_store(store) as opened:
        if dry_run:
            _print(compacting.plan(opened, before), dry_run=True)
            return
        with Progress("Compacting spans:") as progress:
            report = compacting.compact(opened, before_ns=before, grace=grace, progress=progress.update)
        _print(report, dry_run=False)
        if report.waiting:
            narrate(f"{many(report.waiting, 'old file')} stay for readers; they go in {grace:g} seconds.")
            time.sleep(grace)
            compacting.clean_up(opened, grace)


def moment(text: str | None) -> int | None:
    """Read a point in time, as nanoseconds since the epoch.

    Raises:
        FilterError: it is none.
    """
    from auditlog.when import parse_when

    return None if text is None else int(parse_when(text).timestamp() * 1_000_000) * 1000


def _print(report: CompactReport, *, dry_run: bool) -> None:
    if not report.groups:
        print_line("Nothing to compact.")
        return
    verb = "Would compact" if dry_run else "Compacted"
    merged = sum(len(group) for group, _ in report.groups)
    print_line(f"{verb} {many(merged, 'file')} into {many(len(report.groups), 'file')}.")
    for group, made in report.groups:
        rows = sum(segment.rows for segment in group)
        name = made.path if made is not None else f"segments/day={group[0].day}"
        print_line(f"  {safe_text(name)}  {many(len(group), 'file')}, {many(rows, 'span')}")
    after = "" if dry_run else f", {size(report.bytes_after)}"
    print_line(
        f"Files {report.files_before:,} → {report.files_after:,}, {size(report.bytes_before)}"
        + (f" →{after[1:]}" if after else "")
        + "."
    )
