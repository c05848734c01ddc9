"""Whether the clock by which waivers and rehearsals are judged can be right.

The rules:

1. Time goes on: a moment before the store was last sealed is not now. Waivers that have expired would be in force, and rehearsals
   that lie too far back recent: INCONCLUSIVE.
2. An hour is borne, since machines differ. Where a machine with a wrong clock sealed the store once, a person signs for the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from replay.gate.check import Check
from replay.gate.wording import moment

if TYPE_CHECKING:
    from auditlog.store import Store

_BORNE = timedelta(hours=1)


def clock_checks(store: Store, now: datetime) -> Iterator[Check]:
    """Compare the clock with the store's ledger; nothing where it goes on.

    Args:
        store: whose ledger says when it was sealed.
        now: what the clock says, aware.
    """
    from auditlog.ledger.ledger import read_ledger

    times = (entry.get("time") for entry in read_ledger(store.layout.entries).each_entry())
    newest = max((time for time in times if isinstance(time, int)), default=0)
    sealed = datetime.fromtimestamp(newest / 1_000_000_000, UTC)
    if now + _BORNE < sealed:
        yield Check(
            "clock", "run", "the clock goes on", "INCONCLUSIVE",
            f"The clock says {moment(now)}, and the store was sealed at {moment(sealed)}: waivers and rehearsals cannot "
            'be judged by it. Set it right. Where that seal is wrong, a [[waiver]] of check = "clock" for this run says so.',
            figures={"now": now.isoformat(), "sealed": sealed.isoformat()},
        )  # fmt: skip
