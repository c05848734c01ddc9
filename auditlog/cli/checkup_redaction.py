"""Looks at a store's redaction: whether it is on, whether it can work, and what it could not do.

The rules:

1. As in `checkup`: findings and no errors, and the store stays as it was: no key is made.
2. What could not be redacted was not written, so it is `wrong`: something of the record is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from auditlog.cli.checkup import Finding
from auditlog.errors import ConfigurationError
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.store import Store

_FAILED = """
SELECT count(*) AS spans FROM spans WHERE lossy AND attributes LIKE '%"auditlog.redaction_failed%'
"""


def redaction(store: Store) -> Iterator[Finding]:
    """Look at the redaction of a store; nothing is said where none was asked for."""
    from auditlog.redaction.token import find_key, in_use, key_id, key_path

    if not in_use(store.layout):
        return
    from auditlog.redaction.recogniser import offered
    from auditlog.redaction.redactor import redactor_from
    from auditlog.redaction.settings import said

    try:
        settings, key = said(store.layout), find_key(store.layout)
        setting = settings.get("redact", key is not None)
        names = [str(name) for name in settings.get("recognisers", [])]
        missing = sorted(set(names) - set(offered()))
        redactor = redactor_from(setting) if not names else None
    except (ConfigurationError, TypeError) as error:
        yield Finding("wrong", "redaction", str(error), "Until then, nobody can record into this store.")
        return
    if missing:
        yield Finding(
            "wrong",
            "redaction",
            f"store.toml names {', '.join(missing)}, and no installed package offers such a recogniser",
            "Install it where the agent runs; until then, nobody can record into this store.",
        )
    if setting is False:
        yield Finding("note", "redaction", "store.toml says that nothing is redacted")
    else:
        kinds = f"{many(len(redactor.kinds), 'kind')} of values" if redactor else f"with {', '.join(names)}"
        tokens = (
            f"tokens by key {key_id(key)}"
            if key
            else f"{key_path(store.layout)} is made when recording begins"
        )
        yield Finding("ok", "redaction", f"{kinds}, {tokens}")
    failed = store.query(_FAILED).to_pylist()[0]["spans"]
    if failed:
        yield Finding(
            "wrong",
            "redaction",
            f"{many(failed, 'span')} lacking a part that could not be redacted, and so was not written",
            "A recogniser raised or took too long, or a text was made to keep the patterns busy; the part's name stands in "
            "`auditlog.redaction_failed`.",
        )
