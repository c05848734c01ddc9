"""`auditlog anchor`: puts the ledger's checkpoint where whoever can change the store cannot."""

from __future__ import annotations

import click

from auditlog.cli.options import store_option
from auditlog.cli.output import narrate, print_line


@click.command()
@click.option(
    "--file", "files", multiple=True, metavar="FILE", help="Append the checkpoint to FILE, in one line."
)
@click.option(
    "--git",
    "repositories",
    multiple=True,
    metavar="REPO",
    help="Commit it to the branch `auditlog` of a git repository; nothing is pushed.",
)
@click.option("--otel", is_flag=True, help="Emit it as an OpenTelemetry log record.")
@store_option
def anchor(files: tuple[str, ...], repositories: tuple[str, ...], otel: bool, store: str) -> None:
    """Put the ledger's checkpoint where whoever can change the store cannot.

    Prints the checkpoint in one line; without an option that is all it does.
    """
    from auditlog.layout import find
    from auditlog.ledger import anchors

    layout = find(store)
    head = anchors.current(layout)
    for path in files:
        head = anchors.to_file(layout, path)
        narrate(f"Appended the checkpoint of {head.size} entries to {path}")
    for repository in repositories:
        head = anchors.to_git(layout, repository)
        narrate(
            f"Committed the checkpoint of {head.size} entries to the branch {anchors.BRANCH} of {repository}"
        )
    if otel:
        head = anchors.to_otel(layout)
        narrate(f"Emitted the checkpoint of {head.size} entries as a log record")
    print_line(head.line())
