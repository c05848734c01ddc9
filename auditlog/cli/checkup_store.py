"""Looks at a store: whether it reads, whether it takes records, and what its records lack.

The rules:

1. As in `checkup`: findings and no errors, and the store stays as it was.
2. What is lost is `wrong`; what only waits, such as a journal that is not sealed, is a note.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from auditlog.cli.checkup import Finding
from auditlog.cli.checkup_journal import gaps_told, journals
from auditlog.cli.checkup_redaction import redaction
from auditlog.errors import AuditlogError
from auditlog.ledger.keys import key_path
from auditlog.wording import many

if TYPE_CHECKING:
    from auditlog.store import Store

_LITTLE_ROOM = 1 << 30
_NO_ROOM = 100 << 20
_MINUTE_NS = 60 * 10**9
_SKEW_SECONDS = 5.0

_PERMISSIONS = "Check its owner and mode."
_CLOCKS = "Synchronise the clocks (NTP) of the machines that record."


def the_store(path: str) -> Iterator[Finding]:
    """Look at a store: whether it reads, whether it takes records, and what its records lack."""
    from auditlog.store import Store

    try:
        store = Store.open(path)
    except AuditlogError as error:
        yield Finding("wrong", "store", str(error))
        return
    except OSError as error:
        yield Finding("wrong", "store", f"{path}: {error.strerror}", _PERMISSIONS)
        return
    with store:
        yield Finding("ok", "store", f"{store.path}, format {store.settings.format}, id {store.id}")
        for check in (
            _writable,
            _room,
            redaction,
            _content_key,
            _journals,
            _sealed,
            _ledger,
            _records,
        ):
            try:
                yield from check(store)
            except AuditlogError as error:
                yield Finding("wrong", "store", str(error))
            except OSError as error:
                yield Finding(
                    "wrong",
                    "store",
                    f"{error.filename or path}: {error.strerror}",
                    _PERMISSIONS,
                )


def _writable(store: Store) -> Iterator[Finding]:
    for name in ("journal", "segments", "ledger"):
        folder = store.path / name
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            yield Finding(
                "wrong",
                "store",
                f"{folder} cannot be written to, so nothing is recorded or sealed",
                _PERMISSIONS,
            )
            return
    probe = store.path / "cache"
    if not os.access(probe, os.W_OK):
        return
    with tempfile.NamedTemporaryFile(dir=probe) as file:
        skew = Path(file.name).stat().st_mtime - time.time()
    if abs(skew) > _SKEW_SECONDS:
        yield Finding(
            "wrong",
            "clock",
            f"the store's file system is {skew:+.0f} s off this machine's clock",
            _CLOCKS,
        )
    keys = store.path / "keys"
    with contextlib.suppress(OSError):
        key = key_path(store.layout)
        if key.stat().st_mode & 0o007 and keys.stat().st_mode & 0o001:
            yield Finding(
                "wrong",
                "keys",
                f"everybody on this machine can read {key}: whoever can sign can write the ledger anew",
                f"chmod -R o= {keys}; then take the key for a stolen one, and anchor (docs/integrity.md)",
            )
    loose = [p for p in (store.path, store.path / "journal", keys) if p.exists() and p.stat().st_mode & 0o007]
    if loose:
        yield Finding(
            "note",
            "store",
            f"everybody on this machine can read {', '.join(map(str, loose))}",
            f"chmod -R o= {store.path}",
        )


def _room(store: Store) -> Iterator[Finding]:
    usage = shutil.disk_usage(store.path)
    text = f"{usage.free / 2**30:.1f} GB free of {usage.total / 2**30:.1f} GB"
    if usage.free < _NO_ROOM:
        yield Finding("wrong", "disk", text, "Make room: records that find none are lost, and counted.")
    else:
        yield Finding("note" if usage.free < _LITTLE_ROOM else "ok", "disk", text)


def _content_key(store: Store) -> Iterator[Finding]:
    from auditlog.sealing.content_key import VARIABLE

    key = store.content_key
    if key is None:
        return
    if key.secret is None:
        yield Finding(
            "note",
            "content",
            f"the content key {key.id} is not here: what was said does not show, and journals wait to be sealed",
            f"If you have its file, name it in {VARIABLE}.",
        )
    else:
        yield Finding("ok", "content", f"encrypted with {key.id}, which is here")


def _journals(store: Store) -> Iterator[Finding]:
    yield from journals(store.path)


def _sealed(store: Store) -> Iterator[Finding]:
    from auditlog.ledger.ledger import read_ledger

    ledger = read_ledger(store.path / "ledger" / "entries.log")
    rows, size = sum(s.rows for s in ledger.segments), sum(s.bytes for s in ledger.segments) / 2**20
    held = f"{many(rows, 'span')} with those of replays"
    store.refuse_damage()
    yield Finding("ok", "segments", f"{many(len(ledger.segments), 'file')}, {held}, {size:.1f} MB")
    gaps = [gap for entry in ledger.entries for gap in entry.get("gaps", ())]
    yield from gaps_told("segments", "", gaps)
    torn = sum(source.get("torn_bytes", 0) for entry in ledger.entries for source in entry.get("sources", ()))
    if torn:
        yield Finding("note", "segments", f"{torn} torn bytes were left behind by processes that died")
    unreadable = sum(s.get("unreadable", 0) for entry in ledger.entries for s in entry.get("sources", ()))
    if unreadable:
        yield Finding(
            "wrong", "segments", f"{many(unreadable, 'record')} in sealed journals could not be read"
        )


def _ledger(store: Store) -> Iterator[Finding]:
    from auditlog.integrity.verify import state
    from auditlog.ledger import keys
    from auditlog.ledger.ledger import read_ledger

    found = state(store.layout)
    if found.wrong is not None:
        yield Finding("wrong", "ledger", found.wrong, "`auditlog verify` names every file at fault.")
        return
    if not found.entries:
        return
    signed = f"{found.entries:,} entries, signed to {found.signed:,}"
    if found.signed < found.entries:
        how = f"{keys.key_path(store.layout)} signs them: seal as the user who may read it."
        yield Finding("note", "ledger", signed, how)
    else:
        yield Finding("ok", "ledger", signed)
    if not any(entry["type"] == "anchor" for entry in read_ledger(store.layout.entries).each_entry()):
        yield Finding(
            "note",
            "ledger",
            "no checkpoint of it was ever anchored outside",
            "`auditlog anchor --git REPO`, or `--file FILE` on another disk.",
        )


def _records(store: Store) -> Iterator[Finding]:
    sql = (
        "SELECT count(*) AS spans, count(DISTINCT conversation_id) AS conversations, max(start_ns) AS newest, "
        "count(*) FILTER (lossy) AS lossy, count(*) FILTER (status = 'incomplete') AS incomplete, "
        "count(*) FILTER (kind = 'tool' AND effect IS NULL) AS undeclared, "
        "count(*) FILTER (end_ns < start_ns) AS backwards FROM spans"
    )
    found = store.query(sql).to_pylist()[0]
    if not found["spans"]:
        yield Finding(
            "note",
            "records",
            "the store is empty",
            f"Record into it, or `auditlog import FILE --store {store.path}`.",
        )
        return
    yield Finding(
        "ok", "records", f"{many(found['conversations'], 'conversation')}, {many(found['spans'], 'span')}"
    )
    if found["backwards"]:
        yield Finding(
            "wrong",
            "clock",
            f"{many(found['backwards'], 'span')} ending before they begin: a clock was set back while recording",
            _CLOCKS,
        )
    if found["newest"] > time.time_ns() + _MINUTE_NS:
        ahead = (found["newest"] - time.time_ns()) / 1e9
        yield Finding(
            "wrong",
            "clock",
            f"the newest span begins {ahead:,.0f} s in the future",
            _CLOCKS,
        )
    if found["lossy"]:
        yield Finding(
            "note",
            "records",
            f"{many(found['lossy'], 'span')} lossy: a value could not be kept as it was",
            "`auditlog ls --where why:lossy` lists them.",
        )
    if found["incomplete"]:
        yield Finding(
            "note",
            "records",
            f"{many(found['incomplete'], 'span')} without an end: under way, or the process went away",
            "`auditlog ls --where why:incomplete` lists them.",
        )
    if found["undeclared"]:
        yield Finding(
            "note",
            "records",
            f"{many(found['undeclared'], 'tool call')} without a declared effect: a replay takes them for writes",
            'Declare it: @auditlog.tool(effect="read").',
        )
