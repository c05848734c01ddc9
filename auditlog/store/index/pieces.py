"""Reads what the index wants to know out of segments and live rows, with DuckDB.

The rules:

1. A piece is what one segment says of one conversation, ordinary or of one arm of a replay run; live rows are as a segment.
2. What a piece says of its conversation is what the view `conversations` says, in a form that merges with other pieces.
3. No content is read: only columns of ids, names, times and numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog import normalise
from auditlog.record import PARTS
from auditlog.sealing.content_key import COLUMNS as CLOSED
from auditlog.sealing.content_key import ESCALATED as ESCALATED_COLUMN
from auditlog.store import views
from auditlog.store.index.rollup import (
    ERROR,
    ESCALATED,
    INCOMPLETE,
    LATEST,
    LOSSY,
    SUMS,
    TOOL_ERROR,
    Rollup,
    tags_of,
    turns_of,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Piece(NamedTuple):
    """What one segment says of one conversation."""

    segment: str | None
    """The file as it was asked for; None for live rows."""
    name: str
    """The conversation's id."""
    run: str | None
    arm: str | None
    first: int
    """The first of its rows."""
    last: int
    """Behind the last of them."""
    rollup: Rollup


class Fact(NamedTuple):
    """A name that a conversation's spans hold, for filters."""

    name: str
    """The conversation's id."""
    field: str
    value: str


def engine() -> duckdb.DuckDBPyConnection:
    """Give a connection to read with."""
    import duckdb

    return duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": "2GB",
            "preserve_insertion_order": "false",
            "python_enable_replacements": "false",
            "temp_directory": "",
        },
    )


def of_segments(
    connection: duckdb.DuckDBPyConnection,
    paths: Sequence[str],
    only: Sequence[str] | None = None,
    *,
    encrypted: bool = False,
) -> tuple[list[Piece], list[Fact]]:
    """Read the pieces of sealed files.

    Args:
        connection: the engine.
        paths: the files.
        only: the conversations to look at; all where it is None.
        encrypted: whether their content is; the index then holds none of it.
    """
    listed = ", ".join("'" + views.literal_path(path).replace("'", "''") + "'" for path in paths)
    source = f"read_parquet([{listed}], filename = true, file_row_number = true, hive_partitioning = false)"
    if encrypted:
        reason = f"CASE WHEN {ESCALATED_COLUMN} THEN '' END"
        source = f"(SELECT {_PLAIN}, NULL::VARCHAR AS user_text, {reason} AS escalation_reason FROM {source})"
    condition, params = (
        ("true", []) if only is None else ("conversation_id IN (SELECT unnest(?))", [list(only)])
    )
    return _read(connection, source, condition, params)


def of_rows(
    connection: duckdb.DuckDBPyConnection, rows: pa.Table, *, encrypted: bool = False
) -> tuple[list[Piece], list[Fact]]:
    """Read the pieces of live rows; without what was said, where the store encrypts that."""
    if encrypted:
        rows = rows.drop_columns("user_text").append_column("user_text", _nothing(rows.num_rows))
    connection.register("pieces_of", rows)
    try:
        source = "(SELECT *, NULL::VARCHAR AS filename, 0::BIGINT AS file_row_number FROM pieces_of)"
        return _read(connection, source, "true", [])
    finally:
        connection.unregister("pieces_of")


def _read(
    connection: duckdb.DuckDBPyConnection, source: str, condition: str, params: list[Any]
) -> tuple[list[Piece], list[Fact]]:
    where = f"conversation_id IS NOT NULL AND {condition}"
    found = _run(connection, f"SELECT {_PIECE} FROM {source} WHERE {where} GROUP BY ALL", params)
    facts = _run(
        connection,
        f"WITH few AS (SELECT DISTINCT conversation_id, {_FEW} FROM {source} WHERE {where} AND replay_run_id IS NULL), "
        f"each AS (SELECT conversation_id, unnest({_SAID}) AS said FROM few) "
        "SELECT DISTINCT conversation_id, said.field, said.value FROM each WHERE said.value IS NOT NULL",
        params,
    )
    return list(_pieces(found)), [*map(Fact._make, _rows(facts))]


def _run(connection: duckdb.DuckDBPyConnection, text: str, params: list[Any]) -> pa.Table:
    return (connection.sql(text, params=params) if params else connection.sql(text)).to_arrow_table()


def _nothing(rows: int) -> pa.Array:
    import pyarrow as pa

    return pa.nulls(rows, pa.string())


def _rows(found: pa.Table) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in found.columns), strict=True)


def _pieces(found: pa.Table) -> Iterator[Piece]:
    for *what, turn_ids, tags, start, end, flags in _rows(found):
        segment, name, run, arm, first, last, *rest = what
        rollup = [start, end, flags, *rest, *turns_of(list(dict.fromkeys(turn_ids or ()))), tags_of(tags)]
        yield Piece(segment, name, run, arm, first, last, rollup)


_PLAIN = ", ".join(
    ("filename", "file_row_number", *(name for name in normalise.columns() if name not in {*PARTS, *CLOSED}))
)
_ROOT = "span_id = turn_id"
_CALL = "kind IN ('model', 'embedding')"
_ESCALATED = "(escalation_reason IS NOT NULL OR kind = 'handoff')"


def _flag(bit: int, test: str) -> str:
    return f"CASE WHEN bool_or({test}) THEN {bit} ELSE 0 END"


_VALUES = {
    "agent": ("agent_name", _ROOT),
    "any_agent": ("agent_name", "true"),
    "version": ("agent_version", _ROOT),
    "any_version": ("agent_version", "true"),
    "model": ("coalesce(model_served, model_requested)", "kind = 'model'"),
    "user": ("user_id", "true"),
    "said": ("user_text", f"{_ROOT} AND user_text <> ''"),
}
_ADDED = {
    "spans": "count(*)",
    "tools": "count(*) FILTER (WHERE kind = 'tool')",
    "tool_errors": "count(*) FILTER (WHERE kind = 'tool' AND status = 'error')",
    "call_input": f"TRY_CAST(sum(input_tokens) FILTER (WHERE {_CALL}) AS BIGINT)",
    "every_input": "TRY_CAST(sum(input_tokens) AS BIGINT)",
    "call_output": f"TRY_CAST(sum(output_tokens) FILTER (WHERE {_CALL}) AS BIGINT)",
    "every_output": "TRY_CAST(sum(output_tokens) AS BIGINT)",
    "call_cost": f"sum(cost_usd) FILTER (WHERE {_CALL})",
    "every_cost": "sum(cost_usd)",
}
_FLAGS = (
    (ERROR, f"{_ROOT} AND status = 'error'"),
    (INCOMPLETE, f"{_ROOT} AND status = 'incomplete'"),
    (ESCALATED, _ESCALATED),
    (TOOL_ERROR, "kind = 'tool' AND status = 'error'"),
    (LOSSY, "lossy"),
)


def _latest(value: str, test: str) -> str:
    return (
        f"max(start_ns) FILTER (WHERE {test} AND {value} IS NOT NULL), "
        f"arg_max({value}, start_ns) FILTER (WHERE {test})"
    )


_PIECE = ", ".join(
    (
        "filename, conversation_id, replay_run_id, replay_arm, min(file_row_number), max(file_row_number) + 1",
        *(_latest(*_VALUES[name]) for name in LATEST),
        *(_ADDED[name] for name in SUMS),
        "list(turn_id) FILTER (WHERE turn_id IS NOT NULL)",
        f"list(struct_pack(at := start_ns, tags := tags)) FILTER (WHERE tags IS NOT NULL AND {_ROOT})",
        "min(start_ns), max(end_ns)",
        f"({' + '.join(_flag(*flag) for flag in _FLAGS)})::BIGINT",
    )
)

_FEW = ", ".join(
    (
        "agent_name, agent_version, model_requested, model_served, provider, user_id, kind, effect",
        "error_type, prompt_name, prompt_version, tags, lossy",
        "CASE WHEN kind = 'tool' THEN name END AS tool",
        "status = 'incomplete' AS incomplete, status = 'error' AS error",
        f"{_ESCALATED} AS escalated",
    )
)
_SAID_VALUES = {
    "agent": "agent_name",
    "version": "agent_version",
    "model": "model_requested",
    "model ": "model_served",
    "provider": "provider",
    "user": "user_id",
    "error": "error_type",
    "prompt": "prompt_name",
    "prompt ": "prompt_name || '@' || prompt_version",
    "tool": "tool",
    "kind": "kind",
    "effect": "effect",
    "tags": "tags",
    "why": "CASE WHEN kind <> 'tool' AND error THEN 'error' END",
    "why ": "CASE WHEN kind = 'tool' AND error THEN 'tool error' END",
    "why  ": "CASE WHEN escalated THEN 'escalated' END",
    "why   ": "CASE WHEN incomplete THEN 'incomplete' END",
    "why    ": "CASE WHEN lossy THEN 'lossy' END",
}
_SAID = (
    "["
    + ", ".join(
        f"struct_pack(field := '{name.strip()}', value := {value})" for name, value in _SAID_VALUES.items()
    )
    + "]"
)
