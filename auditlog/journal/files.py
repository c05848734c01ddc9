"""Which file takes the records: opening, changing over, mending. Everything here is under the writer's lock.

The rules:

1. A full disk is asked for room with the ballast: while there is none for it, there is none for records either, and what is
   missing is told in the room that it held.
2. A file that does not take a record for another reason is put away, and the record goes into a new one, once.
3. A file whose sync failed, or that was deleted or moved away, stays locked until its records are written again, so that
   nobody seals it alone; the new file's OPEN record names it.
4. From the spill directory the writer goes home as soon as the journal takes a file and its ballast.
5. A file has grown enough at `rotate_bytes`: the START records of open spans are carried into the next one, up to
   `CARRIED_BYTES`, and the old one may be sealed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from auditlog.journal.file import WalFile
from auditlog.journal.frames import told_by
from auditlog.journal.gap import Losses, reason_of
from auditlog.journal.policy import OnFailure
from auditlog.journal.syncing import PROBE_SECONDS, Syncer, Ticking
from auditlog.record import FORMAT, encode_record

CARRIED_BYTES = 1024 * 1024
RETRY_SECONDS = 0.05
RETRIES = 8
"""So many records in a row are tried at once; after them one every `RETRY_SECONDS`."""
HOME_SECONDS = 1.0
MOST_TELL_SECONDS = 600.0

_FULL = {errno.ENOSPC, errno.EDQUOT}

INTERRUPTED = "interrupted"
"""Why another thread's record was not written: a signal handler raised in the one that was to write it."""


class Item(NamedTuple):
    """One record to write."""

    payload: bytes
    opens: str | None
    closes: str | None


class Handed:
    """A record whose thread found the journal busy, for whoever is writing to write, too."""

    __slots__ = ("done", "item", "reason")

    def __init__(self, item: Item) -> None:
        """Wait to be written."""
        self.item = item
        self.done = False
        self.reason: str | None = None
        """Why it could not be written, once it is done."""


class Files:
    """The files of one process, and what is wrong with them."""

    def __init__(self, directory: Path, rotate_bytes: int, on_failure: OnFailure, owner: Ticking) -> None:
        """Begin without a file.

        Args:
            directory: the journal's.
            rotate_bytes: the size at which a new file begins.
            on_failure: what to do with records that cannot be written.
            owner: whom the syncing thread works for.
        """
        self.directory = directory
        self.on_failure = on_failure
        self.losses = Losses()
        self.lock = threading.RLock()
        self.syncer = Syncer(owner)
        self.busy = False
        self.later: deque[Item] = deque()
        """What a signal handler or finaliser recorded while a record was being written on the same thread."""
        self.handed: deque[Handed] = deque()
        """What other threads recorded while a record was being written."""
        self.current: WalFile | None = None
        self.retired: list[WalFile] = []
        """Files that are done with, and not synced yet."""
        self.orphans: list[tuple[WalFile, list[bytes]]] = []
        """Files given up, and what must be written again."""
        self.appended = 0
        """Records written so far."""
        self.failures = 0
        """Files given up so far."""
        self.dirty = False
        self.troubled = False
        """The last record found no place."""
        self.spilling = False
        self.sync_due = False
        """A file waits for a sync, and no thread can be had for it."""
        self.reason = ""
        self.outage_began = 0.0
        self._full = False
        self._misses = 0
        self._opened_ns = 0
        self._rotate_bytes = self._rotate_at = rotate_bytes
        self._retry_at = self._home_at = self._told_at = 0.0
        self._tell_every = PROBE_SECONDS

    @property
    def full(self) -> bool:
        """Whether the disk had no room when it was last asked."""
        return self._full

    @property
    def well(self) -> bool:
        """Whether there is nothing to mend or to tell."""
        return not (self.troubled or self.losses or self.orphans or self.spilling)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock; what a finaliser records meanwhile on this very thread waits for the end."""
        with self.lock:
            was, self.busy = self.busy, True
            try:
                yield
                if not was:
                    self.put_later()
            finally:
                self.busy = was

    def put(self, payload: bytes, opens: str | None, closes: str | None) -> str | None:
        """Write one record; give the reason where it cannot be."""
        file = self.current
        if file is None or self.troubled:
            if self.troubled and time.monotonic() < self._retry_at:
                return self.reason
            if not self.mend():
                return self.reason
            file = self.current
            assert file is not None
        try:
            file.write(payload)
        except Exception as error:  # noqa: BLE001 - whatever the file system does, the agent goes on
            file = self._write_elsewhere(file, payload, error)
            if file is None:
                return self.reason
        self.troubled = False
        self.appended += 1
        if opens is not None:
            file.open_spans[opens] = (file.size - len(payload), len(payload))
        elif closes is not None:
            file.open_spans.pop(closes, None)
        if not self.dirty:
            self.dirty = True
            self.syncer.wake()
        if file.size >= self._rotate_at:
            self._rotate(file)
        return None

    def put_all(self, payloads: Sequence[bytes]) -> bool:
        """Write whole records together; say whether they are written, all of them or none."""
        file = self.current
        if file is None or self.troubled:
            return False
        try:
            file.write_all(payloads)
        except Exception:  # noqa: BLE001 - one by one they show which is at fault, and are counted
            return False
        self.appended += len(payloads)
        if not self.dirty:
            self.dirty = True
            self.syncer.wake()
        if file.size >= self._rotate_at:
            self._rotate(file)
        return True

    def put_later(self) -> None:
        """Write what came in the middle of another record."""
        while self.later:
            item = self.later.popleft()
            reason = self.put(*item)
            if reason is not None:
                self.losses.add(reason, lost=1, size=len(item.payload))

    def put_handed(self) -> None:
        """Write what other threads wait for."""
        while self.handed:
            try:
                waiting = self.handed.popleft()
            except IndexError:  # its thread gave up in this moment
                return
            # Also where a signal handler raises in this thread: the other one must not wait for ever.
            waiting.reason = INTERRUPTED
            try:
                waiting.reason = self.put(*waiting.item)
            finally:
                waiting.done = True

    def _write_elsewhere(self, file: WalFile, payload: bytes, error: Exception) -> WalFile | None:
        """Write a record that its file did not take into another file, where that makes sense."""
        if not isinstance(error, OSError):
            # It is the record that is at fault.
            self.reason = reason_of(error)
            return None
        full = error.errno in _FULL
        hopeless = self.spilling or self.on_failure.spill is None if full else file.sequence <= 1
        if hopeless and not file.given_up:
            self._trouble(error, full=full)
            return None
        try:
            fresh = self._open(spill=full)
            self._retire(file, fresh)
            fresh.write(payload)
        except Exception as again:  # noqa: BLE001 - as above
            self._trouble(again, full=getattr(again, "errno", None) in _FULL)
            return None
        return fresh

    def _open(self, *, spill: bool = False, home: bool = False) -> WalFile:
        """Begin a file in the journal, or else in the spill directory; the caller puts the one before it away."""
        # Files are read in the order of their names, also where the clock was set back between two of them.
        self._opened_ns = max(time.time_ns(), self._opened_ns + 1)
        opening: dict[str, Any] = {"format": FORMAT, "pid": os.getpid()}
        if self.orphans:
            opening["rewrites"] = [old.path.stem for old, _ in self.orphans]
        away = self.on_failure.spill
        fresh: WalFile | None = None
        if not spill or away is None:
            try:
                fresh = WalFile(self.directory, self._opened_ns, entry_payload("open", **opening))
                self.spilling = False
            except OSError as error:
                if away is None or home:
                    raise
                opening["spilled"] = reason_of(error)
        if fresh is None:
            assert away is not None
            fresh = WalFile(away, self._opened_ns, entry_payload("open", **{"spilled": "ENOSPC", **opening}))
            self.spilling, self._home_at = True, time.monotonic() + HOME_SECONDS
        self.current, self._full, self.dirty, self._rotate_at = fresh, False, True, self._rotate_bytes
        self.syncer.ensure()
        self.syncer.wake()
        return fresh

    def _retire(self, file: WalFile, fresh: WalFile) -> None:
        """Put a file away for syncing, its open spans carried into the one that follows."""
        self.retired.append(file)
        carried, room = [], CARRIED_BYTES
        for span, (_, length) in list(file.open_spans.items()):
            if length <= room:
                with contextlib.suppress(OSError):
                    fresh.write(file.start_of(span))
                    fresh.open_spans[span] = (fresh.size - length, length)
                    self.appended += 1
                    room -= length
                    carried.append(span)
        if not file.given_up:
            with contextlib.suppress(OSError):
                file.write(entry_payload("close", carried=carried))

    def _rotate(self, file: WalFile) -> None:
        try:
            fresh = self._open(spill=self.spilling)
        except OSError:
            # Where no new file can be had, the old one goes on, and grows by as much again.
            self._rotate_at += self._rotate_bytes
            return
        self._retire(file, fresh)
        self.sync_due = not self.syncer.ensure()

    def _trouble(self, error: BaseException, *, full: bool = False) -> None:
        self.reason = reason_of(error)
        if getattr(error, "errno", None) == errno.EFBIG:
            # This record is too large for any file of this process; the next one may not be.
            return
        now = time.monotonic()
        if not self.troubled:
            self.troubled, self.outage_began, self._misses = True, now, 0
            self._told_at, self._tell_every = 0.0, PROBE_SECONDS
        self._full = self._full or full
        self._misses += 1
        self._retry_at = now + RETRY_SECONDS if self._misses > RETRIES else now
        self.syncer.ensure()
        self.syncer.wake()

    def mend(self, *, last: bool = False) -> bool:
        """Make the journal take records again, and tell what is missing; say whether it does."""
        try:
            if self.current is not None and self._full:
                self._make_room(self.current, last=last)
            file = self.current
            if file is None or file.given_up or self.orphans:
                self._begin_again(file)
            elif self.spilling and time.monotonic() >= self._home_at:
                self._go_home(file)
            if self.losses and self.current is not None:
                self._tell(self.current)
                self.troubled = False
        except Exception as error:  # noqa: BLE001 - as in `_put`
            self._trouble(error, full=getattr(error, "errno", None) in _FULL and self.current is not None)
            return False
        return True

    def _make_room(self, file: WalFile, *, last: bool) -> None:
        """See whether a full disk has room again; until it has, tell what is missing in the room that was kept for it.

        Raises:
            OSError: it has none.
        """
        if self.losses and (last or time.monotonic() >= self._told_at):
            file.drop_ballast()
            # The room lasts for some 200 records of this kind: they come ever more seldom.
            self._tell_every = min(self._tell_every * 2, MOST_TELL_SECONDS)
            self._told_at = time.monotonic() + self._tell_every
            with contextlib.suppress(OSError):
                self._tell(file)
        try:
            file.load_ballast()
        except OSError as error:
            if error.errno in _FULL:
                raise
            file.given_up = True
        self._full = False

    def _begin_again(self, file: WalFile | None) -> None:
        """Open a file, and write again what a given-up one held.

        Raises:
            OSError: it cannot be; everything is as it was.
        """
        fresh = self._open()
        try:
            for old, payloads in self.orphans:
                for payload in payloads:
                    fresh.write(payload)
                    entry = told_by(payload)
                    if entry.get("type") == "start" and entry.get("span") in old.open_spans:
                        fresh.open_spans[entry["span"]] = (fresh.size - len(payload), len(payload))
        except BaseException:
            fresh.discard()
            self.current = file
            raise
        if file is not None:
            self._retire(file, fresh)
        for old, _ in self.orphans:
            old.close()
        self.orphans = []
        self.troubled = False

    def _go_home(self, file: WalFile) -> None:
        """Leave the spill directory when the journal takes records again."""
        self._home_at = time.monotonic() + HOME_SECONDS
        try:
            fresh = self._open(home=True)
        except OSError:
            return
        try:
            fresh.load_ballast()
        except OSError:
            fresh.discard()
            self.current, self.spilling = file, True
            return
        self._retire(file, fresh)

    def _tell(self, file: WalFile) -> None:
        entry = self.losses.entry(str(self.on_failure))
        file.write(entry_payload("gap", **entry))
        self.appended += 1
        self.losses.told(entry)
        self.dirty = True

    def give_up(self, file: WalFile, reason: str, payloads: list[bytes], unsure: int) -> None:
        """Write a file's records again in another one."""
        self.failures += 1
        if unsure or payloads:
            self.losses.add(reason, unsure=unsure, rewritten=len(payloads))
        file.given_up = True
        self.orphans.append((file, payloads))
        if file in self.retired:
            self.retired.remove(file)
        if self.current is file:
            self.current = None
        self.mend()

    def let_go(self) -> None:
        """Close every file as it is."""
        for file in (*self.retired, *(old for old, _ in self.orphans), self.current):
            if file is not None:
                file.close()
        self.retired, self.orphans, self.current = [], [], None

    def begin_after(self, inherited: Files) -> None:
        """Give later names than those of the process that this one was forked from."""
        self._opened_ns = inherited._opened_ns

    def close_descriptors(self) -> None:
        """Close what a forked child inherited, and leave the files as they are."""
        for file in (*self.retired, *(old for old, _ in self.orphans), self.current):
            if file is not None:
                with contextlib.suppress(OSError):
                    os.close(file.descriptor)


def entry_payload(kind: str, **fields: Any) -> bytes:
    """Encode a record that tells of the journal itself."""
    return encode_record({"type": kind, "time": time.time_ns(), **fields}, {})
