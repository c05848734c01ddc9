"""What a run and its workers say to one another, over two pipes of their own.

The rules:

1. The run says `setup` once and then `cases`, one or more; the worker answers `ready` or `failed`, and then a `result` for
   each case, in their order, when it is over. The end of either pipe is the end of the talk.
2. Before a body runs for real, and when it has, a worker tells the records of it: `told`. They are not said again.
3. A worker whose model calls are paced says `lease` before each, and goes on when the run says `leased`.
4. The pipes are not the agent's standard streams: what an agent prints is nobody's message. What it writes into them all the
   same is no result, unless it is one of the case that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from auditlog.errors import FormatError
from auditlog.overrides import Overrides
from auditlog.record import Record, decode_record
from auditlog.values import Json
from replay.matching.rules import NO_RULES, MatchRules, rules_from_json
from replay.pinned.pinning import PINNED, Pinning, pinning_from_json
from replay.running.frames import Frame
from replay.running.limits import NOTHING_SPENT, Spend
from replay.running.records import is_own
from replay.sandbox.effects import NOTHING_KNOWN, KnownEffects, effects_from_json
from replay.sandbox.modes import Modes, modes_from_json
from replay.targets.planned import NOTHING, Roots, overrides_from_json

if TYPE_CHECKING:
    from replay.diff.model import CaseStatus

_KEYS = orjson.OPT_NON_STR_KEYS
_STATUSES = ("complete", "diverged", "blocked", "errored", "unreplayable", "invalid")

VERSION = 1
"""Of what the two say to one another. A worker of another version says so, and runs nothing."""

LOCKS = ("guard", "intercept", "threads", "network", "landlock", "seccomp")
"""Every lock that a worker takes; a test that shows what a lock is for leaves it out."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is."""

    target: str
    adapter: bool
    modes: Modes
    paths: tuple[str, ...]
    """Directories to import from, before the installed packages."""
    scratch: str
    hosts: tuple[tuple[str, int], ...] = ()
    memory_bytes: int | None = None
    leases: bool = False
    """A live model call asks before it begins."""
    locks: tuple[str, ...] = LOCKS
    matching: MatchRules = NO_RULES
    """The declared differences between two calls that are none."""
    overrides: Overrides = NOTHING
    """What stands in the place of the agent's own model names, prompts and tools."""
    variables: tuple[tuple[str, str], ...] = ()
    """What is put into the environment, behind the locks: before them it could change how libraries start."""
    within: str = ""
    """The directory of the target's own files, and of no others; empty where it has none of its own."""
    protocol: int = VERSION
    pinning: Pinning = PINNED
    """What is held still."""
    effects: KnownEffects = NOTHING_KNOWN
    """What the recordings of the whole store say of tools."""
    mask_key: str = field(default="", repr=False)
    """Of the store, in hex: masked values of the agent's HTTP are compared by it."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What the worker found the target to be."""

    name: str
    digest: str
    version: str | None
    locks: tuple[str, ...]
    """The locks that took hold on this machine."""
    refused: tuple[str, ...] = ()
    """What the target's modules were refused while they were imported."""
    unresolved: tuple[str, ...] = ()
    """Allowed hosts that have no address."""
    sources: str = ""
    """SHA-256, hex, of the files that are run."""
    packages: str = ""
    """SHA-256, hex, of the names and versions of what is installed."""
    installed: int = 0
    python: str = ""
    outside: tuple[str, ...] = ()
    """Directories of code that was loaded from outside of the target's own files."""
    protocol: int = VERSION
    reads: tuple[str, ...] = ()
    """Where the target's own modules read what nothing pins."""
    roots: Roots = ()
    """Where its files are."""


@dataclass(frozen=True, slots=True)
class Job:
    """One case to run."""

    case_id: str
    arguments: Mapping[str, Json]
    """The recorded agent call's, by name."""
    cassette: list[dict[str, Any]]
    lineage: Mapping[str, Json]
    """Attributes of every span."""
    conversation_id: str
    user_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    agent_version: str | None = None
    types: Mapping[str, Any] | None = None
    """What stood in the arguments where JSON has another word: see `replay.matching.restore`."""
    before_fork: tuple[str, ...] = ()
    """Of a fork: the span ids of the recorded calls that come before it."""
    pinned: Mapping[str, Any] = field(default_factory=dict)
    """What holds it still: see `replay.pinned.case`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case."""

    status: CaseStatus
    why: str
    payloads: tuple[bytes, ...]
    """Its records that are not kept yet; the agent's is the last."""
    spent: bool = False
    """The worker cannot run another case: something of this one goes on in it."""
    behaviour: str = ""
    """See `executed`."""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    spend: Spend = NOTHING_SPENT
    infrastructure: str = ""
    """The infrastructure's error that it failed with."""
    records: tuple[Record, ...] = ()
    """The records as they were read, where they came from a worker."""
    whole: tuple[bytes, ...] = ()
    """All of it, each call in one record, where some of it was kept while it ran; else empty."""

    @property
    def seen(self) -> tuple[bytes, ...]:
        """All of its records, for who looks at what it did; the agent's is the last."""
        return self.whole or self.payloads


class Told(NamedTuple):
    """A record that a worker sent: as it came, and read."""

    payload: bytes
    read: Record


def setup_message(setup: Setup) -> dict[str, Any]:
    """Say `setup`."""
    return {"say": "setup", **asdict(setup)}


def read_setup(message: Mapping[str, Any]) -> Setup:
    """Understand `setup`."""
    fields: dict[str, Any] = {name: value for name, value in message.items() if name != "say"}
    fields["hosts"] = tuple((name, port) for name, port in fields["hosts"])
    fields["modes"] = modes_from_json(fields["modes"])
    fields["paths"], fields["locks"] = tuple(fields["paths"]), tuple(fields["locks"])
    fields["matching"] = rules_from_json(fields.get("matching"))
    fields["variables"] = tuple((name, value) for name, value in fields.get("variables") or ())
    fields["overrides"] = overrides_from_json(fields.get("overrides") or {})
    fields["pinning"] = pinning_from_json(fields.get("pinning") or {})
    fields["effects"] = effects_from_json(fields.get("effects"))
    return Setup(**fields)


def ready_message(ready: Ready) -> dict[str, Any]:
    """Say `ready`."""
    return {"say": "ready", **asdict(ready)}


def read_ready(message: Mapping[str, Any]) -> Ready:
    """Understand `ready`.

    Raises:
        ValueError: it is none.
    """
    try:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in message.items()
            if name not in ("say", "token")
        }
        fields["roots"] = tuple(
            (str(root), bool(whole), tuple(map(str, files))) for root, whole, files in fields.get("roots", ())
        )
        return Ready(**fields)
    except (TypeError, ValueError) as error:
        raise ValueError(str(error)) from None


def jobs_message(jobs: Sequence[Job]) -> tuple[dict[str, Any], bytes]:
    """Say `cases`; give the bytes that go with it, too: a text for each case, so that a worker holds one of them at a time."""
    texts = [orjson.dumps({name: getattr(job, name) for name in Job.__slots__}, option=_KEYS) for job in jobs]
    return {"say": "cases", "sizes": list(map(len, texts))}, b"".join(texts)


def read_jobs(frame: Frame) -> Iterator[Job]:
    """Understand `cases`, one after the other."""
    at = 0
    for size in frame.message["sizes"]:
        yield Job(**orjson.loads(memoryview(frame.blob)[at : at + size]))
        at += size


def result_message(case_id: str, result: Result) -> tuple[dict[str, Any], bytes]:
    """Say `result`; give the bytes that go with it, too."""
    return {
        "say": "result",
        "case": case_id,
        "status": result.status,
        "why": result.why,
        "spent": result.spent,
        "sizes": [len(payload) for payload in result.payloads],
        "behaviour": result.behaviour,
        "measures": result.measures,
        "spend": list(result.spend),
        "infrastructure": result.infrastructure,
    }, b"".join(result.payloads)


def told_message(case_id: str, payloads: Sequence[bytes]) -> tuple[dict[str, Any], bytes]:
    """Say `told`; give the bytes that go with it, too."""
    return {"say": "told", "case": case_id, "sizes": list(map(len, payloads))}, b"".join(payloads)


def read_told(case_id: str, lineage: Mapping[str, Json], frame: Frame) -> list[Told] | None:
    """Understand `told`; None where it is not told of this case."""
    match frame.message:
        case {"say": "told", "case": case, "sizes": [*sizes]} if case == case_id:
            return _records(sizes, frame.blob, lineage, ("start", "end"), closes=False)
        case _:
            return None


def read_result(case_id: str, lineage: Mapping[str, Json], frame: Frame) -> Result | None:
    """Understand `result`; None where it is no result of this case, or holds records that are not of it."""
    match frame.message:
        case {
            "say": "result",
            "case": case,
            "status": str(status),
            "why": str(why),
            "spent": bool(spent),
            "sizes": [*sizes],
            "behaviour": str(behaviour),
            "measures": dict(measures),
            "spend": [int() | float() as usd, int(tokens), int(calls), int(unpriced), int(untold)],
            "infrastructure": str(infrastructure),
        } if case == case_id and status in _STATUSES:
            pass
        case _:
            return None
    records = _records(sizes, frame.blob, lineage, ("start", "span"), closes=True)
    if records is None:
        return None
    return Result(
        status,
        why,
        tuple(record.payload for record in records),
        spent,
        behaviour,
        measures,
        Spend(usd, tokens, calls, unpriced, untold),
        infrastructure,
        tuple(record.read for record in records),
    )


def _records(
    sizes: Sequence[Any], blob: bytes, lineage: Mapping[str, Json], types: tuple[str, ...], *, closes: bool
) -> list[Told] | None:
    """Take records apart; None where one is none, or not of this execution. The last one may close it, and no other."""
    at, found = 0, []
    try:
        for size in sizes:
            payload = blob[at : at + size]
            at += size
            record = decode_record(payload)
            if not is_own(record, lineage, types, closes=closes and len(found) == len(sizes) - 1):
                return None
            found.append(Told(payload, record))
    except (TypeError, ValueError, FormatError):
        return None
    return found if at == len(blob) else None
