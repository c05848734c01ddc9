"""What reading costs on a large store, against plain Parquet of the same turns, in one run.

    python bench/reading.py [--turns 20000] [--days 2] [--keep DIRECTORY] [--repeats 9] [--no-text]

The store is sealed and in the page cache; its plain twin is a Parquet file a day in order of arrival, zstd 3, asked through
DuckDB. What is measured, the median of so many:

1. One conversation by id, the latest 100, an aggregate by model and hour, a text search with and without the index of words.
2. Commands as a shell runs them, start of the process included: their time and their CPU.
3. What the indexes cost: CPU to make them, and bytes.

A ratio below 1 means that the store is quicker than plain Parquet. A lake that was made in DIRECTORY is used again.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import lake

from auditlog.store import Store


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--no-text", action="store_true", help="make no index of words")
    parser.add_argument("--keep", type=Path, help="make the lake here, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="auditlog-lake-") as scratch:
        made = lake.make(options.keep or Path(scratch), options.turns, options.days)
        run(made, options.repeats, text=not options.no_text)


def run(made: lake.Lake, repeats: int, *, text: bool) -> None:
    """Measure everything on one lake."""
    with Store.open(made.store) as store:
        spans = sum(segment.rows for segment in store.segments())
        sealed = sum(segment.bytes for segment in store.segments())
        turns = spans // 6
        print(
            f"{turns:,} turns, {spans:,} spans in {len(store.segments())} files, {sealed / turns:,.0f} bytes a turn"
        )
        print(f"\n{'making an index of':44}{'CPU s':>10}{'bytes a turn':>15}")
        for what, words in (("conversations", False), ("words", True)):
            if words and not text:
                continue
            took = cpu_of(lambda words=words: store.update_index(text=words, wait=True))
            size = store.index_bytes()[words]
            print(f"{what:44}{took:>10.1f}{size / turns:>15,.0f}")
        questions(store, made, repeats, text=text)
    commands(made, repeats)


def questions(store: Store, made: lake.Lake, repeats: int, *, text: bool) -> None:
    """Ask the store and its plain twin the same."""
    files = sorted(str(path) for path in made.plain.glob("*.parquet"))[
        : len({s.day for s in store.segments()})
    ]
    plain = duckdb.connect()
    plain.execute("SET parquet_metadata_cache = true")
    plain.execute(f"CREATE VIEW spans AS SELECT * FROM read_parquet({files})")
    chance, count = random.Random(2), store.count()
    chosen = [
        store.summaries(limit=1, offset=chance.randrange(count))[0].conversation_id for _ in range(repeats)
    ]
    said = store.conversation(chosen[0]).turns[0].user_text.split()
    phrase, rare = " ".join(said[2:6]), store.conversation(chosen[0]).turns[0].spans[3].input["order_id"]
    by_id = "SELECT * FROM spans WHERE conversation = ? ORDER BY start"
    latest = "SELECT conversation, min(start) AS t, count(DISTINCT turn) FROM spans GROUP BY 1 ORDER BY t DESC LIMIT 100"
    hours = "SELECT {m} AS m, {t} // 3600000000000 AS h, count(*), sum({n}) FROM spans GROUP BY 1, 2"
    holds = "SELECT DISTINCT conversation FROM spans WHERE before ILIKE ? OR after ILIKE ?"

    def ask(sql: str, *params: object) -> Any:
        return plain.sql(sql, params=list(params)).to_arrow_table()

    def search(words: str, *, indexed: bool) -> list[Any]:
        store.search.is_used = indexed
        store.search.forget()
        return store.summaries(f"text:'{words}'")

    print(f"\n{'ms, median':44}{'store':>10}{'plain':>10}{'ratio':>8}{'CPU':>10}{'plain':>10}{'ratio':>8}")
    rows: list[tuple[str, Callable[[int], Any], Callable[[int], Any] | None]] = [
        ("one conversation by id", lambda n: store.conversation(chosen[n]), lambda n: ask(by_id, chosen[n])),
        ("the latest 100", lambda _: store.summaries(limit=100), lambda _: ask(latest)),
        (
            "aggregate by model and hour",
            lambda _: store.query(hours.format(m="model_requested", t="start_ns", n="input_tokens")),
            lambda _: ask(hours.format(m="model", t="start", n="tokens")),
        ),
        ("a page of 128 in the middle", lambda _: store.summaries(limit=128, offset=count // 2), None),
        (
            "count by agent, status and tokens",
            lambda _: store.count("agent:support-bot status:ok tokens>1000"),
            None,
        ),
        (
            f"search {phrase!r}, read whole",
            lambda _: search(phrase, indexed=False),
            lambda _: ask(holds, *[f"%{phrase}%"] * 2),
        ),
    ]
    if text:
        rows += [
            (
                f"search {words!r}, indexed",
                lambda _, words=words: search(words, indexed=True),
                lambda _, words=words: ask(holds, *[f"%{words}%"] * 2),
            )
            for words in (phrase, " ".join(said[2:4]), said[2].strip(".,"), rare)
        ]
    for name, ours, theirs in rows:
        mine, other = medians(ours, repeats), None if theirs is None else medians(theirs, repeats)
        cells = f"{name:44.43}{mine[0]:>10,.1f}"
        if other is None:
            print(f"{cells}{'':>18}{mine[1]:>10,.1f}", flush=True)
        else:
            wall, cpu = (
                f"{theirs:>10,.1f}{own / theirs:>8.2f}" for own, theirs in zip(mine, other, strict=True)
            )
            print(f"{cells}{wall}{mine[1]:>10,.1f}{cpu}", flush=True)


def medians(action: Callable[[int], object], repeats: int) -> tuple[float, float]:
    """Give the median milliseconds and CPU milliseconds of an action; what takes long is done three times."""
    action(0)
    walls, cpus = [], []
    for number in range(repeats):
        began, cpu = time.perf_counter(), time.process_time()
        action(number)
        walls.append((time.perf_counter() - began) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
        if number >= 2 and sum(walls) > 10_000:
            break
    return statistics.median(walls), statistics.median(cpus)


def commands(made: lake.Lake, repeats: int) -> None:
    """Run commands as a shell does."""
    with Store.open(made.store) as store:
        chosen = store.summaries(limit=1, offset=store.count() // 3)[0].conversation_id
    print(f"\n{'the whole command, ms':44}{'time':>10}{'CPU':>10}")
    rows = {
        "auditlog --help": ["--help"],
        "auditlog ls": ["ls"],
        "auditlog ls --where 'status:error'": ["ls", "--where", "status:error"],
        "auditlog show ID": ["show", chosen],
        "auditlog sql 'SELECT 1'": ["sql", "SELECT 1 AS one"],
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"AUDITLOG_STORE": str(made.store), "AUDITLOG_SEAL": "off"}
    for name, words in rows.items():
        walls, cpus = [], []
        with tempfile.TemporaryDirectory() as bytecode:
            environment["PYTHONPYCACHEPREFIX"] = bytecode
            for _ in range(repeats + 1):
                began, before = time.perf_counter(), cpu_of_children()
                subprocess.run(
                    [sys.executable, "-m", "auditlog.cli", *words],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=False,
                )
                walls.append((time.perf_counter() - began) * 1e3)
                cpus.append((cpu_of_children() - before) * 1e3)
        # The first compiled the bytecode.
        del walls[0], cpus[0]
        print(f"{name:44}{statistics.median(walls):>10,.0f}{statistics.median(cpus):>10,.0f}", flush=True)


def cpu_of(action: Callable[[], object]) -> float:
    """Give the CPU seconds of an action."""
    before = time.process_time()
    action()
    return time.process_time() - before


def cpu_of_children() -> float:
    """Give the CPU seconds of the children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
