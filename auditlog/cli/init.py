"""`auditlog init`: makes a store."""

from __future__ import annotations

from pathlib import Path

import click

from auditlog.cli.options import store_option


@click.command()
@click.argument("directory", required=False, metavar="DIR")
@click.option(
    "--encrypt-content",
    is_flag=True,
    help="Encrypt what was said in sealed files, with a key that is made for it.",
)
@store_option
def init(directory: str | None, encrypt_content: bool, store: str) -> None:
    """Make a store in DIR, or in ./audit.

    A store is a directory with everything in it. Making one that is there already changes nothing.
    """
    from auditlog.cli.output import narrate, print_line
    from auditlog.layout import Layout, ensure
    from auditlog.ledger.ledger import begin

    path = directory or store
    there = Layout(Path(path).absolute()).settings.exists()
    layout = ensure(path)
    if encrypt_content:
        from auditlog.sealing.content_key import make

        name, place = make(layout)
        narrate(f"The content key {name} is in {place}. Keep a copy: without it, nobody reads what was said.")
    begin(layout)
    narrate(f"{'There is a store already in' if there else 'Made a store in'} {layout.root}")
    narrate(
        f'Record into it with auditlog.configure("{path}"), or import files with `auditlog import FILE --store {path}`.'
    )
    print_line(str(layout.root))
