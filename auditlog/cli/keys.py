"""`auditlog keys`: makes the key that reveals, and lists the keys of a store.

The rules:

1. The private key that reveals goes to a file that its holder names, for that user alone, and never into a store.
2. Nothing that is listed helps whoever sees it: public keys, and names of private ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from auditlog.cli.formats import Column, format_option, write_rows
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import narrate, print_line
from auditlog.errors import AuditlogError, ConfigurationError

COLUMNS = (
    Column("key", "KEY", 0),
    Column("lets", "LETS ITS HOLDER", 2),
    Column("here", "HERE", 0),
    Column("public", "PUBLIC PART", 0, shrinks=True, least=24),
)


@click.group()
def keys() -> None:
    """Make the key that reveals, and list the keys of a store."""


@keys.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
def new(file: Path) -> None:
    """Make the key that reveals.

    The private part goes into FILE and stays with the privacy officer; the public part goes to stdout, for who records.
    """
    from auditlog.redaction.vault import generate

    _refuse_store(file)
    private, public = generate()
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be made: {error.strerror}. Name a new file.") from None
    with open(descriptor, "w", encoding="ascii") as out:  # noqa: PTH123 - a descriptor has no path
        out.write(private + "\n")
        out.flush()
        os.fsync(descriptor)
    narrate(
        f"The private key is in {file}. Whoever has it sees what redaction takes out: keep it off the machines that record."
    )
    narrate("Seal originals to the public key from now on with these lines in store.toml:")
    narrate(f'  [redaction]\n  redact = true\n  reveal_key = "{public}"')
    print_line(public)


@keys.command("ls")
@format_option()
@store_option
def ls(format: str, output: str | None, store: str) -> None:
    """List the keys of a store: what each is for, and whether it is here."""
    with open_store(store) as opened:
        rows = _rows(opened)
    write_rows(rows, COLUMNS, format, output)


def _rows(store: Any) -> list[dict[str, Any]]:
    from auditlog.redaction import token
    from auditlog.redaction.settings import said

    folder = store.path / "keys"
    try:
        found = token.find_key(store.layout)
        name = token.key_id(found) if found is not None else None
    except AuditlogError:
        name = None
    return [
        {
            "key": "ledger",
            "lets": "sign what is sealed and done",
            "here": _held(folder / "ledger.key"),
            "public": store.settings.public_key,
        },
        {
            "key": "redaction",
            "lets": "look a customer up by token",
            "here": _held(folder / "redaction.key"),
            "public": name,
        },
        {
            "key": "reveal",
            "lets": "see what redaction took out",
            "here": "never",
            "public": said(store.layout).get("reveal_key"),
        },
        *_masks(store),
        *_content(store),
    ]


def _masks(store: Any) -> list[dict[str, Any]]:
    from auditlog.masks import key_path

    if not key_path(store.layout).exists():
        return []
    return [{"key": "masks", "lets": "tell masked values apart", "here": "yes", "public": None}]


def _content(store: Any) -> list[dict[str, Any]]:
    from auditlog.sealing.content_key import places

    key = store.content_key
    if key is None:
        return []
    here = "yes" if key.secret is not None else max(map(_held, places(store.layout)), key=_STATES.index)
    return [
        {
            "key": "content",
            "lets": "seal, and read what was said",
            "here": "another" if here == "yes" and key.secret is None else here,
            "public": key.id,
        }
    ]


_STATES = ("no", "closed to you", "yes")


def _held(path: Path) -> str:
    if not os.path.lexists(path):
        return "no"
    return "yes" if os.access(path, os.R_OK) else "closed to you"


def _refuse_store(file: Path) -> None:
    for folder in file.absolute().parents:
        if (folder / "store.toml").exists():
            raise ConfigurationError(
                f"{file} lies in the store {folder}. Whoever may read the store would have the key: name a file elsewhere."
            )
