"""The SQL of the views that queries read.

The rules:

1. `all_spans` is everything: the sealed files that the ledger lists, and the live rows of the journals.
2. `spans` is what people ask: replays left out, evidence left out, content as text.
3. `turns` and `conversations` are made of `spans` and touch no content: DuckDB reads only the columns that are used.
4. The schema `replayed` has the same views over the spans of one replay run; the session variables `run` and `arm`
   say which.
5. Of a store that encrypts, the sealed rows come decrypted under the name `sealed`; without its key, straight from the
   files, with errors in the place of content.
6. No recorded value enters SQL text; file names do, quoted, and only those that the ledger's rules allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from auditlog.normalise import columns
from auditlog.record import PACKED, PARTS
from auditlog.sealing import content_key

REPLAYED = "replayed"


class Encrypted(NamedTuple):
    """How a store that encrypts is read."""

    told: str
    """What a query is told that reads what it has no key for."""
    opened: bool
    """Whether the sealed rows are registered as `sealed`, decrypted."""


def all_spans(
    paths: Iterable[str], root: str, *, with_live: bool = True, encrypted: Encrypted | None = None
) -> str:
    """Give the view of everything.

    Args:
        paths: the sealed files, absolute.
        root: the store's path; what follows it is a row's `segment`.
        with_live: whether the journals hold rows; planning is quicker without them.
        encrypted: how it is read, where content is encrypted.
    """
    every = _every_span(paths, root, with_live=with_live, encrypted=encrypted)
    return f"CREATE OR REPLACE VIEW all_spans AS {every}"


def structure(paths: Iterable[str], root: str, *, with_live: bool, encrypted: Encrypted) -> str:
    """Give the view of everything in which encrypted content is null."""
    every = _every_span(paths, root, with_live=with_live, encrypted=encrypted, nothing="NULL")
    return f"CREATE OR REPLACE VIEW structure AS {every}"


def some_spans(paths: Iterable[str], root: str, *, with_live: bool) -> str:
    """Give the view `spans` over some sealed files only, and the live rows."""
    return ordinary(f"({_every_span(paths, root, with_live=with_live)})")


def ordinary(source: str, names: Sequence[str] = ()) -> str:
    """Give the view `spans` over rows of `all_spans`, or only some of its recorded columns."""
    chosen = ", ".join(map(_shown, names)) or _span_columns()
    return f"SELECT {chosen} FROM {source} WHERE replay_run_id IS NULL"


def _every_span(
    paths: Iterable[str],
    root: str,
    *,
    with_live: bool,
    encrypted: Encrypted | None = None,
    nothing: str | None = None,
) -> str:
    listed = ", ".join(_quoted(literal_path(path)) for path in paths)
    live = "SELECT *, NULL::VARCHAR AS segment FROM live"
    if not listed:
        return live
    # The engine matches names whatever their case, and a result must have them as we write them.
    values = {name: _stored(name) for name in columns()}
    if encrypted is not None and not encrypted.opened:
        values |= _closed(nothing or f"error({_quoted(encrypted.told)})")
    named = ", ".join(f"{value} AS {name}" for name, value in values.items())
    sealed = (
        f"SELECT {named}, segment FROM sealed"
        if encrypted is not None and encrypted.opened
        else f"SELECT {named}, substr(filename, {len(root) + 2}) AS segment "
        f"FROM read_parquet([{listed}], filename = true, hive_partitioning = false, union_by_name = false)"
    )
    return f"{sealed} UNION ALL BY NAME {live}" if with_live else sealed


def derived_views() -> list[str]:
    """Give the ordinary views."""
    return _derived("main", "replay_run_id IS NULL")


def replayed_views() -> list[str]:
    """Give the same views over one replay run."""
    arm = "(getvariable('arm') IS NULL OR replay_arm = getvariable('arm'))"
    of_run = f"replay_run_id = getvariable('run') AND {arm}"
    return [f"CREATE SCHEMA IF NOT EXISTS {REPLAYED}", *_derived(REPLAYED, of_run)]


def _derived(schema: str, condition: str) -> list[str]:
    return [
        f"CREATE OR REPLACE VIEW {schema}.spans AS SELECT {_span_columns()} FROM main.all_spans WHERE {condition}",
        f"CREATE OR REPLACE VIEW {schema}.turns AS {_TURNS.format(schema=schema)}",
        f"CREATE OR REPLACE VIEW {schema}.conversations AS {_CONVERSATIONS.format(schema=schema)}",
    ]


def _closed(nothing: str) -> dict[str, str]:
    """Give what stands for columns that are encrypted with a key that is not here."""
    return {
        **dict.fromkeys((*PARTS, "salt"), f"{nothing}::BLOB"),
        "user_text": f"{nothing}::VARCHAR",
        "answer_text": f"{nothing}::VARCHAR",
        "escalation_reason": f"CASE WHEN {content_key.ESCALATED} THEN '{content_key.ENCRYPTED}' END",
    }


def _stored(name: str) -> str:
    return f"{PACKED}[{PARTS.index(name) + 1}]" if name in PARTS else name


def _shown(name: str) -> str:
    if columns()[name]["type"] == "binary":
        # Content that is no UTF-8 must not make a query fail: it shows as escaped bytes.
        return f"coalesce(TRY(decode({name})), CAST({name} AS VARCHAR)) AS {name}"
    return name


def _span_columns() -> str:
    chosen = [
        _shown(name) for name, column in columns().items() if column["origin"] not in ("evidence", "sealed")
    ]
    chosen.append("(end_ns - start_ns) / 1e6 AS duration_ms")
    chosen.append("segment")
    return ", ".join(chosen)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literal_path(path: str) -> str:
    """Keep DuckDB from taking a path for a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)


def _summed(column: str) -> str:
    # A framework's agent span often repeats the sum of its model calls; what only other spans report still counts.
    calls = "kind IN ('model', 'embedding')"
    return f"coalesce(sum({column}) FILTER (WHERE {calls}), sum({column}))"


_USAGE = f"""
    TRY_CAST({_summed("input_tokens")} AS BIGINT) AS input_tokens,
    TRY_CAST({_summed("output_tokens")} AS BIGINT) AS output_tokens,
    {_summed("cost_usd")} AS cost_usd"""

_TURNS = (
    """
SELECT *, row_number() OVER (PARTITION BY conversation_id ORDER BY start_ns, turn_id) - 1 AS turn_index
FROM (SELECT
    conversation_id, turn_id,
    any_value(trace_id) AS trace_id,
    min(start_ns) AS start_ns,
    make_timestamp(min(start_ns) // 1000) AS start_time,
    max(end_ns) AS end_ns,
    (max(end_ns) - min(start_ns)) / 1e6 AS duration_ms,
    coalesce(any_value(status) FILTER (WHERE span_id = turn_id), 'incomplete') AS status,
    any_value(agent_name) FILTER (WHERE span_id = turn_id) AS agent_name,
    any_value(agent_version) FILTER (WHERE span_id = turn_id) AS agent_version,
    any_value(user_id) AS user_id,
    any_value(user_text) FILTER (WHERE span_id = turn_id) AS user_text,
    any_value(answer_text) FILTER (WHERE span_id = turn_id) AS answer_text,
    arg_max(coalesce(model_served, model_requested), start_ns) FILTER (WHERE kind = 'model') AS model,
    count(*) AS spans,
    count(*) FILTER (WHERE kind = 'tool') AS tool_calls,
    count(*) FILTER (WHERE kind = 'tool' AND status = 'error') AS tool_errors,"""
    + _USAGE
    + """,
    bool_or(escalation_reason IS NOT NULL OR kind = 'handoff') AS escalated,
    any_value(escalation_reason) AS escalation_reason,
    any_value(tags) FILTER (WHERE span_id = turn_id) AS tags
FROM {schema}.spans GROUP BY conversation_id, turn_id)"""
)

_CONVERSATIONS = (
    """
SELECT
    conversation_id,
    min(start_ns) AS start_ns,
    make_timestamp(min(start_ns) // 1000) AS start_time,
    max(end_ns) AS end_ns,
    make_timestamp(max(end_ns) // 1000) AS end_time,
    (max(end_ns) - min(start_ns)) / 1e6 AS duration_ms,
    CASE WHEN bool_or(span_id = turn_id AND status = 'error') THEN 'error'
         WHEN bool_or(span_id = turn_id AND status = 'incomplete') THEN 'incomplete' ELSE 'ok' END AS status,
    list_filter([
        CASE WHEN bool_or(span_id = turn_id AND status = 'error') THEN 'error' END,
        CASE WHEN bool_or(escalation_reason IS NOT NULL OR kind = 'handoff') THEN 'escalated' END,
        CASE WHEN bool_or(span_id = turn_id AND status = 'incomplete') THEN 'incomplete' END,
        CASE WHEN bool_or(kind = 'tool' AND status = 'error') THEN 'tool error' END,
        CASE WHEN bool_or(lossy) THEN 'lossy' END
    ], lambda reason: reason IS NOT NULL) AS why,
    coalesce(arg_max(agent_name, start_ns) FILTER (WHERE span_id = turn_id), arg_max(agent_name, start_ns))
        AS agent_name,
    coalesce(arg_max(agent_version, start_ns) FILTER (WHERE span_id = turn_id), arg_max(agent_version, start_ns))
        AS agent_version,
    arg_max(coalesce(model_served, model_requested), start_ns) FILTER (WHERE kind = 'model') AS model,
    arg_max(user_id, start_ns) AS user_id,
    count(DISTINCT turn_id) AS turns,
    count(*) AS spans,
    count(*) FILTER (WHERE kind = 'tool') AS tool_calls,
    count(*) FILTER (WHERE kind = 'tool' AND status = 'error') AS tool_errors,"""
    + _USAGE
    + """,
    coalesce(arg_max(user_text, start_ns) FILTER (WHERE span_id = turn_id AND user_text <> ''), '') AS last_user_text,
    list_reduce(
        list(tags::JSON ORDER BY start_ns) FILTER (WHERE tags IS NOT NULL AND span_id = turn_id),
        lambda a, b: json_merge_patch(a, b)
    )::VARCHAR AS tags,
    coalesce(bool_or(escalation_reason IS NOT NULL OR kind = 'handoff'), false) AS escalated
FROM {schema}.spans GROUP BY conversation_id"""
)
