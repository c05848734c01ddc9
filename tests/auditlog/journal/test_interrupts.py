"""A signal, an interrupt or a stuck thread in the middle of a record leaves the journal whole."""

import os
import signal
import threading

import pytest

from auditlog.journal import JournalWriter, writer


def test_a_signal_handler_that_records_disturbs_no_record(tmp_path, payload, spans):
    """A record made in the middle of another one on the same thread follows it, with a number of its own."""
    journal = JournalWriter(tmp_path)
    made = []

    def handle(*_):
        made.append(f"h{len(made)}")
        journal.append(payload(made[-1]))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for number in range(3000):
            assert journal.append(payload(str(number)))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    journal.close()
    assert {*map(str, range(3000)), *made} == set(spans(tmp_path))
    assert 3000 + len(made) == len(spans(tmp_path))


def test_an_interrupt_in_the_middle_of_a_record_leaves_the_file_whole(tmp_path, monkeypatch, payload, spans):
    """Ctrl-C during a write goes to the agent; the record is cut back, and the next one has its number."""
    journal = JournalWriter(tmp_path)
    journal.append(payload("a"))
    real = os.write

    def interrupted(descriptor, data):
        real(descriptor, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            journal.append(payload("b"))
    journal.append(payload("c"))
    journal.close()
    assert ["a", "c"] == spans(tmp_path)


def test_a_thread_stuck_in_a_write_holds_others_up_for_a_bounded_time(
    tmp_path, monkeypatch, payload, spans, gaps
):
    """Behind a write that never returns, other threads' records are counted as lost, and closing ends in time."""
    monkeypatch.setattr(writer, "LOCK_SECONDS", 0.05)
    journal = JournalWriter(tmp_path)
    journal.append(payload("a"))
    stuck, free = threading.Event(), threading.Event()
    real = os.write

    def hang(descriptor, data):
        stuck.set()
        free.wait(60)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", hang)
    thread = threading.Thread(target=journal.append, args=(payload("b"),))
    thread.start()
    assert stuck.wait(20)
    assert not journal.append(payload("c"))
    journal.close(timeout=0.05)
    monkeypatch.setattr(os, "write", real)
    free.set()
    thread.join()
    journal.close()
    assert ["a", "b"] == spans(tmp_path)
    assert [(1, "busy")] == [(gap["lost"], gap["reason"]) for gap in gaps(tmp_path)]
