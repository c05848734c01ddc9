"""`auditlog reveal`: shows a conversation with what redaction took out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click

from auditlog.cli.formats import format_choice
from auditlog.cli.options import open_store, store_option
from auditlog.cli.output import narrate
from auditlog.errors import ConfigurationError

_MOST_BYTES = 4096


@click.command()
@click.argument("id", metavar="ID")
@click.option(
    "--reason",
    required=True,
    metavar="TEXT",
    help="Why; it is written to the ledger before anything is shown.",
)
@click.option(
    "--key",
    "key",
    required=True,
    envvar="AUDITLOG_REVEAL_KEY",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The private key's file; $AUDITLOG_REVEAL_KEY where it is not given.",
)
@click.option("--turn", type=click.IntRange(min=1), metavar="N", help="Only the Nth turn.")
@click.option("--full", is_flag=True, help="Prompts, reasoning, whole documents and whole values too.")
@format_choice("text", "json")
@store_option
def reveal(id: str, reason: str, key: Path, turn: int | None, full: bool, format: str, store: str) -> None:
    """Show a conversation with what redaction took out of it, once.

    It is written to the ledger first, with the reason; where it cannot be, nothing is shown.
    """
    from auditlog.cli.show import refuse_missing_turn, write_conversation
    from auditlog.store.reveal import reveal as revealed

    private = read_key(key)
    with open_store(store) as opened:
        refuse_missing_turn(opened.conversation(id), turn)
        found = revealed(opened, id, private, reason=reason, tool="cli")
    write_conversation(found.conversation, turn, format, full=full)
    if not found.records:
        narrate("Nothing was taken out of this conversation and kept; it is shown as it was recorded.")
        return
    narrate(
        f"{found.values:,} value{'' if found.values == 1 else 's'} revealed of {found.records:,} "
        f"record{'' if found.records == 1 else 's'}; who, when and why stand in the ledger."
    )
    if found.closed:
        narrate(f"{found.closed:,} of them are sealed to another key, and stay as they are.")


def read_key(path: Path) -> str:
    """Read a private key's file.

    Raises:
        ConfigurationError: it cannot be read, or is no key.
    """
    from auditlog.redaction.vault import public_of

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            mode = os.fstat(descriptor).st_mode
            text = file.read(_MOST_BYTES).decode("ascii", "replace").strip() if stat.S_ISREG(mode) else ""
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}. Name the private key's file."
        ) from None
    if mode & 0o077:
        narrate(f"note: others on this machine can read {path}; `chmod 600` closes it.")
    public_of(text)
    return text
