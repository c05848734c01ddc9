"""Verifies the ledger by itself: its entries, its tree, and the signature on its head.

The rules:

1. Nothing that is derived is used: every entry is read, checked and hashed, from the first.
2. A checkpoint signs a number of entries and their root. Entries behind it are counted as unsigned; entries that it signs
   and that are missing are a fault.
3. What replaces, removes or erases a segment, or holds or releases a conversation, is signed: by the checkpoint, or behind it
   by a signature of its own.
4. The key is the one that the caller brings; the store's own word for it counts only where he brings none.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auditlog.errors import AuditlogError, FormatError, StoreError
from auditlog.integrity.verdict import Fault, Report
from auditlog.layout import Layout, Settings, read_settings
from auditlog.ledger import keys, signing
from auditlog.ledger.entries import FORMAT, decoded, frame_at, is_torn
from auditlog.ledger.ledger import Segment, apply
from auditlog.ledger.merkle import Tree, leaf_hash
from auditlog.ledger.note import Checkpoint, VerifierKey

ENTRIES, CHECKPOINT, SETTINGS = "ledger/entries.log", "ledger/checkpoint", "store.toml"


@dataclass(slots=True)
class Scan:
    """What reading all entries found."""

    live: dict[str, Segment] = field(default_factory=dict)
    """The segments that should be there, by path."""
    listed: dict[str, Segment] = field(default_factory=dict)
    """Every segment that any entry ever listed, by path."""
    first_hand: set[str] = field(default_factory=set)
    """Those of them that a SEAL entry listed."""
    replaced: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The segments that took over a segment's rows, by its path."""
    gone: dict[str, tuple[str, int]] = field(default_factory=dict)
    """What took a segment away: the type and the number of the entry, by path."""
    sources: set[str] = field(default_factory=set)
    size: int = 0
    """The offset behind the last whole entry."""
    leaves: list[bytes] = field(default_factory=list)
    """The entries' leaf hashes."""
    times: list[int] = field(default_factory=list)
    """The entries' times, nanoseconds since the epoch."""
    kept: tuple[Segment, ...] | None = None
    """The live segments at the size that was asked for."""
    anchors: list[Mapping[str, Any]] = field(default_factory=list)
    """The ANCHOR entries."""
    guarded: list[tuple[int, str, bytes]] = field(default_factory=list)
    """The entries that need a signature of their own: number, type and bytes."""
    whole: bool = True
    """Whether every entry could be read."""
    lost: int = 0
    """Records that writers could not write."""
    tree: Tree = field(default_factory=lambda: Tree(()))

    def heirs(self, path: str) -> set[str]:
        """Give the last segments that took over a segment's rows: live ones, and ones that were pruned."""
        last, waiting = set(), [path]
        while waiting:
            name = waiting.pop()
            if name in self.replaced:
                waiting += self.replaced[name]
            else:
                last.add(name)
        return last


def scan(data: bytes | mmap.mmap, report: Report, keep: int | None = None) -> Scan:
    """Read all entries.

    Args:
        data: the entries file.
        report: what is wrong, or worth knowing, is added here.
        keep: a number of entries, after which the live segments are kept.
    """
    found, at = Scan(), 0
    while True:
        if len(found.leaves) == keep:
            found.kept = tuple(found.live.values())
        number = len(found.leaves)
        frame = frame_at(data, at, number)
        if frame is None:
            break
        entry = decoded(frame.payload)
        if entry is None or entry["v"] != FORMAT:
            report.faults.append(Fault(ENTRIES, f"entry {number} is none, or of another format"))
            found.whole = False
            break
        _follow(found, entry, number, report.faults)
        if signing.is_guarded(entry):
            found.guarded.append((number, str(entry["type"]), frame.payload))
        found.leaves.append(leaf_hash(frame.payload))
        found.times.append(entry["time"])
        at = frame.end
    rest = data[at:]
    if found.whole and not is_torn(rest):
        report.faults.append(Fault(ENTRIES, f"damaged at byte {at}, behind entry {len(found.leaves)}"))
        found.whole = False
    elif found.whole and rest:
        report.notes.append(
            f"{len(rest)} torn bytes stand behind the last entry; the next append cuts them off"
        )
    found.size, found.tree = at, Tree(found.leaves)
    return found


def check_head(
    layout: Layout, found: Scan, head: Checkpoint | None, key: VerifierKey, report: Report
) -> None:
    """Check the checkpoint against the key, and the entries against the checkpoint."""
    if head is None:
        report.faults.append(Fault(CHECKPOINT, "missing: nothing says which entries were signed"))
        return
    try:
        signed = head.signers([key])
    except FormatError as error:
        report.faults.append(Fault(CHECKPOINT, f"{error}"))
        return
    if head.origin != report.origin:
        report.faults.append(Fault(CHECKPOINT, f"is of another ledger, {head.origin!r}"))
        return
    if not signed:
        report.faults.append(Fault(CHECKPOINT, "is not signed by the key that is trusted"))
        return
    count = len(found.leaves)
    report.signed = head.size
    report.signed_ns = found.times[head.size - 1] if 0 < head.size <= count else 0
    if head.size > count:
        short = f"ends after {count} entries, and the checkpoint signs {head.size}"
        report.faults.append(Fault(ENTRIES, short))
    elif found.tree.root(head.size) != head.root:
        report.faults.append(Fault(ENTRIES, f"its first {head.size} entries are not those that were signed"))
    forged = [
        (number, kind)
        for number, kind, payload in found.guarded
        if number >= head.size and not signing.is_signed(payload, key, number, found.tree.root(number))
    ]
    for number, kind in forged:
        what = f"entry {number} ({kind!r:.20}) takes something away or lifts a protection, and the key did not sign it"
        report.faults.append(Fault(ENTRIES, what))
    numbers = {number for number, _ in forged}
    for path, (kind, number) in found.gone.items():
        if number in numbers and not (layout.root / path).exists():
            report.faults.append(
                Fault(path, f"is missing, and the {kind.upper()} entry that explains it is not signed")
            )


def settings_of(layout: Layout, report: Report) -> Settings | None:
    """Read `store.toml`, and check that it goes with its ledger."""
    try:
        settings = read_settings(layout)
    except AuditlogError as error:
        report.faults.append(Fault(SETTINGS, str(error)))
        return None
    if (settings.ledger_origin is None) != (settings.public_key is None):
        report.faults.append(Fault(SETTINGS, "names a ledger without a key, or a key without a ledger"))
    if settings.ledger_origin not in (None, keys.origin_of(settings.id)):
        report.faults.append(
            Fault(SETTINGS, f"its ledger {settings.ledger_origin!r} is not that of its id {settings.id!r}")
        )
    return settings


def key_of(settings: Settings | None, given: VerifierKey | None, report: Report) -> VerifierKey | None:
    """Give the key to trust: the one that was given, else the store's own."""
    try:
        own = keys.public_key(settings) if settings is not None else None
    except FormatError as error:
        report.faults.append(Fault(SETTINGS, f"public_key: {error}"))
        own = None
    if given is None:
        return own
    if own is not None and own.public != given.public:
        report.faults.append(Fault(SETTINGS, "names another key than the one that you trust"))
    return given


def head_of(layout: Layout, report: Report) -> Checkpoint | None:
    """Read the checkpoint; what is wrong with it is a fault."""
    try:
        return keys.read_checkpoint(layout)
    except (StoreError, FormatError) as error:
        report.faults.append(Fault(CHECKPOINT, str(error)))
        return None


def _follow(found: Scan, entry: dict[str, Any], number: int, faults: list[Fault]) -> None:
    """Follow what an entry says of segments."""
    name = ENTRIES
    before, kind = set(found.live), str(entry["type"])
    fresh: dict[str, Segment] = {}
    try:
        taken = [*entry.get("replaces", ()), *(gone["path"] for gone in entry.get("removes", ()))]
        apply(fresh, found.sources, {**entry, "replaces": (), "removes": ()}, name)
        found.lost += sum(int(gap["lost"]) for gap in entry.get("gaps", ()))
    except (StoreError, KeyError, TypeError, ValueError) as error:
        faults.append(Fault(name, f"entry {number} does not say what it must: {error}"))
        return
    for path in taken:
        if path not in before:
            faults.append(Fault(name, f"entry {number} takes away {path!r}, which was not there"))
        else:
            found.gone[path] = (kind, number)
            del found.live[path]
    for path, segment in fresh.items():
        if path in found.listed:
            faults.append(Fault(name, f"entry {number} lists {path!r} a second time"))
        if kind == "seal":
            found.first_hand.add(path)
        found.live[path] = found.listed[path] = segment
    if entry.get("replaces") and "segments" in entry:
        rows = sum(found.listed[path].rows for path in entry["replaces"] if path in found.listed)
        if rows != sum(segment.rows for segment in fresh.values()):
            faults.append(Fault(name, f"entry {number} replaces {rows} rows by another number of rows"))
    for path in entry.get("replaces", ()):
        if path in found.gone and path not in fresh:
            found.replaced[path] = tuple(fresh)
    if kind == "anchor":
        found.anchors.append(entry)
