"""`auditlog init`: makes a store."""

from __future__ import annotations

from pathlib import Path

import click

from auditlog.cli.options import store_option


@click.command()
@click.argument("directory", required=False, metavar="DIR")
@store_option
def init(directory: str | None, store: str) -> None:
    """Make a store in DIR, or in ./audit.

    A store is a directory with everything in it. Making one that is there already changes nothing.
    """
    from auditlog.cli.output import narrate, print_line
    from auditlog.layout import Layout, ensure
    from auditlog.ledger.ledger import begin

    path = directory or store
    there = Layout(Path(path).absolute()).settings.exists()
    layout = ensure(path)
    begin(layout)
    narrate(f"{'There is a store already in' if there else 'Made a store in'} {layout.root}")
    narrate(
        f'Record into it with auditlog.configure("{path}"), or import files with `auditlog import FILE --store {path}`.'
    )
    print_line(str(layout.root))
