"""Evidence in the store: a policy's queries, and the records that they name.

The rules:

1. Evidence is a query that returns rows, run as `auditlog sql` runs one. Each row names a record, by a column `span_id`,
   `turn_id`, `trace_id` or `conversation_id`: what no record stands behind shows nothing, whatever the query says.
2. A record counts once, where it is in the store, is no replay of another run, and lies within the asked time by its own clock.
3. What is evidence for a check of the level happened for real: there no replay counts, the judged run's own neither.
4. Fewer records than asked for are INCONCLUSIVE, never FAIL; so is a query that does not run.
5. Records that came by an import count, and are told: whoever imports can write them. For a rehearsal they do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from auditlog.errors import FilterError
from replay.gate.check import Check
from replay.gate.policy import EvidenceQuery, Policy
from replay.gate.wording import number

if TYPE_CHECKING:
    from auditlog.store import Store

NAMING = ("span_id", "turn_id", "trace_id", "conversation_id")
"""The columns by which a row names a record."""
USUAL_DAYS = 90
FEWEST_DISCLOSED = 30
"""Records that show a disclosure to customers: one shows that it happened once."""
_MOST_ROWS = 100_000
_REHEARSALS = ("rollback", "drill")


class Found(NamedTuple):
    """The records that a query names."""

    named: int
    there: int
    """Those that are in the store, and belong to no other replay."""
    recent: int
    """Those of them that lie within the asked time."""
    imported: int
    """Those of these that came by an import."""


def evidence_checks(store: Store, run_id: str, policy: Policy, today: date) -> Iterator[Check]:
    """Run the policy's queries over the store.

    Args:
        store: where the run is.
        run_id: its whole id.
        policy: what is asked.
        today: the last day that counts.
    """
    for wanted in policy.evidence:
        yield _evidence(store, run_id, wanted, policy, today)


def _evidence(store: Store, run_id: str, wanted: EvidenceQuery, policy: Policy, today: date) -> Check:
    check_id, title = f"evidence.{wanted.name}", wanted.name
    # The id of a run that was found holds digits, letters and dashes only.
    query = wanted.query.replace("{run}", run_id)
    try:
        table = store.select(query, limit=_MOST_ROWS)
    except FilterError as error:
        return Check(check_id, "evidence", title, "INCONCLUSIVE", f"The query does not run: {error}")
    column = next((name for name in NAMING if name in table.column_names), None)
    if column is None:
        return Check(
            check_id, "evidence", title, "INCONCLUSIVE",
            f"The query's rows name no record, so that nothing stands behind them: let it give {', '.join(NAMING[:-1])} or "
            f"{NAMING[-1]}.", figures={"rows": table.num_rows},
        )  # fmt: skip
    days, least = _days(wanted, policy), _least(wanted, policy)
    names = sorted({str(name) for name in table.column(column).to_pylist() if name is not None})
    found = _records(store, run_id, wanted.shows, column, names, days, today)
    figures = {**found._asdict(), "rows": table.num_rows, "at_least": least, "within_days": days}
    within = f"{number(found.recent, 'record')} of the last {number(days, 'day')}"
    imported = f", {found.imported:,} of them by an import" if found.imported else ""
    if found.recent >= least:
        return Check(
            check_id, "evidence", title, "PASS", f"{within} in the store{imported}.", figures=figures,
            warning=bool(found.imported),
        )  # fmt: skip
    missing = "are not in the store" + _WHAT_COUNTS.get(wanted.shows or "", "")
    lost = [f"{found.named - found.there:,} {missing}"] if found.named > found.there else []
    lost += [f"{found.there - found.recent:,} lie outside of that time"] if found.there > found.recent else []
    why = f" ({'; '.join(lost)})" if lost else ""
    return Check(
        check_id, "evidence", title, "INCONCLUSIVE",
        f"The query names {within}{why}, and {least:,} at least were asked for: nothing here shows it.", figures=figures,
    )  # fmt: skip


_REAL = ", or are of a replay"
_WHAT_COUNTS = {
    "disclosure": _REAL,
    "escalation": _REAL,
    **dict.fromkeys(_REHEARSALS, ", or are of a replay or an import"),
}


def _days(wanted: EvidenceQuery, policy: Policy) -> int:
    """Give within how many days its records have to lie."""
    of_level = {"rollback": policy.level.rollback_days, "drill": policy.level.drill_days}.get(
        wanted.shows or ""
    )
    asked = wanted.within_days or of_level or USUAL_DAYS
    return asked if of_level is None else min(asked, of_level)


def _least(wanted: EvidenceQuery, policy: Policy) -> int:
    shown_to_customers = wanted.shows == "disclosure" and policy.level.disclosure
    return max(wanted.at_least, FEWEST_DISCLOSED if shown_to_customers else 1)


def _records(
    store: Store, run_id: str, shows: str | None, column: str, names: list[str], days: int, today: date
) -> Found:
    """Look for records by their names."""
    if not names:
        return Found(0, 0, 0, 0)
    end = datetime.combine(today + timedelta(days=1), time(), UTC)
    begin = end - timedelta(days=days + 1)
    ours = "replay_run_id IS NULL" if shows else "(replay_run_id IS NULL OR replay_run_id = ?)"
    if shows in _REHEARSALS:
        ours += " AND source IS DISTINCT FROM 'import'"
    sql = (
        f"SELECT count(*) AS there, count(*) FILTER (newest >= ? AND newest < ?) AS recent, "
        f"count(*) FILTER (newest >= ? AND newest < ? AND imported) AS imported FROM ("
        f"SELECT max(start_ns) AS newest, bool_and(source = 'import') AS imported FROM all_spans "
        f"WHERE {column} IN (SELECT unnest(?::VARCHAR[])) AND {ours} GROUP BY {column})"
    )
    first, last = (int(moment.timestamp()) * 1_000_000_000 for moment in (begin, end))
    (row,) = store.query(sql, [first, last, first, last, names, *([] if shows else [run_id])]).to_pylist()
    return Found(len(names), int(row["there"]), int(row["recent"]), int(row["imported"]))
