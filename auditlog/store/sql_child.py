"""The process in which a user's own SQL runs; see `auditlog.store.sql`.

The rules:

1. Before it reads anything, it takes limits that it cannot lift again: memory, processor time, and no file may grow.
2. The engine opens the files that it was told of, by name, and nothing else: no other file, no network, no extension, no
   Python variable. The settings that say so are locked before the statement runs.
3. Everything it says goes to stdout, in messages: that it is ready, batches of the result, and how it ended.
4. When the asker is gone, it ends.
"""

from __future__ import annotations

import os
import re
import resource
import struct
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_LIVE_AND_CODE = 1 << 30
"""Memory beside the engine's own: live rows, code, a batch of the result."""
_START_CPU_SECONDS = 30
_BATCH_ROWS = 8192


def main() -> None:
    """Answer one query."""
    # The engine and Arrow import numpy where they find it, and nothing here uses it.
    sys.modules["numpy"] = None  # type: ignore[assignment]
    sys.modules["pandas"] = None  # type: ignore[assignment]
    import orjson

    stdin = sys.stdin.buffer
    asked: dict[str, Any] = orjson.loads(stdin.read(struct.unpack("<I", stdin.read(4))[0]))
    _limit(asked["memory"], asked["seconds"])
    import pyarrow as pa

    live = pa.ipc.open_stream(stdin).read_all()
    threading.Thread(target=_end_with, args=(stdin,), daemon=True).start()
    _answer(asked, live)
    sys.stdout.buffer.flush()
    # Threads of the engine may still be at work on what nobody waits for.
    os._exit(0)


def _limit(memory: int, seconds: float) -> None:
    most = memory + _LIVE_AND_CODE
    # Of what is private and writable: mapped libraries and files do not count.
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    cpu = min(int(seconds * (os.cpu_count() or 1)) + _START_CPU_SECONDS, 2**31)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))


def _end_with(stdin: IO[bytes]) -> None:
    while stdin.read(4096):
        pass
    os._exit(1)


def _say(kind: bytes, payload: bytes = b"") -> None:
    from auditlog.store.sql import HEAD

    sys.stdout.buffer.write(HEAD.pack(kind, len(payload)) + payload)
    sys.stdout.buffer.flush()


def _answer(asked: dict[str, Any], live: pa.Table) -> None:
    import duckdb
    import pyarrow as pa

    from auditlog.errors import FilterError
    from auditlog.store import sql
    from auditlog.store.engine import first_line, is_askers

    seconds, gigabytes, is_late = asked["seconds"], asked["memory"] / (1 << 30), threading.Event()
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{asked['memory'] >> 20}MiB",
            "temp_directory": "",
        },
    )

    connection.execute("SET enable_progress_bar = false")

    def interrupt() -> None:
        is_late.set()
        connection.interrupt()

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), interrupt)
    timer.daemon = True
    try:
        refuse_all_but_select(connection, asked["text"])
        lock_down(connection, asked["root"], asked["paths"], live, asked["key"])
        _say(sql.READY)
        timer.start()
        _give(connection, asked["text"], asked["limit"])
        timer.cancel()
    except FilterError as error:
        return _say(sql.REFUSED, str(error).encode())
    except (duckdb.Error, pa.ArrowException, OSError, ValueError, RuntimeError, MemoryError) as error:
        said = first_line(error).encode("utf-8", "replace").decode()
        kind = sql.REFUSED
        if asked["key"] is not None and asked["key"]["id"] in said:
            from auditlog.sealing.content_key import missing

            return _say(kind, missing(asked["key"]["id"]).encode())
        if is_late.is_set():
            said = sql.too_late(seconds)
        elif isinstance(error, duckdb.PermissionException) or said.startswith("Permission Error"):
            said = (
                f"The query reaches for a file, and a query may read only what the store recorded. {_EXAMPLE}"
            )
        elif isinstance(error, MemoryError | duckdb.OutOfMemoryException) or _NO_MEMORY.search(said):
            said = f"The query needs more than {gigabytes:g} GB of memory and was stopped. {_LESS}"
        else:
            kind = sql.REFUSED if is_askers(error) else sql.DAMAGED
            said = f"The query fails: {said}"
        return _say(kind, said.encode())
    return _say(sql.DONE)


_NO_MEMORY = re.compile("bad_alloc|Out of Memory|out of memory")
_LESS = "Ask for less: fewer columns, a day, a LIMIT."
_EXAMPLE = "Write one SELECT over spans, turns, conversations or all_spans."


def refuse_all_but_select(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise FilterError unless a text is exactly one SELECT."""
    import duckdb

    from auditlog.errors import FilterError

    statements = connection.extract_statements(text)
    if len(statements) != 1:
        msg = f"A query is one statement, and this is {len(statements) or 'none'}. {_EXAMPLE}"
        raise FilterError(msg)
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        msg = f"A query only reads, and this is {kind.name}. {_EXAMPLE}"
        raise FilterError(msg)


def lock_down(
    connection: duckdb.DuckDBPyConnection,
    root: str,
    paths: list[str],
    live: pa.Table,
    key: dict[str, Any] | None = None,
) -> None:
    """Make the views, and let the engine open nothing but the files that they read."""
    from auditlog.store import views

    connection.register("live", live)
    connection.execute("SET TimeZone = 'UTC'")
    encrypted = None
    if key is not None:
        from auditlog.sealing.content_key import missing

        encrypted = views.Encrypted(missing(key["id"]), key["secret"] is not None)
        if key["secret"] is not None:
            from auditlog.store.decrypted import sealed_rows

            connection.register("sealed", sealed_rows(root, paths, bytes.fromhex(key["secret"])))
    connection.execute(views.all_spans(paths, root, with_live=bool(live.num_rows), encrypted=encrypted))
    for statement in views.derived_views():
        connection.execute(statement)
    connection.execute("SET python_enable_replacements = false")
    # The engine checks a path as it was written in the view, and again as what it matched.
    allowed = sorted({*paths, *map(views.literal_path, paths)})
    connection.execute(f"SET allowed_paths = [{', '.join('?' * len(allowed))}]", allowed)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


class _Messages:
    """What Arrow writes its stream into."""

    closed = False

    def write(self, data: Any) -> int:
        """Say what is written."""
        from auditlog.store.sql import BATCHES

        _say(BATCHES, bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: each message is flushed."""

    def close(self) -> None:
        """Do nothing: what ends the result is a message."""


def _give(connection: duckdb.DuckDBPyConnection, text: str, limit: int) -> None:
    """Run the query, and say its result batch by batch."""
    import pyarrow as pa

    reader = connection.sql(text).limit(limit).to_arrow_reader(_BATCH_ROWS)
    with pa.ipc.new_stream(pa.PythonFile(_Messages(), mode="w"), reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)
