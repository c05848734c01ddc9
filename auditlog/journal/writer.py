"""The journal's writer: appends the records of one process, whatever the disk does.

The rules:

1. One file a process, `journal/<boot>-<pid>-<ns>.wal`, locked for as long as its writer lives: a file without a lock has no
   writer, and may be sealed. A forked child opens its own.
2. A record that was taken is in the operating system's hands: it survives the death of this process. A thread of its own
   syncs every 50 ms; `append` waits for no sync, and behind another thread's write, which takes its record along, at most
   twice `LOCK_SECONDS`. `flush` waits, for a bounded time, and shares one sync among all who wait.
3. What cannot be written is treated as `on_failure` says (see `policy`), counted, and told in a GAP record as soon as one
   can be written (see `gap`). While the disk refuses, it is asked every `RETRY_SECONDS` and no more, but for the first few times.
4. After a failed sync nothing is tried again on that file: a new one begins, and what was not synced is written there again.
   A file that was deleted under its writer is written again whole.
5. What a signal handler or a finaliser records in the middle of an append comes right behind it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from auditlog.errors import RecordingError
from auditlog.journal.file import WalFile
from auditlog.journal.files import INTERRUPTED, RETRY_SECONDS, Files, Handed, Item, entry_payload
from auditlog.journal.frames import read_frames, told_by
from auditlog.journal.gap import reason_of
from auditlog.journal.policy import OnFailure, parse

ROTATE_BYTES = 64 * 1024 * 1024
LOCK_SECONDS = 1.0
NAP_SECONDS = 0.001
FLUSH_SECONDS = 30.0
CLOSE_SECONDS = 5.0
COMMIT_SECONDS = 5.0
MOST_BACKOFF_SECONDS = 60.0


class JournalWriter:
    """Appends records to the journal of one store; safe to use from any thread."""

    def __init__(
        self,
        directory: Path | str,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        on_failure: OnFailure | str = "continue",
        on_full: Callable[[], object] | None = None,
    ) -> None:
        """Prepare to write; the file is made with the first record.

        Args:
            directory: the store's `journal` directory; made when it is not there.
            rotate_bytes: the size at which a new file begins.
            on_failure: what to do with records that cannot be written.
            on_full: called by the thread that syncs, when a file that was full is on the disk and let go.

        Raises:
            ConfigurationError: `on_failure` has no meaning.
        """
        self.directory = Path(directory)
        self.on_failure = parse(on_failure)
        self._rotate_bytes = rotate_bytes
        self._on_full = on_full
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        self._files = Files(self.directory, self._rotate_bytes, self.on_failure, self)
        self._lock = self._files.lock
        self._sync_lock = threading.Lock()
        self._settled = threading.Condition()
        self._latched = False
        """`fail_closed` lets no call begin."""
        self._synced = 0
        self._sync_at = 0.0
        self._streak = 0
        self._let_go = False
        """A full file was let go, and nobody was told."""

    @property
    def path(self) -> Path | None:
        """The file being written; None before the first record."""
        return None if self._files.current is None else self._files.current.path

    @property
    def lost(self) -> int:
        """Records that could not be written since this process began."""
        return self._files.losses.lost

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:
        """Write one record.

        Args:
            payload: one encoded record.
            opens: the span id that a START record opens, so that rotation can carry it over.
            closes: the span id that an END record closes.

        Returns:
            Whether the record is in the file: it then survives the death of this process.

        Raises:
            RecordingError: it is not, and `on_failure` asks for this error.
        """
        if self._latched and opens is not None:
            self._refuse()
        lock, files = self._lock, self._files
        if not lock.acquire(False):  # noqa: FBT003 - costs less
            return self._hand_over(Item(payload, opens, closes))
        try:
            if files.busy:
                files.later.append(Item(payload, opens, closes))
                return True
            files.busy = True
            try:
                reason = files.put(payload, opens, closes)
                if files.later:
                    files.put_later()
                if files.handed:
                    files.put_handed()
            finally:
                files.busy = False
        finally:
            lock.release()
        if files.sync_due:
            self._sync()
        return True if reason is None else self._wait_or_lose(Item(payload, opens, closes), reason)

    def extend(self, payloads: Sequence[bytes]) -> bool:
        """Write records that open and close nothing (SPAN records), in their order, up to the first that cannot be.

        Returns:
            Whether all are in the file.

        Raises:
            RecordingError: one is not, and `on_failure` asks for this error.
        """
        files, written = self._files, False
        if self._lock.acquire(blocking=False):
            try:
                if not files.busy:
                    with files.alone():
                        written = files.put_all(payloads)
                        if files.handed:
                            files.put_handed()
            finally:
                self._lock.release()
        if not written:
            return all(self.append(payload) for payload in payloads)
        if files.sync_due:
            self._sync()
        return True

    def _hand_over(self, item: Item) -> bool:
        """Have a record written by the thread that is writing, or by this one where none is any more.

        A thread that blocked on the lock would be handed it while it still lacks the interpreter; all others would block,
        too, and every record would cost two switches between threads.
        """
        files, waiting = self._files, Handed(item)
        files.handed.append(waiting)
        until = time.monotonic() + LOCK_SECONDS
        while not waiting.done:
            if self._lock.acquire(blocking=False):
                try:
                    with files.alone():
                        files.put_handed()
                finally:
                    self._lock.release()
            elif time.monotonic() < until:
                time.sleep(NAP_SECONDS)
            else:
                try:
                    files.handed.remove(waiting)
                except ValueError:
                    if time.monotonic() < until + LOCK_SECONDS:
                        time.sleep(NAP_SECONDS)
                        continue
                    # It is in the hands of a thread that the system holds up, and may yet be written.
                    files.losses.add("busy", unsure=1)
                    return self._tell_caller("busy")
                return self._lose("busy", len(item.payload))
        if waiting.reason == INTERRUPTED:
            return self.append(item.payload, opens=item.opens, closes=item.closes)
        return True if waiting.reason is None else self._wait_or_lose(item, waiting.reason)

    def fault(self, reason: str) -> None:
        """Count a record that could not be made, so that a GAP record tells of it.

        Raises:
            RecordingError: `on_failure` asks for it.
        """
        self._lose(reason, 0)

    def commit(self, timeout: float = COMMIT_SECONDS) -> bool:
        """Wait until what was written so far is on the disk, and say whether it is; what `durable=True` does.

        Args:
            timeout: how many seconds to wait at most.

        Raises:
            RecordingError: it is not, and `on_failure` asks for this error.
        """
        ticket = self._files.appended
        if self._synced < ticket and time.monotonic() >= self._sync_at:
            self._await_sync(lambda: self._synced >= ticket, timeout)
        if self._synced >= ticket:
            return True
        self._files.losses.add("not durable in time", late=1)
        return self._tell_caller("not durable in time")

    def flush(self, timeout: float = FLUSH_SECONDS) -> bool:
        """Wait until everything written is on the disk, and say whether it is and nothing is missing.

        Args:
            timeout: how many seconds to wait at most. Whoever waits at the same time shares one sync.
        """
        files, ticket = self._files, self._files.appended
        if self._synced < ticket or files.orphans:
            if time.monotonic() < self._sync_at:
                return False
            self._await_sync(lambda: self._synced >= ticket, timeout)
        return self._synced >= ticket and not files.losses and not files.orphans

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Tell what is missing, write the CLOSE record, sync, and let go of the file, within a bounded time."""
        files = self._files
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            with files.alone():
                self._sync_at = 0.0
                if files.losses or files.orphans:
                    # The last chance to say what was lost: there may be room again, and if not, there is the ballast.
                    files.mend(last=True)
                current, files.current = files.current, None
                if current is not None:
                    with contextlib.suppress(OSError):
                        current.write(entry_payload("close", carried=[]))
                    files.retired.append(current)
        finally:
            self._lock.release()
        if not files.retired:
            return
        failures = files.failures
        self._await_sync(lambda: not files.retired, timeout)
        if files.failures != failures and self._lock.acquire(timeout=timeout):
            try:
                # What did not sync is written again by now, and nobody waits for a disk twice.
                files.let_go()
            finally:
                self._lock.release()

    def tick(self) -> bool:
        """Sync, and mend what is broken; say whether all is well. Called by the thread of `syncing`."""
        files = self._files
        if not files.well:
            with files.alone():
                files.mend()
        well = self._sync() and files.well
        if self._let_go and files.current is not None:
            self._let_go = False
            if self._on_full is not None:
                self._on_full()
        return well

    def _await_sync(self, done: Callable[[], bool], timeout: float) -> None:
        files, failures = self._files, self._files.failures
        if files.syncer.ensure():
            with self._settled:
                files.syncer.wake(hurry=True)
                self._settled.wait_for(lambda: done() or files.failures != failures, timeout)
        else:
            self._sync()

    def _sync(self) -> bool:
        """Sync every file that needs it; say whether everything is on the disk."""
        files = self._files
        if not self._sync_lock.acquire(timeout=FLUSH_SECONDS):
            return False
        try:
            with files.alone():
                ticket, files.dirty, files.sync_due = files.appended, False, False
                todo = [(f, f.unsynced) for f in (*files.retired, files.current) if f is not None]
            if time.monotonic() < self._sync_at:
                return False
            # After a failure the list is another one; what is left comes next time.
            well = all(self._sync_file(file, records) for file, records in todo)
            if well:
                self._streak = 0
                self._synced = max(self._synced, ticket)
                if self._latched and not (files.losses or files.troubled or files.orphans):
                    self._latched = False
        finally:
            self._sync_lock.release()
        with self._settled:
            self._settled.notify_all()
        return well

    def _sync_file(self, file: WalFile, records: int) -> bool:
        files = self._files
        try:
            # Outside the lock, so that no caller ever waits for the disk.
            if records:
                os.fdatasync(file.descriptor)
            named = file.sync_name()
        except OSError as error:
            with files.alone():
                self._streak += 1
                self._sync_at = time.monotonic() + min(2.0 ** (self._streak - 1), MOST_BACKOFF_SECONDS)
                self._give_up(file, reason_of(error), _calls(file.kept), file.unkept)
            return False
        where = file.whereabouts()
        with files.alone():
            if where == "gone":
                payloads = (frame.payload for frame in read_frames(file.descriptor))
                self._give_up(file, "deleted", _calls(payloads), 0)
                return False
            if where == "moved":
                self._give_up(file, "moved away", [], file.sequence)
                return False
            if not named:
                return False
            file.synced(records)
            if file in files.retired:
                files.retired.remove(file)
                file.close()
                self._let_go = True
                return True
        if not files.full:
            with contextlib.suppress(OSError):
                file.load_ballast()
        return True

    def _give_up(self, file: WalFile, reason: str, payloads: list[bytes], unsure: int) -> None:
        self._latched = self._latched or self.on_failure.then == "fail_closed"
        self._files.give_up(file, reason, payloads, unsure)

    def _wait_or_lose(self, item: Item, reason: str) -> bool:
        files = self._files
        deadline = files.outage_began + self.on_failure.block_seconds
        while files.troubled and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, RETRY_SECONDS))
            if self._lock.acquire(timeout=left):
                try:
                    with files.alone():
                        again = files.put(*item)
                finally:
                    self._lock.release()
                if again is None:
                    return True
                reason = again
        return self._lose(reason, len(item.payload))

    def _lose(self, reason: str, size: int) -> bool:
        files = self._files
        files.losses.add(reason, lost=1, size=size)
        files.syncer.ensure()
        files.syncer.wake()
        return self._tell_caller(reason)

    def _tell_caller(self, reason: str) -> bool:
        self._latched = self._latched or self.on_failure.then == "fail_closed"
        if self.on_failure.then == "continue":
            return False
        msg = (
            f"A call could not be recorded in {self.directory} ({reason}), and on_failure={str(self.on_failure)!r} "
            "asks for this error. `auditlog doctor` says more."
        )
        raise RecordingError(msg)

    def _refuse(self) -> None:
        if not self._files.syncer.ensure():
            self.tick()
        if self._latched:
            self._files.losses.add("fail_closed", refused=1)
            msg = (
                f"No call begins: records were lost in {self.directory} ({self._files.reason or 'see its GAP records'}), "
                "and on_failure='fail_closed' asks for this error until they are accounted for."
            )
            raise RecordingError(msg)

    def _after_fork(self) -> None:
        """Start afresh in a forked child: the inherited descriptors, locks and thread are the parent's."""
        inherited = self._files
        self._reset()
        self._files.begin_after(inherited)
        inherited.close_descriptors()


def _calls(payloads: Iterable[bytes]) -> list[bytes]:
    """Leave out the records that tell of a file: another one begins and ends by itself."""
    return [payload for payload in payloads if told_by(payload).get("type") not in ("open", "close")]


_writers: weakref.WeakSet[JournalWriter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        writer._after_fork()  # noqa: SLF001 - the fork handler is part of the writer


os.register_at_fork(after_in_child=_after_fork_in_child)
