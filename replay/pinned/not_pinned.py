"""What of a run was not held still, so that whoever believes its figures knows what else may have moved.

The rules:

1. Counted are live tools, live model calls without temperature 0 and without a seed, what cases asked for beyond the recording,
   and places in the agents' own sources that read clocks, randomness, secrets, the environment or the network directly.
2. A model is named by what served it. That another one serves the same name in one arm, or since the recording, is said; so
   is a name without a date, which may be served by another one tomorrow, and a fingerprint that changed.
3. What the run pins is left out: clocks where they are frozen, `random` and `uuid` where they are seeded.
4. A run under way, or an older one, is counted from its records; a complete one says it in its last record.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import orjson

from auditlog.errors import FormatError
from auditlog.record import decode_record
from auditlog.values import Json
from auditlog.wording import many
from replay.pinned import direct_reads
from replay.pinned.case import NOT_PINNED
from replay.pinned.model_cache import TIER
from replay.pinned.pinning import UNSEEDED, Pinning, pinning_from_json
from replay.pinned.recorded_values import OUTSIDE

if TYPE_CHECKING:
    from auditlog.store import Store

Kind = Literal[
    "tool",
    "model",
    "alias",
    "served model",
    "fingerprint",
    "value",
    "clock",
    "random",
    "secret",
    "environment",
    "network",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which they are shown: the first move the most."""

RECORDING = "recording"
_LIVE = "live"
_MOST_PLACES = 3
_DATED = re.compile(r"\d{4}-?\d{2}(?:-?\d{2})?\b|[-@]\d{3,4}$")
_ARMS = ("candidate", "baseline")
_VALUES = {"now": "times", "uuid4": "ids", "rng": "generators"}

Key = tuple[str, ...]
"""`tool`, arm, name | `model`, arm, requested, served, fingerprint, `fixed` or `free` | `value`, arm, kind."""


@dataclass(frozen=True, slots=True)
class NotPinned:
    """One thing that was not held still."""

    kind: Kind
    what: str
    """The tool, the model, the function that is read: what tells it from another of its kind."""
    arms: tuple[str, ...]
    """Where: `candidate`, `baseline`, `baseline_2`, `recording`; empty for all."""
    count: int
    """Calls, cases or places, as the text says."""
    text: str
    """A sentence."""


class Tally:
    """Counts while a run runs, from the records of its executions."""

    def __init__(self, counts: Mapping[Key, int] | None = None) -> None:
        """Go on from what was counted before."""
        self.counts: Counter[Key] = Counter(counts or {})

    def take(self, arm: str, payloads: Iterable[bytes]) -> None:
        """Count an execution's records."""
        for payload in payloads:
            # Nearly all records say nothing to count, and are not taken apart for it.
            if b'"kind":"model"' not in payload and b'"live"' not in payload and b"not_pinned" not in payload:
                continue
            try:
                record = decode_record(payload)
                attributes = record.json("attributes") or {}
            except (FormatError, orjson.JSONDecodeError):
                continue
            self._count(arm, record.entry, attributes)

    def _count(self, arm: str, entry: Mapping[str, Any], attributes: Mapping[str, Any]) -> None:
        kind, tier = entry.get("kind"), attributes.get(TIER)
        if kind == "model" and tier is None and entry.get("status") != "error":
            self.counts[_model(arm, attributes)] += 1
        if kind in ("tool", "retriever") and tier == _LIVE:
            self.counts["tool", arm, str(entry.get("name"))] += 1
        for name in attributes.get(NOT_PINNED) or ():
            self.counts["value", arm, str(name)] += 1


def counted(store: Store, run_id: str) -> Counter[Key]:
    """Count what the records of a run's done executions say; what was tried again, or never ended, is counted nowhere."""
    tally: Counter[Key] = Counter()
    done = "turn_id IN (SELECT span_id FROM all_spans WHERE replay_run_id = ? AND kind = 'agent' AND replay_status IS NOT NULL)"
    for row in store.query(
        f"SELECT replay_arm AS arm, {_MODEL_COLUMNS}, count(*) AS n FROM all_spans WHERE replay_run_id = ? "
        f"AND kind = 'model' AND replay_match_tier IS NULL AND status <> 'error' AND {done} GROUP BY ALL",
        [run_id, run_id],
    ).to_pylist():
        tally[_model_row(str(row["arm"]), row)] += row["n"]
    for row in store.query(
        "SELECT replay_arm AS arm, name, count(*) AS n FROM all_spans WHERE replay_run_id = ? "
        f"AND kind IN ('tool', 'retriever') AND replay_match_tier = 'live' AND {done} GROUP BY ALL",
        [run_id, run_id],
    ).to_pylist():
        tally["tool", str(row["arm"]), str(row["name"])] += row["n"]
    for row in store.query(
        f"SELECT replay_arm AS arm, decode(attributes) AS text FROM all_spans WHERE replay_run_id = ? AND kind = 'agent' "
        f"AND replay_status IS NOT NULL AND contains(decode(attributes), '{NOT_PINNED}')",
        [run_id],
    ).to_pylist():
        for name in orjson.loads(row["text"]).get(NOT_PINNED) or ():
            tally["value", str(row["arm"]), str(name)] += 1
    return tally


def recorded_models(store: Store, manifest: Mapping[str, Any]) -> Counter[Key]:
    """Count the models of a run's recorded turns."""
    turns = [str(case[3]) for case in manifest["cases"]]
    found = store.query(
        f"SELECT {_MODEL_COLUMNS}, count(*) AS n FROM all_spans WHERE replay_run_id IS NULL AND kind = 'model' "
        "AND turn_id IN (SELECT unnest(?::VARCHAR[])) GROUP BY ALL",
        [turns],
    )
    tally: Counter[Key] = Counter()
    for row in found.to_pylist():
        tally[_model_row(RECORDING, row)] += row["n"]
    return tally


def not_pinned(manifest: Mapping[str, Any], counts: Mapping[Key, int]) -> tuple[NotPinned, ...]:
    """Say what was not pinned.

    Args:
        manifest: the run's.
        counts: what was counted of it and of its recording.
    """
    found = [*_tools(counts), *_models(counts), *_values(counts), *_places(manifest)]
    return tuple(sorted(found, key=lambda one: (KINDS.index(one.kind), one.what)))


def to_json(found: Iterable[NotPinned]) -> list[dict[str, Json]]:
    """Give it for a run's last record, and for programs."""
    return [asdict(one) for one in found]


def from_json(items: Any) -> tuple[NotPinned, ...]:
    """Read back what `to_json` gave; what is something else is left out."""
    found = []
    for item in items if isinstance(items, list) else ():
        match item:
            case {
                "kind": kind,
                "what": str(what),
                "arms": list(arms),
                "count": int(count),
                "text": str(text),
            } if kind in KINDS:
                found.append(NotPinned(kind, what, tuple(map(str, arms)), count, text))
            case _:
                pass
    return tuple(found)


_ATTRIBUTE = "json_extract_string(decode(attributes), '$.\"{}\"')"
_MODEL_COLUMNS = ", ".join(
    (
        "model_requested AS requested",
        "model_served AS served",
        f"{_ATTRIBUTE.format('openai.response.system_fingerprint')} AS fingerprint",
        f"{_ATTRIBUTE.format('gen_ai.request.temperature')} AS temperature",
        f"{_ATTRIBUTE.format('gen_ai.request.seed')} AS seed",
    )
)


def _model(arm: str, attributes: Mapping[str, Any]) -> Key:
    return _model_row(
        arm,
        {
            "requested": attributes.get("gen_ai.request.model"),
            "served": attributes.get("gen_ai.response.model"),
            "fingerprint": attributes.get("openai.response.system_fingerprint"),
            "temperature": attributes.get("gen_ai.request.temperature"),
            "seed": attributes.get("gen_ai.request.seed"),
        },
    )


def _model_row(arm: str, row: Mapping[str, Any]) -> Key:
    temperature = row["temperature"]
    fixed = row["seed"] is not None or (temperature is not None and float(temperature) == 0)
    told = (str(row[name] or "") for name in ("requested", "served", "fingerprint"))
    return ("model", arm, *told, "fixed" if fixed else "free")


def _tools(counts: Mapping[Key, int]) -> Iterable[NotPinned]:
    for name, by_arm in _grouped(counts, "tool").items():
        number = sum(by_arm.values())
        text = f"The tool {name} ran for real, {_times(number)}: what it gave was the world's at that moment."
        yield NotPinned("tool", name, tuple(sorted(by_arm)), number, text)


def _models(counts: Mapping[Key, int]) -> Iterable[NotPinned]:
    free: dict[str, Counter[str]] = defaultdict(Counter)
    served: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    prints: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key, number in counts.items():
        if key[0] != "model":
            continue
        _, arm, requested, by, fingerprint, how = key
        name = requested or "an unnamed model"
        if how == "free" and arm != RECORDING:
            free[name][arm] += number
        if by:
            served[name][arm].add(by)
        if fingerprint:
            prints[name][arm].add(fingerprint)
        if arm != RECORDING:
            served[name][arm].update(())
    for name, by_arm in free.items():
        number = sum(by_arm.values())
        text = f"{name} was asked {_times(number)} without temperature 0 and without a seed: it may answer otherwise."
        yield NotPinned("model", name, tuple(sorted(by_arm)), number, text)
    for name, arms in served.items():
        yield from _served_by(name, arms)
    for name, arms in prints.items():
        if len(set().union(*arms.values())) > 1:
            said = _by_arm(arms)
            text = f"What serves {name} changed its fingerprint: {said}."
            yield NotPinned("fingerprint", name, tuple(sorted(arms)), len(set().union(*arms.values())), text)


def _served_by(name: str, arms: Mapping[str, set[str]]) -> Iterable[NotPinned]:
    by = set().union(*arms.values())
    told = {arm: found for arm, found in arms.items() if found}
    if len(by) > 1:
        text = f"{name} was served by different models: {_by_arm(told)}."
        yield NotPinned("served model", name, tuple(sorted(told)), len(by), text)
    if any(arm != RECORDING for arm in arms) and not _DATED.search(name):
        now = f"it was served by {', '.join(sorted(by))}" if by else "which model served it nobody said"
        text = f"{name} is a name without a date: {now}, and may be served by another one tomorrow."
        yield NotPinned("alias", name, tuple(sorted(set(arms) - {RECORDING})), 1, text)


def _values(counts: Mapping[Key, int]) -> Iterable[NotPinned]:
    for name, by_arm in _grouped(counts, "value").items():
        cases = sum(by_arm.values())
        if name == OUTSIDE:
            asked = "Times, ids or generators were asked for outside of the turn's context"
            text = f"{asked}, in {many(cases, 'execution')}: they were fresh."
        elif name in _VALUES:
            text = f"More {_VALUES[name]} were asked for than were recorded, in {many(cases, 'execution')}: those were fresh."
        else:
            text = f"`random` was used, and not seeded, in {many(cases, 'execution')}."
        yield NotPinned("random" if name == "random" else "value", name, tuple(sorted(by_arm)), cases, text)


def _places(manifest: Mapping[str, Any]) -> Iterable[NotPinned]:
    pinning = pinning_from_json(manifest.get("pinning") or {"seed": UNSEEDED})
    found: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for arm, lines in zip(_ARMS, (pinning.candidate_reads, pinning.baseline_reads), strict=True):
        for line in lines:
            kind, place, name = ([*line.split(" ", 2), "", ""])[:3]
            if kind in KINDS and not _is_pinned(pinning, kind):
                found[kind, name][arm].append(place)
    for (kind, name), arms in found.items():
        places = list(dict.fromkeys(place for some in arms.values() for place in some))
        more = f" and {len(places) - _MOST_PLACES} more" if len(places) > _MOST_PLACES else ""
        text = f"The agent's own code reads {name} ({', '.join(places[:_MOST_PLACES])}{more}), {_WHY[kind]}."
        yield NotPinned(kind, name, tuple(sorted(arms)), len(places), text)  # type: ignore[arg-type]


_WHY = {
    direct_reads.CLOCK: "and the clock was the machine's: use auditlog.now(), or --freeze-time",
    direct_reads.RANDOM: "and it was not seeded: use auditlog.rng() or auditlog.uuid4(), or leave --seed none out",
    direct_reads.SECRET: "which is random each time",
    direct_reads.ENVIRONMENT: "and a worker's environment holds what was let through by name",
    direct_reads.NETWORK: "with nothing decorated around it: auditlog.record_http() records it",
}


def _is_pinned(pinning: Pinning, kind: str) -> bool:
    return (kind == direct_reads.CLOCK and pinning.freeze_time) or (
        kind == direct_reads.RANDOM and pinning.seeds
    )


def _grouped(counts: Mapping[Key, int], kind: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for key, number in counts.items():
        if key[0] == kind:
            found[key[2]][key[1]] = number
    return found


def _by_arm(arms: Mapping[str, set[str]]) -> str:
    order = (RECORDING, "baseline", "baseline_2", "candidate")
    names = sorted(arms, key=lambda arm: order.index(arm) if arm in order else len(order))
    return "; ".join(f"{', '.join(sorted(arms[name]))} in the {name}" for name in names)


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def of_run(store: Store, manifest: Mapping[str, Any], end: Mapping[str, Any] | None) -> tuple[NotPinned, ...]:
    """Say what of a run was not pinned: from its last record, or else from its records.

    Args:
        store: where it is.
        manifest: its first record.
        end: its last; None where it is not complete.
    """
    if end is not None and "not_pinned" in end:
        return from_json(end["not_pinned"])
    run_id = str(manifest["run_id"])
    return not_pinned(manifest, counted(store, run_id) + recorded_models(store, manifest))


def ending(store: Store, manifest: Mapping[str, Any], tally: Tally) -> Sequence[Mapping[str, Json]]:
    """Give what a run's last record says of it.

    Args:
        store: where the recorded turns are.
        manifest: the run's first record.
        tally: what was counted while it ran.
    """
    return to_json(not_pinned(manifest, tally.counts + recorded_models(store, manifest)))
