"""What DuckDB's errors mean.

The rules:

1. An error in the text of a query is the asker's; an error while reading is the store's, until the files prove sound.
2. Of an error only its first line is shown, clipped: the rest is DuckDB's own quoting of the query.
"""

from __future__ import annotations

import duckdb

DEAD = (duckdb.InternalException, duckdb.FatalException, duckdb.ConnectionException)
"""Errors after which a connection is of no use."""

_ASKERS = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
    duckdb.PermissionException,
)


def is_askers(error: BaseException) -> bool:
    """Say whether an error is about the query, whatever the files hold."""
    return isinstance(error, _ASKERS) or "Malformed JSON" in str(error)


def first_line(error: BaseException) -> str:
    """Give an error's first line, clipped."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
