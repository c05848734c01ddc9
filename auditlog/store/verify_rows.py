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
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from auditlog.errors import AuditlogError
from auditlog.store.evidence import leaves_of
from auditlog.store.layout import Layout
from auditlog.store.ledger import Segment
from auditlog.store.merkle import HASH_BYTES, tree_root
from auditlog.store.segment import read_tables
from auditlog.store.verdict import Fault, Report
from auditlog.store.verify_files import Progress
from auditlog.store.verify_ledger import Scan

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


def check_rows(layout: Layout, found: Scan, report: Report, jobs: int, progress: Progress) -> None:
    """Make every row of every live segment again, and compare it with what the ledger lists."""
    faulty = {fault.path for fault in report.faults}
    live = [segment for segment in found.live.values() if segment.path not in faulty]
    moved: dict[str, dict[int, bytes]] = {}
    done, total = 0, sum(segment.rows for segment in live)
    with _mapper(jobs if total > _FEW_ROWS else 1) as over:
        tasks = [(segment, groups) for segment in live for groups in _groups(layout.root / segment.path)]
        pieces = over(partial(_piece, layout.root), [(segment.path, groups) for segment, groups in tasks])
        waiting: list[Piece] = []
        for number, ((segment, _), piece) in enumerate(zip(tasks, pieces, strict=True)):
            waiting.append(piece)
            done += len(piece.leaves) // HASH_BYTES
            progress(done, total)
            if number + 1 == len(tasks) or tasks[number + 1][0] is not segment:
                _check_segment(segment, waiting, moved, report)
                waiting = []
    _check_moved(found, moved, report)


def _check_segment(
    segment: Segment, pieces: list[Piece], moved: dict[str, dict[int, bytes]], report: Report
) -> None:
    wrong = next((piece.wrong for piece in pieces if piece.wrong is not None), None)
    if wrong is not None:
        report.faults.append(Fault(segment.path, wrong))
        return
    leaves = [leaf for piece in pieces for leaf in _split(piece.leaves)]
    if len(leaves) != segment.rows:
        report.faults.append(
            Fault(segment.path, f"has {len(leaves)} rows, and the ledger says {segment.rows}")
        )
    elif tree_root(leaves).hex() != segment.root:
        report.faults.append(Fault(segment.path, "its rows are not those that were sealed: the root differs"))
    at = 0
    for piece in pieces:
        for origin, places in piece.origins:
            held = moved.setdefault(origin, {}) if origin else {}
            for place in places:
                held[place] = leaves[at]
                at += 1


def _check_moved(found: Scan, moved: dict[str, dict[int, bytes]], report: Report) -> None:
    """Check that the rows of each segment that was replaced are all somewhere, and are those that were sealed."""
    for path in sorted(moved.keys() - found.first_hand):
        report.faults.append(Fault(path, "rows say that they were sealed there, and no SEAL entry lists it"))
    for path in sorted(found.first_hand & found.gone.keys()):
        segment, held = found.listed[path], moved.get(path, {})
        if sorted(held) != list(range(segment.rows)):
            if found.heirs(path) <= found.live.keys():
                where = ", ".join(sorted(found.heirs(path)))
                report.faults.append(
                    Fault(path, f"{segment.rows} rows were sealed there, and {len(held)} are left in {where}")
                )
        elif tree_root(held[place] for place in range(segment.rows)).hex() != segment.root:
            where = ", ".join(sorted(found.heirs(path)))
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


def _split(leaves: bytes) -> list[bytes]:
    return [leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES)]


@contextmanager
def _mapper(jobs: int) -> Iterator[Any]:
    if jobs == 1:
        yield map
        return
    # A fork would take over pyarrow's threads, which do not survive one.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield pool.map
