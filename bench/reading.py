"""What reading costs: a store of conversations, recorded, sealed, listed, opened, searched.

    python bench/reading.py [CONVERSATIONS]

Prints one row for each thing a person does. Times are wall clock, the median of five; the store is in the page cache.
"""

from __future__ import annotations

import itertools
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import auditlog
from auditlog.store import Store

logging.disable(logging.WARNING)

WORDS = "order refund parcel jacket size courier voucher account address delivery late torn colour exchange".split()


@auditlog.retriever
def search(question: str) -> list[dict[str, object]]:
    """Give three documents."""
    return [
        {"id": f"a-{n}", "content": f"{question} " * 40, "score": 0.5, "source": "help"} for n in range(3)
    ]


@auditlog.tool(effect="read")
def look_up(order_id: str) -> dict[str, object]:
    """Give an order."""
    return {"order_id": order_id, "status": "shipped"}


@auditlog.agent("bench-bot", version="v1")
def answer(question: str, order_id: str) -> str:
    """Answer a question."""
    search(question)
    return f"{question}: {look_up(order_id)['status']}."


def record(store: Path, conversations: int) -> None:
    """Record conversations of three turns."""
    auditlog.configure(store)
    said = itertools.cycle(" ".join(pair) for pair in itertools.permutations(WORDS, 3))
    for number in range(conversations):
        with auditlog.conversation(f"c-{number:07}", user=f"u-{number % 97}"):
            for turn in range(3):
                answer(next(said), f"A-{number}-{turn}")
    auditlog.shutdown()


def milliseconds(action: Callable[[], object], times: int = 5) -> float:
    """Give the median time of an action."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        action()
        took.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(took)


def main() -> None:
    """Print the table."""
    conversations = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "audit"
        rows = [
            (
                f"record {conversations} conversations",
                milliseconds(lambda: record(path, conversations), times=1),
            )
        ]
        with Store.open(path) as store:
            rows.append(
                ("list the latest 100, unsealed", milliseconds(lambda: list(store.summaries(limit=100))))
            )
            rows.append(("seal", milliseconds(store.seal, times=1)))
        size = sum(file.stat().st_size for file in path.rglob("*.parquet"))
        some_id = f"c-{conversations // 2:07}"

        def listed() -> None:
            with Store.open(path) as store:
                list(store.summaries(limit=100))

        def shown() -> None:
            with Store.open(path) as store:
                store.conversation(some_id)

        rows.append(("open and list the latest 100", milliseconds(listed)))
        rows.append(("open and read one conversation", milliseconds(shown)))
        with Store.open(path) as store:
            rows.append(("read one more conversation", milliseconds(lambda: store.conversation(some_id))))
            rows.append(
                ("count by filter", milliseconds(lambda: store.count(where="tool:look_up user:u-17")))
            )
            rows.append(("search a text", milliseconds(lambda: store.count(where="text:'torn parcel'"))))
    print(f"{conversations} conversations of 3 turns, {size / conversations / 3:.0f} bytes a turn sealed")
    for name, took in rows:
        print(f"{name:<40}{took:>12.1f} ms")


if __name__ == "__main__":
    main()
