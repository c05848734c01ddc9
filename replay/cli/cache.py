"""`auditlog replay cache`: what models' answers runs with `--model cached` are given again, and how they stop being."""

from __future__ import annotations

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, count, format_option, moment, write_rows
from auditlog.cli.options import open_store, record_access, store_option
from auditlog.cli.output import narrate
from auditlog.wording import many

COLUMNS = (
    Column("run_id", "RUN"),
    Column("model", "MODEL", 0, shrinks=True),
    Column("answers", "ANSWERS", 0, right=True, show=count),
    Column("bytes", "BYTES", 2, right=True, show=count),
    Column("first", "FIRST", 3, show=moment),
    Column("last", "LAST", 1, show=moment),
)


@click.group()
def cache() -> None:
    """List and prune the models' answers that `replay run --model cached` is given again."""


@cache.command("ls")
@format_option()
@store_option
def ls(format: str, output: str | None, store: str) -> None:
    """List the cached answers, by run and model."""
    from replay.running.cache_listing import cached_runs

    with open_store(store) as opened:
        found = cached_runs(opened)
        record_access(opened, "replay cache ls", rows=len(found))
    if found or format != "table":
        write_rows([row._asdict() for row in found], COLUMNS, format, output)
    if not found:
        narrate(
            "There are no cached answers in this store. `auditlog replay run --model cached` leaves them."
        )
        raise click.exceptions.Exit(Exit.NO)


@cache.command("prune")
@click.option(
    "--before", metavar="WHEN", help="Only answers from before then, such as 2026-11-01 or `7 days ago`."
)
@click.option("--model", metavar="NAME", help="Only answers of this model, as it was asked for.")
@store_option
def prune(before: str | None, model: str | None, store: str) -> None:
    """Give cached answers no more, so that the next run asks the models anew.

    The recorded calls stay in the store, as long as anything of their age does.
    """
    from auditlog.cli.compact import moment as nanoseconds
    from replay.running import cache_listing

    before_ns = nanoseconds(before)
    with open_store(store) as opened:
        known = sum(row.answers for row in cache_listing.cached_runs(opened))
        cache_listing.prune(opened, before_ns=before_ns, model=model)
        left = sum(row.answers for row in cache_listing.cached_runs(opened))
    narrate(f"{many(known - left, 'cached answer')} will not be given again; {left:,} will.")
