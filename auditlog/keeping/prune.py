"""Prunes: takes away what is older than a policy says.

The rules:

1. What ages is a conversation: it goes when its last span is older than the limit, and with it the replays that were
   made of it, however young.
2. A segment goes whole when every row of it goes. Where it also holds rows that stay, because their conversation is younger
   or is held, it is written anew: what goes loses its content there, and its entry (ids, names, times) stays until the
   file can go. Keeping such files would keep content beyond the limit for as long as one conversation is held.
3. The ledger's PRUNE entry lists what went, with its root and its number of rows: what was proven of the store stays proven.
4. `auditlog.ledger.pruned` keeps enough to say of an id that it was pruned, and when.
5. Holds win.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from auditlog.keeping.holds import by_whom, held, holds
from auditlog.keeping.rewrite import clean, erase_into, forget_caches, is_erased, tidied
from auditlog.keeping.subject import derived_from
from auditlog.ledger import locks
from auditlog.ledger.ledger import Segment, append_entry, listed, read_ledger
from auditlog.ledger.pruned import write_ids

if TYPE_CHECKING:
    from auditlog.store.store import Store

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Plan:
    """What pruning would do."""

    before_ns: int
    conversations: set[str] = field(default_factory=set)
    """Those that go, replays among them."""
    replays: int = 0
    held: int = 0
    """Conversations that are old enough, and are held."""
    removed: list[Segment] = field(default_factory=list)
    """Files that go whole."""
    rewritten: list[tuple[Segment, int]] = field(default_factory=list)
    """Files that stay for other rows, and how many rows of each lose their content."""

    @property
    def rows(self) -> int:
        """How many rows go whole, or lose their content."""
        return sum(s.rows for s in self.removed) + sum(count for _, count in self.rewritten)

    @property
    def bytes(self) -> int:
        """The size of the files that go whole."""
        return sum(segment.bytes for segment in self.removed)

    @property
    def anything(self) -> bool:
        """Whether there is anything to prune."""
        return bool(self.removed or self.rewritten)


def plan(store: Store, before_ns: int) -> Plan:
    """Say what pruning would do; seals what can be sealed, and changes nothing else."""
    store.seal()
    with locks.sealing(store.layout):
        clean(store.layout, read_ledger(store.layout.entries))
        store.refresh()
        return _plan(store, before_ns)


def prune(
    store: Store,
    before_ns: int,
    *,
    older_than: str,
    reason: str = "",
    progress: Progress = lambda _done, _all: None,
) -> Plan:
    """Prune what ended before a moment.

    Args:
        store: where.
        before_ns: the moment, nanoseconds since the epoch.
        older_than: the limit in words, for the entry.
        reason: why; it stands in the ledger.
        progress: told how many files are done, of how many.

    Returns:
        What was done.

    Raises:
        StoreError: a file is damaged, or cannot be written; nothing was removed then.
    """
    store.seal()
    layout = store.layout
    with locks.sealing(layout):
        ledger = read_ledger(layout.entries)
        clean(layout, ledger)
        store.refresh()
        found = _plan(store, before_ns)
        if found.anything:
            with tidied(layout):
                made: list[Segment] = []
                for done, (segment, _) in enumerate(found.rewritten):
                    progress(done, len(found.rewritten))
                    made.append(erase_into(layout, segment, lambda t: _goes(t, found), "p", ledger.count))
                entry = {
                    "type": "prune",
                    "older_than": older_than,
                    "before": before_ns,
                    "removes": [{"path": s.path, "root": s.root, "rows": s.rows} for s in found.removed],
                    "replaces": [segment.path for segment, _ in found.rewritten],
                    "segments": [listed(segment) for segment in made],
                    "rows": found.rows,
                    "ids": write_ids(layout, found.conversations),
                    **by_whom(layout, reason),
                }
                append_entry(layout, entry)
            clean(layout, read_ledger(layout.entries))
            forget_caches(layout)
    store.forget_removed()
    return found


def _plan(store: Store, before_ns: int) -> Plan:
    old = set(
        store.query(
            "SELECT conversation_id AS id FROM all_spans GROUP BY conversation_id "
            "HAVING max(greatest(start_ns, coalesce(end_ns, start_ns))) < ?",
            [before_ns],
        )
        .column("id")
        .to_pylist()
    )
    kept = held(store, holds(read_ledger(store.layout.entries)))
    replays = derived_from(store, old - kept.keys()) - kept.keys() - old
    found = Plan(before_ns, (old - kept.keys()) | replays, len(replays), len(old & kept.keys()))
    if not found.conversations:
        return found
    counted = store.query(
        "SELECT segment, count(*) FILTER (gone) AS gone, count(*) FILTER (gone AND salt IS NOT NULL) AS full FROM ("
        "SELECT segment, salt, conversation_id IN (SELECT unnest(?)) AS gone FROM all_spans WHERE segment IS NOT NULL"
        ") GROUP BY segment",
        [sorted(found.conversations)],
    )
    by_path = {row["segment"]: row for row in counted.to_pylist()}
    for segment in store.segments():
        row = by_path.get(segment.path)
        if row is None:
            continue
        if row["gone"] == segment.rows:
            found.removed.append(segment)
        elif row["full"]:
            found.rewritten.append((segment, row["full"]))
    return found


def _goes(columns: pa.Table, found: Plan) -> pa.Array:
    ids = columns.column("conversation_id").to_pylist()
    gone = is_erased(columns).to_pylist()
    return pa.array(
        [name in found.conversations and not g for name, g in zip(ids, gone, strict=True)], pa.bool_()
    )
