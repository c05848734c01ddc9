"""One journal file being written.

The rules:

1. It is made exclusively, mode 0600, and gets its name when it is locked and begun: a nameable file without a lock is
   anybody's to seal.
2. One `write` a record, or one for several that come together. A short write is gone on with; what fails in the middle is cut
   back, so that the file never holds half a frame with another behind it. A file that cannot be cut back is given up.
3. What is not known to be on the disk is kept in memory, up to `KEPT_BYTES`, so that it can be written again elsewhere.
4. A ballast file beside it holds the room that a GAP record needs when the disk is full.
5. Nothing here retries a sync: the kernel may have dropped the pages that failed, and says so only once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from auditlog.journal.frames import HEADER_BYTES, boot_id, make_frame

DRAFT_SUFFIX = ".new"
BALLAST_SUFFIX = ".ballast"
BALLAST_BYTES = 64 * 1024
KEPT_BYTES = 64 * 1024 * 1024
"""How much of what is not synced yet is kept in memory for the case that the sync fails."""


class WalFile:
    """An open journal file; its writer's lock guards it."""

    __slots__ = (
        "_named",
        "ballast",
        "descriptor",
        "directory",
        "given_up",
        "kept",
        "kept_bytes",
        "open_spans",
        "path",
        "sequence",
        "size",
        "unkept",
    )

    def __init__(self, directory: Path, opened_ns: int, opening: bytes) -> None:
        """Make a file and write its OPEN record.

        Args:
            directory: where; made when it is not there.
            opened_ns: the time in its name.
            opening: the OPEN record.

        Raises:
            OSError: the file system refuses; nothing is left behind.
        """
        if not directory.is_dir():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with contextlib.suppress(OSError):
                sync_directory(directory.parent)
        self.directory = directory
        self.path = directory / f"{boot_id()}-{os.getpid()}-{opened_ns}.wal"
        self.size = self.sequence = 0
        self.kept: deque[bytes] = deque()
        self.kept_bytes = self.unkept = 0
        self.open_spans: dict[str, tuple[int, int]] = {}
        """Where the START records of the spans that have not ended lie: offset and length of the payload."""
        self.ballast = False
        self.given_up = False
        self._named = False
        draft = self.path.with_suffix(DRAFT_SUFFIX)
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC
        self.descriptor = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.write(opening)
            draft.rename(self.path)
        except BaseException:
            os.close(self.descriptor)
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def write(self, payload: bytes) -> None:
        """Append one record.

        Raises:
            OSError: it is not in the file.
        """
        frame = make_frame(self.sequence, payload)
        length = len(frame)
        size, kept_bytes = self.size + length, self.kept_bytes + length
        try:
            written = os.write(self.descriptor, frame)
            if written != length:
                self._write_rest(frame, written)
        except BaseException:
            # Also where a signal handler raised: what the file holds is not what was counted.
            self._cut_back()
            raise
        # No call between these lines, so that no signal handler comes between them either.
        self.size = size
        self.sequence += 1
        self.kept_bytes = kept_bytes
        self.kept.append(payload)
        if kept_bytes > KEPT_BYTES:
            self._forget_some()

    def write_all(self, payloads: Sequence[bytes]) -> None:
        """Append several records with one write.

        Raises:
            OSError: none of them is in the file.
        """
        frames = b"".join(
            [make_frame(number, payload) for number, payload in enumerate(payloads, self.sequence)]
        )
        length = len(frames)
        size, kept_bytes = self.size + length, self.kept_bytes + length
        try:
            written = os.write(self.descriptor, frames)
            if written != length:
                self._write_rest(frames, written)
        except BaseException:
            self._cut_back()
            raise
        self.size = size
        self.sequence += len(payloads)
        self.kept_bytes = kept_bytes
        self.kept.extend(payloads)
        if kept_bytes > KEPT_BYTES:
            self._forget_some()

    def start_of(self, span: str) -> bytes:
        """Read back the START record of an open span.

        Raises:
            OSError: it cannot be read.
        """
        offset, length = self.open_spans[span]
        payload = os.pread(self.descriptor, length, offset)
        if len(payload) != length:
            raise OSError(errno.EIO, "a START record does not read back")
        return payload

    def synced(self, records: int) -> None:
        """Forget the oldest records that are kept, which are on the disk now; `unkept` ones come before them."""
        passed = min(self.unkept, records)
        self.unkept -= passed
        for _ in range(records - passed):
            self.kept_bytes -= HEADER_BYTES + len(self.kept.popleft())

    @property
    def unsynced(self) -> int:
        """How many records are not known to be on the disk."""
        return len(self.kept) + self.unkept

    def sync_name(self) -> bool:
        """Make the file's name survive a power cut, once; False where that must wait, as no descriptor can be had.

        Raises:
            OSError: the directory does not sync.
        """
        if self._named:
            return True
        try:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._named = True
        return True

    def whereabouts(self) -> str:
        """Say whether the file still has its name: `here`, `moved`, or `gone` where it has none at all."""
        found = os.fstat(self.descriptor)
        if found.st_nlink == 0:
            return "gone"
        try:
            named = self.path.stat(follow_symlinks=False)
        except OSError:
            return "moved"
        return "here" if (named.st_ino, named.st_dev) == (found.st_ino, found.st_dev) else "moved"

    def load_ballast(self) -> None:
        """Take the room that a GAP record needs.

        Raises:
            OSError: there is none.
        """
        if self.ballast:
            return
        path = self.path.with_suffix(BALLAST_SUFFIX)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(descriptor)
        self.ballast = True

    def drop_ballast(self) -> None:
        """Give the room back."""
        if self.ballast:
            self.ballast = False
            with contextlib.suppress(OSError):
                self.path.with_suffix(BALLAST_SUFFIX).unlink()

    def close(self) -> None:
        """Let go of the file and its lock."""
        self.drop_ballast()
        with contextlib.suppress(OSError):
            os.close(self.descriptor)

    def discard(self) -> None:
        """Remove the file, which holds nothing that is not elsewhere, and let go of it."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()

    def _write_rest(self, frame: bytes, written: int) -> None:
        rest = memoryview(frame)[written:]
        while rest:
            # Where there is no more room, the next write says so.
            count = os.write(self.descriptor, rest)
            if count == 0:
                raise OSError(errno.EIO, "the disk takes nothing")
            rest = rest[count:]

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self.descriptor, self.size)
        except OSError:
            self.given_up = True

    def _forget_some(self) -> None:
        while self.kept_bytes > KEPT_BYTES and self.kept:
            self.kept_bytes -= HEADER_BYTES + len(self.kept.popleft())
            self.unkept += 1


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut.

    Raises:
        OSError: it does not sync.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
