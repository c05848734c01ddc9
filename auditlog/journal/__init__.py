"""The journal: the append-only files that capture writes, one at a time per process.

`frames` says how records lie in a file, `policy` what happens when the disk fails, `gap` what is counted then, `file` is one
file being written, `writer` decides which, `syncing` is the thread that waits for the disk, and `spill` finds records that
went elsewhere.
"""

from __future__ import annotations

from auditlog.journal.frames import (
    HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    Frame,
    Tail,
    boot_id,
    entry_of,
    first_entry,
    is_live,
    make_frame,
    read_frames,
    tail_of,
)
from auditlog.journal.policy import OnFailure
from auditlog.journal.writer import ROTATE_BYTES, JournalWriter

__all__ = [
    "HEADER_BYTES",
    "MAGIC",
    "MAX_PAYLOAD_BYTES",
    "ROTATE_BYTES",
    "Frame",
    "JournalWriter",
    "OnFailure",
    "Tail",
    "boot_id",
    "entry_of",
    "first_entry",
    "is_live",
    "make_frame",
    "read_frames",
    "tail_of",
]
