"""Looks at a store's journal: who writes it, what waits in it, what it could not keep, and what went elsewhere.

The rules:

1. As in `checkup`: findings and no errors, and the store stays as it was.
2. Each thing that a GAP record counts is told with its number, its reasons and what `on_failure` made of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from auditlog.cli.checkup import Finding
from auditlog.wording import many

_HEALTH = "Look at the disk's room and health."
_OLD_SECONDS = 3600.0
_COUNTED = (
    ("lost", "wrong", "{} could not be written while recording"),
    ("unsure", "wrong", "{} may be missing: a sync failed, or their file was moved away"),
    ("late", "wrong", "{} not on the disk in time, though `durable=True` waits for it"),
    ("refused", "note", "{} refused by on_failure=fail_closed"),
    ("rewritten", "note", "{} written a second time, as their file did not sync or was deleted"),
)
_NOUNS = {"late": "turn", "refused": "call"}


def journals(root: Path) -> Iterator[Finding]:
    """Look at the journal of the store at a path."""
    from auditlog.journal.file import BALLAST_SUFFIX
    from auditlog.sealing.scan import journal_files
    from auditlog.sealing.seal import KEPT_SUFFIX

    files = journal_files(root / "journal")
    live = [file for file in files if file.live]
    finished = [file for file in files if not file.live]
    if live:
        yield Finding("ok", "journal", f"{many(len(live), 'process', 'processes')} recording")
    if finished:
        sizes = [_stat(file.path) for file in finished]
        oldest = min(written for _, written in sizes)
        text = f"{many(len(finished), 'finished file')} not sealed yet ({sum(size for size, _ in sizes) / 2**20:.1f} MB)"
        if time.time() - oldest > _OLD_SECONDS:
            text += f", the oldest for {(time.time() - oldest) / 3600:,.0f} h: nobody writes it, and nobody seals it"
        yield Finding("note", "journal", text, "`auditlog seal` seals them.")
    for file in live:
        young = time.time() - file.created_ns / 1e9 < 1
        if not young and file.path.exists() and not file.path.with_suffix(BALLAST_SUFFIX).exists():
            yield Finding(
                "wrong",
                "journal",
                f"{file.path.name}: no ballast file keeps room for what a full disk makes it lose",
                "Make room on the disk; the process that records makes the ballast again.",
            )
    for file in files:
        yield from _read(file.path, live=file.live)
    for kept in sorted((root / "journal").glob(f"*{KEPT_SUFFIX}")):
        text = f"{kept.name}: records behind damage were kept for whoever can mend them"
        yield Finding("wrong", "journal", text, _HEALTH)
    yield from _spilled(root)


def gaps_told(subject: str, head: str, gaps: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Say what GAP records count.

    Args:
        subject: of the findings.
        head: what the text begins with, such as a file's name.
        gaps: the records' entries, or what the ledger keeps of them.
    """
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    policies: set[str] = set()
    for gap in gaps:
        counts.update({name: n for name, _, _ in _COUNTED if isinstance(n := gap.get(name), int)})
        told = gap.get("reasons")
        named = told if isinstance(told, dict) else {gap.get("reason"): gap.get("lost")}
        reasons.update({str(name): n for name, n in named.items() if isinstance(n, int)})
        policies |= {str(gap["policy"])} if gap.get("policy") else set()
    why = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common(5))
    by = f"; on_failure={' / '.join(sorted(policies))}" if policies else ""
    for name, grade, text in _COUNTED:
        if counts[name]:
            thing = many(counts[name], _NOUNS.get(name, "record"))
            yield Finding(
                grade, subject, f"{head}{text.format(thing)} ({why}{by})", _HEALTH if grade == "wrong" else ""
            )


def _read(path: Path, *, live: bool) -> Iterator[Finding]:
    from auditlog.journal import read_frames, tail_of
    from auditlog.journal.frames import told_by

    end, found, unreadable = 0, [], 0
    try:
        for frame in read_frames(path):
            end = frame.end
            entry = told_by(frame.payload)
            unreadable += not entry
            if entry.get("type") == "gap":
                found.append(entry)
        torn = tail_of(path, end).torn_bytes
    except FileNotFoundError:
        return
    yield from gaps_told("journal", f"{path.name}: ", found)
    if unreadable:
        yield Finding("wrong", "journal", f"{path.name}: {many(unreadable, 'frame')} hold no record", _HEALTH)
    if torn and not live:
        yield Finding(
            "note",
            "journal",
            f"{path.name}: {torn} torn bytes behind the last record of a process that died",
            "`auditlog seal` keeps what is before them.",
        )


def _spilled(root: Path) -> Iterator[Finding]:
    from auditlog.journal import spill

    journal = root / "journal"
    reached = spill.directories(journal)
    named = len(list(journal.glob(f"*{spill.POINTER_SUFFIX}")))
    for directory in reached:
        sizes = [_stat(path)[0] for path in directory.glob("*.wal")]
        if sizes:
            yield Finding(
                "note",
                "spill",
                f"{directory} holds {many(len(sizes), 'file')} ({sum(sizes) / 2**20:.1f} MB) that the journal did not take",
                "Look at the disk of the store; `auditlog seal` takes them in.",
            )
    if named > len(reached):
        yield Finding(
            "wrong",
            "spill",
            f"{many(named - len(reached), 'spill directory')} that recording may have used cannot be reached",
            "Mount it, so that `auditlog seal` takes in what is there; where it is gone for good, remove `journal/*.spill`.",
        )


def _stat(path: Path) -> tuple[int, float]:
    """Give a file's size and when it was written; a file that is sealed meanwhile has neither."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, time.time()
    return found.st_size, found.st_mtime
