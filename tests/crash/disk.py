"""A recording file system: what a program did to a directory, and what a power cut may leave of it.

While it records, every call by which a program can change a directory is followed by a look at the whole of it; what differs is
logged as data or names that changed, and each `fsync` as what it made last. It does not matter how a file was written.

What may be left is the strictest reading of POSIX:

- Data lasts when its file was synced since; else any part of it may be there: none, all, a beginning, a torn piece, or zeros.
- Names last when their directory was synced since; else any beginning of the changes to each directory may be there.
- Syncing a file says nothing about its name.
"""

import os
import random
import sys
from pathlib import Path
from typing import NamedTuple

LOOKED_AFTER = (
    "open write writev ftruncate posix_fallocate rename replace unlink remove link mkdir rmdir close fsync fdatasync"
).split()


class Op(NamedTuple):
    """One thing that happened: `data`, `names`, `sync`, `left out` or `mark`."""

    kind: str
    inode: int
    told: object
    """The new content; the names of a directory with their inodes; the site of a sync; what a mark stands for."""


class Disk:
    """Records what happens below a directory, until it is let go of."""

    def __init__(self, root, monkeypatch, *, without=None):
        """Record.

        Args:
            root: an existing directory.
            monkeypatch: puts the operating system back.
            without: the site of a sync that is left out on purpose.
        """
        self.root = Path(root)
        self.without = without
        self.log = []
        self.sites = []
        self._looking = False
        self._held = {}
        self._data, self._names = {}, {}
        self.top = os.stat(root).st_ino
        self.real = {name: getattr(os, name) for name in LOOKED_AFTER}
        self._look()
        for name in LOOKED_AFTER:
            monkeypatch.setattr(os, name, self._looked_after(name))

    def mark(self, told):
        """Note what the program may rely on from here."""
        self._look()
        self.log.append(Op("mark", 0, told))

    def _looked_after(self, name):
        real = self.real[name]
        sync = name in ("fsync", "fdatasync")

        def call(*args, **kwargs):
            if self._looking:
                return real(*args, **kwargs)
            if name == "close":
                self._look()
            site = _site() if sync else None
            inode = os.fstat(args[0]).st_ino if sync else 0
            known = sync and (
                inode in self._data or inode in self._names or self._look() or inode in self._data
            )
            if sync and known:
                if site not in self.sites:
                    self.sites.append(site)
                if site == self.without:
                    self.log.append(Op("left out", inode, site))
                    return None
            try:
                return real(*args, **kwargs)
            finally:
                self._look()
                if sync and known:
                    self.log.append(Op("sync", inode, site))

        return call

    def _look(self):
        """Log what differs from the last look: names first, in each directory as one change."""
        self._looking = True
        try:
            data, names = {}, {}
            self._walk(self.root, data, names)
            for inode, content in data.items():
                if self._data.get(inode) != content:
                    self.log.append(Op("data", inode, content))
            for inode, found in names.items():
                if self._names.get(inode) != found:
                    self.log.append(Op("names", inode, found))
            self._data, self._names = data, names
        finally:
            self._looking = False

    def _walk(self, path, data, names):
        found = {}
        with os.scandir(path) as entries:
            listed = list(entries)
        for entry in listed:
            try:
                inode, is_folder = entry.inode(), entry.is_dir(follow_symlinks=False)
                found[entry.name] = inode
                if is_folder:
                    self._walk(Path(entry.path), data, names)
                    continue
                if inode not in self._held:
                    # An inode that is held is given to no other file.
                    self._held[inode] = self.real["open"](entry.path, os.O_RDONLY)
                size = os.fstat(self._held[inode]).st_size
                data[inode] = os.pread(self._held[inode], size, 0)
            except FileNotFoundError:
                found.pop(entry.name, None)
        names[os.stat(path).st_ino] = found

    def let_go(self):
        """Close what was held."""
        for descriptor in self._held.values():
            self.real["close"](descriptor)
        self._held = {}


def _site():
    """Name the place in the program that syncs: the functions of auditlog on the stack, innermost first."""
    frame, found = sys._getframe(2), []
    while frame is not None and len(found) < 3:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("auditlog"):
            found.append(f"{name.removeprefix('auditlog.')}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)


class Left(NamedTuple):
    """What may be left at one moment of one file's data, or of one directory's names."""

    inode: int
    is_data: bool
    variants: list


class Replay:
    """Walks along a log, and gives at each moment what a power cut may leave."""

    def __init__(self, disk):
        """Begin with what was there before: all of it lasts."""
        self._disk = disk
        self._last_data, self._last_names = {}, {}
        self._since_data, self._since_names = {}, {}
        self.marks = []

    def moments(self):
        """Give, after each operation, the places that are unsure then."""
        for op in self._disk.log:
            match op.kind:
                case "data":
                    self._since_data.setdefault(op.inode, []).append(op.told)
                case "names":
                    self._since_names.setdefault(op.inode, []).append(op.told)
                case "sync":
                    for last, since in (
                        (self._last_data, self._since_data),
                        (self._last_names, self._since_names),
                    ):
                        if op.inode in since:
                            last[op.inode] = since.pop(op.inode)[-1]
                case "mark":
                    self.marks.append(op.told)
            yield self._unsure()

    def _unsure(self):
        data = [
            Left(inode, True, _pieces(self._last_data.get(inode, b""), since))
            for inode, since in self._since_data.items()
        ]
        names = [
            Left(inode, False, [self._last_names.get(inode, {}), *since])
            for inode, since in self._since_names.items()
        ]
        return data + names

    def state(self, chosen):
        """Give the files that are left, by path, for a choice of variants by inode."""
        data = {**self._last_data, **{i: v for i, (is_data, v) in chosen.items() if is_data}}
        names = {**self._last_names, **{i: v for i, (is_data, v) in chosen.items() if not is_data}}
        found = {}

        def walk(inode, path):
            for name, below in names.get(inode, {}).items():
                if below in self._disk._names or below in names:
                    found[f"{path}{name}/"] = None
                    walk(below, f"{path}{name}/")
                else:
                    found[f"{path}{name}"] = data.get(below, b"")

        walk(self._disk.top, "")
        return found


def _pieces(last, since):
    """Give what may be left of a file: first what is surely there, at the end all of it."""
    whole = since[-1]
    found = [last]
    if whole.startswith(last) and len(whole) > len(last):
        grown = len(whole) - len(last)
        found += [step for step in since[:-1] if step != last]
        found += [
            whole[: len(last) + grown // 2],
            last + bytes(grown),
            last + bytes(grown // 2) + whole[len(last) + grown // 2 :],
        ]
    else:
        found += [step for step in since[:-1] if step != last] + [b"", whole[: len(whole) // 2]]
    return [*found, whole]


def states(disk, *, share=1.0, seed=0, extra=3, poor=False, before=()):
    """Give the states that a power cut may leave, each once: (marks, files).

    Args:
        disk: what was recorded; where a sync was left out, only what may be left after that.
        share: how many of them, chosen at random.
        seed: of the choice.
        extra: how many random combinations at each moment, beside the extremes.
        before: keys of states that were given before; those given now are added to it.
        poor: only those in which next to nothing is there that was not synced.
    """
    chance = random.Random(seed)
    replay, seen = Replay(disk), set()
    begun = disk.without is None
    for op, unsure in zip(disk.log, replay.moments(), strict=True):
        begun = begun or op.kind == "left out"
        if not begun:
            continue
        first = {left.inode: (left.is_data, left.variants[0]) for left in unsure}
        last = {left.inode: (left.is_data, left.variants[-1]) for left in unsure}
        choices = [first]
        choices += [{**first, left.inode: (left.is_data, left.variants[-1])} for left in unsure]
        choices += [{**last, left.inode: (left.is_data, left.variants[0])} for left in unsure]
        if not poor:
            choices.append(last)
            for left in unsure:
                choices += [{**last, left.inode: (left.is_data, variant)} for variant in left.variants[1:-1]]
            choices += [
                {left.inode: (left.is_data, chance.choice(left.variants)) for left in unsure}
                for _ in range(extra)
            ]
        for chosen in choices:
            files = replay.state(chosen)
            key = hash((len(replay.marks), tuple(sorted((path, hash(data)) for path, data in files.items()))))
            if key not in seen:
                seen.add(key)
                if key not in before and chance.random() < share:
                    if isinstance(before, set):
                        before.add(key)
                    yield list(replay.marks), files


def put(files, root):
    """Make a state's files in an empty directory."""
    for path, content in files.items():
        place = Path(root, path)
        if content is None:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.write_bytes(content)
    return root
