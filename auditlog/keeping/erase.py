"""Erases what the store holds of one customer, and leaves everything else provable.

The rules:

1. Content and salt go, and what was derived of them; the entry (ids, kind, name, status, times) and the commitments stay,
   so that every record around them still proves.
2. Journals are sealed first. What cannot be sealed, because its writer lives, is counted: erasing is not complete then.
3. The order is: rewritten files in their places, the ledger's ERASE entry synced, the old files unlinked, caches and damaged
   leftovers removed. Each step may be interrupted; running again completes it and changes nothing more.
4. The entry says the subject by token, never in plain; a conversation by the SHA-256 of its id.
5. Unlinking is what a file system offers. Copies, snapshots and the blocks of a disk are beyond it.
6. A held conversation is not erased, unless whoever erases says that the hold is overridden, and why. A hold against pruning
   alone does not stand in the way.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlog.errors import AuditlogError
from auditlog.journal import spill
from auditlog.keeping.holds import Hold, by_whom, held, holds
from auditlog.keeping.rewrite import clean, erase_into, forget_caches, tidied
from auditlog.keeping.subject import Found, Subject, conversations_of_users, derived_from, doomed, mentions
from auditlog.ledger import locks
from auditlog.ledger.ledger import Segment, append_entry, listed, read_ledger
from auditlog.record import PARTS
from auditlog.sealing.seal import KEPT_SUFFIX
from auditlog.sealing.segment import read_tables

if TYPE_CHECKING:
    from auditlog.store.store import Store

Progress = Callable[[int, int], None]

_READ = ("conversation_id", "salt", "commitments", *PARTS)


@dataclass(slots=True)
class Plan:
    """What erasing a subject would do."""

    subject: Subject
    found: Found
    segments: list[tuple[Segment, int]] = field(default_factory=list)
    """The files to write anew, and how many rows of each lose their content."""
    held: dict[str, Hold] = field(default_factory=dict)
    """Conversations among them that are held, by id."""
    leftovers: list[Path] = field(default_factory=list)
    """Damaged files that hold something of the subject."""
    live_rows: int = 0
    """Rows of the subject in journals that cannot be sealed yet."""
    named: list[str] = field(default_factory=list)
    """Conversation ids that hold the subject's value, which stay."""

    @property
    def rows(self) -> int:
        """How many rows lose their content."""
        return sum(count for _, count in self.segments)

    @property
    def anything(self) -> bool:
        """Whether there is anything to erase."""
        return bool(self.segments or self.leftovers)


class HeldError(AuditlogError):
    """What would be taken away is held."""


def subject_of(store: Store, value: str | None, conversations: Sequence[str]) -> Subject:
    """Say whose data is meant, by value or by conversation ids."""
    from auditlog.redaction import subject_tokens

    ids = tuple(store.conversation_id(name) for name in conversations)
    if value is None:
        return Subject(conversations=ids)
    value = value.strip()
    return Subject(value, tuple(subject_tokens(store.layout, value)), ids)


def plan(store: Store, subject: Subject, progress: Progress = lambda _done, _all: None) -> Plan:
    """Say what erasing would do; seals what can be sealed, and changes nothing else."""
    store.seal()
    with locks.sealing(store.layout):
        clean(store.layout, read_ledger(store.layout.entries))
        store.refresh()
        return _plan(store, subject, progress)


def erase(
    store: Store,
    subject: Subject,
    *,
    reason: str = "",
    override_holds: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> Plan:
    """Erase a subject.

    Args:
        store: where.
        subject: who.
        reason: why; it stands in the ledger.
        override_holds: erase what is held, too; the entry says so.
        progress: told how many files are done, of how many.

    Returns:
        What was done.

    Raises:
        HeldError: some of it is held.
        StoreError: a file is damaged, or cannot be written; nothing is half erased.
    """
    store.seal()
    layout = store.layout
    with locks.sealing(layout):
        ledger = read_ledger(layout.entries)
        clean(layout, ledger)
        store.refresh()
        found = _plan(store, subject, lambda _done, _all: None)
        if found.held and not override_holds:
            raise HeldError(held_sentence(found.held))
        made: list[Segment] = []
        whole = found.found.whole
        with tidied(layout):
            for done, (segment, _) in enumerate(found.segments):
                progress(done, len(found.segments))
                made.append(
                    erase_into(layout, segment, lambda t: doomed(t, subject, whole), "e", ledger.count)
                )
            if found.anything:
                append_entry(layout, _entry(store, found, made, reason))
        progress(len(found.segments), len(found.segments))
        ledger = read_ledger(layout.entries)
        for path in found.leftovers:
            path.unlink(missing_ok=True)
        clean(layout, ledger)
        if found.anything:
            forget_caches(layout)
    store.forget_removed()
    return found


def token_of(conversation_id: str) -> str:
    """Give what stands for a conversation id in an entry."""
    return f"sha256:{hashlib.sha256(conversation_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _plan(store: Store, subject: Subject, progress: Progress) -> Plan:
    conversations = conversations_of_users(store, subject)
    found = Found(conversations, derived_from(store, conversations))
    whole, segments = found.whole, []
    listed_segments = store.segments()
    for done, segment in enumerate(listed_segments):
        progress(done, len(listed_segments))
        count = 0
        for columns in read_tables(store.path / segment.path, _READ):
            hits = doomed(columns, subject, whole).to_pylist()
            count += sum(hits)
            if not any(hits):
                continue
            ids = columns.column("conversation_id").to_pylist()
            others = {name for name, hit in zip(ids, hits, strict=True) if hit and name not in whole}
            found.mentions += sum(hit and name not in whole for name, hit in zip(ids, hits, strict=True))
            found.mentioning |= others
        if count:
            segments.append((segment, count))
    live = store.live_rows()
    waiting = mentions(live, subject).to_pylist()
    against_all = [hold for hold in holds(read_ledger(store.layout.entries)) if hold.against == "all"]
    held_now = held(store, against_all)
    touched = whole | found.mentioning
    return Plan(
        subject,
        found,
        segments,
        {name: hold for name, hold in held_now.items() if name in touched and segments},
        _leftovers(store, subject, whole),
        sum(
            name in whole or hit
            for name, hit in zip(live.column("conversation_id").to_pylist(), waiting, strict=True)
        ),
        sorted(name for name in touched if subject.value and subject.value.lower() in name.lower()),
    )


def _leftovers(store: Store, subject: Subject, whole: set[str]) -> list[Path]:
    """Give the damaged files, kept beside the journals and where records spilled to, that hold something of the subject."""
    names = {form for name in (*subject.names, *whole) if name for form in (name, name.lower(), name.upper())}
    spelled = names | {
        json.dumps(name, ensure_ascii=plain)[1:-1] for name in names for plain in (True, False)
    }
    wanted = [form.lower().encode("utf-8", "surrogatepass") for form in spelled]
    found = []
    for place in (store.layout.journal, *spill.directories(store.layout.journal)):
        for path in sorted(place.glob(f"*{KEPT_SUFFIX}")):
            if path.is_symlink() or not path.is_file():
                continue
            data = (
                path.read_bytes()
                .decode("utf-8", "surrogateescape")
                .lower()
                .encode("utf-8", "surrogateescape")
            )
            if any(word in data for word in wanted):
                found.append(path)
    return found


def _entry(store: Store, found: Plan, made: Sequence[Segment], reason: str) -> dict[str, Any]:
    subject = found.subject
    # Without a key nothing can stand for a value that a guess would not find out.
    value = [] if subject.tokens or subject.value is None else ["<subject:without a key>"]
    entry: dict[str, Any] = {
        "type": "erase",
        "subject": [*subject.tokens, *value],
        "conversations": sorted(map(token_of, subject.conversations)),
        "replaces": [segment.path for segment, _ in found.segments],
        "segments": [listed(segment) for segment in made],
        "rows": found.rows,
        "replays": len(found.found.replays),
        "leftovers": len(found.leftovers),
        **by_whom(store.layout, reason),
    }
    if found.held:
        entry["overrides"] = sorted({hold.number for hold in found.held.values()})
    return {name: value for name, value in entry.items() if value not in ("", [], None)}


def held_sentence(found: dict[str, Hold]) -> str:
    """Say what is held, and what can be done."""
    named = ", ".join(
        f"{name} ({hold.reason or 'no reason given'})" for name, hold in sorted(found.items())[:5]
    )
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return (
        f"{named}{more} must be kept: a hold is on it. Release it with `auditlog release`, or say --override-hold "
        "with a --reason, which the ledger keeps. Nothing was erased."
    )
