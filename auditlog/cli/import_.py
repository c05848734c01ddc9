"""`auditlog import`: reads files of other tools into the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.exits import Exit
from auditlog.cli.formats import Column, count, write_rows
from auditlog.cli.options import store_option
from auditlog.cli.output import Progress, narrate
from auditlog.errors import AuditlogError, ConfigurationError

if TYPE_CHECKING:
    from auditlog.importers import ImportReport
    from auditlog.store import Store

_COLUMNS = (
    Column("path", "FILE", 0, shrinks=True),
    Column("format", "FORMAT", 1),
    Column("conversations", "CONVERSATIONS", 0, right=True, show=count),
    Column("spans", "SPANS", 2, right=True, show=count),
    Column("known_spans", "KNOWN", 4, right=True, show=count),
    Column("skipped", "SKIPPED", 3, right=True, show=count),
)
_REASONS_SAID = 5


@click.command("import")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="KEY=VALUE",
    help="A tag for everything imported; may be repeated.",
)
@click.option(
    "--format",
    metavar="NAME",
    help="The files' shape, such as otlp-json, tau2 or tau1; found out where it is not given.",
)
@store_option
def import_(paths: Sequence[Path], tags: Sequence[str], format: str | None, store: str) -> None:
    """Read files of other tools into the store, which is made where there is none.

    Importing a file again brings only what the store does not hold yet. A directory stands for the files in it.
    """
    from auditlog.store import Store

    labels = _labels(tags)
    reports, failed = [], 0
    with Store.create(store) as opened:
        key = opened.content_key
        if key is not None and key.secret is None:
            raise key.needed("Importing, which seals,")
        for path in _files(paths):
            try:
                reports.append(_import(opened, path, format, labels))
            except AuditlogError as error:
                failed += 1
                narrate(f"error: {error}")
        if reports:
            opened.seal(wait=False)
            write_rows([_row(report) for report in reports], _COLUMNS, "table")
    for report in reports:
        _say_skipped(report)
    if failed:
        narrate(f"{failed} of {failed + len(reports)} files could not be imported.")
        raise click.exceptions.Exit(Exit.ERROR)


def _labels(tags: Sequence[str]) -> dict[str, str]:
    labels = {}
    for tag in tags:
        key, equals, value = tag.partition("=")
        if not (key.strip() and equals):
            raise ConfigurationError(
                f"--tag {tag!r} names no value. Write KEY=VALUE, such as --tag arm=base."
            )
        try:
            tag.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"--tag {tag!r} is not UTF-8. Write it in UTF-8.") from None
        labels[key.strip()] = value
    return labels


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    return found


def _import(store: Store, path: Path, format: str | None, labels: dict[str, str]) -> ImportReport:
    from auditlog.importers import import_into

    with Progress(f"Importing {path.name}:") as progress:
        return import_into(store, path, format=format, tags=labels, progress=progress.update)


def _row(report: ImportReport) -> dict[str, Any]:
    return {
        "path": str(report.path),
        "format": report.format,
        "conversations": report.conversations,
        "spans": report.spans,
        "known_spans": report.known_spans,
        "skipped": len(report.skipped),
    }


def _say_skipped(report: ImportReport) -> None:
    for reason in report.skipped[:_REASONS_SAID]:
        narrate(f"{report.path}: {reason}")
    if len(report.skipped) > _REASONS_SAID:
        narrate(f"{report.path}: and {len(report.skipped) - _REASONS_SAID} more.")
