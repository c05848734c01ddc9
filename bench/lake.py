"""Makes a large store for the benches, and the same turns as plain Parquet: two processes, no journal in between.

The rules:

1. The store's files are what sealing makes of journal files of 64 MB: the same merger, the same rows, the same writer, an
   entry in the ledger for each. Only the journal is left out, which sealing would have read.
2. The plain layout is a file a day, in order of arrival: a column for each thing that queries ask, content as two JSON texts.
3. What is there already is used again: a lake is named by its size.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import traffic

from auditlog import layout as layouts
from auditlog.ledger.ledger import Segment, append_entry, read_ledger, seal_entry
from auditlog.sealing.batch import write_spans
from auditlog.sealing.merge import Merger

TURNS_A_FILE = 3_300
"""What a journal file of 64 MB holds."""
_PROCESSES = 2


class Lake(NamedTuple):
    """A store and its plain twin."""

    store: Path
    plain: Path
    turns: int


def make(place: Path, turns: int, days: int) -> Lake:
    """Give a lake of so many turns, made where it is not there."""
    lake = Lake(place / f"{turns}-turns", place / f"{turns}-plain", turns)
    done = lake.plain / "done"
    if done.exists():
        return lake
    lake.plain.mkdir(parents=True, exist_ok=True)
    layout = layouts.ensure(lake.store)
    each = turns // days
    # A day counts when the ledger lists it.
    days_done = {
        segment.path.split("/lake-")[1].split("-")[0] for segment in read_ledger(layout.entries).segments
    }
    left = [day for day in range(days) if str(day + 1) not in days_done]
    began = time.monotonic()
    with ProcessPoolExecutor(_PROCESSES) as pool:
        jobs = [pool.submit(_day, lake, day, each) for day in left]
        for number, job in enumerate(jobs):
            for stem, segments in job.result():
                source = {"writer": stem, "first": 0, "last": 0, "torn_bytes": 0}
                append_entry(layout, seal_entry(source, segments, []))
            print(f"  day {left[number] + 1} of {days}, {time.monotonic() - began:,.0f} s", file=sys.stderr)
    done.touch()
    return lake


def _day(lake: Lake, day: int, turns: int) -> list[tuple[str, list[Segment]]]:
    os.nice(5)
    layout, found = layouts.find(lake.store), []
    with pq.ParquetWriter(
        lake.plain / f"{day:04}.parquet", PLAIN, compression="zstd", compression_level=3
    ) as plain:
        work = _turns(day, turns)
        while some := list(islice(work, TURNS_A_FILE)):
            stem = f"lake-{day + 1}-{len(found) + 1}"
            merger, spans, sequence = Merger(), [], 0
            for calls in some:
                for payload in (payload for call in calls for payload in traffic.records(call)):
                    merger.feed(stem, sequence, payload)
                    sequence += 1
                spans += merger.take()
            found.append((stem, write_spans(layout, stem, spans)))
            calls = sorted((call for calls in some for call in calls), key=lambda call: call.start)
            plain.write_table(pa.Table.from_pylist([_plain_row(call) for call in calls], PLAIN))
    return found


def _turns(day: int, count: int) -> Iterator[list[traffic.Call]]:
    """Give the turns of a day, conversation by conversation."""
    a_conversation = sum(traffic.LENGTHS) / len(traffic.LENGTHS)
    pace = int(traffic.DAY_NS // (count / a_conversation + 1))
    first, left, number = day * count, count, 0
    while left > 0:
        began = traffic.BEGAN_NS + day * traffic.DAY_NS + number * pace
        for calls in islice(traffic.conversation(first + number, began), left):
            yield calls
            left -= 1
        number += 1


PLAIN = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("trace", "span", "parent", "turn", "conversation", "kind", "name")
        ),
        *((name, pa.int64()) for name in ("start", "end", "tokens")),
        *((name, pa.string()) for name in ("model", "agent", "version", "user", "before", "after")),
    ]
)


def _plain_row(call: traffic.Call) -> dict[str, Any]:
    return {
        **{name: getattr(call, name) for name in PLAIN.names if hasattr(call, name)},
        "before": orjson.dumps(call.before).decode(),
        "after": orjson.dumps(call.after).decode(),
        "model": call.attributes.get("gen_ai.request.model"),
        "agent": call.attributes.get("gen_ai.agent.name"),
        "version": call.attributes.get("gen_ai.agent.version"),
        "user": call.attributes.get("user.id"),
        "tokens": call.usage.get("gen_ai.usage.input_tokens"),
    }
