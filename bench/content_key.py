"""What encrypting content costs, against the same turns in a store that does not, in one run.

    python bench/content_key.py [--turns 4000] [--repeats 5]

CPU time of this process, all threads, the median of so many; the store's files are in the page cache:

1. Sealing the same journal; and the bytes of what it makes.
2. One conversation by id, a list of 50, an aggregate over plain columns, and a search that reads all content.
3. The same list and aggregate without the key.

A ratio of 1 means that encrypting costs nothing.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import traffic

from auditlog.layout import ensure
from auditlog.sealing import content_key
from auditlog.store import Store


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=4_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="auditlog-content-key-") as scratch:
        run(Path(scratch), options.turns, options.repeats)


def run(scratch: Path, turns: int, repeats: int) -> None:
    """Measure both stores."""
    made: dict[str, Path] = {}
    sealing: dict[str, list[float]] = {"plain": [], "encrypted": []}
    for number in range(repeats):
        for name, took in sealing.items():
            made[name] = scratch / f"{name}-{number}"
            took.append(_sealed(made[name], turns, encrypts=name == "encrypted"))
    size = {name: sum(f.stat().st_size for f in path.glob("segments/*/*")) for name, path in made.items()}
    print(f"{'CPU seconds':36}{'plain':>10}{'encrypted':>12}{'ratio':>8}")
    _row(f"sealing {turns:,} turns", *(statistics.median(sealing[name]) for name in made))
    with Store.open(made["plain"]) as plain, Store.open(made["encrypted"]) as encrypted:
        name = plain.ids()[7]
        for what, ask in _QUESTIONS.items():
            took = [_median(lambda s=s, ask=ask: ask(s, name), repeats) for s in (plain, encrypted)]
            _row(what, *took)
        (made["encrypted"] / "keys" / "content.key").unlink()
        with Store.open(made["encrypted"]) as closed:
            for what in ("a list of 50", "tokens by model"):
                took = [
                    _median(lambda s=s, what=what: _QUESTIONS[what](s, name), repeats)
                    for s in (plain, closed)
                ]
                _row(f"{what}, no key", *took)
    print(f"\nbytes a turn: {size['plain'] / turns:,.0f} plain, {size['encrypted'] / turns:,.0f} encrypted")


_QUESTIONS: dict[str, Callable[[Store, str], object]] = {
    "a conversation by id": lambda store, name: store.conversation(name),
    "a list of 50": lambda store, _name: store.summaries(limit=50),
    "tokens by model": lambda store, _name: store.query(
        "SELECT model_requested, sum(input_tokens) FROM spans GROUP BY 1"
    ),
    "a search that reads everything": lambda store, _name: store.query(
        "SELECT count(*) FROM spans WHERE contains(input, 'no such words')"
    ),
}


def _sealed(path: Path, turns: int, *, encrypts: bool) -> float:
    layout = ensure(path)
    if encrypts:
        content_key.make(layout)
    with Store.open(path) as store:
        writer = store.writer()
        for calls in traffic.turns(turns):
            for call in calls:
                for payload in traffic.records(call):
                    writer.append(payload)
        writer.close()
        began = time.process_time()
        store.seal()
        return time.process_time() - began


def _median(ask: Callable[[], object], repeats: int) -> float:
    ask()
    took = []
    for _ in range(repeats):
        began = time.process_time()
        ask()
        took.append(time.process_time() - began)
    return statistics.median(took)


def _row(what: str, plain: float, encrypted: float) -> None:
    print(f"{what:36}{plain:>10.4f}{encrypted:>12.4f}{encrypted / plain:>8.2f}")


if __name__ == "__main__":
    main()
