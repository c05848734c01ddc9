"""What the store itself lost while the cases were recorded: records that writers could not keep, as the ledger tells of them.

The rules:

1. Only the time from the first case's beginning to the last one's end counts: what was kept in other years makes up for nothing.
2. A loss is known to have begun at a moment, and to have been told of when its file was sealed, and not how long it went on. One
   that began before the last case ended counts, unless the file that tells of it was sealed before the first case began.
3. Records that are in no file, or in one that may not be on the disk, are lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from replay.gate.facts import CaseFacts

if TYPE_CHECKING:
    from auditlog.store import Store

RECORDS_A_SPAN = 2
"""A call is recorded when it begins and when it ends."""


class Losses(NamedTuple):
    """How much of what happened while the cases were recorded is in the store."""

    lost: int
    """Records that are in no file, or in one that may not be on the disk."""
    kept: int
    """Records behind the spans that are there."""

    @property
    def share(self) -> float:
        """The share that was kept; 1 of nothing."""
        total = self.lost + self.kept
        return self.kept / total if total else 1.0


def losses(store: Store, cases: Sequence[CaseFacts]) -> Losses:
    """Count what was lost while the cases were recorded, replays left out of what was kept.

    Args:
        store: where they are.
        cases: whose recorded turns say when that was.
    """
    from auditlog.ledger.ledger import read_ledger

    times = [(case.began_ns, case.ended_ns) for case in cases if case.began_ns]
    if not times:
        return Losses(0, 0)
    first, last = min(began for began, _ in times), max(ended for _, ended in times)
    lost = 0
    for entry in read_ledger(store.layout.entries).each_entry():
        sealed = entry.get("time")
        if isinstance(sealed, int) and sealed < first:
            continue
        for gap in entry.get("gaps") or ():
            since = gap.get("since")
            if not isinstance(since, int) or since <= last:
                lost += sum(count for name in ("lost", "unsure") if isinstance(count := gap.get(name), int))
    found = store.query(
        "SELECT count(*) AS n FROM all_spans WHERE replay_run_id IS NULL AND start_ns BETWEEN ? AND ?",
        [first, last],
    )
    return Losses(lost, RECORDS_A_SPAN * int(found.to_pylist()[0]["n"]))
