"""Sealing on a disk that is really full, or under a limit on file sizes, says so, and loses nothing."""

import errno
import subprocess
import sys

import oracle
import pytest

from auditlog.errors import StoreError
from auditlog.record import encode_record
from auditlog.store import Store


def record(store, spans):
    """Record whole spans of 2 KB that do not compress; give them as promised."""
    writer = store.writer()
    promised = []
    for number in range(spans):
        span = f"s{number}"
        content = b'"%s"' % b"".join(b"%016x" % hash((number, at)) for at in range(100)).replace(b"-", b"")
        entry = {"type": "span", "time": 1, "end": 2, "trace": "t", "span": span, "kind": "tool", "name": "n"}
        assert writer.append(encode_record(entry | {"status": "ok"}, {"input": content}))
        promised += [("start", "t", span), ("end", "t", span)]
    writer.close()
    return promised


def test_a_sealer_on_a_full_disk_says_so_and_seals_when_there_is_room(tmp_path):
    """Real ENOSPC, at each amount of room that is left: the journal stays, and readers show all of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        with Store.create(disk / "audit") as store:
            promised = record(store, 60)
            seals = 0
            for left in (0, 4, 8, 16, 32, 64, 128, 512):
                filler = disk / "filler"
                with filler.open("wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(bytes(4096))
                    except OSError as error:
                        assert errno.ENOSPC == error.errno
                    file.truncate(max(0, file.tell() - left * 1024))
                try:
                    seals += len(store.seal().sealed)
                except StoreError:
                    pass
                oracle.check(store.path, promised, deep=False)
                filler.unlink()
            assert 1 == seals
            oracle.check(store.path, promised)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_sealer_under_a_limit_on_file_sizes_says_so(store):
    """RLIMIT_FSIZE is an error that names the file, and the journal stays."""
    promised = record(store, 60)
    program = f"""
import resource
from auditlog.errors import StoreError
from auditlog import layout
from auditlog.sealing import seal
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    seal.seal(layout.find({str(store.path)!r}))
except StoreError as error:
    assert ".parquet cannot be written" in str(error), error
else:
    raise SystemExit("it sealed")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    oracle.check(store.path, promised)
