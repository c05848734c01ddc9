"""The tables of the index, and how its file is opened.

The rules:

1. The file says which version of the index it is and of which store; any other is not used.
2. It is a regular file in a real directory. Its tables are exactly ours, so that no trigger or view runs in it.
3. A reader opens it for reading only. It never waits long: the index is a convenience.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

from auditlog.store.index.rollup import COLUMNS

VERSION = 1
"""Of the tables, and of what stands in them."""

_APPLICATION = 0x41554C49
_WAIT_SECONDS = 2.0

TABLES = (
    "CREATE TABLE facts_about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE segments (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, rows INTEGER NOT NULL)",
    "CREATE TABLE conversations (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folded TEXT)",
    "CREATE INDEX conversations_folded ON conversations (folded) WHERE folded IS NOT NULL",
    "CREATE TABLE places (conversation INTEGER NOT NULL, segment INTEGER NOT NULL, run, arm, first INTEGER, last INTEGER)",
    "CREATE INDEX places_of_conversation ON places (conversation)",
    "CREATE INDEX places_of_segment ON places (segment)",
    f"CREATE TABLE rollups (conversation INTEGER PRIMARY KEY, name TEXT NOT NULL, {', '.join(COLUMNS)})",
    "CREATE INDEX rollups_newest ON rollups (start_ns DESC, name)",
    "CREATE TABLE names (id INTEGER PRIMARY KEY, field TEXT NOT NULL, value TEXT NOT NULL, folded TEXT NOT NULL)",
    "CREATE UNIQUE INDEX names_by_value ON names (field, value)",
    "CREATE INDEX names_by_folded ON names (field, folded)",
    "CREATE TABLE said (name INTEGER NOT NULL, conversation INTEGER NOT NULL, PRIMARY KEY (name, conversation)) WITHOUT ROWID",
)


class UnusableError(Exception):
    """There is no index that can be used."""


def open_for_reading(path: Path, store_id: str) -> sqlite3.Connection:
    """Open the index.

    Raises:
        UnusableError: there is none, or it is not one of this store and version.
    """
    _refuse_irregular(path)
    try:
        connection = sqlite3.connect(
            f"file:{_quoted(path)}?mode=ro",
            uri=True,
            timeout=_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _check(connection, store_id)
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("PRAGMA mmap_size = 1073741824")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise UnusableError(str(error)) from None
    return connection


def open_for_writing(path: Path, store_id: str) -> sqlite3.Connection:
    """Open the index, made anew where it is missing or cannot be used; the caller holds the lock.

    Raises:
        UnusableError: it cannot be written.
    """
    try:
        _refuse_irregular(path)
    except UnusableError:
        remove(path)
    for attempt in (1, 2):
        try:
            return _opened_for_writing(path, store_id)
        except (sqlite3.Error, UnusableError, OSError) as error:
            if attempt == 2:
                raise UnusableError(str(error)) from None
            remove(path)
    raise AssertionError


def _opened_for_writing(path: Path, store_id: str) -> sqlite3.Connection:
    is_new = not path.exists()
    if is_new:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        f"file:{_quoted(path)}?mode=rw", uri=True, timeout=30, isolation_level=None, check_same_thread=False
    )
    try:
        if is_new:
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("BEGIN IMMEDIATE")
            for table in TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO facts_about VALUES ('store', ?), ('revision', '0')", [store_id])
            connection.execute("COMMIT")
        else:
            _check(connection, store_id)
        connection.execute("PRAGMA temp_store = MEMORY")
        # Readers go on while a change is being made; only its commit keeps them waiting.
        connection.execute("PRAGMA cache_spill = OFF")
        connection.execute("PRAGMA cache_size = -65536")
        # What was erased or pruned must not stay in pages that are free.
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def remove(path: Path) -> None:
    """Remove an index, and what SQLite left beside it.

    Raises:
        UnusableError: it cannot be removed.
    """
    for name in (path, path.with_name(f"{path.name}-journal")):
        try:
            name.unlink(missing_ok=True)
        except OSError as error:
            raise UnusableError(str(error)) from None


def _check(connection: sqlite3.Connection, store_id: str) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if (application, version) != (_APPLICATION, VERSION):
        raise UnusableError("it is of another version")
    # What SQLite makes by itself, for UNIQUE and the like, has no SQL.
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
    if found != set(TABLES):
        raise UnusableError("its tables are not those of an index")
    row = connection.execute("SELECT value FROM facts_about WHERE key = 'store'").fetchone()
    if row is None or row[0] != store_id:
        raise UnusableError("it is of another store")


def _refuse_irregular(path: Path) -> None:
    for place in (path.parent, path):
        try:
            mode = place.lstat().st_mode
        except OSError as error:
            raise UnusableError(error.strerror or str(error)) from None
        if not (stat.S_ISREG(mode) if place == path else stat.S_ISDIR(mode)):
            raise UnusableError(f"{place} is not what it should be")
    # SQLite would roll back into the index whatever this file says.
    journal = path.with_name(f"{path.name}-journal")
    if journal.is_symlink():
        raise UnusableError(f"{journal} is a symlink")


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
