"""What must hold of an execution's calls, as SQL over its spans.

The rules:

1. A query gives what breaks the rule: no row is 1, a row is 0. A column `span_id` is the evidence.
2. It is one SELECT over the views `steps` and `spans` of this execution, and `reference_steps` and `earlier_steps` (the
   recorded turns before it). It runs in an engine in memory, without files, network, settings or other statements.
3. The ready-made rules are how often, which tools, an approval before a write, a compensator behind it. An approval is for one
   write, and for what both name: of another order or another amount it is none.
4. A query that does not run is the scorer's failure, and the execution is unscored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from auditlog.values import Json, Span, Turn
from replay.diff.steps import is_escalation, is_write, steps_of, unserved
from replay.scorers.builtin.common import bad, good
from replay.scorers.model import Score, Subject, scorer

_MOST_ROWS = 100
_STEPS = pa.schema(
    [
        ("no", pa.int64()),
        ("span_id", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("effect", pa.string()),
        ("is_write", pa.bool_()),
        ("is_escalation", pa.bool_()),
        ("is_served", pa.bool_()),
        ("match_tier", pa.string()),
        ("failed", pa.bool_()),
        ("arguments", pa.string()),
        ("result", pa.string()),
    ]
)
_SPANS = pa.schema(
    [
        ("no", pa.int64()),
        ("span_id", pa.string()),
        ("parent_span_id", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("status", pa.string()),
        ("effect", pa.string()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("model_served", pa.string()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("cost_usd", pa.float64()),
        ("fault_type", pa.string()),
        ("escalation_reason", pa.string()),
        ("input", pa.string()),
        ("output", pa.string()),
    ]
)
_JSON = ("arguments", "result", "input", "output")
_VIEWS = {"steps": _STEPS, "reference_steps": _STEPS, "earlier_steps": _STEPS, "spans": _SPANS}


@scorer(version="1", level="hard")
def sql_invariant(subject: Subject, *, query: str) -> Score:
    """A query over the execution's spans finds nothing."""
    return _held(subject, query, {}, "breaks the rule")


@scorer(version="1", level="hard")
def call_rate(subject: Subject, *, tool: str, most: int = 1) -> Score:
    """A tool is called no more often than allowed."""
    query = "SELECT span_id FROM steps WHERE name = $tool ORDER BY no OFFSET $most"
    return _held(subject, query, {"tool": tool, "most": most}, f"{tool} called more than {most} times")


@scorer(version="1", level="hard")
def tool_scope(subject: Subject, *, allowed: Sequence[str]) -> Score:
    """Only allowed tools are called."""
    query = "SELECT span_id, name FROM steps WHERE kind IN ('tool', 'retriever') AND NOT list_contains($allowed, name)"
    return _held(subject, query, {"allowed": list(allowed)}, "out of scope")


@scorer(version="2", level="hard")
def approved_writes(subject: Subject, *, approvals: Mapping[str, str]) -> Score:
    """Each write comes after an approval of its own, in this turn or one before."""
    mine = {step.span_id for step in steps_of([subject.run])}
    granted: dict[str, list[Json]] = {name: [] for name in approvals.values()}
    for step in steps_of([*subject.history, subject.run]):
        if step.name in granted and step.fault is None and not unserved(step):
            granted[step.name].append(step.arguments)
        needed = approvals.get(step.name)
        if needed is None:
            continue
        open_ones = granted[needed]
        fitting = next((given for given in open_ones if _agrees(given, step.arguments)), _NONE)
        if fitting is not _NONE:
            # An approval is for one write.
            open_ones.remove(fitting)
        elif step.span_id in mine:
            said = f"{step.name} without a {needed} of its own, for the same order and the same amount."
            return bad("without approval", (step.span_id,), said)
    return good(subject)


_NONE: Any = object()


def _agrees(approval: Json, write: Json) -> bool:
    """Whether what an approval and a write both name is the same."""
    if not (isinstance(approval, dict) and isinstance(write, dict)):
        return True
    return all(write[name] == value for name, value in approval.items() if name in write)


@scorer(version="1", level="hard")
def compensated_writes(subject: Subject, *, compensators: Mapping[str, str]) -> Score:
    """Each write has a compensator, which is called where the agent failed after the write."""
    query = (
        "SELECT w.span_id, w.name FROM steps w LEFT JOIN (SELECT unnest($writes) AS write, unnest($undone) AS undo) r "
        "ON r.write = w.name WHERE w.is_write AND NOT list_contains($undone, w.name) AND (r.undo IS NULL OR ($failed "
        "AND NOT w.failed AND w.is_served "
        "AND NOT EXISTS (SELECT 1 FROM steps c WHERE c.name = r.undo AND c.no > w.no AND NOT c.failed)))"
    )
    given = {
        "writes": list(compensators),
        "undone": list(compensators.values()),
        "failed": subject.run.status == "error",
    }
    return _held(subject, query, given, "no compensator")


def _held(subject: Subject, query: str, given: Mapping[str, Any], label: str) -> Score:
    rows = _engine().rows(query, given, subject)
    if not rows:
        return good(subject)
    known = subject.span_ids
    cited = [span for row in rows if (span := str(row.get("span_id") or "")) in known]
    shown = ", ".join(f"{name}={value!r:.60}" for name, value in rows[0].items())
    more = f" (+{len(rows) - 1} more)" if len(rows) > 1 else ""
    return bad(label, cited or (subject.run.turn_id,), f"{shown}{more}")


class _Engine:
    """One engine in memory, locked down, over the spans of one execution after the other."""

    def __init__(self) -> None:
        self._connection = connection = duckdb.connect(":memory:")
        connection.execute("SET threads = 1")
        connection.execute("SET memory_limit = '512MB'")
        connection.execute("SET max_temp_directory_size = '0KiB'")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET python_enable_replacements = false")
        for name, shape in _VIEWS.items():
            connection.register(f"_{name}", shape.empty_table())
            columns = ", ".join(f"{c}::JSON AS {c}" if c in _JSON else c for c in shape.names)
            connection.execute(f"CREATE VIEW {name} AS SELECT {columns} FROM _{name}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        self._subject: Subject | None = None
        self._shown: set[str] = set()

    def rows(self, query: str, given: Mapping[str, Any], subject: Subject) -> list[dict[str, Any]]:
        """Run a query over one execution, and give its first rows."""
        statements = self._connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            msg = "The query of an invariant is one SELECT."
            raise ValueError(msg)
        self._show(subject, {name for name in _VIEWS if name in query})
        found = self._connection.execute(statements[0], dict(given) or None)
        names = [str(column[0]) for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchmany(_MOST_ROWS)]

    def _show(self, subject: Subject, names: set[str]) -> None:
        """Put an execution behind the views that a query names; handing a table over takes longer than most queries."""
        if self._subject is not subject:
            self._subject, self._shown = subject, set()
        for name in names - self._shown:
            self._connection.register(f"_{name}", _table_of(name, subject))
            self._shown.add(name)


def _table_of(name: str, subject: Subject) -> pa.Table:
    match name:
        case "steps":
            rows = _steps([subject.run])
        case "reference_steps":
            rows = _steps([] if subject.reference is None else [subject.reference])
        case "earlier_steps":
            found = _steps(subject.history)
            # Numbered below the execution's own, so that `earlier.no < steps.no` holds.
            rows = [{**row, "no": row["no"] - len(found)} for row in found]
        case _:
            rows = [_span(no, span) for no, span in enumerate(subject.run.spans)]
    return pa.Table.from_pylist(rows, schema=_VIEWS[name])


_engines: list[_Engine] = []


def _engine() -> _Engine:
    if not _engines:
        _engines.append(_Engine())
    return _engines[0]


def _steps(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    return [
        {
            "no": no,
            "span_id": step.span_id,
            "kind": step.kind,
            "name": step.name,
            "effect": step.effect,
            "is_write": is_write(step),
            "is_escalation": is_escalation(step),
            "is_served": not unserved(step),
            "match_tier": step.match_tier,
            "failed": step.fault is not None,
            "arguments": _json(step.arguments),
            "result": _json(step.text if step.kind == "answer" else step.result),
        }
        for no, step in enumerate(steps_of(turns))
    ]


def _span(no: int, span: Span) -> dict[str, Any]:
    return {
        "no": no,
        "span_id": span.span_id,
        "parent_span_id": span.parent_span_id,
        "kind": span.kind,
        "name": span.name,
        "status": span.status,
        "effect": span.effect,
        "start_ns": span.start_ns,
        "end_ns": span.end_ns,
        "model_served": span.model_served,
        "input_tokens": span.usage.input_tokens,
        "output_tokens": span.usage.output_tokens,
        "cost_usd": span.cost_usd,
        "fault_type": span.fault.type if span.fault else None,
        "escalation_reason": span.escalation_reason,
        "input": _json(span.input),
        "output": _json(span.output),
    }


def _json(value: Json) -> str | None:
    return (
        None if value is None else orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    )
