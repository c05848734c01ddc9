"""`auditlog init`: makes a store."""

from __future__ import annotations

import json
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
@click.option(
    "--redact",
    is_flag=True,
    help="Have every recorder take personal data and secrets out before it writes: the setting stands in store.toml.",
)
@store_option
def init(directory: str | None, store: str, *, encrypt_content: bool, redact: bool) -> None:
    """Make a store in DIR, or in ./audit.

    A store is a directory with everything in it. Making one that is there already changes nothing, but that --redact turns
    redaction on in it.
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
    if redact:
        from auditlog.errors import ConfigurationError
        from auditlog.redaction.settings import said, turn_on

        if turn_on(layout):
            narrate(f"It redacts from here on: {layout.settings} says so. Keep a copy of keys/redaction.key.")
        else:
            setting = said(layout).get("redact", True)
            if setting is False:
                msg = f"{layout.settings} says `redact = false`. Change it there."
                raise ConfigurationError(msg)
            narrate(f"{layout.settings} says already: redact = {json.dumps(setting)}")
    narrate(
        f'Record into it with auditlog.configure("{path}"), or import files with `auditlog import FILE --store {path}`.'
    )
    print_line(str(layout.root))
