"""Where the time of a recorded turn goes: the turn of `recording`, with one piece after the other left out.

The rules:

1. One process and one thread; the variants take turns in short batches, and each counts with its quickest batch: what
   disturbs the machine disturbs all.
2. A piece costs what leaving it out saves, with all above it left out already. What stands alone in a loop costs about half of
   that: the processor then has the code and the data at hand.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parent))
import recording

import auditlog
from auditlog import call
from auditlog.encoding import encode
from auditlog.journal import JournalWriter
from auditlog.recorder import Recorder

BATCH = 20
WARM = 40
"""Turns before the first that counts: what was left out last is forgotten."""
PER_ROUND = 4


def _nowhere(frame: Any) -> None:
    frame.trace_id, frame.span_id, frame.parent_id, frame.inner = "0" * 32, "0" * 16, None, None
    frame.turn_id = frame.conversation_id = frame.user_id = frame.tracer = None
    frame.facts, frame.tags = {}, {}


PIECES: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "the system call `write`": (os, "write", lambda _, data: len(data)),
    "frame, checksum, lock, bookkeeping": (JournalWriter, "append", lambda *_, **__: True),
    "putting a record together": (Recorder, "write", lambda *_, **__: True),
    "entry and attributes of START": (call.ActiveCall, "_write_start", lambda *_: None),
    "whether values are JSON": (encode, "is_json", lambda _: True),
    "orjson": (call, "json_text", lambda _: b"{}"),
    "ids, place, context": (call.ActiveCall, "_take_place", _nowhere),
    "END: entry, attributes, facts": (call.ActiveCall, "_end", lambda *_, **__: None),
    "binding, rest of START": (call.ActiveCall, "start", lambda *_: None),
}
"""What is left out, in this order: where it lies, its name, and what stands in its place."""


@contextlib.contextmanager
def without(names: list[str]) -> Iterator[None]:
    """Leave pieces out."""
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(*PIECES[name]))
        yield


def quickest(answer: Callable[[str], str], took: list[float]) -> None:
    """Run a batch, and keep what a turn of it took."""
    begin = time.perf_counter_ns()
    for _ in range(BATCH):
        answer("Where is my order?")
    took.append((time.perf_counter_ns() - begin) / BATCH / 1000)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=80)
    rounds = arguments.parse_args().rounds
    plain = recording.build(lambda _kind: lambda function: function)
    decorated = recording.build(lambda kind: getattr(auditlog, kind))
    left_out = [list(PIECES)[:count] for count in range(len(PIECES) + 1)]
    took: list[list[float]] = [[] for _ in left_out]
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        auditlog.configure(Path(directory) / "audit")
        for _ in range(rounds):
            for _ in range(PER_ROUND):
                quickest(plain, bare)
            for names, own in zip(left_out, took, strict=True):
                with without(names):
                    for _ in range(WARM):
                        decorated("Where is my order?")
                    for _ in range(PER_ROUND):
                        quickest(decorated, own)
        auditlog.shutdown()
    figures = [min(own) for own in took]
    alone = min(bare)
    print(f"{'piece':<40}{'µs a turn':>10}{'share':>8}")
    whole = figures[0] - alone
    costs = [before - after for before, after in itertools.pairwise(figures)]
    for name, cost in zip([*PIECES, "the decorator itself"], [*costs, figures[-1] - alone], strict=True):
        print(f"{name:<40}{cost:>10.1f}{cost / whole:>8.0%}")
    print(f"{'all':<40}{whole:>10.1f}{1:>8.0%}")


if __name__ == "__main__":
    main()
