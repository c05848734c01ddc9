"""`auditlog seal`: turns finished journal files into Parquet segments."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from auditlog.cli.exits import Exit
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import narrate, print_line
from auditlog.safe_text import safe_text
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.store import SealReport, Store


@click.command()
@click.option("--watch", is_flag=True, help="Go on, and seal whatever gets finished, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How often, with --watch.",
)
@store_option
def seal(watch: bool, every: float, store: str) -> None:
    """Turn finished journal files into Parquet segments.

    Nothing waits for this: readers see what is not sealed yet. Exits with 1 where records were lost or damaged.
    """
    from auditlog.errors import StoreError

    with open_store(store) as opened:
        report = opened.seal()
        _print(report, opened)
        while watch:
            time.sleep(every)
            try:
                report = opened.seal(wait=False)
            except StoreError as error:
                # Whoever watches over days must outlive a full disk.
                narrate(f"error: {error}")
                continue
            if report.sealed or report.cleaned:
                _print(report, opened)
    if report.torn or report.lost or report.unreadable or report.conflicts:
        raise click.exceptions.Exit(Exit.NO)


def _print(report: SealReport, store: Store) -> None:
    if not report.sealed:
        print_line("Nothing to seal.")
    else:
        print_line(
            f"Sealed {many(len(report.sealed), 'journal file')}: {many(report.spans, 'span')} "
            f"in {many(len(report.segments), 'segment')}."
        )
    for segment in report.segments:
        print_line(f"  {safe_text(segment.path)}")
    _print_checkpoint(store)
    if report.live:
        print_line(f"{many(len(report.live), 'journal file')} still being written.")
    if report.incomplete:
        print_line(f"{many(report.incomplete, 'span')} without an end: the process went away.")
    for torn in report.torn:
        narrate(
            f"{torn.writer}: {torn.bytes} bytes behind offset {torn.offset} are torn; what is before them is sealed."
        )
    if report.lost:
        narrate(f"{many(report.lost, 'record')} could not be written while recording.")
    for number, what in (
        (report.duplicates, "repeated record"),
        (report.conflicts, "conflicting record"),
        (report.unreadable, "unreadable record"),
    ):
        if number:
            narrate(f"{many(number, what)}.")


def _print_checkpoint(store: Store) -> None:
    """Print the ledger's checkpoint in one line: whoever keeps this output can verify the store against it."""
    from auditlog.ledger.keys import read_checkpoint

    head = read_checkpoint(store.layout)
    if head is not None and head.signatures:
        print_line(safe_text(head.line()))
