"""`auditlog sql`: runs one SELECT over the store's views."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from auditlog.cli.formats import Column, format_option, json_text, write_rows
from auditlog.cli.options import limit_option, open_store, record_access, store_option
from auditlog.cli.output import narrate
from auditlog.errors import FilterError

if TYPE_CHECKING:
    import pyarrow as pa


@click.command()
@click.argument("query", metavar="QUERY")
@limit_option("At most N rows.", default=10_000)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60,
    show_default=True,
    help="How long it may take.",
)
@format_option()
@store_option
def sql(query: str, limit: int, seconds: float, format: str, output: str | None, store: str) -> None:
    """Run one SELECT over the views spans, turns and conversations.

    `-` reads the query from stdin. It can read what was recorded, and nothing else. The view all_spans has replays too.
    """
    text = _from_stdin() if query == "-" else query
    most = limit or sys.maxsize
    with open_store(store) as opened:
        try:
            found = opened.select(text, min(most + 1, 2**62), seconds=seconds)
        except FilterError:
            # The engine's words may quote a value that it could not convert.
            record_access(opened, "sql", filter=text)
            raise
        record_access(opened, "sql", filter=text, rows=min(most, found.num_rows))
    if found.num_rows > most:
        found = found.slice(0, most)
        narrate(f"The first {most} rows; --limit 0 gives all.")
    rows = _rows(found)
    columns = [
        Column(name, name, 0, right=_is_number(found, at), shrinks=True, show=_show)
        for at, name in enumerate(found.column_names)
    ]
    write_rows(rows, columns, format, output)


def _from_stdin() -> str:
    if sys.stdin is None:
        raise FilterError(
            "Standard input is closed, and `-` reads the query from it. Write the query in its place."
        )
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise FilterError("The query on standard input is not UTF-8. Write it in UTF-8.") from None


def _rows(found: pa.Table) -> list[dict[str, Any]]:
    try:
        values = found.to_pylist()
        if any(getattr(value, "nanosecond", 0) for row in values for value in row.values()):
            # Where pandas is installed, Arrow gives its times, which JSON and CSV would cut.
            raise ValueError
    except (ValueError, OverflowError):
        raise FilterError(
            "The result holds a time outside of the years 1 to 9999, or one finer than a microsecond. CAST it to VARCHAR."
        ) from None
    return [{key: _plain(value) for key, value in row.items()} for row in values]


def _plain(value: Any) -> Any:
    match value:
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case datetime() if value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        case _:
            return value


def _is_number(found: pa.Table, at: int) -> bool:
    import pyarrow as pa

    kind = found.schema.types[at]
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _show(value: Any) -> str:
    match value:
        case str():
            return value
        case float():
            return f"{value:.6g}"
        case datetime():
            return value.isoformat(sep=" ")
        case list() | dict():
            return json_text(value)
        case _:
            return str(value)
