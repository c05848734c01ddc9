"""What recording into the store, and sealing it, cost against lines and plain Parquet of the same turns, in one run.

    python bench/store.py [--turns 1500] [--repeats 5]

What is measured, the median of so many, each layout in turn:

1. Turns a second until they are durable: the journal, and orjson lines with an fsync for every 512 spans.
2. CPU from the call to sealed, durable Parquet: through the decorators into the journal and through sealing with its
   ledger, against lines that pyarrow then turns into Parquet, one file a day, nothing merged, hashed, or read back. The
   same from records that are encoded already is what the store itself takes.
3. Bytes a turn of all that lies there then.

A turn is six spans and about 19 KB. CPU is that of all threads. Look at the ratios: on a shared machine every CPU second
of both sides grows alike.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import traffic

import auditlog
from auditlog.store import Store

FSYNC_SPANS = 512
CPU_TARGET = 0.40 / 0.27
"""So much more CPU than lines and pyarrow may take."""
INGEST_TARGET = 0.5
BYTES_TARGET = 2_800

Turns = list[list[traffic.Call]]


class Spent(NamedTuple):
    """What one piece of work took, in seconds."""

    wall: float
    cpu: float


def main() -> None:
    """Run the measurements and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=1_500)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    work = list(traffic.turns(options.turns))
    gc.collect()
    # The traffic would be looked at again and again by the collector, at the cost of whatever runs just then.
    gc.freeze()
    spent: dict[str, list[Spent]] = {}
    sizes: dict[str, int] = {}
    for number in range(options.repeats + 1):
        with tempfile.TemporaryDirectory(prefix="auditlog-bench-") as place:
            found = once(Path(place), work, sizes)
        # The first time also pays for imports, and for memory that the process has never had.
        for name, one in found.items() if number else ():
            spent.setdefault(name, []).append(one)
    show(len(work), spent, sizes)


def once(place: Path, work: Turns, sizes: dict[str, int]) -> dict[str, Spent]:
    """Do everything once, and note the bytes."""
    store, called, lines, plain = (place / name for name in ("store", "called", "spans.jsonl", "plain"))
    spent = {}
    opened = Store.create(store)
    spent["lines"] = timed(lambda: into_lines(lines, work))
    spent["journal"] = timed(lambda: into_journal(opened, work))
    sizes["lines"], sizes["journal"] = size_of(lines), size_of(store / "journal")
    spent["pyarrow"] = timed(lambda: into_parquet(lines, plain))
    sealed = opened.layout
    spent["seal"] = timed(lambda: seal(sealed))
    sizes["plain"], sizes["segments"] = size_of(plain), size_of(store / "segments")
    sizes["ledger"] = size_of(store / "ledger")
    spent["index"] = timed(opened.update_index)
    sizes["index"] = size_of(store / "cache")
    auditlog.configure(called)
    agent = decorated()
    spent["calls"] = timed(lambda: call_all(agent, work))
    auditlog.shutdown()
    shutil.rmtree(called)
    return spent


def seal(layout: Any) -> None:
    """Seal, and leave the index alone: it is derived."""
    from auditlog.sealing.seal import seal

    assert seal(layout).spans


def into_journal(store: Store, work: Turns) -> None:
    """Write turns as the recorder would, and wait until they are durable."""
    writer = store.writer()
    for calls in work:
        for call in calls:
            start, end = traffic.records(call)
            writer.append(start, opens=call.span)
            writer.append(end, closes=call.span)
    writer.flush()
    writer.close()


def decorated() -> Callable[[list[traffic.Call], str], Any]:
    """Decorate functions that take and give what the traffic says."""

    @auditlog.retriever
    def search(question: str) -> Any:
        return given[1].after["output"]

    @auditlog.model
    def complete(**sent: Any) -> Any:
        return given[at[0]].after["output_messages"]

    @auditlog.tool
    def use(**arguments: Any) -> Any:
        return given[at[0]].after["output"]

    @auditlog.agent("support-bot")
    def answer(question: str, history: Any) -> Any:
        search(question)
        for number, function in ((2, complete), (3, use), (4, use), (5, complete)):
            at[0] = number
            function(**(given[number].before.get("input") or given[number].before))
        return given[0].after["output"]

    given: list[traffic.Call] = []
    at = [0]

    def run(calls: list[traffic.Call], conversation: str) -> None:
        given[:] = calls
        with auditlog.conversation(conversation):
            answer(calls[0].before["input"]["question"], calls[0].before["input"]["history"])

    return run


def call_all(agent: Callable[[list[traffic.Call], str], Any], work: Turns) -> None:
    """Call the decorated agent for every turn, and wait until all is durable."""
    for calls in work:
        agent(calls, calls[0].conversation)
    assert auditlog.flush()


def into_lines(path: Path, work: Turns) -> None:
    """Write a JSON line for each span, with an fsync for every 512."""
    with path.open("wb") as file:
        written = 0
        for calls in work:
            for call in calls:
                file.write(traffic.line(call))
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
            by_day.setdefault(span["start"] // traffic.DAY_NS, []).append(span)
    for day, spans in by_day.items():
        columns = {
            name: [span[name] for span in spans]
            for name in ("trace", "span", "parent", "turn", "conversation", "kind", "name", "start", "end")
        }
        columns["model"] = [span["attributes"].get("gen_ai.request.model") for span in spans]
        columns["tokens"] = [span["usage"].get("gen_ai.usage.input_tokens") for span in spans]
        columns["before"] = [orjson.dumps(span["before"]).decode() for span in spans]
        columns["after"] = [orjson.dumps(span["after"]).decode() for span in spans]
        with (directory / f"{day}.parquet").open("wb") as file:
            pq.write_table(pa.table(columns), file, compression="zstd", compression_level=3)
            file.flush()
            os.fsync(file.fileno())


def show(turns: int, spent: dict[str, list[Spent]], sizes: dict[str, int]) -> None:
    """Print the table."""

    def wall(name: str) -> float:
        return statistics.median(one.wall for one in spent[name])

    def cpu(*names: str) -> float:
        each = zip(*(spent[name] for name in names), strict=True)
        return statistics.median(sum(one.cpu for one in ones) for ones in each) / turns * 1000

    print(f"{turns:,} turns of {sizes['lines'] / turns:,.0f} bytes as JSON lines\n")
    print(f"{'':46}{'store':>10}{'plain':>10}{'ratio':>8}")
    ratio = wall("lines") / wall("journal")
    row(
        "turns/s until durable, encoded records",
        turns / wall("journal"),
        turns / wall("lines"),
        ratio,
        "{:,.0f}",
        least=INGEST_TARGET,
    )
    row(
        "turns/s until durable, through the decorators",
        turns / wall("calls"),
        turns / wall("lines"),
        wall("lines") / wall("calls"),
        "{:,.0f}",
    )
    row("CPU s/1000 turns until durable", cpu("calls"), cpu("lines"), cpu("calls") / cpu("lines"), "{:.3f}")
    row(
        "CPU s/1000 turns, sealing, ledger included",
        cpu("seal"),
        cpu("pyarrow"),
        cpu("seal") / cpu("pyarrow"),
        "{:.3f}",
    )
    bare = cpu("lines", "pyarrow")
    for name, first in (("encoded records", "journal"), ("calls", "calls")):
        ours = cpu(first, "seal")
        row(f"CPU s/1000 turns, {name} to Parquet", ours, bare, ours / bare, "{:.3f}", most=CPU_TARGET)
    row("CPU s/1000 turns, index of conversations", cpu("index"), None, None, "{:.3f}")
    row("bytes a turn, journal", sizes["journal"] / turns, sizes["lines"] / turns, None, "{:,.0f}")
    row("bytes a turn, Parquet", sizes["segments"] / turns, sizes["plain"] / turns, None, "{:,.0f}")
    print(
        f"{'':46}{'≤ ' + format(BYTES_TARGET, ','):>10}: {'yes' if sizes['segments'] / turns <= BYTES_TARGET else 'NO'}"
    )
    row("bytes, ledger of this one sealing", sizes["ledger"], None, None, "{:,.0f}")
    row("bytes a turn, index of conversations", sizes["index"] / turns, None, None, "{:,.0f}")


def row(
    name: str,
    ours: float,
    plain: float | None,
    ratio: float | None,
    form: str,
    *,
    least: float | None = None,
    most: float | None = None,
) -> None:
    """Print one line of the table, and whether it keeps what is asked of it."""
    cells = ["" if value is None else form.format(value) for value in (ours, plain)]
    told = "" if ratio is None else f"{ratio:.2f}"
    verdict = ""
    if ratio is not None and least is not None:
        verdict = f"  ≥ {least:.2f}: {'yes' if ratio >= least else 'NO'}"
    if ratio is not None and most is not None:
        verdict = f"  ≤ {most:.2f}: {'yes' if ratio <= most else 'NO'}"
    print(f"{name:46}{cells[0]:>10}{cells[1]:>10}{told:>8}{verdict}", flush=True)


def timed(work: Callable[[], Any]) -> Spent:
    """Give the wall time and the CPU time of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def size_of(path: Path) -> int:
    """Give the bytes of a file, or of a directory's files."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
