"""What a command is told from outside the store: checkpoints, and the key to trust."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from auditlog.ledger.note import Checkpoint, VerifierKey

_MOST_BYTES = 1 << 30


def checkpoints_of(text: str) -> list[Checkpoint]:
    """Give the checkpoints that an option names.

    Raises:
        BadParameter: there are none.
    """
    from auditlog.ledger.note import find_checkpoints

    if text == "-":
        where, said = "what came in on stdin", sys.stdin.read(_MOST_BYTES)
    elif "\n" in text or text.startswith("auditlog-checkpoint "):
        where, said = "--known-checkpoint", text
    else:
        where, said = text, read_text(text, "--known-checkpoint")
    found = find_checkpoints(said)
    if not found:
        msg = f"There is no checkpoint in {where}: a signed note, or a line that begins with `auditlog-checkpoint`."
        raise click.BadParameter(msg, param_hint="--known-checkpoint")
    return found


def key_of(text: str, store: str) -> VerifierKey:
    """Give the key that an option names: a verifier key, or a file with one or with a public key in PEM.

    Raises:
        BadParameter: it is none.
    """
    from auditlog.errors import FormatError
    from auditlog.integrity import verify as verifying
    from auditlog.ledger.note import VerifierKey

    said = text if "+" in text and not Path(text).exists() else read_text(text, "--public-key")
    try:
        return verifying.key_from_pem(store, said) if "-----BEGIN" in said else VerifierKey.parse(said)
    except FormatError as error:
        raise click.BadParameter(str(error), param_hint="--public-key") from None


def read_text(path: str, option: str) -> str:
    """Read a file that an option names.

    Raises:
        BadParameter: it cannot be read.
    """
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_BYTES)
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint=option) from None
