"""Verifies the files of a store against its ledger.

The rules:

1. A live segment is a regular file of the size and SHA-256 that the ledger lists.
2. What else lies in `segments/` is a fault, unless something unfinished explains it: a draft, a file whose journal is still
   there, or one that a signed entry took away and that was not removed yet.
3. A journal file that is sealed and still there is a note. One that is damaged in the middle is a fault; what is not
   sealed yet, nothing vouches for.
4. Files are hashed by several threads, in pieces: memory stays bounded.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from auditlog.errors import AuditlogError, StoreError
from auditlog.integrity.verdict import Fault, Report
from auditlog.integrity.verify_ledger import Scan
from auditlog.journal import MAGIC, read_frames, spill, tail_of
from auditlog.layout import Layout, refuse_irregular
from auditlog.ledger.ledger import Segment
from auditlog.sealing.scan import JournalFile, journal_files

Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""

_PIECE = 1 << 20
_DRAFT_SUFFIX = ".draft"
_REWRITTEN = re.compile(r".+-[cpe][0-9]+\.parquet")


def check_segments(
    layout: Layout, live: Iterable[Segment], report: Report, threads: int, progress: Progress
) -> None:
    """Check that every live segment is there, and is what was sealed."""
    segments = list(live)
    total, done = sum(segment.bytes for segment in segments), 0
    with ThreadPoolExecutor(threads) as pool:
        for segment, wrong in zip(
            segments, pool.map(lambda s: _wrong(layout.root, s), segments), strict=True
        ):
            if wrong is not None:
                report.faults.append(Fault(segment.path, wrong))
            done += segment.bytes
            progress(done, total)
    report.segments, report.bytes = len(segments), total
    report.rows = sum(segment.rows for segment in segments)


def check_unlisted(layout: Layout, found: Scan, report: Report) -> None:
    """Look for files in `segments/` that the ledger does not list."""
    places = (layout.journal, *spill.directories(layout.journal))
    there = _files(layout.segments)
    # After the segments: one that was made meanwhile has its journal beside it until the ledger lists it.
    unsealed = {path.name.removesuffix(".wal") for place in places for path in _names(place)}
    left: dict[str, int] = {}
    for path in there:
        name = str(path.relative_to(layout.root))
        if name in found.live:
            continue
        if name in found.gone:
            left[found.gone[name][0]] = left.get(found.gone[name][0], 0) + 1
        elif path.suffix == _DRAFT_SUFFIX or path.stem in unsealed - found.sources or _is_rewritten(path):
            report.notes.append(f"{name} was not finished; sealing again clears it")
        else:
            report.faults.append(Fault(name, "is not listed in the ledger"))
    for kind, count in sorted(left.items()):
        report.notes.append(f"{count} files that a {kind.upper()} entry took away are still there")


def check_journals(layout: Layout, found: Scan, report: Report) -> None:
    """Look at the journal: what is sealed and still there, what is not sealed, what is damaged."""
    try:
        files = journal_files(layout.journal)
    except StoreError as error:
        report.faults.append(Fault("journal", str(error)))
        return
    sealed = [file for file in files if file.stem in found.sources]
    waiting = [file for file in files if file.stem not in found.sources]
    if sealed:
        report.notes.append(f"{len(sealed)} journal files are sealed and still there; sealing removes them")
    if waiting:
        report.notes.append(f"{len(waiting)} journal files are not sealed yet, and nothing vouches for them")
    for file in waiting:
        wrong = _hole(file)
        if wrong is not None:
            report.faults.append(Fault(f"journal/{file.path.name}", wrong))


def _wrong(root: Path, segment: Segment) -> str | None:
    """Say what is wrong with a sealed file; None where it is what the ledger lists."""
    path = root / segment.path
    try:
        size = refuse_irregular(path)
    except StoreError as error:
        return "is missing" if not os.path.lexists(path) else str(error)
    if size != segment.bytes:
        return f"has {size} bytes, and the ledger says {segment.bytes}"
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if digest.hexdigest() == segment.sha256 else "its SHA-256 is not the one that was sealed"


def _hole(file: JournalFile) -> str | None:
    """Say where a journal file is damaged; None where it is whole, or only its end is torn."""
    end = 0
    try:
        for frame in read_frames(file.path):
            end = frame.end
        if file.live or not tail_of(file.path, end).torn_bytes:
            return None
        with file.path.open("rb") as data:
            data.seek(end + 1)
            behind = data.read()
    except (OSError, AuditlogError):
        return None
    return f"damaged at byte {end}, and records follow the damage" if MAGIC in behind else None


def _is_rewritten(path: Path) -> bool:
    """Say whether a file has the name of one that compacting, pruning or erasing made, and died before it was listed."""
    return _REWRITTEN.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def _files(directory: Path) -> list[Path]:
    """Give everything below a directory that is no directory, following no symlink."""
    found = []
    for parent, folders, names in os.walk(directory):
        found += [Path(parent, name) for name in names]
        found += [Path(parent, name) for name in folders if Path(parent, name).is_symlink()]
    return sorted(found)


def _names(directory: Path) -> list[Path]:
    try:
        return [path for path in directory.iterdir() if stat.S_ISREG(path.lstat().st_mode)]
    except OSError:
        return []
