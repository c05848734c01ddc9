"""Draws the cases of a run from the recorded turns, where all of them would be too many.

The rules:

1. Turns are grouped into strata by what is known of them before anything runs: tags, recorded attributes, and whether a
   tool with effect `write` was called.
2. Turns that escalated, turns that ended with an error, and turns of a held conversation are always in it: they are what a
   release must not break, and they are rare.
3. The others are drawn in proportion to their strata, with at least 30 of each, or all that there are. Where the size
   does not allow that, all strata get as many as it does, and a note says so.
4. Within a stratum the turns are taken in the order of a hash of their trace ids. So the same recorded turns give the same
   sample wherever they are drawn; more cases are the same ones and others; and traffic of one stratum changes nothing
   about which turns of another come first.
5. A case's weight is 1/π: how many recorded turns it stands for. Whoever averages without weights averages over the sample,
   and not over the traffic.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from auditlog.values import Json
from auditlog.wording import nearest_hint
from replay.errors import RunError

if TYPE_CHECKING:
    from auditlog.store import Store

LEAST = 30
"""Cases that each stratum has, where there are as many."""
STRATA = ("tag.intent", "tag.tier", "tag.language", "had_write")
"""What turns are grouped by where nobody says otherwise; what no turn has is left out."""
_COLUMNS = ("agent_version", "model", "had_write")
_LONGEST = 80
"""Characters of a value in the name of a stratum."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which of the chosen turns are cases."""

    size: int | None = None
    """How many are drawn; None takes all."""
    strata: tuple[str, ...] = ()
    """What they are grouped by: `tag.NAME`, `attribute.NAME`, `had_write`, `agent_version` or `model`. Empty means `STRATA`
    where a sample is drawn, and no groups where none is."""
    turns: int = 0
    """How many they were drawn from; known once they are."""
    cost_usd: float | None = None
    """What a case cost when it was recorded, on average over those of which it is known; None where it is of none."""

    @property
    def asked(self) -> dict[str, Json]:
        """What was asked for, without what was found."""
        return {"size": self.size, "strata": list(self.strata)}


EVERY_TURN = Sampling()


class Drawn(NamedTuple):
    """A sample."""

    turns: tuple[Mapping[str, Any], ...]
    """As they were given, and `stratum` and `weight` with them; in the same order."""
    sampling: Sampling
    """With what was found."""
    notes: tuple[str, ...]


def sampling_from_json(given: Mapping[str, Any] | None) -> Sampling:
    """Read back what a manifest holds; before there were samples, every turn was a case."""
    if given is None:
        return EVERY_TURN
    return Sampling(given["size"], tuple(given["strata"]), given["turns"], given["cost_usd"])


def refuse_nonsense(sampling: Sampling) -> None:
    """Refuse a sample that has no meaning.

    Raises:
        RunError: its size is none, or a key is of no known kind.
    """
    if sampling.size is not None and sampling.size < 1:
        raise RunError(f"A sample has at least one case, and not {sampling.size}.")
    for key in sampling.strata:
        if not (key in _COLUMNS or (key.startswith(("tag.", "attribute.")) and not key.endswith("."))):
            meant = nearest_hint(key, (*_COLUMNS, *STRATA))
            raise RunError(
                f"Turns cannot be grouped by {key!r}: it is tag.NAME, attribute.NAME, {', '.join(_COLUMNS)}.{meant}"
            )


def draw(store: Store, turns: Sequence[Mapping[str, Any]], sampling: Sampling) -> Drawn:
    """Draw the cases of a run.

    Args:
        store: where the turns are recorded.
        turns: as `select` chose them.
        sampling: what is asked for.

    Raises:
        RunError: the sample has no meaning, or no turn has what it is grouped by.
    """
    refuse_nonsense(sampling)
    if sampling.size is None and not sampling.strata:
        return Drawn(tuple(turns), Sampling(turns=len(turns), cost_usd=_mean_cost(turns)), ())
    known = _known(store, turns, sampling)
    names = _strata_names(known, sampling)
    members: dict[str, list[int]] = defaultdict(list)
    always: set[int] = set()
    held = _held(store) if sampling.size is not None else frozenset()
    for place, turn in enumerate(turns):
        if sampling.size is not None and (known[place].stands_out or turn["conversation_id"] in held):
            always.add(place)
        else:
            members[names[place]].append(place)
    sizes = {name: len(places) for name, places in members.items()}
    wanted = len(turns) if sampling.size is None else max(0, sampling.size - len(always))
    taken = allocate(sizes, wanted)
    weights: dict[int, float] = dict.fromkeys(always, 1.0)
    for name, places in members.items():
        first = sorted(places, key=lambda place: _order(turns[place]))[: taken[name]]
        weights.update(dict.fromkeys(first, sizes[name] / taken[name] if taken[name] else 1.0))
    chosen = tuple(
        {**turn, "stratum": names[place], "weight": weights[place]}
        for place, turn in enumerate(turns)
        if place in weights
    )
    found = replace(sampling, turns=len(turns), cost_usd=_mean_cost(chosen))
    return Drawn(chosen, found, tuple(_notes(sampling, len(always), sizes, taken)))


def allocate(sizes: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Say how many cases each stratum gets.

    They are given out one by one, so that who gets more cases never gets fewer of any stratum (a rule that rounds shares may):
    first one to each stratum in turn, up to the least, and then always to the stratum that is furthest behind its share.

    Args:
        sizes: how many turns each stratum has.
        wanted: how many cases there are to give.
    """
    # Where there is not even one for each, the largest come first.
    taken = dict.fromkeys(sorted(sizes, key=lambda name: (-sizes[name], name)), 0)
    left = min(wanted, sum(sizes.values()))
    for _ in range(LEAST):
        for name in taken:
            if left and taken[name] < sizes[name]:
                taken[name] += 1
                left -= 1
    # Webster's divisors: 1.5, 2.5, … after the least.
    behind = [(-sizes[name] / (taken[name] + 0.5), name) for name in taken if taken[name] < sizes[name]]
    heapq.heapify(behind)
    while left:
        _, name = heapq.heappop(behind)
        taken[name] += 1
        left -= 1
        if taken[name] < sizes[name]:
            heapq.heappush(behind, (-sizes[name] / (taken[name] + 0.5), name))
    return taken


class _Known(NamedTuple):
    """What is known of a turn before it runs."""

    values: tuple[str | None, ...]
    """Of each key, in the order of the keys."""
    stands_out: bool


def _known(store: Store, turns: Sequence[Mapping[str, Any]], sampling: Sampling) -> list[_Known]:
    """Read what the strata are made of."""
    keys = _keys(sampling)
    attributes = [key.removeprefix("attribute.") for key in keys if key.startswith("attribute.")]
    writes = (
        "SELECT DISTINCT turn_id FROM spans WHERE kind = 'tool' AND coalesce(effect, 'write') = 'write'"
        if "had_write" in keys
        else "SELECT NULL AS turn_id WHERE false"
    )
    own = "s.attributes" if attributes else "NULL"
    found = store.query(
        "SELECT t.turn_id, t.tags, t.agent_version, t.model, w.turn_id IS NOT NULL AS had_write, "
        f"t.escalated OR t.status = 'error' AS stands_out, {own} AS attributes "
        "FROM turns t JOIN spans s ON s.span_id = t.turn_id AND s.kind = 'agent' "
        f"LEFT JOIN ({writes}) w ON w.turn_id = t.turn_id"
    )
    wanted = {turn["span_id"] for turn in turns}
    rows = {row["turn_id"]: row for row in found.to_pylist() if row["turn_id"] in wanted}
    # What was taken away since the turns were chosen is unknown here, and unreplayable later.
    gone = _Known((None,) * len(keys), stands_out=False)
    found_of = (rows.get(turn["span_id"]) for turn in turns)
    return [gone if row is None else _Known(_values(row, keys), bool(row["stands_out"])) for row in found_of]


def _values(row: Mapping[str, Any], keys: Sequence[str]) -> tuple[str | None, ...]:
    tags, own = _object(row["tags"]), _object(row["attributes"])

    def value(key: str) -> str | None:
        kind, _, name = key.partition(".")
        match kind:
            case "tag":
                found = tags.get(name)
            case "attribute":
                found = own.get(name)
            case "had_write":
                found = "yes" if row["had_write"] else "no"
            case _:
                found = row[key]
        return None if found is None else str(found)[:_LONGEST]

    return tuple(value(key) for key in keys)


def _object(text: str | None) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _keys(sampling: Sampling) -> tuple[str, ...]:
    return sampling.strata or (STRATA if sampling.size is not None else ())


def _strata_names(known: Sequence[_Known], sampling: Sampling) -> list[str]:
    """Give each turn the name of its stratum."""
    keys = _keys(sampling)
    there = [any(turn.values[i] is not None for turn in known) for i in range(len(keys))]
    missing = [key for key, found in zip(keys, there, strict=True) if not found]
    if sampling.strata and missing:
        raise RunError(
            f"None of the chosen turns has {missing[0]}, so they cannot be grouped by it. "
            "`auditlog show` prints a conversation's tags; --strata names what turns are grouped by."
        )
    return [
        ", ".join(
            f"{key}={'–' if value is None else value}"
            for key, value, found in zip(keys, turn.values, there, strict=True)
            if found
        )
        for turn in known
    ]


def _held(store: Store) -> frozenset[str]:
    from auditlog.keeping.holds import held, holds
    from auditlog.ledger.ledger import read_ledger

    return frozenset(held(store, holds(read_ledger(store.layout.entries))))


def _order(turn: Mapping[str, Any]) -> tuple[bytes, str]:
    return hashlib.sha256(turn["trace_id"].encode()).digest(), turn["span_id"]


def _mean_cost(turns: Iterable[Mapping[str, Any]]) -> float | None:
    known = [cost for turn in turns if (cost := turn.get("cost_usd")) is not None]
    return math.fsum(known) / len(known) if known else None


def _notes(
    sampling: Sampling, always: int, sizes: Mapping[str, int], taken: Mapping[str, int]
) -> Iterable[str]:
    if sampling.size is None:
        return
    if always > sampling.size:
        yield (
            f"{always} turns escalated, failed or are held, and are always replayed: more than the sample of "
            f"{sampling.size}. A filter with --where chooses fewer."
        )
    short = [name for name in taken if taken[name] < min(LEAST, sizes[name])]
    if short:
        none = sum(1 for name in short if not taken[name])
        without = f", {none} of them none at all" if none else ""
        needed = always + sum(min(LEAST, size) for size in sizes.values())
        yield (
            f"{len(short)} of {len(sizes)} strata have fewer than {LEAST} cases{without}; a sample of {needed} gives "
            f"each {LEAST}, or all that there are. So do fewer keys with --strata."
        )
