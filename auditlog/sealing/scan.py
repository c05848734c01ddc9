"""Finds and reads the journal files of a store.

The rules:

1. A journal file is a regular file whose name is `<boot>-<pid>-<ns>.wal`; anything else in the directory is left alone.
2. A file may vanish at any moment, when a sealer has sealed it: whoever lists files must look at the ledger again.
3. Reading stops at the first frame that is not whole. In a file without a writer, what follows is a torn tail.
4. Files of one process belong together, in the order of their names: a span may begin in one and end in the next.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from auditlog.errors import FormatError, StoreError
from auditlog.journal import is_live, read_frames, spill
from auditlog.sealing.merge import Merger

_ASK_EVERY = 64
"""How many frames are fed before asking whether more are wanted."""

_NAME = re.compile(r"(?P<boot>[0-9a-zA-Z]+)-(?P<pid>[0-9]+)-(?P<ns>[0-9]+)\.wal")


class JournalFile(NamedTuple):
    """One journal file."""

    path: Path
    boot: str
    pid: int
    created_ns: int
    live: bool
    """Whether its writer still holds it."""

    @property
    def stem(self) -> str:
        """The file's name without its suffix: the writer's name in evidence."""
        return self.path.name.removesuffix(".wal")

    @property
    def process(self) -> tuple[str, int]:
        """What the files of one process have in common."""
        return self.boot, self.pid


def journal_files(directory: Path) -> list[JournalFile]:
    """List the journal files, and those that went to a spill directory, by process and then by age.

    Raises:
        StoreError: a symlink, FIFO or the like has a journal's name.
    """
    found = []
    for place in (directory, *spill.directories(directory)):
        found += _files_in(place)
    return sorted(found, key=lambda file: (file.boot, file.pid, file.created_ns))


def _files_in(directory: Path) -> list[JournalFile]:
    found = []
    try:
        names = sorted(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        msg = f"{directory} cannot be listed: {error.strerror}. Check its owner and mode."
        raise StoreError(msg) from None
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        path = directory / name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            msg = f"{path} has a journal's name but is no regular file. Remove it: a store never holds such a thing."
            raise StoreError(msg)
        found.append(JournalFile(path, match["boot"], int(match["pid"]), int(match["ns"]), is_live(path)))
    return found


def by_process(files: Iterable[JournalFile]) -> list[list[JournalFile]]:
    """Group files by the process that wrote them, each group in order."""
    groups: dict[tuple[str, int], list[JournalFile]] = {}
    for file in files:
        groups.setdefault(file.process, []).append(file)
    return list(groups.values())


def feed(
    merger: Merger, file: JournalFile, start: int = 0, *, until: Callable[[], bool] | None = None
) -> int:
    """Feed a file's whole frames from an offset on into a merger.

    Args:
        merger: what takes them.
        file: the journal file.
        start: the offset.
        until: asked now and then whether the merger has what is wanted.

    Returns:
        The offset behind the last frame that was fed.

    Raises:
        FormatError: the file holds records of a newer format.
        FileNotFoundError: the file has been sealed meanwhile.
    """
    at, stem = start, file.stem
    try:
        for number, frame in enumerate(read_frames(file.path, start), 1):
            merger.feed(stem, frame.sequence, frame.payload)
            at = frame.end
            if until is not None and number % _ASK_EVERY == 0 and until():
                break
    except FormatError as error:
        msg = f"{file.path} {error}"
        raise FormatError(msg) from None
    return at
