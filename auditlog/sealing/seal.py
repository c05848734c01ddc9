"""Seals journal files into segments.

The rules:

1. One sealer at a time, by `ledger/seal.lock`; the second waits, or gives up when it is told not to wait.
2. A journal file is sealed when its writer is gone or has gone on to another file, and when each span that it leaves open
   is found in a later file of its process, or will not end: its process is gone, or has been silent for ten minutes.
3. The order is: segments in their places, the ledger's entry synced, the journal file unlinked. A crash between any two
   steps leaves a state that sealing again mends: an unlisted segment is removed and made again, a listed journal file is only
   unlinked. Files of one process that share spans share one entry, so that no crash comes between them.
4. Readers never look for a journal file that the ledger lists, so nothing shows twice; one that vanishes under them makes
   them look at the ledger again.
5. What was torn, lost, unreadable or doubled is counted in the ledger's entry and in the report. A file in which records
   follow the damage is renamed, not unlinked.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from auditlog.errors import StoreError
from auditlog.journal import MAGIC, boot_id, first_entry, spill, tail_of
from auditlog.journal.file import BALLAST_SUFFIX
from auditlog.journal.file import DRAFT_SUFFIX as JOURNAL_DRAFT_SUFFIX
from auditlog.journal.gap import Gap
from auditlog.layout import Layout, sync_directory
from auditlog.ledger import locks
from auditlog.ledger.ledger import Ledger, Segment, append_entry, read_ledger, seal_entry
from auditlog.sealing import content_key
from auditlog.sealing.batch import write_spans
from auditlog.sealing.merge import MergedSpan, Merger
from auditlog.sealing.scan import JournalFile, by_process, feed, journal_files
from auditlog.sealing.segment import DRAFT_SUFFIX

KEPT_SUFFIX = ".damaged"
"""The name of a journal file in which damage hides records: it is sealed up to there, and kept for whoever can mend it."""

LATE_SECONDS = 600.0
"""How long a file without a writer waits for the ENDs of spans left open, while its process seems to run."""


@dataclass(frozen=True, slots=True)
class Torn:
    """What followed the last whole frame of a file whose writer died."""

    writer: str
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SealReport:
    """What one sealing did."""

    sealed: tuple[str, ...] = ()
    """The journal files (stems) that are sealed."""
    segments: tuple[Segment, ...] = ()
    spans: int = 0
    incomplete: int = 0
    """Spans whose end was never recorded."""
    live: tuple[str, ...] = ()
    """Journal files that are still being written, or hold spans that may still end."""
    torn: tuple[Torn, ...] = ()
    gaps: tuple[Gap, ...] = ()
    duplicates: int = 0
    conflicts: int = 0
    unreadable: int = 0
    cleaned: tuple[str, ...] = ()
    """Journal files that an earlier, interrupted sealing had sealed but not unlinked."""
    busy: bool = False
    """Another process was sealing, and this one was told not to wait."""

    @property
    def lost(self) -> int:
        """Records that their writers could not write."""
        return sum(gap.lost for gap in self.gaps)


def seal(layout: Layout, *, wait: bool = True) -> SealReport:
    """Seal every journal file that may be sealed.

    Args:
        layout: the store.
        wait: whether to wait for another process that seals; otherwise the report says `busy`.

    Raises:
        StoreError: a file cannot be read or written; what was sealed before it stays sealed.
    """
    with locks.sealing(layout, wait=wait) as held:
        if not held:
            return SealReport(busy=True)
        try:
            content_key.require(layout.root, "Sealing")
            with _without_collecting():
                return _Sealing(layout).run()
        except OSError as error:
            msg = (
                f"{error.filename or layout.root} cannot be read or written: {error.strerror or error}. What is sealed stays "
                "sealed, and nothing was lost; seal again when it can."
            )
            raise StoreError(msg) from None


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Let the collector of cycles rest: sealing makes none, and it would look at every record again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Ready(NamedTuple):
    """A journal file that has been read, and may be sealed."""

    file: JournalFile
    end: int
    """The offset behind its last whole frame."""
    spans: list[MergedSpan]


class _Sealing:
    """One run of the sealer, under the lock."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ledger: Ledger = read_ledger(layout.entries)
        self._sealed: list[str] = []
        self._segments: list[Segment] = []
        self._live: list[str] = []
        self._torn: list[Torn] = []
        self._gaps: list[Gap] = []
        self._cleaned: list[str] = []
        self._emptied: set[Path] = set()
        self._counts = {"duplicates": 0, "conflicts": 0, "unreadable": 0}
        self._spans = self._incomplete = 0

    def run(self) -> SealReport:
        _remove_drafts(self._layout)
        files = []
        for file in journal_files(self._layout.journal):
            if file.stem in self._ledger.sources:
                self._unlink(file)
                self._cleaned.append(file.stem)
            else:
                files.append(file)
        # A segment whose journal a power cut took away would lie there for ever, listed by nobody.
        for directory in {file.path.parent for file in files}:
            sync_directory(directory)
        _remove_unlisted(self._layout, self._ledger, {file.stem for file in files})
        try:
            for group in by_process(files):
                self._seal_process(group)
        finally:
            # A journal that came back after a power cut would do no harm, but for what has been erased since.
            for directory in self._emptied:
                sync_directory(directory)
        return SealReport(
            sealed=tuple(self._sealed),
            segments=tuple(self._segments),
            spans=self._spans,
            incomplete=self._incomplete,
            live=tuple(self._live),
            torn=tuple(self._torn),
            gaps=tuple(self._gaps),
            cleaned=tuple(self._cleaned),
            **self._counts,
        )

    def _seal_process(self, files: list[JournalFile]) -> None:
        """Seal one process's files in order, until one that may still change.

        Files that hold parts of one span, or one of which was written again from another, share one entry of the ledger: were
        one of them sealed and the other not, what they share would show twice.
        """
        merger = Merger()
        together: list[_Ready] = []
        rewriters = _rewriters(files)
        for position, file in enumerate(files):
            later = files[position + 1 :]
            if file.live:
                return self._leave([*(ready.file for ready in together), *files[position:]])
            end = feed(merger, file)
            spans = merger.take()
            left = {_key(span): span for span in merger.unfinished() if span.home == file.stem}
            carried, ended = _seen_later(set(left), later) if left else (set(), set())
            unsure = left.keys() - carried - ended
            if unsure and is_recent(file) and (any(f.live for f in later) or process_lives(file)):
                return self._leave([*(ready.file for ready in together), *files[position:]])
            spans += [left[key] for key in unsure]
            # A START whose END is in a later file is part of that file's row.
            merger.forget(file.stem, keep=ended)
            together.append(_Ready(file, end, spans))
            last = max(rewriters.get(ready.file.stem, 0) for ready in together)
            if last <= position and next(merger.unfinished(), None) is None:
                self._seal_files(merger, together)
                together = []
        if together:
            self._seal_files(merger, together)
        return None

    def _leave(self, files: list[JournalFile]) -> None:
        self._live += [file.stem for file in files]

    def _seal_files(self, merger: Merger, together: list[_Ready]) -> None:
        sources: list[dict[str, Any]] = []
        segments: list[Segment] = []
        stems = {ready.file.stem for ready in together}
        gaps = [gap for gap in merger.gaps if gap.writer in stems]
        for file, end, spans in together:
            tail = tail_of(file.path, end)
            counts = {
                "duplicates": merger.duplicates.get(file.stem, 0),
                "conflicts": merger.conflicts.get(file.stem, 0),
                "unreadable": merger.unreadable.get(file.stem, 0),
            }
            if spans:
                segments += write_spans(self._layout, file.stem, spans)
            last, torn = merger.last_sequence(file.stem), tail.torn_bytes
            sources.append({"writer": file.stem, "first": 0, "last": last, "torn_bytes": torn, **counts})
            if torn:
                self._torn.append(Torn(file.stem, tail.offset, torn))
            for name, count in counts.items():
                self._counts[name] += count
            self._spans += len(spans)
            self._incomplete += sum(span.end is None for span in spans)
        entry = seal_entry(sources[0], segments, gaps)
        entry["sources"] = sources
        entry["gaps"] = [{**gap.told, **told} for gap, told in zip(gaps, entry["gaps"], strict=True)]
        self._ledger = append_entry(self._layout, entry, self._ledger)
        for file, end, _ in together:
            self._unlink(file, keep=_holds_frames(file.path, end))
            self._sealed.append(file.stem)
        self._segments += self._ledger.segments[len(self._ledger.segments) - len(segments) :]
        self._gaps += gaps

    def _unlink(self, file: JournalFile, *, keep: bool = False) -> None:
        with contextlib.suppress(OSError):
            file.path.with_suffix(BALLAST_SUFFIX).unlink()
        with contextlib.suppress(FileNotFoundError):
            if keep:
                file.path.rename(file.path.with_suffix(KEPT_SUFFIX))
            else:
                file.path.unlink()
        self._emptied.add(file.path.parent)


def is_recent(file: JournalFile) -> bool:
    """Say whether a file was written to lately; a process number alone is no proof of life across containers."""
    try:
        return time.time() - file.path.stat().st_mtime < LATE_SECONDS
    except FileNotFoundError:
        return False


def process_lives(file: JournalFile) -> bool:
    """Say whether the process that wrote a journal file still runs, as far as this machine can tell."""
    if file.boot != boot_id():
        return False
    try:
        os.kill(file.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    state, began_ns = _state_of(file.pid)
    # A zombie writes nothing more; and a process that began after the file was made only has the same number.
    return state not in ("Z", "X") and began_ns <= file.created_ns


def _state_of(pid: int) -> tuple[str, int]:
    """Give a process's state letter and when it began, in nanoseconds since the epoch; 0 where nobody tells."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = stat.rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        return fields[0], int((booted + since_boot) * 1e9)
    except (OSError, ValueError, IndexError, AttributeError):
        return "", 0


def _seen_later(
    keys: set[tuple[str, str]], files: list[JournalFile]
) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Give those of the keys whose START a later file holds too, and those of which it holds only the END."""
    carried: set[tuple[str, str]] = set()
    ended: set[tuple[str, str]] = set()
    for file in files:
        later = Merger()
        try:
            # What is carried stands at the beginning of the next file: few files are read further.
            feed(later, file, until=lambda later=later: keys <= later.started())
        except FileNotFoundError:
            continue
        carried |= keys & later.started()
        ended |= keys & later.keys()
        if keys <= carried | ended:
            break
    return carried, ended - carried


def _rewriters(files: list[JournalFile]) -> dict[str, int]:
    """Give the position of the last file that says that it was written again from a file, by that file's stem."""
    found = {}
    for position, file in enumerate(files):
        named = first_entry(file.path).get("rewrites")
        for stem in named if isinstance(named, list) else ():
            found[stem] = position
    return found


def _holds_frames(path: Path, end: int) -> bool:
    """Say whether anything behind a file's last whole frame, but for a first torn one, looks like another frame."""
    with path.open("rb") as file:
        file.seek(end + 1)
        return MAGIC in file.read()


def _key(span: MergedSpan) -> tuple[str, str]:
    entry = (span.start or span.end).record.entry  # type: ignore[union-attr]
    return entry["trace"], entry["span"]


def _remove_unlisted(layout: Layout, ledger: Ledger, stems: set[str]) -> None:
    """Remove what an interrupted sealing wrote: of what is left of the journals, the same files need not come again."""
    listed = {segment.path for segment in ledger.segments}
    for path in layout.segments.glob("day=*/*.parquet") if stems else ():
        if path.stem in stems and str(path.relative_to(layout.root)) not in listed:
            path.unlink(missing_ok=True)


def _remove_drafts(layout: Layout) -> None:
    for draft in layout.segments.glob(f"day=*/*{DRAFT_SUFFIX}"):
        with contextlib.suppress(OSError):
            draft.unlink()
    # A journal file that never got its name holds no acknowledged record; a young one may be about to get it.
    for place in (layout.journal, *spill.directories(layout.journal)):
        for left in (*place.glob(f"*{JOURNAL_DRAFT_SUFFIX}"), *place.glob(f"*{BALLAST_SUFFIX}")):
            with contextlib.suppress(OSError):
                if (
                    time.time() - left.stat().st_mtime > LATE_SECONDS
                    and not left.with_suffix(".wal").exists()
                ):
                    left.unlink()
