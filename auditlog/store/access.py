"""Access records: who looked at what, written to the ledger before it is shown.

The rules:

1. `record` is the one place: each command and each view that shows what was recorded calls it, with what it is about to show.
2. An entry says who (the user of this process, as the operating system knows it; `AUDITLOG_USER` beside it, marked as
   claimed), from where, when, with which tool and action, by which filter or ids, how many rows, and why where a reason is
   given. It never holds content.
3. The text of a filter may hold what a customer said: where the store redacts, it is redacted before it is written, and
   where that cannot be done it is withheld. Where the store encrypts content, it is encrypted with the same key; whoever looks
   without the key can only name what is theirs.
4. Where nothing can be written, such as in a store that is mounted read-only, reading goes on and the caller says so;
   `[access] required = true` in `store.toml` makes it an error.
5. What reads a store in Python through `Store` writes nothing by itself: it calls `record`, or does not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from auditlog.errors import StoreError
from auditlog.layout import Layout, read_settings

MOST_CHARACTERS = 2_000
"""Of a filter or a reason; what is longer is cut, and its SHA-256 stands behind it."""
_ENCRYPTED = "encrypted:"
MOST_IDS = 100
"""How many ids an entry names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One access, as the ledger tells it."""

    time_ns: int
    who: str
    """The user's name."""
    claimed: str | None = None
    """What `AUDITLOG_USER` said; whoever starts the command sets it."""
    uid: int | None = None
    host: str = ""
    pid: int | None = None
    tool: str = ""
    """`cli`, `tui`, or what a program calls itself."""
    action: str = ""
    """The command, such as `show`."""
    filter: str | None = None
    ids: tuple[str, ...] = ()
    """Conversations, runs or spans that were named or shown, at most `MOST_IDS`."""
    rows: int | None = None
    reason: str | None = None
    sequence: int = 0
    """The entry's place in the ledger."""

    @property
    def time(self) -> datetime:
        """When it was."""
        from auditlog.values import utc

        return utc(self.time_ns)


def record(
    layout: Layout,
    action: str,
    *,
    filter: str | None = None,  # noqa: A002 - what an entry calls it
    ids: Sequence[str] = (),
    rows: int | None = None,
    reason: str | None = None,
    tool: str = "python",
    required: bool = False,
) -> str | None:
    """Write that somebody is about to see something.

    Args:
        layout: the store.
        action: what is done, such as `show`.
        filter: the condition, query or words by which it was chosen.
        ids: the conversations, runs or spans that are shown.
        rows: how many rows are shown.
        reason: why, where one was asked for.
        tool: `cli` or `tui`, or a program's name.
        required: refuse where it cannot be written, whatever the store says.

    Returns:
        None where it is written, else a sentence that says why it is not.

    Raises:
        StoreError: it cannot be written, and the store or the caller requires it.
    """
    from auditlog.ledger.ledger import append_entry

    try:
        append_entry(layout, _entry(layout, action, filter, ids, rows, reason, tool))
    except StoreError as error:
        if required or read_settings(layout).access_required:
            msg = f"This access cannot be recorded, and without a record nothing is shown: {error}"
            raise StoreError(msg) from None
        return f"This access was not recorded: {error}"
    return None


def accesses(layout: Layout) -> Iterator[Access]:
    """Give every access that the ledger tells of, oldest first.

    Raises:
        StoreError: the ledger is damaged, or cannot be read.
    """
    from auditlog.ledger.ledger import read_ledger
    from auditlog.sealing import content_key

    key = content_key.of(layout.root)
    for sequence, entry in enumerate(read_ledger(layout.entries).each_entry()):
        if entry["type"] == "access":
            found = _access(entry, sequence)
            if key is not None and (found.filter or "").startswith(_ENCRYPTED):
                yield replace(found, filter=_opened(key.secret, found.filter or ""))
            else:
                yield found


def _entry(
    layout: Layout,
    action: str,
    condition: str | None,
    ids: Sequence[str],
    rows: int | None,
    reason: str | None,
    tool: str,
) -> dict[str, Any]:
    found = {
        "type": "access",
        "who": user_name(),
        "claimed": _clipped(os.environ.get("AUDITLOG_USER")),
        "uid": os.getuid(),
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "tool": tool,
        "action": action,
        "filter": _sealed(layout, _clipped(redacted_text(layout, condition))),
        "ids": [_text(name)[:MOST_CHARACTERS] for name in ids[:MOST_IDS]],
        "rows": rows,
        "reason": _clipped(redacted_text(layout, reason)),
    }
    return {name: value for name, value in found.items() if value is not None and value != []}


def user_name() -> str:
    """Give the name of this process's user, as the operating system knows it."""
    import pwd

    try:
        return _text(pwd.getpwuid(os.getuid()).pw_name)
    except KeyError:
        return str(os.getuid())


def redacted_text(layout: Layout, text: str | None) -> str | None:
    """Redact a text where this store redacts; what then cannot be redacted is withheld."""
    if not text or not _redacts(layout):
        return text
    import orjson

    try:
        from auditlog.redaction import for_store

        redactor = for_store(layout)
        if redactor is None:
            return text
        return str(orjson.loads(redactor.text(orjson.dumps(_text(text))).text))
    except Exception:  # noqa: BLE001 - a recogniser may raise anything, and what it did not look at is not written
        return f"withheld: it could not be redacted ({len(text):,} characters)"


def _redacts(layout: Layout) -> bool:
    """Say whether anything here is redacted, without importing what redacts."""
    if os.path.lexists(layout.root / "keys" / "redaction.key"):
        return True
    try:
        return "[redaction]" in layout.settings.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True


def _sealed(layout: Layout, text: str | None) -> str | None:
    """Encrypt a filter as the store encrypts content."""
    if text is None or read_settings(layout).content_key is None:
        return text
    from auditlog.sealing import content_key

    key = content_key.of(layout.root)
    if key is None or key.secret is None:
        return text
    return _ENCRYPTED + content_key.sealed_text(key.secret, text)


def _opened(secret: bytes | None, text: str) -> str:
    from auditlog.sealing import content_key

    found = None if secret is None else content_key.opened_text(secret, text.removeprefix(_ENCRYPTED))
    return "(encrypted)" if found is None else found


def _clipped(text: str | None) -> str | None:
    if not text:
        return None
    text = _text(text)
    if len(text) <= MOST_CHARACTERS:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[:MOST_CHARACTERS]}… ({len(text):,} characters, SHA-256 {digest})"


def _text(text: str) -> str:
    # What came as bytes from a command line may be no UTF-8, and an entry is.
    return text.encode("utf-8", "backslashreplace").decode()


def _access(entry: dict[str, Any], sequence: int) -> Access:
    def text(name: str) -> str | None:
        return entry[name] if isinstance(entry.get(name), str) else None

    def number(name: str) -> int | None:
        return entry[name] if isinstance(entry.get(name), int) else None

    ids = entry.get("ids")
    return Access(
        time_ns=entry["time"],
        who=text("who") or "",
        claimed=text("claimed"),
        uid=number("uid"),
        host=text("host") or "",
        pid=number("pid"),
        tool=text("tool") or "",
        action=text("action") or "",
        filter=text("filter"),
        ids=tuple(map(str, ids)) if isinstance(ids, list) else (),
        rows=number("rows"),
        reason=text("reason"),
        sequence=sequence,
    )
