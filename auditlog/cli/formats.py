"""Writes rows: as a table for people, and as JSON, JSON lines, CSV and Parquet for programs.

The rules:

1. Rows are mappings of plain values; a format changes how they are written and never what they say.
2. A table fits the terminal: columns that matter least go first, then those that can be clipped are.
3. In CSV, a text that a spreadsheet would run (it begins with `=`, `+`, `-`, `@`, a tab or a carriage return) gets a
   `'` before it.
4. Parquet is bytes: it goes to a file or a pipe, never to a terminal.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import click
import orjson

from auditlog.cli.output import (
    destination,
    is_terminal,
    print_line,
    require_stdout,
    safe_json,
    styled,
    terminal_width,
)
from auditlog.errors import AuditlogError
from auditlog.safe_text import cell_width, pad, safe_text

FORMATS = ("table", "json", "jsonl", "csv", "parquet")

Row = Mapping[str, Any]

_GAP = 2
_WIDEST = 60
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    """The row's key."""
    title: str
    rank: int = 0
    """What goes first where the terminal is narrow: the highest."""
    right: bool = False
    """Numbers stand to the right."""
    shrinks: bool = False
    """It may be clipped."""
    least: int = 12
    """How far, in cells, before other columns go."""
    show: Callable[[Any], str] = str
    """Makes text of the value; None shows as nothing."""


def format_option(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give the options `--format` and `--output`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write to FILE instead of stdout.",
            type=click.Path(dir_okay=False),
        )(command)
        return format_choice(*(names or FORMATS))(command)

    return decorate


def format_choice(
    *names: str, help: str = "How to write it."
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give the option `--format`, whose default is the first of the names."""
    return click.option("--format", type=click.Choice(names), default=names[0], show_default=True, help=help)


def write_rows(
    rows: Sequence[Row], columns: Sequence[Column], format: str, output: str | None = None
) -> None:
    """Write rows to stdout or a file.

    Args:
        rows: what to write; for every format but the table, all their keys.
        columns: the table's columns.
        format: one of FORMATS.
        output: a file's path; None for stdout.

    Raises:
        AuditlogError: Parquet to a terminal, or a file that cannot be written.
    """
    if format == "table":
        lines = list(table_lines(rows, columns, 200 if output else terminal_width()))
        if output is None:
            head, *rest = lines
            print_line(styled(head, bold=True))
            for line in rest:
                print_line(line)
            return
        encoded = [f"{line}\n".encode() for line in lines]
    elif format == "parquet":
        encoded = [_parquet(rows, output)]
    elif format == "csv":
        encoded = [_csv(rows, [column.name for column in columns], escaped=output is None and _watched())]
    else:
        encoded = list(_json(rows, lines=format == "jsonl"))
    with destination(output) as file:
        file.writelines(encoded)


def json_text(value: Any, *, indent: bool = False) -> str:
    """Give JSON that is safe to look at; integers of any size, and dates as ISO 8601."""
    option = orjson.OPT_INDENT_2 if indent else 0
    try:
        return safe_json(orjson.dumps(value, option=option | orjson.OPT_NON_STR_KEYS, default=str).decode())
    except (TypeError, ValueError, RecursionError):
        import json

        return safe_json(json.dumps(value, indent=2 if indent else None, ensure_ascii=True, default=str))


def _json(rows: Sequence[Row], *, lines: bool) -> Iterable[bytes]:
    if lines:
        for row in rows:
            yield f"{json_text(dict(row))}\n".encode()
    else:
        yield f"{json_text([dict(row) for row in rows], indent=True)}\n".encode()


def _csv(rows: Sequence[Row], names: Sequence[str], *, escaped: bool) -> bytes:
    names = list(rows[0]) if rows else list(names)
    lines = [_csv_line([_cell(name, escaped=escaped) for name in names])]
    lines += [_csv_line([_cell(row.get(name), escaped=escaped) for name in names]) for row in rows]
    return "".join(lines).encode("utf-8", "backslashreplace")


def _csv_line(cells: Sequence[Any]) -> str:
    # The writer quotes what holds a character of its line end; a lone carriage return must be quoted as well.
    end = "\r\n"
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerow(cells)
    return text.getvalue().removesuffix(end) + "\n"


def _cell(value: Any, *, escaped: bool) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case datetime():
            return value.isoformat()
        case str():
            shown = safe_text(value) if escaped else value
        case _:
            shown = json_text(value)
    return f"'{shown}" if shown.startswith(_RUN_BY_SPREADSHEETS) else shown


def _parquet(rows: Sequence[Row], output: str | None) -> bytes:
    if output is None and is_terminal(require_stdout()):
        raise AuditlogError(
            "Parquet is no text for a terminal. Write it to a file with --output FILE, or into a pipe."
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = [{key: _flat(value) for key, value in row.items()} for row in rows]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(flat), buffer, compression="zstd")
    return buffer.getvalue()


def _flat(value: Any) -> Any:
    # A mapping has keys of its own in each row, and Parquet wants one schema.
    return (
        json_text(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
    )


def _watched() -> bool:
    return is_terminal(sys.stdout)


def table_lines(rows: Sequence[Row], columns: Sequence[Column], width: int) -> Iterable[str]:
    """Lay rows out as a table: a line of titles, then a line a row.

    Args:
        rows: what to show.
        columns: what of it.
        width: the cells of a line.
    """
    columns = [replace(column, title=safe_text(column.title)) for column in columns]
    cells = {column.name: [_shown(column, row) for row in rows] for column in columns}
    columns = [column for column in columns if not rows or any(cells[column.name])]
    natural = {c.name: max(map(cell_width, (c.title, *cells[c.name]))) for c in columns}
    columns = _fitting(columns, natural, width)
    widths = _widths(columns, natural, width)
    yield _line([pad(c.title, widths[c.name], right=c.right) for c in columns])
    for position in range(len(rows)):
        yield _line([pad(cells[c.name][position], widths[c.name], right=c.right) for c in columns])


def _line(cells: Sequence[str]) -> str:
    return (" " * _GAP).join(cells).rstrip()


def _shown(column: Column, row: Row) -> str:
    value = row.get(column.name)
    return (
        ""
        if value is None
        else safe_text(column.show(value), width=None if column.rank == 0 else 4 * _WIDEST)
    )


def _least(column: Column, natural: Mapping[str, int]) -> int:
    return min(natural[column.name], column.least) if column.shrinks else min(natural[column.name], _WIDEST)


def _fitting(columns: Sequence[Column], natural: Mapping[str, int], width: int) -> list[Column]:
    kept = list(columns)
    while len(kept) > 1 and sum(_least(c, natural) + _GAP for c in kept) - _GAP > width:
        kept.remove(max(kept, key=lambda c: (c.rank, kept.index(c))))
    return kept


def _widths(columns: Sequence[Column], natural: Mapping[str, int], width: int) -> dict[str, int]:
    """Give each column what it needs, and share what is left among those that were clipped."""
    widths = {c.name: _least(c, natural) for c in columns}
    left = width - sum(widths.values()) - _GAP * (len(columns) - 1)
    for column in sorted(columns, key=lambda c: natural[c.name] - widths[c.name]):
        hungry = [c for c in columns if widths[c.name] < natural[c.name]]
        if column in hungry and left > 0:
            more = min(natural[column.name] - widths[column.name], max(left // len(hungry), 0))
            widths[column.name] += more
            left -= more
    if columns and left < 0:
        widths[columns[0].name] = max(1, widths[columns[0].name] + left)
    return widths


def moment(value: datetime) -> str:
    """Show a moment in local time, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def milliseconds(value: float) -> str:
    """Show a duration that was measured in milliseconds."""
    if value < 1000:
        return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
    seconds = value / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def dollars(value: float) -> str:
    """Show US dollars."""
    return f"${value:.2f}" if value >= 1 or value == 0 else f"${value:.4f}"


def count(value: int) -> str:
    """Show a count, with commas between thousands."""
    return f"{value:,}"
