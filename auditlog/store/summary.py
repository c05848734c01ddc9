"""Makes summaries of rows of the `conversations` view.

The rules:

1. Pure: a table in, values out.
2. A summary reads no content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditlog.values import ConversationSummary, utc

if TYPE_CHECKING:
    import pyarrow as pa

SUMMARY_COLUMNS = (
    "conversation_id, start_ns, end_ns, duration_ms, status, why, agent_name, agent_version, model, user_id, turns, spans, "
    "tool_calls, tool_errors, input_tokens, output_tokens, cost_usd, last_user_text, tags"
)
"""What `summaries_of` wants of the view."""


def summaries_of(found: pa.Table) -> list[ConversationSummary]:
    """Make a summary of each row."""
    from auditlog.store.build import loads

    summaries = []
    for row in found.to_pylist():
        tags = loads(row.pop("tags"))
        end_ns = row.pop("end_ns")
        summaries.append(
            ConversationSummary(
                start=utc(row.pop("start_ns")),
                end=None if end_ns is None else utc(end_ns),
                why=tuple(row.pop("why")),
                tags={key: str(value) for key, value in tags.items()} if isinstance(tags, dict) else {},
                **row,
            )
        )
    return summaries
