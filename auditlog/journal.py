"""The journal: the append-only file that capture writes, one per process.

The rules:

1. One file a process, `journal/<boot>-<pid>-<ns>.wal`, created exclusively, opened for appending, mode 0600, and
   locked for as long as its writer lives: a file without a lock has no writer, and may be sealed.
2. One `write` a record. A short or failed write is cut back, so that the file never holds half a frame.
3. A record that could not be written is counted, and the next one that can be is preceded by a GAP record with
   the counts.
4. A background thread syncs every 50 ms; `append` never waits for a disk.
5. A forked child never writes into its parent's file: it opens its own.
6. When a file has grown to `rotate_bytes`, a CLOSE record names the spans still open, their START records are
   carried into the next file, and the old one may be sealed.
7. Reading stops at the first frame that is not whole, and says where.

A frame, integers little-endian::

    4 bytes magic "ALJ1" | u32 payload length | u32 CRC32C of sequence and payload | u64 sequence | payload

The CRC is that of RFC 3720 (Castagnoli).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import google_crc32c
import orjson

from auditlog.record import FORMAT, encode_record

MAGIC = b"ALJ1"
_HEAD = struct.Struct("<4sII")
_SEQUENCE = struct.Struct("<Q")
HEADER_BYTES = _HEAD.size + _SEQUENCE.size
MAX_PAYLOAD_BYTES = 1 << 30
SYNC_SECONDS = 0.05
ROTATE_BYTES = 64 * 1024 * 1024


class Frame(NamedTuple):
    """One frame of a journal file."""

    sequence: int
    payload: bytes
    end: int
    """The offset just behind it."""


class Tail(NamedTuple):
    """What is left behind a journal's last whole frame."""

    offset: int
    torn_bytes: int


def read_frames(path: Path, start: int = 0) -> Iterator[Frame]:
    """Give the whole frames of a journal file from an offset on; stop at the first that is torn or damaged."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(start)
        at = start
        while True:
            head = file.read(HEADER_BYTES)
            if len(head) < HEADER_BYTES:
                return
            magic, length, crc = _HEAD.unpack_from(head)
            # A length is believed only when the file holds that much, so a damaged one allocates nothing.
            if magic != MAGIC or length > min(MAX_PAYLOAD_BYTES, size - at - HEADER_BYTES):
                return
            payload = file.read(length)
            if google_crc32c.value(head[_HEAD.size :] + payload) != crc:
                return
            at += HEADER_BYTES + length
            yield Frame(_SEQUENCE.unpack_from(head, _HEAD.size)[0], payload, at)


def tail_of(path: Path, end: int) -> Tail:
    """Say how many bytes follow the last whole frame, which ends at `end`."""
    return Tail(end, max(0, path.stat().st_size - end))


def is_live(path: Path) -> bool:
    """Say whether a journal file's writer still holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def boot_id() -> str:
    """Name this boot of the machine, in 8 hex digits; a process id means nothing without it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return f"{int(time.time() - time.monotonic()) & 0xFFFFFFFF:08x}"


class JournalWriter:
    """Appends records to the journal of one store; safe to use from any thread."""

    def __init__(self, directory: Path | str, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Prepare to write; the file is made with the first record.

        Args:
            directory: the store's `journal` directory; made when it is not there.
            rotate_bytes: the size at which a new file begins.
        """
        self.directory = Path(directory)
        self.lost = 0
        """Records that could not be written since this process began."""
        self._rotate_bytes = rotate_bytes
        self._gap = 0
        self._gap_since = 0
        self._gap_reason = ""
        self._opened_ns = 0
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._reset()
        _writers.add(self)

    @property
    def path(self) -> Path | None:
        """The file being written; None before the first record."""
        return self._path

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:
        """Write one record; never raise and never wait for the disk.

        Args:
            payload: one encoded record.
            opens: the span id that a START record opens, so that rotation can carry it over.
            closes: the span id that an END record closes.

        Returns:
            Whether the record is in the file: it then survives the death of this process.
        """
        with self._lock:
            try:
                if self._descriptor is None:
                    self._open()
                if self._gap:
                    self._write_gap()
                self._write(payload)
            except Exception as error:  # noqa: BLE001 - rule 3: whatever the file system does, the agent goes on
                self.lost += 1
                self._gap += 1
                self._gap_since = self._gap_since or time.time_ns()
                self._gap_reason = type(error).__name__
                return False
            if opens is not None:
                self._open_spans[opens] = payload
            elif closes is not None:
                self._open_spans.pop(closes, None)
            if self._size >= self._rotate_bytes:
                with contextlib.suppress(OSError):
                    self._rotate()
            return True

    def flush(self) -> bool:
        """Wait until everything written is on the disk, and say whether it is and nothing is missing."""
        with self._lock:
            if self._descriptor is None:
                return not self._gap
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._abandon(error)
                return False
            self._dirty = False
            return not self._gap

    def close(self) -> None:
        """Write the CLOSE record, sync, and let go of the file."""
        with self._lock:
            if self._gap:
                # The last chance to say what was lost: there may be room again.
                with contextlib.suppress(OSError):
                    if self._descriptor is None:
                        self._open()
                    self._write_gap()
            if self._descriptor is None:
                return
            with contextlib.suppress(OSError):
                self._write(self._entry("close", carried=[]))
                os.fdatasync(self._descriptor)
            os.close(self._descriptor)
            self._reset()

    def _reset(self) -> None:
        self._descriptor: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._sequence = 0
        self._dirty = False
        self._open_spans: dict[str, bytes] = {}

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        pid = os.getpid()
        # Files are read in the order of their names, also where the clock was set back between two of them.
        self._opened_ns = max(time.time_ns(), self._opened_ns + 1)
        path = self.directory / f"{boot_id()}-{pid}-{self._opened_ns}.wal"
        # It gets its name when it is locked and begun: a nameable file without a lock is anybody's to seal.
        draft = path.with_suffix(".new")
        flags = os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(draft, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._descriptor, self._path, self._size, self._sequence = descriptor, path, 0, 0
            self._write(self._entry("open", format=FORMAT, pid=pid))
            draft.rename(path)
        except BaseException:
            os.close(descriptor)
            self._descriptor = None
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        self._start_syncing()

    def _entry(self, kind: str, **fields: Any) -> bytes:
        return encode_record({"type": kind, "time": time.time_ns(), **fields}, {})

    def _write(self, payload: bytes) -> None:
        descriptor = self._descriptor
        assert descriptor is not None
        sequence = _SEQUENCE.pack(self._sequence)
        head = _HEAD.pack(MAGIC, len(payload), google_crc32c.value(sequence + payload))
        frame = b"".join((head, sequence, payload))
        try:
            written = os.write(descriptor, frame)
        except OSError:
            self._cut_back(descriptor)
            raise
        if written != len(frame):
            self._cut_back(descriptor)
            raise OSError(0, "short write")
        self._size += written
        self._sequence += 1
        if not self._dirty:
            self._dirty = True
            self._wake.set()

    def _cut_back(self, descriptor: int) -> None:
        try:
            os.ftruncate(descriptor, self._size)
        except OSError as error:
            self._abandon(error)

    def _write_gap(self) -> None:
        gap = {"lost": self._gap, "since": self._gap_since, "reason": self._gap_reason}
        self._write(self._entry("gap", **gap))
        self._gap, self._gap_since, self._gap_reason = 0, 0, ""

    def _rotate(self) -> None:
        carried = dict(self._open_spans)
        self._write(self._entry("close", carried=list(carried)))
        self._let_go()
        self._open()
        for payload in carried.values():
            self._write(payload)
        self._open_spans = carried

    def _abandon(self, error: OSError) -> None:
        """Give up a file whose state is unknown: after a failed sync the kernel may have dropped its pages."""
        self._gap_reason = type(error).__name__
        self._let_go()

    def _let_go(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fdatasync(self._descriptor)
            os.close(self._descriptor)
        self._reset()

    def _start_syncing(self) -> None:
        # While the interpreter shuts down a new thread never runs, and `start` would wait for it for ever.
        if (self._thread is None or not self._thread.is_alive()) and not sys.is_finalizing():
            self._thread = threading.Thread(
                target=_sync, args=(weakref.ref(self), self._wake), name="auditlog-sync", daemon=True
            )
            # Where no thread can be had, records are in the system's hands all the same.
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def _sync_once(self) -> None:
        with self._lock:
            if self._descriptor is None or not self._dirty:
                return
            self._dirty = False
            descriptor = os.dup(self._descriptor)
        try:
            # Outside the lock, so that no caller ever waits for the disk.
            os.fdatasync(descriptor)
        except OSError as error:
            with self._lock:
                self._abandon(error)
        finally:
            os.close(descriptor)

    def _after_fork(self) -> None:
        """Start afresh in a forked child: the inherited descriptor, lock and thread are the parent's."""
        descriptor = self._descriptor
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._thread = None
        self.lost = self._gap = 0
        self._reset()
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _sync(reference: weakref.ref[JournalWriter], wake: threading.Event) -> None:
    while True:
        wake.wait()
        time.sleep(SYNC_SECONDS)
        wake.clear()
        writer = reference()
        if writer is None or writer._wake is not wake:  # noqa: SLF001 - this thread is part of the writer
            return
        writer._sync_once()  # noqa: SLF001
        del writer


_writers: weakref.WeakSet[JournalWriter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        writer._after_fork()  # noqa: SLF001 - the fork handler is part of the writer


os.register_at_fork(after_in_child=_after_fork_in_child)


def entry_of(payload: bytes) -> dict[str, Any]:
    """Read only a payload's entry, without its parts."""
    size = int.from_bytes(payload[:4], "little")
    return orjson.loads(payload[4 : 4 + size])
