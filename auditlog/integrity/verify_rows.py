"""Verifies the rows of a store against their content: what `verify --deep` adds.

The rules:

1. Every row's leaf is made again of its entry, its salts and its content, or of the commitments that stand where content was
   erased; a segment's root is made again of its rows' leaves, and has to be the one that the ledger lists.
2. Every column is derived again from the same bytes.
3. Rows that were moved, by compaction or erasure, say where they were first sealed: the root of that segment is made again
   of them, wherever they are now, and has to be the one that its SEAL entry lists.
4. Rows are read a few row groups at a time, by as many processes as there are processors; what comes back is hashes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from auditlog.errors import AuditlogError
from auditlog.integrity.verdict import Fault, Report
from auditlog.integrity.verify_files import Progress
from auditlog.integrity.verify_ledger import Scan
from auditlog.layout import Layout
from auditlog.ledger.ledger import Segment
from auditlog.ledger.merkle import HASH_BYTES, Frontier, tree_root
from auditlog.sealing.evidence import leaves_of
from auditlog.sealing.segment import read_tables

_FEW_ROWS = 20_000
"""So many are made again sooner than processes are started."""
_GROUPS = 4
"""How many row groups a process takes at a time."""


class Piece(NamedTuple):
    """What some row groups of a segment came to."""

    leaves: bytes
    """The leaf hashes, one behind the other."""
    origins: tuple[tuple[str, tuple[int, ...]], ...]
    """Where the rows were first sealed: the segment, empty for this one, and the rows' places in it, in order."""
    wrong: str | None


@dataclass(slots=True)
class _Moved:
    """The rows of one segment that were found where they are now."""

    leaves: bytearray
    """The leaf hashes, each in its row's place."""
    seen: bytearray
    """A one for each row that was found."""

    @property
    def left(self) -> int:
        """How many were found."""
        return sum(self.seen)


def check_rows(layout: Layout, found: Scan, report: Report, jobs: int, progress: Progress) -> None:
    """Make every row of every live segment again, and compare it with what the ledger lists."""
    faulty = {fault.path for fault in report.faults}
    live = [segment for segment in found.live.values() if segment.path not in faulty]
    moved: dict[str, _Moved] = {}
    done, total = 0, sum(segment.rows for segment in live)
    with _mapper(jobs if total > _FEW_ROWS else 1) as over:
        tasks = [(segment, groups) for segment in live for groups in _groups(layout.root / segment.path)]
        pieces = over(partial(_piece, layout.root), [(segment.path, groups) for segment, groups in tasks])
        tree, wrong = Frontier(), None
        for number, ((segment, _), piece) in enumerate(zip(tasks, pieces, strict=True)):
            wrong = wrong or piece.wrong or _take_in(found, piece, tree, moved)
            done += len(piece.leaves) // HASH_BYTES
            progress(done, total)
            if number + 1 == len(tasks) or tasks[number + 1][0] is not segment:
                wrong = wrong or _difference(segment, tree)
                report.faults += [Fault(segment.path, wrong)] if wrong is not None else []
                tree, wrong = Frontier(), None
    _check_moved(found, moved, faulty, report)


def _take_in(found: Scan, piece: Piece, tree: Frontier, moved: dict[str, _Moved]) -> str | None:
    """Add a piece's leaves to its segment's tree, and to those in which they were first sealed; say what is wrong."""
    at = 0
    for origin, places in piece.origins:
        sealed = found.listed.get(origin) if origin in found.first_hand else None
        if origin and sealed is None:
            return f"rows say that they were sealed in {origin!r}, and no SEAL entry lists it"
        rows = sealed.rows if sealed is not None else 0
        if sealed is not None and origin not in moved:
            moved[origin] = _Moved(bytearray(rows * HASH_BYTES), bytearray(rows))
        for place in places:
            leaf = piece.leaves[at : at + HASH_BYTES]
            tree.add(leaf)
            at += HASH_BYTES
            if sealed is None:
                continue
            if place is None or not 0 <= place < rows:
                return f"a row says that it was row {place} of {origin!r}, which has {rows}"
            held = moved[origin]
            held.leaves[place * HASH_BYTES : (place + 1) * HASH_BYTES] = leaf
            held.seen[place] = 1
    return None


def _difference(segment: Segment, tree: Frontier) -> str | None:
    """Say how a segment's rows differ from what the ledger lists; None where they do not."""
    if tree.size != segment.rows:
        return f"has {tree.size} rows, and the ledger says {segment.rows}"
    if tree.root().hex() != segment.root:
        return "its rows are not those that were sealed: the root differs"
    return None


def _check_moved(found: Scan, moved: dict[str, _Moved], faulty: set[str], report: Report) -> None:
    """Check that the rows of each segment that was replaced are all somewhere, and are those that were sealed."""
    for path in sorted(found.first_hand & found.gone.keys()):
        heirs = found.heirs(path)
        if path in heirs or heirs & faulty or not heirs <= found.live.keys():
            # It was removed, or its heirs were, or they are at fault themselves.
            continue
        segment, held, where = found.listed[path], moved.get(path), ", ".join(sorted(heirs))
        left = held.left if held is not None else 0
        if held is None or left != segment.rows:
            report.faults.append(
                Fault(path, f"{segment.rows} rows were sealed there, and {left} are left in {where}")
            )
        elif tree_root(_split(bytes(held.leaves))).hex() != segment.root:
            report.faults.append(
                Fault(path, f"the rows that {where} holds of it are not those that were sealed")
            )


def _piece(root: Path, task: tuple[str, list[int]]) -> Piece:
    """Make the leaves of some row groups of a segment."""
    path, groups = task
    leaves: list[bytes] = []
    origins: list[tuple[str, tuple[int, ...]]] = []
    try:
        for table in read_tables(root / path, None, groups):
            made, changed = leaves_of(table)
            if changed is not None:
                span = table.column("span_id")[changed].as_py()
                return Piece(
                    b"",
                    (),
                    f"row {changed} of row group {groups[0]} or behind, span {span!r}, "
                    "is not what its leaf was made of",
                )
            leaves += made
            origins += _origins(table.select(["origin", "origin_row"]).to_pylist())
    except AuditlogError as error:
        return Piece(b"", (), str(error))
    return Piece(b"".join(leaves), tuple(origins), None)


def _origins(rows: list[dict[str, Any]]) -> list[tuple[str, tuple[int, ...]]]:
    found: list[tuple[str, list[int]]] = []
    for row in rows:
        origin = row["origin"] or ""
        if not found or found[-1][0] != origin:
            found.append((origin, []))
        found[-1][1].append(row["origin_row"])
    return [(origin, tuple(places)) for origin, places in found]


def _groups(path: Path) -> Iterator[list[int]]:
    """Share a file's row groups out."""
    try:
        count = pq.read_metadata(path).num_row_groups
    except (OSError, ValueError):
        count = 0
    for at in range(0, max(count, 1), _GROUPS):
        yield list(range(at, min(at + _GROUPS, count)))


def _split(leaves: bytes) -> Iterator[bytes]:
    return (leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES))


@contextmanager
def _mapper(jobs: int) -> Iterator[Any]:
    if jobs == 1:
        yield map
        return
    # A fork would take over pyarrow's threads, which do not survive one.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map
