"""The ledger: the append-only list of what the store holds, and of what was done with it.

The rules:

1. The ledger is the manifest: a segment exists for readers when an entry lists it, and as long as none replaces or removes it.
2. One SEAL entry tells of one journal file: its segments, its first and last sequence, what was torn or lost. So a file is
   sealed as a whole or not at all.
3. The entries' bytes, in order, are the leaves of one RFC 6962 tree, whose root the checkpoint signs. An entry is synced
   before a checkpoint covers it: a checkpoint may be behind the entries, and is never ahead of them. Where either cannot be
   written, the entry is taken back: what a command says that it could not do is not done.
4. Appending holds the ledger's short lock, reads what others appended, and never waits for a sealing.
5. A tail that a dying process left torn is cut before the next entry, and an entry says that it was. Anything else that does
   not read is damage, and an error that names the file.
6. A segment's path is taken from the ledger only when it is one that a sealer would write: nothing leads out of the store.
7. Opening a long ledger reads its last entries only: `cache/ledger.json` holds what the ones before them came to.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from auditlog.errors import FormatError, StoreError
from auditlog.journal.gap import Gap
from auditlog.layout import Layout, read_settings, sync_directory
from auditlog.ledger import cache as ledger_cache
from auditlog.ledger import keys, locks, signing
from auditlog.ledger.entries import FORMAT, Frame, decoded, frame_at, frame_of, is_torn
from auditlog.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from auditlog.ledger.note import Checkpoint

CACHED_EVERY = 512
"""How many entries may follow what the cache holds."""

_UNSIGNED = (
    "This needs a signed entry ({kind}) in the ledger, and {key} cannot be read, or is not the key of store.toml. "
    "Run it as the user who seals the store."
)
_PATH = re.compile(r"segments/day=[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9A-Za-z][0-9A-Za-z._-]*\.parquet")


@dataclass(frozen=True, slots=True)
class Segment:
    """One sealed file, as the ledger lists it."""

    path: str
    """Relative to the store."""
    day: str
    """The day, UTC, on which its spans began: 2026-11-23."""
    rows: int
    """Spans; each is a leaf."""
    bytes: int
    sha256: str
    """Of the file, hex."""
    root: str
    """RFC 6962 tree hash over the rows' leaves in stored order, hex."""
    min_start_ns: int
    max_start_ns: int
    sealed_ns: int = 0
    """When the ledger took it in, nanoseconds since the epoch."""


_FIELDS = tuple(part.name for part in fields(Segment))
_LISTED = tuple(name for name in _FIELDS if name != "sealed_ns")


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the ledger said when it was read."""

    segments: tuple[Segment, ...] = ()
    """The live ones: listed, and neither replaced nor removed since."""
    sources: frozenset[str] = frozenset()
    """The writers (journal stems) whose records are sealed."""
    count: int = 0
    """Entries."""
    frontier: tuple[bytes, ...] = ()
    """The roots of the full subtrees of the tree over the entries, largest first."""
    size: int = 0
    """The offset behind the last whole entry."""
    last: tuple[int, bytes] = (0, b"")
    """The offset of the last entry, and its leaf hash."""
    torn_bytes: int = field(default=0, compare=False)
    """What a dying process left behind the last entry."""
    path: Path | None = field(default=None, compare=False, repr=False)
    cached: int = field(default=0, compare=False, repr=False)
    """How many of the entries the cache holds, as far as is known."""

    @property
    def root(self) -> bytes:
        """The root of the tree over the entries."""
        return Frontier(self.count, self.frontier).root()

    def at(self, size: int) -> tuple[bytes, int] | None:
        """Give the root over the first entries, and the time of the last of them; None where there are fewer.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        if size > self.count or self.path is None:
            return (EMPTY_ROOT, 0) if not size else None
        if size == self.count:
            frame = frame_at(_bytes(self.path, self.last[0]), 0, size - 1)
            return None if frame is None else (self.root, _entry(self.path, frame)["time"])
        tree, moment = Frontier(), 0
        for frame in islice(self._frames(), size):
            tree.add(leaf_hash(frame.payload))
            moment = _entry(self.path, frame)["time"] if tree.size == size else 0
        return tree.root(), moment

    @property
    def entries(self) -> tuple[dict[str, Any], ...]:
        """All entries, oldest first, read from the file."""
        return tuple(self.each_entry())

    def each_entry(self) -> Iterator[dict[str, Any]]:
        """Give the entries one by one, oldest first.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        for frame in self._frames():
            assert self.path is not None
            yield _entry(self.path, frame)

    def payloads(self) -> Iterator[bytes]:
        """Give the bytes of the entries, the leaves of the tree, one by one, oldest first.

        Raises:
            StoreError: the file is damaged, or cannot be read.
        """
        return (frame.payload for frame in self._frames())

    def _frames(self) -> Iterator[Frame]:
        if self.path is None or not self.size:
            return
        data = _bytes(self.path, 0)[: self.size]
        at = 0
        for sequence in range(self.count):
            frame = frame_at(data, at, sequence)
            if frame is None:
                raise StoreError(_damaged(self.path, at))
            yield frame
            at = frame.end


def read_ledger(path: Path, known: Ledger | None = None) -> Ledger:
    """Read what the ledger says.

    Args:
        path: the entries file; one that is not there is an empty ledger.
        known: what was read before; only what was appended since is read.

    Raises:
        StoreError: the file is damaged, or cannot be read.
        FormatError: an entry is of another format.
    """
    if known is None or not known.count:
        known = _cached(path)
    try:
        # One read: others may append meanwhile, and what they append is for the next time.
        data = _bytes(path, known.last[0]) if known.count else _bytes(path, 0)
        if known.count and not _goes_on(known, data):
            known, data = Ledger(), _bytes(path, 0)
    except FileNotFoundError:
        return Ledger()
    base = known.last[0] if known.count else 0
    at = known.size - base
    if at == len(data) and known.path is not None and not known.torn_bytes:
        return known
    frontier = Frontier(known.count, known.frontier)
    live, sources, last = {s.path: s for s in known.segments}, set(known.sources), known.last
    while (frame := frame_at(data, at, frontier.size)) is not None:
        placed = Frame(base + at, frame.payload)
        entry = _entry(path, placed)
        apply(live, sources, entry, path)
        last = (placed.offset, leaf_hash(frame.payload))
        frontier.add(last[1])
        at = frame.end
    if not is_torn(data[at:]):
        raise StoreError(_damaged(path, base + at))
    return Ledger(
        tuple(live.values()),
        frozenset(sources),
        frontier.size,
        tuple(frontier.roots),
        base + at,
        last,
        len(data) - at,
        path,
        known.cached,
    )


def apply(live: dict[str, Segment], sources: set[str], entry: Mapping[str, Any], path: Path | str) -> None:
    """Change the live segments, by path, and the sealed writers as an entry says.

    Raises:
        StoreError: the entry does not say what it must.
    """
    try:
        for gone in entry.get("replaces", ()):
            live.pop(gone, None)
        for gone in entry.get("removes", ()):
            live.pop(gone["path"], None)
        for segment in _segments(path, entry):
            live[segment.path] = segment
        sources.update(source["writer"] for source in entry.get("sources", ()))
    except (KeyError, TypeError):
        msg = f"{path} lists a segment without what it must say. Put the file back from a copy."
        raise StoreError(msg) from None


def append_entry(layout: Layout, entry: Mapping[str, Any], known: Ledger | None = None) -> Ledger:
    """Append one entry, sync it, and sign the ledger's new head.

    Safe in several processes and threads at once. Where this user may not read the key, the entry stays unsigned until
    somebody who may appends another; one that `signing` guards is refused then.

    Args:
        layout: the store.
        entry: JSON-ready fields, `type` among them; `v` and `time` are filled in.
        known: the ledger as it was read before, to read less.

    Raises:
        StoreError: the file system refuses, or the ledger is damaged.
    """
    path = layout.entries
    apply({}, set(), {"time": 0, **entry}, path)
    with locks.appending(layout):
        ledger = read_ledger(path, known)
        try:
            origin = read_settings(layout).ledger_origin or keys.origin_of(read_settings(layout).id)
            signer = keys.signer_of(layout, Checkpoint(origin, ledger.count, ledger.root))
            guarded = signing.is_guarded(entry)
            if guarded and signer is None:
                raise StoreError(_UNSIGNED.format(kind=entry["type"], key=keys.key_path(layout)))
            if signer is not None:
                signing.refuse_other_past(layout, ledger, signing.head_of(layout))
            made = not ledger.count and not path.exists()
            flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor, whole = os.open(path, flags, 0o600), ledger.size
            try:
                tree = Frontier(ledger.count, ledger.frontier)
                if ledger.torn_bytes:
                    os.ftruncate(descriptor, whole)
                    cut = _payload({"type": "cut", "offset": whole, "torn_bytes": ledger.torn_bytes})
                    whole += _write(descriptor, tree.size, cut)
                    tree.add(leaf_hash(cut))
                payload = _payload(entry)
                if guarded and signer is not None:
                    payload = signing.signed(payload, signer, tree.size, tree.root())
                _write(descriptor, tree.size, payload)
                os.fsync(descriptor)
                if made:
                    sync_directory(path.parent)
                after = read_ledger(path, replace(ledger, torn_bytes=0) if ledger.count else None)
                if signer is not None:
                    head = Checkpoint(origin, after.count, after.root)
                    keys.write_checkpoint(layout, head.signed(signer))
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, whole)
                raise
            finally:
                os.close(descriptor)
        except OSError as error:
            msg = f"The ledger {path} cannot be appended to: {error.strerror}. Nothing was done; try again when it can."
            raise StoreError(msg) from None
        if after.count - after.cached >= CACHED_EVERY:
            ledger_cache.keep(layout.cache, state_of(after))
            after = replace(after, cached=after.count)
        return after


def begin(layout: Layout) -> bool:
    """Make the ledger's key, where there is none, and sign the empty ledger.

    Returns:
        Whether this user can sign the ledger.

    Raises:
        StoreError: the file system refuses, or the ledger is damaged.
    """
    with locks.appending(layout):
        ledger, settings = read_ledger(layout.entries), read_settings(layout)
        origin = settings.ledger_origin or keys.origin_of(settings.id)
        return keys.signer_of(layout, Checkpoint(origin, ledger.count, ledger.root)) is not None


def seal_entry(source: dict[str, Any], segments: Sequence[Segment], gaps: Sequence[Gap]) -> dict[str, Any]:
    """Make the entry that tells of one sealed journal file.

    Args:
        source: the file: `writer` (its stem), `first` and `last` sequence, `torn_bytes` behind its last whole frame, and
            counts of records that made no row.
        segments: the sealed files made of it.
        gaps: what its writer could not write.
    """
    return {
        "type": "seal",
        "sources": [source],
        "gaps": [{"lost": gap.lost, "since": gap.since_ns, "reason": gap.reason} for gap in gaps],
        "segments": [listed(segment) for segment in segments],
    }


def listed(segment: Segment) -> dict[str, Any]:
    """Give a segment as an entry lists it."""
    return {name: getattr(segment, name) for name in _LISTED}


def _payload(entry: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"v": FORMAT, "time": time.time_ns(), **entry})


def _write(descriptor: int, sequence: int, payload: bytes) -> int:
    frame = frame_of(sequence, payload)
    if os.write(descriptor, frame) != len(frame):
        raise OSError(28, "the disk took only a part of the entry")
    return len(frame)


def _bytes(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Check its owner and mode."
        raise StoreError(msg) from None


def _goes_on(known: Ledger, data: bytes) -> bool:
    """Say whether bytes, read from the offset of the last entry that is known, begin with that entry."""
    frame = frame_at(data, 0, known.count - 1)
    return frame is not None and leaf_hash(frame.payload) == known.last[1]


def _entry(path: Path, frame: Frame) -> dict[str, Any]:
    entry = decoded(frame.payload)
    if entry is None:
        raise StoreError(_damaged(path, frame.offset))
    version = entry["v"]
    if version != FORMAT:
        older = isinstance(version, int) and version < FORMAT
        advice = "Run `auditlog migrate` on the store." if older else "Upgrade auditlog-replay."
        msg = f"{path} holds entries of format {version}, and this version reads format {FORMAT}. {advice}"
        raise FormatError(msg)
    return entry


def _segments(path: Path | str, entry: Mapping[str, Any]) -> list[Segment]:
    # What a later version of this format adds to a segment is passed over.
    found = [
        Segment(**{name: told[name] for name in _LISTED}, sealed_ns=entry["time"])
        for told in entry.get("segments", ())
    ]
    if not all(isinstance(s.path, str) and isinstance(s.bytes, int) for s in found):
        raise TypeError
    for segment in found:
        if not _PATH.fullmatch(segment.path):
            msg = f"{path} lists {segment.path!r}, which is no path that a segment can have. The ledger was tampered with."
            raise StoreError(msg)
    return found


def _damaged(path: Path, at: int) -> str:
    return f"{path} is damaged at byte {at}, so what is sealed cannot be told. Put the file back from a copy of the store."


def _cached(path: Path) -> Ledger:
    """Give the ledger as far as the cache holds it; an empty one where it holds nothing that can be used."""
    state = ledger_cache.load(path.parent.parent / "cache")
    if state is None:
        return Ledger()
    try:
        return Ledger(
            tuple(Segment(*values) for values in state["segments"]),
            frozenset(state["sources"]),
            state["count"],
            tuple(map(bytes.fromhex, state["frontier"])),
            state["size"],
            (state["last"][0], bytes.fromhex(state["last"][1])),
            0,
            path,
            state["count"],
        )
    except (KeyError, TypeError, ValueError, IndexError):
        return Ledger()


def state_of(ledger: Ledger) -> dict[str, Any]:
    """Give what the cache holds of a ledger."""
    return {
        "segments": [[getattr(segment, name) for name in _FIELDS] for segment in ledger.segments],
        "sources": sorted(ledger.sources),
        "count": ledger.count,
        "frontier": [root.hex() for root in ledger.frontier],
        "size": ledger.size,
        "last": [ledger.last[0], ledger.last[1].hex()],
    }
