"""What a failing disk costs a caller is what `on_failure` says, and what was not kept is told exactly."""

import errno
import shutil
import threading
import time

import pytest

import auditlog
from auditlog import config
from auditlog.errors import ConfigurationError, RecordingError
from auditlog.journal import JournalWriter, OnFailure, file, files
from auditlog.journal.policy import parse
from auditlog.store import Store


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("continue", OnFailure()),
        ("block(0.5), raise", OnFailure("raise", 0.5)),
        (" block( 2s ) , spill(/a/b) , fail_closed ", OnFailure("fail_closed", 2.0, file.Path("/a/b"))),
        ("spill(/a), continue", OnFailure(spill=file.Path("/a"))),
    ],
)
def test_a_policy_is_read_as_it_is_written(text, policy):
    """Each step is optional but the last; a policy's own text reads back."""
    assert policy == parse(text)
    assert policy == parse(str(policy))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ignore",
        "block, raise",
        "block(-1), raise",
        "block(nan), raise",
        "block(9999), raise",
        "raise, block(1)",
        "spill(), raise",
        "raise(1)",
        "spill(/a), block(1), raise",
        "block(1)",
        "block(x), raise",
        3,
        "raise;",
    ],
)
def test_a_policy_without_meaning_is_refused(text):
    """At once, and with an example."""
    with pytest.raises(ConfigurationError):
        parse(text)


def test_a_spill_directory_that_cannot_serve_is_refused(tmp_path):
    """It must be writable, and not in the store."""
    with pytest.raises(ConfigurationError, match="lies in the store"):
        auditlog.configure(tmp_path / "audit", on_failure=f"spill({tmp_path / 'audit' / 'spill'}), raise")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        auditlog.configure(tmp_path / "audit", on_failure=f"spill({tmp_path / 'file'}), raise")


def test_a_blocked_caller_waits_for_room_and_loses_nothing(tmp_path, broken, payload, spans, gaps):
    """`block` waits while the outage lasts, and the record is kept when it ends in time."""
    journal = JournalWriter(tmp_path, on_failure="block(30), raise")
    journal.append(payload("a"))
    broken("write", errno.ENOSPC)
    mender = threading.Timer(0.3, broken.mend)
    mender.start()
    assert journal.append(payload("b"))
    mender.join()
    journal.close()
    assert (["a", "b"], 0, []) == (spans(tmp_path), journal.lost, gaps(tmp_path))


def test_an_outage_blocks_once_and_not_each_record(tmp_path, broken, payload, gaps):
    """When the time to wait is over, later records of the same outage are lost without waiting."""
    journal = JournalWriter(tmp_path, on_failure="block(0.2), continue")
    journal.append(payload("a"))
    broken("write", errno.EIO)
    began = time.monotonic()
    assert not any(journal.append(payload(f"b{number}")) for number in range(100))
    assert time.monotonic() - began < 10
    broken.mend()
    journal.close()
    assert 100 == journal.lost == sum(gap["lost"] for gap in gaps(tmp_path))


def test_a_full_disk_spills_and_comes_home(small_disk, tmp_path, monkeypatch, payload, fill):
    """Records go to the spill directory while the disk is full, and to the journal when it has room again; sealing takes
    both in, and no span shows twice.
    """
    monkeypatch.setattr(files, "HOME_SECONDS", 0.0)
    store = small_disk / "audit"
    auditlog.configure(store, on_failure=f"spill({tmp_path / 'spill'}), raise")
    try:
        kept = config.recorder().sink
        kept.append(payload("open"), opens="open")
        kept.flush()
        fill(small_disk / "filler")
        for number in range(60):
            assert kept.append(payload(f"s{number}", "span", size=5000))
        (spilled,) = (tmp_path / "spill").iterdir()
        assert list(spilled.glob("*.wal")) == [kept.path]
        with Store.open(store) as opened:
            assert 61 == opened.query("SELECT count(*) AS n FROM all_spans")["n"][0].as_py()
        (small_disk / "filler").unlink()
        deadline = time.monotonic() + 20
        while kept.path.parent == spilled:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert kept.append(payload("open", "end"), closes="open")
    finally:
        auditlog.shutdown()
    shutil.copytree(store, tmp_path / "audit")
    with Store.open(tmp_path / "audit") as opened:
        report = opened.seal()
        assert (61, 0, 0) == (report.spans, report.incomplete, report.lost)
        assert 61 == opened.query("SELECT count(DISTINCT span_id) AS n FROM all_spans")["n"][0].as_py()
    assert [] == list(spilled.glob("*.wal"))


def test_raise_tells_the_call_that_was_not_recorded_and_no_other(tmp_path, broken):
    """A START that finds no place stops the call before its body; the next call tries anew."""
    auditlog.configure(tmp_path / "audit", on_failure="raise")
    done = []

    @auditlog.tool(effect="write")
    def act(name):
        done.append(name)

    try:
        act("before")
        broken("write", errno.ENOSPC)
        with pytest.raises(RecordingError, match="ENOSPC"):
            act("never")
        broken.mend()
        time.sleep(files.RETRY_SECONDS)
        act("after")
    finally:
        auditlog.shutdown()
    assert ["before", "after"] == done


def test_continue_never_shows_the_agent_an_error(tmp_path, broken):
    """Nor does it change what a call returns."""
    auditlog.configure(tmp_path / "audit")

    @auditlog.tool(effect="read")
    def twice(number):
        return 2 * number

    try:
        for name in ("write", "open", "ftruncate", "fdatasync", "fsync", "posix_fallocate"):
            broken(name, errno.EIO, only=lambda first, *_: isinstance(first, int) or "journal" in str(first))
            assert 4 == twice(2)
            assert auditlog.flush() in (True, False)
    finally:
        auditlog.shutdown()
        broken.mend()


def test_fail_closed_lets_no_call_begin_until_the_loss_is_on_the_disk(tmp_path, broken, gaps):
    """Calls are refused before their bodies, also when the disk would take them; the GAP record counts them."""
    auditlog.configure(tmp_path / "audit", on_failure="fail_closed")
    done = []

    @auditlog.tool(effect="write")
    def act(name):
        done.append(name)

    try:
        act("before")
        broken("write", errno.ENOSPC)
        with pytest.raises(RecordingError):
            act("never")
        with pytest.raises(RecordingError, match="No call begins"):
            act("never")
        broken.mend()
        deadline = time.monotonic() + 20
        while "after" not in done:
            assert time.monotonic() < deadline
            try:
                act("after")
            except RecordingError:
                time.sleep(0.02)
    finally:
        auditlog.shutdown()
    told = gaps(tmp_path / "audit" / "journal")
    assert 1 == sum(gap["lost"] for gap in told)
    assert 1 <= sum(gap.get("refused", 0) for gap in told)
    assert ["before", "after"] == done


def test_a_record_that_could_not_be_made_is_told(tmp_path, gaps):
    """Faults of the recorder are in the GAP record, with their reason and without content."""
    auditlog.configure(tmp_path / "audit")
    recorder = config.recorder()
    recorder.fault(ValueError("secret"))
    auditlog.shutdown()
    (gap,) = gaps(tmp_path / "audit" / "journal")
    assert (1, {"ValueError": 1}) == (gap["lost"], gap["reasons"])
    assert "secret" not in str(gap)
