"""What a store's cached answers are, and how they stop being given.

The rules:

1. Answers are counted by run and model; nothing of what was said is read for it.
2. To prune is to append a record that says which answers are not given any more. The calls stay in the audit trail as long as
   everything of that age does: `auditlog prune` and `auditlog erase` take them away for good.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.values import utc
from replay.pinned.model_cache import KEY, PRUNED, PRUNED_RUN, caching_runs
from replay.running.appending import keep
from replay.running.records import own_records, run_span
from replay.running.runs import manifests

if TYPE_CHECKING:
    from auditlog.store import Store


class CachedRun(NamedTuple):
    """The answers that one run left, of one model."""

    run_id: str
    model: str | None
    """As it was asked for."""
    answers: int
    bytes: int
    first: datetime
    last: datetime
    """Aware, UTC."""


def cached_runs(store: Store) -> list[CachedRun]:
    """Give what is in the cache, the newest runs first; what was pruned is not."""
    runs = caching_runs(manifests(store))
    if not runs:
        return []
    condition, params = _unpruned(store)
    found = store.query(
        "SELECT replay_run_id AS run, model_requested AS model, count(*) AS answers, "
        "coalesce(sum(octet_length(output)), 0) AS bytes, min(start_ns) AS first, max(start_ns) AS last FROM all_spans "
        "WHERE kind = 'model' AND status = 'ok' AND replay_match_tier IS NULL AND output IS NOT NULL "
        f"AND replay_run_id IN (SELECT unnest(?::VARCHAR[])) AND contains(decode(attributes), ?) AND {condition} GROUP BY ALL",
        [runs, KEY, *params],
    )
    rows = [
        CachedRun(
            row["run"], row["model"], row["answers"], int(row["bytes"]), utc(row["first"]), utc(row["last"])
        )
        for row in found.to_pylist()
    ]
    return sorted(rows, key=lambda row: (runs.index(row.run_id), row.model or ""))


def prune(store: Store, *, before_ns: int | None = None, model: str | None = None) -> None:
    """Give some answers no more.

    Args:
        store: where they are.
        before_ns: those from before this moment, in nanoseconds since the epoch; by default all that there are.
        model: only those of a model, as it was asked for.

    Raises:
        StoreError: it cannot be written.
    """
    content = {"before_ns": time.time_ns() if before_ns is None else before_ns, "model": model}
    keep(store, [run_span(PRUNED, PRUNED_RUN, content)], "Which answers are given no more")


def _unpruned(store: Store) -> tuple[str, list[Any]]:
    marks: Sequence[Any] = [span.input for span in own_records(store, PRUNED, PRUNED_RUN)]
    conditions, params = ["true"], []
    for mark in marks:
        if not isinstance(mark, dict):
            continue
        params.append(int(mark.get("before_ns") or 0))
        if mark.get("model") is None:
            conditions.append("NOT start_ns < ?")
        else:
            conditions.append("NOT (start_ns < ? AND model_requested IS NOT DISTINCT FROM ?)")
            params.append(str(mark["model"]))
    return " AND ".join(conditions), params
