"""Makes the recorded traffic beside this script, anew: `python sample_traces/make.py`.

The rules:

1. The sample agent plays its scripted conversations and the SDK records them into a temporary store, as in production;
   nothing in a trace is written by hand.
2. The traffic of a version is exported as OTLP-JSON lines, compressed.
3. Starts are changed on the way: a play takes a second, so conversations and their turns are moved apart, over the
   shop's `TODAY`. What happens inside a turn keeps its measured times.
4. Stack traces name files from the repository's root on, not where it lies on this machine.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import auditlog  # noqa: E402 - found beside this script
from auditlog.exporters import FORMATS  # noqa: E402
from auditlog.values import Conversation, Turn  # noqa: E402
from examples.support_bot import v1, v2  # noqa: E402
from examples.support_bot.conversations import play_all  # noqa: E402
from examples.support_bot.shop import TODAY  # noqa: E402

OPENS = dt.datetime.combine(TODAY, dt.time(8), tzinfo=dt.UTC)
BETWEEN_CONVERSATIONS_S = 150
BETWEEN_TURNS_S = 35
SECOND_NS = 1_000_000_000


def record(version: str, store: Path) -> None:
    """Play every conversation with one version, recorded (rule 1)."""
    agent, suffix = {"v1": (v1, ""), "v2": (v2, ".v2")}[version]
    auditlog.configure(store, agent_version=version)
    turns = sum(len(said) for _, said in play_all(agent, suffix=suffix))
    auditlog.shutdown()
    print(f"{version}: {turns} turns recorded", file=sys.stderr)


def moved_apart(conversations: Iterator[Conversation]) -> Iterator[Conversation]:
    """Move conversations and turns apart in time (rule 3)."""
    for number, conversation in enumerate(conversations):
        opened = int(OPENS.timestamp()) + number * BETWEEN_CONVERSATIONS_S
        turns = (
            _starting_at(turn, (opened + turn.index * BETWEEN_TURNS_S) * SECOND_NS)
            for turn in conversation.turns
        )
        yield dataclasses.replace(conversation, turns=tuple(turns))


def _starting_at(turn: Turn, start_ns: int) -> Turn:
    shift = start_ns - turn.agent.start_ns
    spans = tuple(
        dataclasses.replace(
            span, start_ns=span.start_ns + shift, end_ns=None if span.end_ns is None else span.end_ns + shift
        )
        for span in turn.spans
    )
    agent = next(span for span in spans if span.span_id == turn.agent.span_id)
    return dataclasses.replace(turn, agent=agent, spans=spans)


def make(version: str, target: Path) -> None:
    """Write the traffic of one version."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Path(scratch, "audit")
        record(version, store)
        with auditlog.Store.open(store) as opened:
            lines = b"".join(FORMATS["otlp-json"](moved_apart(opened.conversations())))
    lines = lines.replace(f"{HERE.parent}{os.sep}".encode(), b"")
    # No name and no time in the header: the same traffic gives the same bytes.
    target.write_bytes(gzip.compress(lines, compresslevel=9, mtime=0))
    print(f"{target.name}: {target.stat().st_size:,} bytes", file=sys.stderr)


def main() -> None:
    """Make the traffic of both versions."""
    for name in ("MODEL", "SUPPORT_BOT_MODEL"):
        os.environ.pop(name, None)
    for version in ("v1", "v2"):
        make(version, HERE / f"support_bot.{version}.otlp.jsonl.gz")


if __name__ == "__main__":
    main()
