"""Brings a store of an older format to the present one.

The rules:

1. One function a step, `v1_to_v2`; each step knows the format that it reads in a module of its own.
2. The new store is made whole beside the old one, synced, and put in its place in one exchange of names. Whatever dies in
   between leaves the old store readable or the new one complete; running again goes on.
3. The old store stays beside it, under a name that says its format, until somebody removes it.
4. Evidence is verified while it is read. Where some does not hold nothing is migrated, unless whoever migrates says so;
   then what does not hold is left out, and the ledger says how much.
5. The new ledger begins with a MIGRATE entry: what the old one listed, with its roots, and the SHA-256 of the old ledger,
   which stays in `ledger/v1/`.
6. Nobody may write meanwhile: a store with a live writer is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auditlog.errors import FormatError, StoreError
from auditlog.journal import is_live, read_frames
from auditlog.keeping import v1
from auditlog.layout import FORMAT, Layout, refuse_symlinks, sync_directory
from auditlog.ledger.entries import frame_of
from auditlog.ledger.ledger import Segment, append_entry, listed
from auditlog.record import Record, encode_record
from auditlog.sealing import rows
from auditlog.sealing.merge import Located, MergedSpan
from auditlog.sealing.segment import write_tables

Progress = Callable[[int, int], None]

_FORMAT_LINE = re.compile(r"^format\s*=\s*(\d+)\s*$", re.MULTILINE)
_MOST_NAMED = 50
_EXCHANGE = 2


@dataclass(slots=True)
class MigrateReport:
    """What a migration did, or would do."""

    before: int
    """The format that was found."""
    segments: int = 0
    spans: int = 0
    journals: int = 0
    records: int = 0
    faults: list[str] = field(default_factory=list)
    """What did not verify."""
    kept: Path | None = None
    """Where the old store is now."""


def format_of(root: Path) -> int:
    """Give the format of a store of any version.

    Raises:
        StoreError: there is none.
        FormatError: its settings do not say.
    """
    path = root / "store.toml"
    try:
        found = _FORMAT_LINE.search(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{root} is not a store (it has no store.toml). Name another path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}.") from None
    if found is None:
        raise FormatError(f"{path} does not say its format. Put it back from a copy of the store.")
    return int(found[1])


def migrate(
    path: Path | str,
    *,
    dry_run: bool = False,
    despite_damage: bool = False,
    progress: Progress = lambda _done, _all: None,
) -> MigrateReport:
    """Bring a store to the present format.

    Args:
        path: the store.
        dry_run: verify and count only.
        despite_damage: migrate although something does not verify.
        progress: told how many sealed files are done, of how many.

    Returns:
        What was done; with faults and without `kept` nothing was.

    Raises:
        StoreError: it is no store, somebody writes into it, or the file system refuses.
        FormatError: its format is newer than this version.
    """
    root = Path(path).absolute()
    _recover(root)
    found = format_of(root)
    if found > FORMAT:
        raise FormatError(
            f"{root} has format {found}, and this version knows {FORMAT}. Upgrade auditlog-replay."
        )
    if found == FORMAT:
        return MigrateReport(found)
    old = Layout(root)
    refuse_symlinks(old)
    with _alone(old):
        report, draft = MigrateReport(found), None if dry_run else _draft(root)
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        try:
            v1_to_v2(
                old, None if draft is None else Layout(draft), report, progress, despite_damage=despite_damage
            )
            if draft is None or (report.faults and not despite_damage):
                return report
            report.kept = _swap(root, draft)
        finally:
            if draft is not None and report.kept is None:
                shutil.rmtree(draft, ignore_errors=True)
    return report


def v1_to_v2(
    old: Layout, new: Layout | None, report: MigrateReport, progress: Progress, *, despite_damage: bool
) -> None:
    """Make a store of format 2 out of one of format 1; with no place to make it, only verify."""
    ledger = v1.read_ledger(old.entries)
    made: list[Segment] = []
    if new is not None:
        _begin(old, new)
    for done, told in enumerate(ledger.segments):
        progress(done, len(ledger.segments))
        wrong = v1.file_fault(old.root, told)
        if wrong is not None:
            report.faults.append(f"{told.path}: {wrong}")
        if not (old.root / told.path).is_file():
            continue
        if wrong is not None and not despite_damage:
            continue
        try:
            segment = _segment(old, new, told, report)
        except StoreError as error:
            report.faults.append(str(error))
            continue
        made += [segment] if segment is not None else []
        report.segments += 1
    progress(len(ledger.segments), len(ledger.segments))
    for path in sorted(old.journal.glob("*")) if old.journal.is_dir() else ():
        if path.suffix == ".wal" and path.stem in ledger.writers:
            continue
        _journal(path, new, report)
    if new is None or (report.faults and not despite_damage):
        return
    entry = {
        "type": "migrate",
        "from": v1.FORMAT,
        "ledger_sha256": ledger.sha256,
        "ledger_entries": ledger.entries,
        "was": [told._asdict() for told in ledger.segments],
        "segments": [listed(segment) for segment in made],
        "sources": [{"writer": writer} for writer in ledger.writers],
        "faults": report.faults[:_MOST_NAMED],
        "fault_count": len(report.faults),
    }
    append_entry(new, entry)
    _sync_tree(new.root)


def _segment(old: Layout, new: Layout | None, told: v1.Listed, report: MigrateReport) -> Segment | None:
    """Migrate one sealed file; give the new one, or None where nothing is written."""
    reader = v1.SegmentReader(old.root / told.path)
    wrong: list[str] = []
    made: list[list[dict[str, Any]]] = []
    for batch in reader.batches():
        wrong += [f"{told.path}: {what} is not what was recorded" for row in batch for what in row.wrong]
        made.append([rows.sealed(rows.row(_merged(row))) for row in batch] if new is not None else [])
    if (reader.root, reader.leaves, reader.rows) != (told.root, told.leaves, told.rows):
        wrong.append(f"{told.path}: its entries do not make the root that was sealed")
    report.faults += wrong
    report.spans += reader.rows
    if new is None:
        return None
    return write_tables(new, Path(told.path).stem, told.day, lambda: map(rows.table, made))


def _merged(row: v1.Row) -> MergedSpan:
    return MergedSpan(_located(row.start), _located(row.end), row.turn_id, row.conversation_id, settled=True)


def _located(found: v1.Record | None) -> Located | None:
    return (
        None
        if found is None
        else Located(found.writer, found.sequence, Record(b"", found.entry, found.parts))
    )


def _journal(path: Path, new: Layout | None, report: MigrateReport) -> None:
    """Migrate one journal file, frame by frame; what is no record, and a torn tail, stay as they are."""
    if path.suffix != ".wal":
        if new is not None and path.is_file():
            shutil.copy2(path, new.journal / path.name)
        return
    report.journals += 1
    pieces, end = [], 0
    for frame in read_frames(path):
        end = frame.end
        payload = frame.payload
        try:
            record = v1.decode_record(payload)
        except FormatError as error:
            if "commits" in str(error):
                report.faults.append(f"journal/{path.name}: record {frame.sequence}: {error}")
        else:
            report.records += 1
            entry = {name: value for name, value in record.entry.items() if name not in ("v", "parts")}
            if entry["type"] == "open":
                entry["format"] = FORMAT
            payload = encode_record(entry, record.parts)
        pieces.append(frame_of(frame.sequence, payload))
    if new is None:
        return
    with path.open("rb") as file:
        file.seek(end)
        pieces.append(file.read())
    target = new.journal / path.name
    target.write_bytes(b"".join(pieces))
    target.chmod(0o600)
    times = path.stat()
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))


def _begin(old: Layout, new: Layout) -> None:
    for directory in (new.root, new.journal, new.segments, new.ledger, new.ledger / "v1"):
        directory.mkdir(mode=0o700)
    text = old.settings.read_text(encoding="utf-8")
    new.settings.write_text(_FORMAT_LINE.sub(f"format = {FORMAT}", text, count=1), encoding="utf-8")
    new.settings.chmod(0o600)
    if (old.root / "keys").is_dir():
        shutil.copytree(old.root / "keys", new.root / "keys")
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(old.entries, new.ledger / "v1" / "entries.log")


@contextlib.contextmanager
def _alone(old: Layout) -> Iterator[None]:
    """Hold the lock that sealers of format 1 hold, and refuse a store that somebody writes into.

    Raises:
        StoreError: somebody does.
    """
    old.ledger.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(old.ledger / "lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"Another process seals or migrates {old.root}. Try again when it is done."
            ) from None
        live = (
            [path.name for path in old.journal.glob("*.wal") if is_live(path)] if old.journal.is_dir() else []
        )
        if live:
            msg = (
                f"A process writes into {old.root} (journal/{live[0]}). Stop the agents that record there, migrate, and "
                "start them with this version."
            )
            raise StoreError(msg)
        yield
    finally:
        os.close(descriptor)


def _draft(root: Path) -> Path:
    return root.parent / f".{root.name}.format-{FORMAT}"


def _swap(root: Path, draft: Path) -> Path:
    """Put the new store in the old one's place; give where the old one is then."""
    kept = _kept(root)
    try:
        if _exchange(root, draft):
            sync_directory(root.parent)
            draft.rename(kept)
        else:
            # Without an exchange there is a moment with neither; `_recover` ends it.
            root.rename(kept)
            draft.rename(root)
        sync_directory(root.parent)
    except OSError as error:
        msg = f"{root} cannot be put in place: {error.strerror}. The old store is in {root} or {kept}; migrate again."
        raise StoreError(msg) from None
    return kept


def _recover(root: Path) -> None:
    """Finish what an interrupted migration left undone."""
    draft = _draft(root)
    if not (draft / "store.toml").is_file():
        return
    kept = _kept(root, latest=True)
    if not root.exists() and format_of(draft) == FORMAT and kept.is_dir():
        draft.rename(root)
        sync_directory(root.parent)
    elif root.exists() and format_of(root) == FORMAT and format_of(draft) < FORMAT:
        draft.rename(_kept(root))
        sync_directory(root.parent)


def _kept(root: Path, *, latest: bool = False) -> Path:
    """Give a free name for the old store, or the last one that is taken."""
    first = root.parent / f"{root.name}.format-{v1.FORMAT}"
    taken = first
    for number in range(2, 1000):
        candidate = first if number == 2 else first.with_name(f"{first.name}.{number - 1}")
        if not candidate.exists():
            return taken if latest else candidate
        taken = candidate
    raise StoreError(f"{first} and hundreds like it are there already. Remove some.")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step, where the system can."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return rename(-100, os.fsencode(one), -100, os.fsencode(other), _EXCHANGE) == 0


def _sync_tree(root: Path) -> None:
    """Make a whole directory survive a power cut."""
    for directory, _, names in os.walk(root):
        for name in names:
            descriptor = os.open(Path(directory, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_directory(Path(directory))
    sync_directory(root.parent)
