"""Times the store against plain layouts of the same content, in one run.

    python bench/store.py [--turns 2000] [--days 3] [--repeats 5] [--keep DIRECTORY]

What is measured:

1. Ingest: records into the journal until durable, against orjson lines with an fsync for every 512 spans.
2. CPU from the call to sealed, durable Parquet, against lines that pyarrow then turns into Parquet, nothing checked.
3. Queries: one conversation by id, the latest 100, an aggregate, a text search; each through `Store`, and through DuckDB
   over plain Parquet (a file a day, in order of arrival) and over the lines.

A ratio above 1 means that the store takes longer. A turn is six spans and about 19 KB.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from auditlog.record import encode_record
from auditlog.store import Store

SPANS = 6
FSYNC_SPANS = 512
DAY_NS = 86_400 * 1_000_000_000
BEGAN_NS = 1_790_000_000_000_000_000 // DAY_NS * DAY_NS


def turns(count: int, days: int) -> Iterator[list[dict[str, Any]]]:
    """Make turns: each a list of six spans with their START and END content."""
    chance = random.Random(1)
    words = [f"{chance.getrandbits(28):x}" for _ in range(20_000)]

    def text(number: int) -> str:
        return " ".join(chance.choices(words, k=number))

    prompt = text(250)
    conversation, left = "", 0
    for number in range(count):
        if not left:
            conversation, left = f"case-{chance.getrandbits(40):010x}", chance.randint(1, 8)
        left -= 1
        began = BEGAN_NS + number * days * DAY_NS // count
        trace, turn = f"{number:032x}", f"{number:012x}0000"
        chat = {"system_instructions": prompt, "input_messages": [{"role": "user", "content": text(700)}]}
        said = {"output_messages": [{"role": "assistant", "content": text(90)}]}
        calls = [
            ("agent", "support-bot", {"input": {"question": text(25)}}, {"output": text(90)}),
            (
                "retriever",
                "search",
                {"input": {"q": text(8)}},
                {"documents": [{"id": "a", "content": text(400)}]},
            ),
            ("model", "chat", chat, said),
            ("tool", "look_up_order", {"input": {"id": text(1)}}, {"output": text(40)}),
            ("tool", "issue_refund", {"input": {"id": text(1)}}, {"output": text(10)}),
            ("model", "chat", chat, said),
        ]
        yield [
            {
                "trace": trace,
                "span": f"{number:012x}{position:04x}",
                "parent": turn if position else None,
                "turn": turn,
                "conversation": conversation,
                "kind": kind,
                "name": name,
                "time": began + position * 1_000_000,
                "attributes": {"gen_ai.request.model": f"model-{number % 3}"} if kind == "model" else {},
                "usage": {"gen_ai.usage.input_tokens": number % 1000} if kind == "model" else {},
                "before": before,
                "after": after,
            }
            for position, (kind, name, before, after) in enumerate(calls)
        ]


def into_store(store: Store, work: list[list[dict[str, Any]]]) -> None:
    """Record turns as the recorder would, and wait until they are durable."""
    writer = store.writer()
    for spans in work:
        for span in spans:
            start = {
                name: span[name]
                for name in ("trace", "span", "parent", "turn", "conversation", "kind", "name", "time")
            }
            writer.append(
                encode_record({"type": "start", **start}, _parts(span["attributes"], span["before"])),
                opens=span["span"],
            )
            end = {
                "type": "end",
                "time": span["time"] + 900_000,
                "trace": span["trace"],
                "span": span["span"],
                "status": "ok",
            }
            writer.append(encode_record(end, _parts(span["usage"], span["after"])), closes=span["span"])
    writer.flush()
    writer.close()


def into_lines(path: Path, work: list[list[dict[str, Any]]]) -> None:
    """Write a JSON line for each span, with an fsync for every 512."""
    with path.open("wb") as file:
        written = 0
        for spans in work:
            for span in spans:
                file.write(orjson.dumps(span) + b"\n")
                written += 1
                if written % FSYNC_SPANS == 0:
                    file.flush()
                    os.fsync(file.fileno())
        file.flush()
        os.fsync(file.fileno())


def into_parquet(lines: Path, directory: Path) -> None:
    """Turn lines into a Parquet file a day, in order of arrival."""
    directory.mkdir()
    by_day: dict[int, list[dict[str, Any]]] = {}
    with lines.open("rb") as file:
        for line in file:
            span = orjson.loads(line)
            by_day.setdefault(span["time"] // DAY_NS, []).append(span)
    for day, spans in by_day.items():
        columns = {
            name: [span[name] for span in spans]
            for name in ("trace", "span", "turn", "conversation", "kind", "name", "time")
        }
        columns["model"] = [span["attributes"].get("gen_ai.request.model") for span in spans]
        columns["tokens"] = [span["usage"].get("gen_ai.usage.input_tokens") for span in spans]
        columns["before"] = [orjson.dumps(span["before"]).decode() for span in spans]
        columns["after"] = [orjson.dumps(span["after"]).decode() for span in spans]
        with (directory / f"{day}.parquet").open("wb") as file:
            pq.write_table(pa.table(columns), file, compression="zstd", compression_level=3)
            file.flush()
            os.fsync(file.fileno())


def main() -> None:
    """Run the benchmarks and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="leave the files here")
    options = parser.parse_args()
    place = options.keep or Path(tempfile.mkdtemp(prefix="auditlog-bench-"))
    place.mkdir(parents=True, exist_ok=True)
    try:
        run(place, options.turns, options.days, options.repeats)
    finally:
        if not options.keep:
            shutil.rmtree(place)


def run(place: Path, count: int, days: int, repeats: int) -> None:
    """Measure everything in one directory."""
    work = list(turns(count, days))
    size = sum(len(orjson.dumps(span)) for spans in work for span in spans)
    print(
        f"{count:,} turns, {count * SPANS:,} spans, {size / count:,.0f} bytes a turn as JSON, {days} days\n"
    )
    print(f"{'':34}{'store':>12}{'lines':>12}{'plain Parquet':>15}{'ratio':>8}")
    store, lines, plain = Store.create(place / "audit"), place / "spans.jsonl", place / "plain"

    recorded, recorded_cpu = timed(lambda: into_store(store, work))
    written, written_cpu = timed(lambda: into_lines(lines, work))
    row(
        "ingest until durable, turns/s",
        count / recorded,
        count / written,
        None,
        written / recorded,
        "{:,.0f}",
    )
    journal = size_of(store.path / "journal")
    _, sealed_cpu = timed(store.seal)
    _, turned_cpu = timed(lambda: into_parquet(lines, plain))
    ours, bare = (recorded_cpu + sealed_cpu) / count * 1000, (written_cpu + turned_cpu) / count * 1000
    row("CPU to durable Parquet, s/1000 turns", ours, None, bare, ours / bare, "{:.3f}")
    sealed = size_of(store.path / "segments")
    row(
        "bytes a turn, journal or lines",
        journal / count,
        size_of(lines) / count,
        None,
        journal / size_of(lines),
        "{:,.0f}",
    )
    row(
        "bytes a turn, Parquet",
        sealed / count,
        None,
        size_of(plain) / count,
        sealed / size_of(plain),
        "{:,.0f}",
    )

    files = [str(path) for path in sorted(plain.iterdir())]
    ids = [spans[0]["conversation"] for spans in work]
    chosen = random.Random(2).sample(ids, min(repeats, len(ids)))
    needle = work[len(work) // 2][0]["before"]["input"]["question"][:30]
    plain_db, lines_db = duckdb.connect(), duckdb.connect()
    plain_db.execute(f"CREATE VIEW spans AS SELECT * FROM read_parquet({files})")
    lines_db.execute(f"CREATE VIEW spans AS SELECT * FROM read_json('{lines}', format = 'newline_delimited')")

    def query(database: duckdb.DuckDBPyConnection, sql: str) -> Callable[[int], Any]:
        return lambda n: database.sql(sql.replace("$ID", f"'{chosen[n]}'")).to_arrow_table()

    latest = "SELECT conversation, min(time) AS t, count(DISTINCT turn) FROM spans GROUP BY 1 ORDER BY t DESC LIMIT 100"
    plain_aggregate = (
        "SELECT {m} AS m, time // 3600000000000 AS h, count(*), sum({t}::BIGINT) FROM spans GROUP BY 1, 2"
    )
    in_columns = plain_aggregate.format(m="model", t="tokens")
    in_json = plain_aggregate.format(m="attributes", t="json_extract(usage::JSON, '$.*')[1]")
    search = f"SELECT DISTINCT conversation FROM spans WHERE before::VARCHAR LIKE '%{needle}%'"
    aggregate = "SELECT model_requested, start_ns // 3600000000000 AS h, count(*), sum(input_tokens) FROM spans GROUP BY 1, 2"
    by_id = "SELECT * FROM spans WHERE conversation = $ID ORDER BY time"
    compare(
        "one conversation by id, ms",
        chosen,
        lambda n: store.conversation(chosen[n]),
        query(lines_db, by_id),
        query(plain_db, by_id),
    )
    compare(
        "latest 100, ms",
        chosen,
        lambda _: store.summaries(limit=100),
        query(lines_db, latest),
        query(plain_db, latest),
    )
    compare(
        "aggregate by model and hour, ms",
        chosen,
        lambda _: store.query(aggregate),
        query(lines_db, in_json),
        query(plain_db, in_columns),
    )
    compare(
        "text search, ms",
        chosen,
        lambda _: store.summaries(f"text:'{needle}'"),
        query(lines_db, search),
        query(plain_db, search),
    )
    _, opened = timed(lambda: Store.open(store.path).summaries(limit=1))
    row("open and list one, ms of CPU", opened * 1000, None, None, None, "{:,.1f}")


def compare(name: str, chosen: list[str], ours: Callable[[int], Any], *others: Callable[[int], Any]) -> None:
    """Time one question in each layout, and print the medians."""
    medians = []
    for ask in (ours, *others):
        ask(0)
        medians.append(
            statistics.median(timed(lambda n=n, ask=ask: ask(n))[0] for n in range(len(chosen))) * 1000
        )
    row(name, *medians, medians[0] / medians[2], "{:,.1f}")


def row(
    name: str, ours: float, lines: float | None, plain: float | None, ratio: float | None, form: str
) -> None:
    """Print one line of the table."""
    cells = ["" if value is None else form.format(value) for value in (ours, lines, plain)]
    print(
        f"{name:34}{cells[0]:>12}{cells[1]:>12}{cells[2]:>15}{'' if ratio is None else f'{ratio:.2f}':>8}",
        flush=True,
    )


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Give the wall time and the CPU time of one call, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def size_of(path: Path) -> int:
    """Give the bytes of a file, or of a directory's files."""
    return (
        path.stat().st_size
        if path.is_file()
        else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    )


def _parts(attributes: dict[str, Any], content: dict[str, Any]) -> dict[str, bytes]:
    given = {"attributes": attributes, **content} if attributes else content
    return {name: orjson.dumps(value) for name, value in given.items()}


if __name__ == "__main__":
    main()
