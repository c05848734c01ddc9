"""What a writer could not keep, counted until a GAP record tells of it.

The rules:

1. Counts are exact: each record is counted once, under the reason that was the last to stop it.
2. Counting needs no lock of the journal's and no disk, so that it works where the journal does not.
3. What a GAP record told is taken off; what came meanwhile stays for the next one.

A GAP record's entry, beside `v`, `type` and `time`::

    lost      records that are in no file
    bytes     their size
    unsure    records in a file whose sync failed, or which was moved away, and that could not be written again
    late      turns whose end was not on the disk in time, where `durable=True` waits for it
    refused   calls that `fail_closed` did not let begin
    rewritten records written a second time, because the file that held them vanished or did not sync
    since     when the first of them was lost, nanoseconds since the epoch
    reason    the commonest reason
    reasons   how many by reason
    policy    what was done, as `configure(on_failure=…)` says it
"""

from __future__ import annotations

import errno
import threading
import time
from collections import Counter
from typing import Any, NamedTuple

_MOST_REASONS = 16


class Gap(NamedTuple):
    """Records that a writer could not write."""

    writer: str
    lost: int
    since_ns: int
    reason: str
    told: dict[str, Any] = {}  # noqa: RUF012 - never changed
    """What the GAP record says beside that: bytes, policy and counts by name."""


class Losses:
    """Counts of what was not kept since the last GAP record."""

    def __init__(self) -> None:
        """Begin with nothing lost."""
        self._lock = threading.RLock()  # a signal handler may record, too
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._since = 0
        self.lost = 0
        """Records lost since the writer was made; told or not."""

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return self._since != 0

    def add(self, reason: str, *, lost: int = 0, size: int = 0, **counts: int) -> None:
        """Count records under a reason."""
        with self._lock:
            self._since = self._since or time.time_ns()
            self.lost += lost
            self._counts.update({"lost": lost, "bytes": size, **counts})
            if reason not in self._reasons and len(self._reasons) >= _MOST_REASONS:
                reason = "other"
            self._reasons[reason] += lost + sum(counts.values())

    def entry(self, policy: str) -> dict[str, Any]:
        """Give the fields of a GAP record; `told` takes them off when it is written."""
        with self._lock:
            reasons = dict(self._reasons.most_common())
            counts = {name: count for name, count in self._counts.items() if count or name == "lost"}
            return {
                **counts,
                "since": self._since,
                "reason": next(iter(reasons), ""),
                "reasons": reasons,
                "policy": policy,
            }

    def told(self, entry: dict[str, Any]) -> None:
        """Take off what a GAP record told."""
        with self._lock:
            self._counts.subtract({name: entry.get(name, 0) for name in list(self._counts)})
            self._reasons.subtract(entry["reasons"])
            self._counts, self._reasons = +self._counts, +self._reasons
            self._since = time.time_ns() if self._reasons else 0


def reason_of(error: BaseException) -> str:
    """Name an error without its content: `ENOSPC`, or the type's name."""
    code = getattr(error, "errno", None)
    name = errno.errorcode.get(code) if isinstance(code, int) else None
    return name or type(error).__name__
