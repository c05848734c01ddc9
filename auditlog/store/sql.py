"""Runs a user's own SQL over a store, locked down.

The rules:

1. One statement, and it only reads: SELECT, FROM, VALUES, DESCRIBE. Anything else is refused by name.
2. It reads the store's views and nothing else: no other file, no network, no extension, no Python variable. The settings
   that say so are locked before the statement runs.
3. It runs on a connection of its own, with a limit of rows, memory and time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from auditlog.errors import FilterError, StoreError
from auditlog.store import views
from auditlog.store.engine import first_line, is_askers

MEMORY = "2GB"
SECONDS = 60.0
LIMIT = 10_000

_EXAMPLE = "Write one SELECT over spans, turns, conversations or all_spans."


def select(
    root: Path, paths: Sequence[str], live: pa.Table, text: str, limit: int, seconds: float
) -> pa.Table:
    """Run one SELECT.

    Args:
        root: the store.
        paths: its sealed files, absolute.
        live: the rows of its journals.
        text: the user's SQL.
        limit: how many rows at most.
        seconds: how long at most.

    Raises:
        FilterError: the text is not one SELECT, does not run, reaches for what it may not, or takes too long.
        StoreError: a sealed file cannot be read.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY,
            "temp_directory": "",
        },
    )
    try:
        refuse_all_but_select(connection, text)
        _lock_down(connection, root, paths, live)
        timer = threading.Timer(seconds, connection.interrupt)
        timer.start()
        try:
            return connection.sql(text).limit(limit).to_arrow_table()
        finally:
            timer.cancel()
    except duckdb.PermissionException:
        msg = f"The query reaches for a file, and a query may read only what the store recorded. {_EXAMPLE}"
        raise FilterError(msg) from None
    except duckdb.InterruptException:
        msg = f"The query took longer than {seconds:g} seconds and was stopped. Ask for less: fewer columns, a day, a LIMIT."
        raise FilterError(msg) from None
    except duckdb.OutOfMemoryException:
        msg = f"The query needs more than {MEMORY} of memory and was stopped. Ask for less: fewer columns, a day, a LIMIT."
        raise FilterError(msg) from None
    except (duckdb.Error, OSError, ValueError, RuntimeError) as error:
        if is_askers(error):
            raise FilterError(f"The query fails: {first_line(error)}") from None
        raise StoreError(f"The query cannot read the store {root}: {first_line(error)}") from None
    finally:
        connection.close()


def refuse_all_but_select(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise FilterError unless a text is exactly one SELECT."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FilterError("The query holds bytes that are not UTF-8. Write it in UTF-8.") from None
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        msg = f"A query is one statement, and this is {len(statements) or 'none'}. {_EXAMPLE}"
        raise FilterError(msg)
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        msg = f"A query only reads, and this is {kind.name}. {_EXAMPLE}"
        raise FilterError(msg)


def _lock_down(
    connection: duckdb.DuckDBPyConnection, root: Path, paths: Sequence[str], live: pa.Table
) -> None:
    connection.register("live", live)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(views.all_spans(paths, str(root)))
    for statement in views.derived_views():
        connection.execute(statement)
    connection.execute("SET python_enable_replacements = false")
    # The engine checks a path as it was written in the view, and again as what it matched.
    segments = f"{root / 'segments'}/"
    connection.execute("SET allowed_directories = [?, ?]", [segments, views.literal_path(segments)])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
