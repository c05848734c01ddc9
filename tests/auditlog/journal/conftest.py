"""Records for a journal, what its files hold, and disks that fail."""

import errno
import os
import subprocess

import pytest

from auditlog.journal import read_frames
from auditlog.record import decode_record, encode_record


def make_payload(span, kind="start", size=1):
    """Make a record."""
    fields = {
        "type": kind,
        "time": 1,
        "trace": "t",
        "span": span,
        "kind": "agent",
        "name": "n",
        "status": "ok",
    }
    if kind == "span":
        fields["end"] = 2
    return encode_record(fields, {"input": b'"%s"' % (b"x" * size)})


def entries(*directories):
    """Give the entries of every journal file, in the order in which the files were made."""
    paths = [path for directory in directories for path in directory.glob("*.wal")]
    paths.sort(key=lambda path: int(path.stem.split("-")[2]))
    return [decode_record(frame.payload).entry for path in paths for frame in read_frames(path)]


def spans_of(*directories):
    """Give the span ids of the START and END records."""
    return [entry["span"] for entry in entries(*directories) if entry["type"] in ("start", "end", "span")]


def gaps_of(*directories):
    """Give the GAP entries."""
    return [entry for entry in entries(*directories) if entry["type"] == "gap"]


def fill_disk(path):
    """Write a file until no room is left."""
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError as error:
            assert errno.ENOSPC == error.errno


@pytest.fixture
def payload():
    """Give the function that makes a record."""
    return make_payload


@pytest.fixture
def spans():
    """Give the function that lists the span ids of START and END records in journals."""
    return spans_of


@pytest.fixture
def gaps():
    """Give the function that lists the GAP entries of journals."""
    return gaps_of


@pytest.fixture
def fill():
    """Give the function that fills a disk."""
    return fill_disk


@pytest.fixture
def broken(monkeypatch):
    """Break a function of `os` until `mend` is called; the error goes to whatever descriptor is used."""

    class Broken:
        def __init__(self):
            self.real = {}

        def __call__(self, name, code, *, only=lambda *_: True):
            real = self.real.setdefault(name, getattr(os, name))

            def fail(*args, **kwargs):
                if only(*args):
                    raise OSError(code, os.strerror(code))
                return real(*args, **kwargs)

            monkeypatch.setattr(os, name, fail)

        def mend(self):
            for name, real in self.real.items():
                monkeypatch.setattr(os, name, real)

    return Broken()


@pytest.fixture
def small_disk(tmp_path):
    """Give a file system of 256 KB that is really full when it is full."""
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    yield path
    subprocess.run(["umount", "-l", path], check=True)
