"""Times verifying a store against `sha256sum` of the same bytes, in one run.

    python bench/verify.py [--turns 5000] [--days 2] [--repeats 3] [--entries 100000] [--keep DIRECTORY]

What is measured, each with what it comes to for a million records:

1. `sha256sum` of the sealed files: what no check of them can do without.
2. `verify`: the ledger from its first entry, its signature, and every file's SHA-256 and size.
3. `verify --deep`: every row's leaf made again from its content, every column derived again, every root made again; with one
   process and with two.
4. A ledger of many entries: opening the store with its cache and without, appending to it, and verifying it.

CPU is that of all processes; the machine may be shared, so ratios are of CPU. A record is one span of about 3 KB.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lake
import orjson

from auditlog import layout as layouts
from auditlog.integrity.verify import state, verify
from auditlog.ledger import cache as ledger_cache
from auditlog.ledger import keys
from auditlog.ledger.entries import FORMAT, frame_of
from auditlog.ledger.ledger import append_entry, begin, read_ledger
from auditlog.ledger.note import Checkpoint

MILLION = 1_000_000


def main() -> None:
    """Run every measurement, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=5_000)
    parser.add_argument("--days", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--keep", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = chosen.keep or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        of_files(lake.make(place, chosen.turns, chosen.days).store, chosen.repeats)
        of_entries(Path(scratch) / "entries", chosen.entries, chosen.repeats)


def of_files(store: Path, repeats: int) -> None:
    """Time verifying the sealed files."""
    layout = layouts.find(store)
    first = verify(layout)
    paths = [str(layout.root / segment.path) for segment in read_ledger(layout.entries).segments]
    print(
        f"{first.rows:,} records, {first.bytes / 2**20:,.0f} MB in {first.segments} files; {os.cpu_count()} processors"
    )
    print(f"{'':28}{'CPU s':>9}{'wall s':>9}{'µs a record':>13}{'a million, wall s':>19}{'ratio of CPU':>14}")
    base = timed(lambda: subprocess.run(["sha256sum", *paths], check=True, capture_output=True), repeats)
    rows = first.rows
    line("sha256sum", base, base, rows)
    line("verify", timed(lambda: ok(verify(layout)), repeats), base, rows)
    for jobs in (1, 2):
        name = f"verify --deep --jobs {jobs}"
        line(name, timed(lambda jobs=jobs: ok(verify(layout, deep=True, jobs=jobs)), repeats), base, rows)


def of_entries(path: Path, count: int, repeats: int) -> None:
    """Time a long ledger."""
    layout = layouts.ensure(path)
    begin(layout)
    told = {"type": "access", "who": "somebody", "host": "here", "pid": 1, "action": "show", "rows": 3}
    with layout.entries.open("wb") as file:
        for number in range(count):
            entry = {"v": FORMAT, "time": number, **told, "filter": f"conversation:case-{number}"}
            file.write(frame_of(number, orjson.dumps(entry)))
    ledger, signer = read_ledger(layout.entries), keys.signer_of(layout)
    assert signer is not None
    head = Checkpoint(keys.origin_of(layouts.read_settings(layout).id), ledger.count, ledger.root)
    keys.write_checkpoint(layout, head.signed(signer))
    print(f"\n{count:,} ledger entries, {layout.entries.stat().st_size / 2**20:.0f} MB")
    print(f"{'':28}{'CPU ms':>9}{'wall ms':>9}")
    cached = ledger_cache.cache_path(layout.cache)

    def without_cache() -> None:
        cached.unlink(missing_ok=True)
        read_ledger(layout.entries)

    milliseconds("open, nothing cached", timed(without_cache, repeats))
    append_entry(layout, told)
    milliseconds("open, cached", timed(lambda: read_ledger(layout.entries), repeats))
    milliseconds("state (the title line)", timed(lambda: state(layout), repeats))
    milliseconds("append and sign one", timed(lambda: append_entry(layout, told), repeats))
    milliseconds("verify", timed(lambda: ok(verify(layout)), repeats))


def ok(report: object) -> None:
    """Refuse to time a store that is not in order."""
    assert str(getattr(report, "outcome", "")) == "VALID-BUT-UNANCHORED", report


def timed(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Give the medians of CPU seconds, of all processes, and of wall seconds."""
    cpu, wall = [], []
    for _ in range(repeats):
        began, used = time.perf_counter(), used_cpu()
        work()
        cpu.append(used_cpu() - used)
        wall.append(time.perf_counter() - began)
    return statistics.median(cpu), statistics.median(wall)


def used_cpu() -> float:
    """Give the CPU seconds of this process and of those that it waited for."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(part for one in whose for part in resource.getrusage(one)[:2])


def line(name: str, took: tuple[float, float], base: tuple[float, float], rows: int) -> None:
    """Print one row of the first table."""
    cpu, wall = took
    print(
        f"{name:28}{cpu:9.2f}{wall:9.2f}{cpu / rows * 1e6:13.2f}{wall / rows * MILLION:19.1f}{cpu / base[0]:14.2f}"
    )


def milliseconds(name: str, took: tuple[float, float]) -> None:
    """Print one row of the second table."""
    print(f"{name:28}{took[0] * 1e3:9.1f}{took[1] * 1e3:9.1f}")


if __name__ == "__main__":
    main()
