"""What a store says about redaction, and the redactor that follows from it.

    [redaction]                                   # in store.toml
    redact = true                                 # or false, or a list of kinds
    recognisers = ["names"]                       # as installed packages offer them
    reveal_key = "auditlog-reveal-x25519:…"       # a public key: what is taken out is sealed to it

The rules:

1. What `configure(redact=…)` says counts for its process; where it says nothing, the store's settings do.
2. A store without settings, into which somebody redacts (it has a key), is redacted by importers too.
3. Recognisers are imported only where they are named.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from typing import TYPE_CHECKING, Any

from auditlog.errors import ConfigurationError
from auditlog.redaction import token
from auditlog.redaction.kinds import DEFAULT
from auditlog.redaction.recogniser import load
from auditlog.redaction.redactor import Redactor, redactor_from

if TYPE_CHECKING:
    from auditlog.layout import Layout


def for_store(layout: Layout, redact: Any = None, *, reveal_key: str | None = None) -> Redactor | None:
    """Give the redactor of a store, with the store's key, which is made here where there is none.

    Args:
        layout: the store.
        redact: what `configure` was told; None for what the store says.
        reveal_key: a public key that the originals are sealed to; None for what the store says.

    Raises:
        ConfigurationError: a setting means nothing, or the key can neither be read nor made.
    """
    settings = said(layout)
    if redact is None:
        redact = settings.get("redact", settings != {} or token.find_key(layout) is not None)
    names = settings.get("recognisers", [])
    if names and redact is not False and not isinstance(redact, Redactor):
        kinds = [DEFAULT] if redact is True else [redact] if isinstance(redact, str) else list(redact)
        recognisers = [load(str(name)) for name in names]
        redactor = Redactor(
            [*kinds, *(kind for one in recognisers for kind in one.kinds)], recognisers=recognisers
        )
    else:
        redactor = redactor_from(redact)
    if redactor is None:
        return None
    redactor.keyed(token.ensure_key(layout))
    public = reveal_key or settings.get("reveal_key")
    if public and redactor.seal is None:
        from auditlog.redaction.vault import sealer

        redactor.seal = sealer(str(public))
    return redactor


def turn_on(layout: Layout) -> bool:
    """Write into a store's settings that it redacts, and make its key; say whether the settings said nothing before.

    Raises:
        ConfigurationError: the settings cannot be read or written, or the key cannot be made.
    """
    found = said(layout)
    if not found:
        text = layout.settings.read_text(encoding="utf-8").rstrip("\n")
        draft = layout.settings.with_name(f".store-{os.getpid()}.toml")
        try:
            with draft.open("x", encoding="utf-8") as file:
                file.write(f"{text}\n\n[redaction]\nredact = true\n")
                file.flush()
                os.fsync(file.fileno())
            shutil.copymode(layout.settings, draft)
            draft.replace(layout.settings)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise ConfigurationError(f"{layout.settings} cannot be written: {error.strerror}.") from None
    token.ensure_key(layout)
    return not found


def said(layout: Layout) -> dict[str, Any]:
    """Give the table `redaction` of a store's settings; empty where there is none.

    Raises:
        ConfigurationError: the settings cannot be read.
    """
    try:
        found = tomllib.loads(layout.settings.read_text(encoding="utf-8")).get("redaction", {})
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{layout.settings} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{layout.settings} must say [redaction] as a table.")
    return found
