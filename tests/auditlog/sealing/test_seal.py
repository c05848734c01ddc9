"""Sealing: what is sealed when, interrupted anywhere, by several at once."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from auditlog.journal import JournalWriter
from auditlog.ledger import locks
from auditlog.ledger.ledger import read_ledger
from auditlog.sealing import seal
from auditlog.store import Store


def everything(store):
    """Give every span's ids and status, sorted."""
    store.refresh()
    found = store.query("SELECT trace_id, span_id, status FROM all_spans ORDER BY ALL")
    return [tuple(row.values()) for row in found.to_pylist()]


def test_a_file_with_a_writer_is_left_alone(store, script):
    """What is still being written is not sealed, and the report says so."""
    script.turn()
    report = store.seal()
    assert (report.sealed, report.spans) == ((), 0)
    assert report.live == (script.writer.path.stem,)
    assert store.count() == 1


def test_sealing_says_what_it_sealed(store, script):
    """The report names the files, and counts spans; the journal is gone and the rows come from the segment."""
    script.turn()
    stem = script.writer.path.stem
    script.writer.close()
    report = store.seal()
    assert (report.sealed, report.spans, report.incomplete, report.live) == ((stem,), 3, 0, ())
    (segment,) = store.segments()
    assert report.segments == (segment,)
    assert segment.path == f"segments/day={segment.day}/{stem}.parquet"
    assert os.listdir(store.path / "journal") == []
    assert {span.segment for span in store.spans()} == {segment.path}


def test_sealing_again_changes_nothing(store, script):
    """A second sealing finds nothing to do."""
    script.turn()
    script.writer.close()
    store.seal()
    before = (store.path / "ledger/entries.log").read_bytes()
    assert store.seal() == seal.SealReport()
    assert (store.path / "ledger/entries.log").read_bytes() == before


def test_a_writer_without_records_leaves_nothing(store, script_for):
    """A file that holds no span is listed in the ledger and removed."""
    writer = store.writer()
    writer.append(b"")
    writer.close()
    report = store.seal()
    assert (len(report.sealed), report.segments, report.unreadable) == (1, (), 1)
    assert os.listdir(store.path / "journal") == []


def test_a_dead_writers_open_spans_are_incomplete(store_path, script_for):
    """Where the process is gone, a START without an END is sealed as incomplete at once."""
    child = (
        "import sys, os, signal\n"
        "from auditlog.store import Store\n"
        "from auditlog.record import encode_record\n"
        "writer = Store.create(sys.argv[1]).writer()\n"
        "entry = {'type': 'start', 'time': 1, 'trace': 'ab' * 16, 'span': 'cd' * 8, 'kind': 'agent'}\n"
        "assert writer.append(encode_record(entry, {'input': b'{\"q\":1}'}), opens='cd' * 8)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert (
        subprocess.run([sys.executable, "-c", child, store_path], check=False).returncode == -signal.SIGKILL
    )
    with Store.open(store_path) as store:
        assert [s[2] for s in everything(store)] == ["incomplete"]
        report = store.seal()
        assert (report.spans, report.incomplete) == (1, 1)
        assert [s[2] for s in everything(store)] == ["incomplete"]


def test_a_living_processs_open_spans_wait(store, script):
    """A span that was left open by a process that lives may still end: its file is kept until it does."""
    turn, trace = script.turn(ended=False), script.trace
    first = script.writer.path.stem
    script.writer.close()
    assert store.seal().live == (first,)
    script.end(trace=trace, span=turn, parts={"output": "late"})
    script.writer.close()
    report = store.seal()
    assert (report.incomplete, report.live) == (0, ())
    (agent,) = (span for span in store.spans() if span.kind == "agent")
    assert (agent.status, agent.output, agent.input) == ("ok", "late", {"question": "Where is my order?"})


def test_rotated_files_are_sealed_while_their_writer_goes_on(store, script_for):
    """A file that its writer has left is sealed; a span carried into the next one stays whole."""
    writer = JournalWriter(store.path / "journal", rotate_bytes=1500)
    script = script_for(writer)
    open_turn, trace = script.turn("long", ended=False), script.trace
    while len(list((store.path / "journal").glob("*.wal"))) < 3:
        script.turn("short")
    # A file that is full is let go once it is on the disk.
    assert writer.flush()
    before = everything(store)
    report = store.seal()
    assert len(report.sealed) >= 2
    assert report.incomplete == 0
    assert everything(store) == before
    script.end(trace=trace, span=open_turn, parts={"output": "done"})
    writer.close()
    store.seal()
    (turn,) = store.conversation("long").turns
    assert (turn.status, turn.answer_text, len(turn.spans)) == ("ok", "done", 3)


def test_a_torn_tail_is_told(store, script):
    """What follows the last whole record is cut, and reported with its place and size; the rest is sealed."""
    script.turn()
    path = script.writer.path
    script.writer.close()
    whole = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"ALJ1\xff\x00\x00\x00torn")
    before = everything(store)
    report = store.seal()
    assert report.torn == (seal.Torn(path.stem, whole, 12),)
    assert everything(store) == before
    (entry,) = read_ledger(store.path / "ledger/entries.log").entries
    assert entry["sources"][0]["torn_bytes"] == 12


def test_lost_records_are_told(store, script, monkeypatch):
    """Records that a writer could not write are counted in the report and in the ledger."""
    script.turn()
    with monkeypatch.context() as patch:
        patch.setattr("os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        assert not script.end(trace="ab", span="cd")
    script.turn()
    script.writer.close()
    report = store.seal()
    assert report.lost == 1
    (entry,) = read_ledger(store.path / "ledger/entries.log").entries
    assert [(gap["lost"], gap["reason"]) for gap in entry["gaps"]] == [(1, "ENOSPC")]


STEPS = [
    "seal.feed",
    "seal.write_spans",
    "segment._write",
    "segment._compare",
    "segment.Path.replace",
    "segment.sync_directory",
    "seal.append_entry",
    "ledger._write",
    "ledger.os.fsync",
    "seal.Path.unlink",
    "seal.sync_directory",
]


DIES = """
import os, signal, sys
from auditlog import layout
from auditlog.ledger import ledger
from auditlog.sealing import seal, segment
seal.LATE_SECONDS = -1.0
path, step, moment = sys.argv[1:]
holder, *names, name = step.split(".")
holder = {"seal": seal, "segment": segment, "ledger": ledger}[holder]
for part in names:
    holder = getattr(holder, part)
real = getattr(holder, name)
def dies(*args, **kwargs):
    if moment == "after":
        real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(holder, name, dies)
seal.seal(layout.find(path))
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_sealing_that_dies_at_any_step_is_mended_by_the_next(store, script, step, tmp_path, monkeypatch):
    """A sealer killed before or after any step leaves each row once for readers, and once after sealing again."""
    script.turn("case-1")
    script.turn("case-2", ended=False)
    script.now += 86_400_000_000_000
    script.turn("case-3")
    script.writer.close()
    expected = everything(store)
    monkeypatch.setattr(seal, "LATE_SECONDS", -1.0)
    for moment in ("before", "after"):
        path = tmp_path / moment
        shutil.copytree(store.path, path)
        child = subprocess.run(
            [sys.executable, "-c", DIES, path, step, moment], check=False, capture_output=True
        )
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        with Store.open(path) as left:
            assert everything(left) == expected
            left.seal()
            assert everything(left) == expected
            assert left.seal() == seal.SealReport()
            assert sum(s.rows for s in left.segments()) == len(expected)
            files = [str(p.relative_to(path)) for p in (path / "segments").rglob("*") if p.is_file()]
            assert sorted(files) == sorted(s.path for s in left.segments())
        assert os.listdir(path / "journal") == []


SEALS = "import sys; from auditlog import layout; from auditlog.sealing import seal; seal.seal(layout.find(sys.argv[1]))"


def test_two_sealers_at_once_seal_each_file_once(store, script_for):
    """Sealers that run at the same time share the work, and nothing is sealed twice."""
    for number in range(4):
        writer = store.writer()
        script_for(writer).turn(f"case-{number}")
        writer.close()
    children = [subprocess.Popen([sys.executable, "-c", SEALS, store.path]) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    store.refresh()
    assert store.count() == 4
    assert len(store.segments()) == len({s.path for s in store.segments()}) == 4


def test_a_sealer_may_be_told_not_to_wait(store, script):
    """While another process seals, a sealer that does not wait says that it did nothing."""
    script.turn()
    script.writer.close()
    with locks.sealing(store._layout):
        assert store.seal(wait=False) == seal.SealReport(busy=True)
    assert store.seal(wait=False).spans == 3


def test_readers_see_everything_once_while_files_are_sealed(store, script_for):
    """A reader that looks while files are sealed under it sees every conversation exactly once, each time."""
    for number in range(8):
        writer = store.writer()
        script_for(writer).turn(f"case-{number}")
        writer.close()
    with Store.open(store.path) as reader, ThreadPoolExecutor(1) as pool:
        sealing = pool.submit(store.seal)
        counts = set()
        while not sealing.done():
            reader.refresh()
            counts.add((reader.count(), reader.query("SELECT count(*) AS n FROM all_spans")["n"][0].as_py()))
        reader.refresh()
        counts.add((reader.count(), reader.query("SELECT count(*) AS n FROM all_spans")["n"][0].as_py()))
        assert sealing.result().spans == 24
    assert counts == {(8, 24)}


def test_a_forked_childs_records_are_its_own_file(store, script):
    """A process that forks writes two files; both show, and both are sealed."""
    script.turn("parent")
    child = os.fork()
    if child == 0:
        script.turn("child")
        script.writer.close()
        os._exit(0)
    os.waitpid(child, 0)
    script.turn("parent-2")
    store.refresh()
    assert {s.conversation_id for s in store.summaries()} == {"parent", "child", "parent-2"}
    script.writer.close()
    assert len(store.seal().sealed) == 2
    assert store.count() == 3
