"""What the screens ask of a store; each function runs on the reader's thread.

The rules:

1. The newest conversation stands first; equal starts stand by id.
2. What a user typed reaches the store as a parsed filter, whose values are bound parameters.
3. What is about to be shown is written to the store's ledger first (`record`): a list, a conversation, a search, a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from auditlog.filters.language import Filter, Match, Pattern, parse
from auditlog.values import ConversationSummary, utc
from tui.render.conversations import Histogram
from tui.rows import PAGE

if TYPE_CHECKING:
    from auditlog.layout import Layout
    from auditlog.store import Store
    from auditlog.store.reveal import Revealed

HISTOGRAM_CELLS = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """What an access record says of a view."""

    action: str
    filter: str | None = None
    ids: tuple[str, ...] = ()
    rows: int | None = None
    reason: str | None = None


def record(store: Store, seen: Seen, *, required: bool = False) -> str | None:
    """Write that something is about to be shown; give a sentence where that cannot be.

    Raises:
        StoreError: it cannot be written, and the store or the caller requires it.
    """
    from auditlog.store import access

    return access.record(
        store.layout,
        seen.action,
        filter=seen.filter,
        ids=seen.ids,
        rows=seen.rows,
        reason=seen.reason,
        tool="tui",
        required=required,
    )


@dataclass(frozen=True, slots=True)
class Home:
    """The beginning of the list of conversations."""

    total: int
    first_page: list[ConversationSummary]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the store stands."""

    segments: int
    unsealed: int
    """Spans that are still in the journal."""
    entries: int = 0
    """Of the ledger."""
    signed: int = 0
    """How many of them the checkpoint covers."""
    signed_ns: int = 0
    """When the last of those was written."""
    wrong: str | None = None
    """What is wrong with the ledger; None where its signature and its tree are in order."""
    anchored: bool = False
    """Whether a checkpoint was ever put where whoever can change the store cannot."""


def home(store: Store, where: str) -> Home:
    """Count the conversations of a filter, and read the first page of them."""
    return Home(store.count(where), store.summaries(where, limit=PAGE))


def refreshed(store: Store, where: str) -> Home:
    """Read what was recorded since, and begin anew."""
    store.refresh()
    return home(store, where)


def pages(store: Store, where: str, first: int, last: int) -> tuple[int, list[ConversationSummary]]:
    """Read the pages from `first` to before `last`; give the first one's number with them."""
    return first, store.summaries(where, limit=(last - first) * PAGE, offset=first * PAGE)


def standing(store: Store) -> Standing:
    """Say how much of the store is sealed, and whether its ledger is signed and whole."""
    from auditlog.integrity.verify import state

    ledger = state(store.layout)
    return Standing(
        len(store.segments()),
        store.unsealed,
        ledger.entries,
        ledger.signed,
        ledger.signed_ns,
        ledger.wrong,
        _is_anchored(store.layout),
    )


def proven(store: Store, conversation_id: str) -> dict[str, str]:
    """Prove a conversation against the signed ledger; give for each proven span by its id where it stands, or what is wrong."""
    from auditlog.integrity.proof import check_proof
    from auditlog.integrity.prove import prove
    from auditlog.ledger.note import VerifierKey

    proof = prove(store, {"conversation": conversation_id}, content=True)
    key = VerifierKey.parse(proof.document["key"])
    wrong = "; ".join(check_proof(proof.document, key=key).faults)
    found = {}
    for segment in proof.document["segments"]:
        place = f"entry {segment['entry']['index'] + 1:,} of the signed ledger"
        for span in segment["spans"]:
            told = f"proven: row {span['row'] + 1:,} of {segment['rows']:,}, {place}"
            found[orjson.loads(span["text"])["span"]] = f"INVALID: {wrong}" if wrong else told
    return found


def revealed(store: Store, conversation_id: str, key: Path, reason: str) -> Revealed:
    """Give a conversation with what redaction took out; it is written to the ledger first.

    Raises:
        AuditlogError: there is no reason or no key, or it cannot be written.
    """
    from auditlog.cli.reveal import read_key
    from auditlog.store.reveal import reveal

    return reveal(store, conversation_id, read_key(key), reason=reason, tool="tui")


def _is_anchored(layout: Layout) -> bool:
    try:
        return b'"type":"anchor"' in layout.entries.read_bytes()
    except OSError:
        return False


def histogram(store: Store, where: str) -> Histogram | None:
    """Count conversations and failed ones in equal spans of time; None where there are none."""
    found = store.histogram(where, HISTOGRAM_CELLS)
    if found is None:
        return None
    first, last, rows = found
    volume, failures = [0] * HISTOGRAM_CELLS, [0] * HISTOGRAM_CELLS
    for cell, number, failed in rows:
        volume[cell], failures[cell] = number, failed
    return Histogram(utc(first), utc(last), tuple(volume), tuple(failures))


def find(store: Store, where: str, needle: str, after: str | None, step: int) -> int | None:
    """Find the next conversation whose content holds a text, going round at the end.

    Args:
        store: where to look.
        where: the filter of the list.
        needle: the text.
        after: the id of the conversation to start behind; None to start at the beginning.
        step: 1 for older ones, -1 for newer ones.

    Returns:
        Its place in the list of the filter; None where no conversation holds the text.
    """
    both = str(Filter((*parse(where).terms, Match("text", (Pattern((needle,)),)))))
    every = store.count(both)
    if not every:
        return None
    at = 0 if step > 0 else every - 1
    if after is not None:
        at = store.rank(after, both)
        here = store.summaries(both, limit=1, offset=at)
        if step < 0:
            at -= 1
        elif here and here[0].conversation_id == after:
            at += 1
    found = store.summaries(both, limit=1, offset=at % every)
    return place(store, where, found[0].conversation_id) if found else None


def place(store: Store, where: str, conversation_id: str) -> int:
    """Give a conversation's place in the list of a filter."""
    return store.rank(conversation_id, where)
