"""How often a recorded answer serves another run of the same agent, and how often it is the right one.

    python bench/matching.py [DIRECTORY OF THE SHARED DATA SETS]

Takes τ-bench's airline conversations (50 tasks, each run four times by one agent), and every ordered pair of runs of one task:
the first is the recording, the second the candidate. Each of the candidate's reads is asked of a cassette of the first, and what
would be served is compared with what the candidate was really told. Writes are asked too, since they make the epochs.

`exact` is what a replay serves. The two rows below are what it could serve of the rest, and does not: they are why. Reads are
the airline's own; `think` and `calculate`, which look nothing up, are counted apart.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rapidfuzz.fuzz import ratio

from auditlog.importers import import_into
from auditlog.store import Store
from auditlog.values import Conversation, Effect, Span, Turn
from replay.canonical import canonical
from replay.matching.cassette import Cassette, Hit
from replay.matching.recorded import Recorded, recorded_calls

WRITES = frozenset(
    "book_reservation cancel_reservation send_certificate update_reservation_baggages update_reservation_flights "
    "update_reservation_passengers".split()
)
CONTROL = frozenset({"transfer_to_human_agents"})
PURE = frozenset({"think", "calculate"})
"""Tools of the agent's own head: they look nothing up."""

NEAR = 90
"""From 0 to 100: how alike two canonical arguments must read to count as near."""

PUBLISHED = {"exact": (72.1, 100.0), "nearest": (3.9, 8.8), "same name": (4.4, 0.0)}
"""Share served and share right of these, in percent: the figures that the rule "only exact matches" was decided on."""


class Asked(NamedTuple):
    """What became of one read."""

    tool: str
    by: str
    """`exact`, `nearest`, `same name`, or empty where nothing could serve."""
    right: bool
    seconds: float


def main() -> None:
    """Print the table."""
    pairs = pairs_of(_data_directory())
    asked = asked_of(pairs)
    print(f"{len(pairs)} ordered pairs of runs of one task")
    _table("reads of the airline", [found for found in asked if found.tool not in PURE], PUBLISHED)
    _table("with think and calculate", asked)
    micros = statistics.median(found.seconds for found in asked) * 1e6
    print(f"\none question to a cassette: {micros:.0f} µs of CPU (median of {len(asked):,})")


def pairs_of(directory: Path) -> list[tuple[Turn, Turn]]:
    """Give every ordered pair of runs of one task.

    Args:
        directory: that of the shared data sets.
    """
    tasks: dict[str, list[Turn]] = defaultdict(list)
    for conversation in _conversations(directory):
        tasks[conversation.tags["task_id"]].append(_whole(conversation))
    return [pair for runs in tasks.values() for pair in itertools.permutations(runs, 2)]


def asked_of(pairs: Iterable[tuple[Turn, Turn]]) -> list[Asked]:
    """Ask each recording for the other run's reads."""
    return [found for recording, candidate in pairs for found in _asked(recording, candidate)]


def shares(asked: Sequence[Asked], by: str) -> tuple[float, float]:
    """Give what was served in one way as a share of all, and what was right as a share of that, in percent."""
    served = [found for found in asked if found.by == by]
    right = sum(found.right for found in served)
    return 100 * len(served) / len(asked), 100 * right / max(len(served), 1)


def _data_directory() -> Path:
    named = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("AUDITLOG_SHARED_DATA")
    directory = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not directory.is_dir():
        sys.exit(f"There are no shared data sets at {directory}: name their directory.")
    return directory


def _conversations(directory: Path) -> list[Conversation]:
    path = directory / "tau-bench" / "trajectories" / "gpt-4o-airline.json"
    with tempfile.TemporaryDirectory() as scratch, Store.create(Path(scratch) / "audit") as store:
        import_into(store, path)
        store.refresh()
        return list(store.conversations())


def _whole(conversation: Conversation) -> Turn:
    """Give a conversation as one turn, with the effects that the benchmark's file does not say."""
    spans = [replace(span, effect=_effect(span)) for span in conversation.spans]
    agent = spans[0]
    below = (span if span.kind != "agent" else replace(span, kind="other") for span in spans[1:])
    return Turn(agent, (agent, *below))


def _effect(span: Span) -> Effect | None:
    if span.kind != "tool":
        return span.effect
    return "write" if span.name in WRITES else "control" if span.name in CONTROL else "read"


def _asked(recording: Turn, candidate: Turn) -> Iterator[Asked]:
    """Ask for the candidate's reads in the order in which it made them."""
    recorded = recorded_calls(recording)
    cassette = Cassette(recorded)
    for call in recorded_calls(candidate):
        began = time.process_time()
        found = cassette.take(call.kind, call.name, call.arguments, effect=call.effect)
        seconds = time.process_time() - began
        if call.effect != "read":
            continue
        if isinstance(found, Hit):
            yield Asked(call.name, "exact", found.recorded.output == call.output, seconds)
            continue
        by, other = _guessed([one for one in recorded if one.name == call.name], call)
        yield Asked(call.name, by, other is not None and other.output == call.output, seconds)


def _guessed(same: Sequence[Recorded], call: Recorded) -> tuple[str, Recorded | None]:
    """Give what a looser rule would serve: the nearest arguments, else the first call of the same name."""
    if not same:
        return "", None
    asked = canonical(call.arguments)
    likeness = {one.span_id: ratio(canonical(one.arguments), asked) for one in same}
    nearest = max(same, key=lambda one: likeness[one.span_id])
    return ("nearest", nearest) if likeness[nearest.span_id] >= NEAR else ("same name", same[0])


def _table(
    title: str, asked: Sequence[Asked], published: Mapping[str, tuple[float, float]] | None = None
) -> None:
    print(f"\n{title}: {len(asked):,} calls")
    print(f"{'':<34}{'served':>8}{'right':>9}{'  published' if published else ''}")
    for by, said in (
        ("exact", "exact canonical arguments"),
        ("nearest", f"of the rest: nearest ≥ {NEAR}"),
        ("same name", "of the rest: same name in order"),
    ):
        share, right = shares(asked, by)
        beside = "{:>8.1f} %{:>7.1f} %".format(*published[by]) if published else ""
        print(f"{said:<34}{share:>6.1f} %{right:>7.1f} %{beside}")


if __name__ == "__main__":
    main()
