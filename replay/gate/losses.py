"""What the store itself lost: records that writers could not keep, as the ledger tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from auditlog.store import Store

RECORDS_A_SPAN = 2
"""A call is recorded when it begins and when it ends."""


class Losses(NamedTuple):
    """How much of what happened is in the store."""

    lost: int
    """Records that are in no file, or in one that may not be on the disk."""
    kept: int
    """Records behind the spans that are there."""

    @property
    def share(self) -> float:
        """The share that was kept; 1 of nothing."""
        total = self.lost + self.kept
        return self.kept / total if total else 1.0


def losses(store: Store) -> Losses:
    """Count what was lost in the whole store, replays left out of what was kept."""
    from auditlog.ledger.ledger import read_ledger

    lost = 0
    for entry in read_ledger(store.layout.entries).each_entry():
        for gap in entry.get("gaps") or ():
            lost += sum(count for name in ("lost", "unsure") if isinstance(count := gap.get(name), int))
    spans = store.query("SELECT count(*) AS n FROM all_spans WHERE replay_run_id IS NULL").to_pylist()[0]["n"]
    return Losses(lost, RECORDS_A_SPAN * int(spans))
