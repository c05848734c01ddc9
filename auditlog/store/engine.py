"""What DuckDB's errors mean.

The rules:

1. An error in the text of a query is the asker's, unless a file's footer has other columns than it was sealed with; an
   error while reading is the store's, until the files prove sound.
2. An error of damage may be any: DuckDB quotes what it read, which need not be text.
3. Of an error only its first line is shown, clipped: the rest is DuckDB's own quoting of the query.
"""

from __future__ import annotations

import duckdb

DEAD = (duckdb.InternalException, duckdb.FatalException, duckdb.ConnectionException)
"""Errors after which a connection is of no use."""

_OF_TEXT = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
)
_OF_VALUES = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
)


def is_about_text(error: BaseException) -> bool:
    """Say whether an error came before any row was read."""
    return isinstance(error, _OF_TEXT)


def is_askers(error: BaseException) -> bool:
    """Say whether an error of a user's own query is most likely about what it computes, and no sign of damage."""
    return isinstance(error, (*_OF_TEXT, *_OF_VALUES)) or "Malformed JSON" in str(error)


def first_line(error: BaseException) -> str:
    """Give an error's first line, clipped."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
