"""A clock that jumps costs no record: order is that of the files and their sequence numbers, and doctor tells of the jump."""

import os
import time

import oracle
import pytest

from auditlog.cli.checkup_store import the_store
from auditlog.journal import JournalWriter
from auditlog.ledger import ledger
from auditlog.record import encode_record
from auditlog.sealing import seal

DAY = 86_400 * 10**9


def record(kind, span, time_ns, **more):
    """Make a record of a moment."""
    entry = {
        "type": kind,
        "time": time_ns,
        "trace": "t",
        "span": span,
        "conversation": "c",
        "turn": "t",
        **more,
    }
    entry |= {"status": "ok"} if kind == "end" else {"kind": "tool", "name": "n"}
    return encode_record(entry, {"input": b"1"} if kind == "start" else {"output": b"1"})


@pytest.mark.parametrize("jump", [-DAY, DAY, -400 * DAY])
def test_a_clock_that_jumps_between_and_within_spans_costs_nothing(store, monkeypatch, jump):
    """Also where each file, each START and each END has another day, and names would sort the wrong way round."""
    monkeypatch.setattr(seal, "LATE_SECONDS", -1.0)
    real, steps = time.time_ns, iter(range(10_000))
    monkeypatch.setattr(time, "time_ns", lambda: real() + jump * (next(steps) % 2))
    journal = JournalWriter(store.path / "journal", rotate_bytes=1000)
    promised = []
    for number in range(12):
        span = f"s{number}"
        assert journal.append(record("start", span, time.time_ns()), opens=span)
        assert journal.append(record("end", span, time.time_ns()), closes=span)
        promised += [("start", "t", span), ("end", "t", span)]
    journal.close()
    made = [int(path.stem.split("-")[2]) for path in (store.path / "journal").glob("*.wal")]
    assert len(set(made)) == len(made) > 1
    store.refresh()
    before = store.query("SELECT span_id, start_ns, end_ns, writer, sequence FROM all_spans ORDER BY span_id")
    monkeypatch.setattr(time, "time_ns", real)
    oracle.check(store.path, promised)
    store.refresh()
    assert before == store.query(
        "SELECT span_id, start_ns, end_ns, writer, sequence FROM all_spans ORDER BY span_id"
    )
    told = [finding.text for finding in the_store(str(store.path)) if finding.subject == "clock"]
    assert any("before they begin" in text for text in told)


@pytest.mark.parametrize("when", [0, -1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1])
def test_a_time_that_no_clock_shows_is_kept_and_hides_nothing(store, monkeypatch, when):
    """Before the epoch, and beyond what 64 bits hold: the span is there, and so are those beside it."""
    monkeypatch.setattr(seal, "LATE_SECONDS", -1.0)
    journal = store.writer()
    journal.append(record("start", "a", time.time_ns()), opens="a")
    journal.append(record("span", "odd", when, end=when, status="ok"))
    journal.append(record("end", "a", time.time_ns()), closes="a")
    journal.close()
    oracle.check(store.path, [("start", "t", "a"), ("end", "t", "a")])
    store.refresh()
    found = store.query("SELECT span_id FROM all_spans ORDER BY span_id")
    assert ["a", "odd"] == found["span_id"].to_pylist()
    assert 2 == sum(segment.rows for segment in ledger.read_ledger(store.layout.entries).segments)


def test_files_of_a_clock_set_back_are_sealed_after_their_time(store, monkeypatch):
    """A journal file that claims to be of tomorrow, or whose own time is of tomorrow, is sealed all the same."""
    journal = store.writer()
    journal.append(record("span", "a", time.time_ns(), end=time.time_ns(), status="ok"))
    path = journal.path
    journal.close()
    os.utime(path, (time.time() + 86_400, time.time() + 86_400))
    assert 1 == store.seal().spans
