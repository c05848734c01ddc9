"""Verifies a store: what a stranger can tell of it with a public key and a checkpoint.

The rules:

1. Nothing is written, and nothing is needed but the store's files: a read-only copy will do. No cache is used.
2. The ledger is verified first, then the files against it, then, where that is asked for, every row against its content.
3. A checkpoint from outside has to be a beginning of this ledger: of its origin, signed by its key, with its root at that size.
4. When the ledger grows or a sealed file is replaced meanwhile, what was found wrong is looked at again.
5. Everything that is wrong is told, not only the first.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditlog.errors import AuditlogError, FormatError, StoreError
from auditlog.integrity.verdict import Anchor, Fault, Report
from auditlog.integrity.verify_files import Progress, check_journals, check_segments, check_unlisted
from auditlog.integrity.verify_ledger import (
    CHECKPOINT,
    ENTRIES,
    SETTINGS,
    Scan,
    check_head,
    head_of,
    key_of,
    scan,
    settings_of,
)
from auditlog.layout import Layout, Settings, find, read_settings, refuse_symlinks
from auditlog.ledger import anchors, keys, signing
from auditlog.ledger import cache as ledger_cache
from auditlog.ledger.ledger import Ledger, read_ledger, state_of
from auditlog.ledger.merkle import Frontier
from auditlog.ledger.note import ED25519, Checkpoint, VerifierKey

_TRIES = 3


def place(path: Path | str) -> Layout:
    """Give the store at a path, whatever state its settings are in.

    Raises:
        StoreError: there is none.
    """
    layout = Layout(Path(path).absolute())
    if os.path.lexists(layout.settings) or os.path.lexists(layout.entries):
        return layout
    return find(path)


def key_from_pem(path: Path | str, text: str) -> VerifierKey:
    """Make a verifier key of a public key in PEM; its name is the origin that the store at a path claims.

    Raises:
        FormatError: it is no Ed25519 key, or the store names no ledger.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(text.encode())
    except (ValueError, TypeError) as error:
        raise FormatError(f"That is no public key: {error}") from None
    if not isinstance(public, Ed25519PublicKey):
        raise FormatError("That is no Ed25519 key, and the ledger is signed with no other.")
    settings = read_settings(place(path))
    return VerifierKey(
        settings.ledger_origin or keys.origin_of(settings.id), ED25519, public.public_bytes_raw()
    )


def verify(
    layout: Layout,
    *,
    known: Sequence[Checkpoint] | None = None,
    key: VerifierKey | None = None,
    deep: bool = False,
    jobs: int | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Report:
    """Verify a store.

    Args:
        layout: the store.
        known: checkpoints from outside; where they are given, at least one has to be of this ledger.
        key: the key to trust; the store's own where it is None.
        deep: make every row's leaf again from its content, and its columns from the same bytes.
        jobs: how many threads or processes; as many as there are processors where it is None.
        progress: told how many bytes, or rows, are done.
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    for _ in range(_TRIES):
        report = Report(deep=deep)
        found = _verify(layout, report, known, key, jobs, progress)
        if deep and found.whole:
            from auditlog.integrity.verify_rows import check_rows
            from auditlog.sealing import content_key

            content_key.require(layout.root, "Making every row again")
            check_rows(layout, found, report, jobs, progress)
        if not report.faults or _size(layout) == found.size:
            break
    report.faults = list(dict.fromkeys(report.faults))
    report.conclude()
    return report


def _verify(
    layout: Layout,
    report: Report,
    known: Sequence[Checkpoint] | None,
    given: VerifierKey | None,
    jobs: int,
    progress: Progress,
) -> Scan:
    try:
        refuse_symlinks(layout)
    except StoreError as error:
        report.faults.append(Fault(".", str(error)))
        return Scan(whole=False)
    settings = settings_of(layout, report)
    key = key_of(settings, given, report)
    # Before the entries: what is appended meanwhile is behind it.
    head = head_of(layout, report)
    report.origin = _origin(settings, head)
    cached = ledger_cache.load(layout.cache)
    found = _scan(layout, report, cached["count"] if cached is not None else None)
    report.entries, report.root = len(found.leaves), found.tree.root().hex()
    if found.lost:
        report.notes.append(f"{found.lost} records could not be written while recording")
    for kind, _ in found.gone.values():
        report.gone[kind] = report.gone.get(kind, 0) + 1
    if key is not None:
        report.key = str(key)
        if not any(fault.path == CHECKPOINT for fault in report.faults):
            check_head(layout, found, head, key, report)
        check_outside(layout, found, known, key, report)
    elif found.leaves or head is not None or known:
        report.faults.append(Fault(SETTINGS, "names no key, so that nothing shows who wrote the ledger"))
    if cached is not None and found.whole and not _is_of(cached, found):
        report.faults.append(Fault("cache/ledger.json", "does not say what the ledger says; remove it"))
    check_segments(layout, found.live.values(), report, jobs, progress)
    if found.whole:
        check_unlisted(layout, found, report)
        check_journals(layout, found, report)
    return found


@dataclass(frozen=True, slots=True)
class State:
    """What can be told of a ledger at a glance."""

    entries: int
    signed: int
    """How many of the entries the checkpoint covers."""
    signed_ns: int
    """When the last entry that it covers was written, nanoseconds since the epoch; 0 where there is none."""
    wrong: str | None
    """What is wrong; None where the signature and the tree are in order."""


def state(layout: Layout) -> State:
    """Tell a ledger's state at a glance: whether its head is signed, and is the head of its tree.

    It uses the cache, and looks at no segment: `verify` does.
    """
    try:
        settings = read_settings(layout)
        key, head = keys.public_key(settings), keys.read_checkpoint(layout)
        ledger = read_ledger(layout.entries)
        if key is None or head is None:
            lacks = "no key has signed it" if key is None else "its checkpoint is missing"
            return State(ledger.count, 0, 0, lacks if ledger.count or head is not None else None)
        if head.origin != settings.ledger_origin or not head.signers([key]):
            return State(ledger.count, 0, 0, "its checkpoint is not signed by its key")
        at_head = ledger.at(head.size)
        if at_head is not None and at_head[0] == head.root:
            signing.refuse_other_past(layout, ledger, head)
    except AuditlogError as error:
        return State(0, 0, 0, str(error))
    if at_head is None:
        short = f"it ends after {ledger.count} entries, and its checkpoint signs {head.size}"
        return State(ledger.count, head.size, 0, short)
    root, time_ns = at_head
    wrong = None if root == head.root else "its entries are not those that were signed"
    return State(ledger.count, head.size, time_ns, wrong)


def check_outside(
    layout: Layout,
    found: Scan,
    known: Sequence[Checkpoint] | None,
    key: VerifierKey,
    report: Report,
) -> None:
    """Compare what was seen outside with the ledger: the checkpoints that are given, and the anchors within reach."""
    seen = [("the known checkpoint", checkpoint) for checkpoint in known or ()]
    if known is not None and not any(checkpoint.origin == report.origin for checkpoint in known):
        report.divergences.append(f"no known checkpoint is one of this ledger, {report.origin}")
    for where, checkpoints, missing in anchors.reachable(layout, found.anchors):
        if missing is not None:
            report.notes.append(f"the anchor {where} is out of reach: {missing}")
        seen += [(where, checkpoint) for checkpoint in checkpoints]
    roots: dict[int, bytes] = {}
    for where, checkpoint in seen:
        if checkpoint.origin != report.origin:
            continue
        wrong = _difference(found, checkpoint, key)
        if wrong is None:
            report.anchors.append(Anchor(where, checkpoint.size))
        elif found.whole or checkpoint.size <= len(found.leaves):
            report.divergences.append(f"{where}: {wrong}")
        if roots.setdefault(checkpoint.size, checkpoint.root) != checkpoint.root:
            report.divergences.append(f"{where}: two roots were signed at size {checkpoint.size}")


def _difference(found: Scan, checkpoint: Checkpoint, key: VerifierKey) -> str | None:
    """Say how the ledger differs from a checkpoint; None where the checkpoint is a beginning of it."""
    size, count = checkpoint.size, len(found.leaves)
    try:
        if not checkpoint.signers([key]):
            return f"its checkpoint of {size} entries was signed by another key"
    except FormatError as error:
        return f"its checkpoint of {size} entries does not verify: {error}"
    if size > count:
        return f"it knows {size} entries, and the ledger has {count}: the rest was cut off"
    if found.tree.root(size) != checkpoint.root:
        return f"it knows other entries among the first {size} than the ledger has"
    return None


def _scan(layout: Layout, report: Report, keep: int | None) -> Scan:
    path = layout.entries
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return scan(b"", report, keep)
    except OSError as error:
        report.faults.append(Fault(ENTRIES, f"cannot be read: {error.strerror}"))
        return Scan(whole=False)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor has no path
        if not os.fstat(descriptor).st_size:
            return scan(b"", report, keep)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return scan(data, report, keep)


def _origin(settings: Settings | None, head: Checkpoint | None) -> str | None:
    if settings is not None:
        return settings.ledger_origin or keys.origin_of(settings.id)
    return head.origin if head is not None else None


def _is_of(cached: dict[str, Any], found: Scan) -> bool:
    """Say whether the cached state is what the entries come to."""
    try:
        count = cached["count"]
        if found.kept is None:
            return False
        frontier = Frontier(count, map(bytes.fromhex, cached["frontier"]))
        told = [list(segment) for segment in cached["segments"]]
        return (
            frontier.root() == found.tree.root(count)
            and told == state_of(Ledger(found.kept))["segments"]
            and found.sources.issuperset(cached["sources"])
        )
    except (KeyError, TypeError, ValueError):
        return False


def _size(layout: Layout) -> int:
    try:
        return layout.entries.stat().st_size
    except OSError:
        return 0
