"""What a replay found is appended whole, or whoever appends it is told."""

from __future__ import annotations

import pytest

from auditlog.errors import StoreError
from auditlog.record import encode_record
from replay.running.appending import Appender, appending, keep
from replay.running.records import run_span


class Writer:
    """Takes records until it is full, and keeps what each opens and closes."""

    def __init__(self, room):
        self.room = room
        self.kept = []

    def append(self, payload, *, opens=None, closes=None):
        """Keep a record where there is room."""
        if len(self.kept) == self.room:
            return False
        self.kept.append((opens, closes))
        return True

    def flush(self):
        """Say that all is on the disk."""
        return True


def record(kind, span):
    """Make a record of a type, of a span."""
    return encode_record({"type": kind, "span": span, "time": 1}, {})


def test_a_call_that_is_told_of_is_open_until_its_record_comes():
    """A START record opens its span in the journal, and whatever record of the span comes next closes it."""
    writer = Writer(room=3)
    Appender(writer, "It").append([record("start", "a"), record("start", "b"), record("span", "a")])
    assert [("a", None), ("b", None), (None, "a")] == writer.kept


def test_what_cannot_be_kept_is_said_with_what_can_be_done():
    """The error names what it was and what can be done, and what was kept before stays."""
    writer = Writer(room=1)
    with pytest.raises(StoreError, match=r"^The attack cannot be written .* read-only\? Try again\.$"):
        Appender(writer, "The attack", "Try again.").append([record("span", "a"), record("span", "b")])
    assert len(writer.kept) == 1


def test_a_store_that_was_appended_to_shows_it(store):
    """Kept records are seen at once, and so is what a block appended before it failed."""
    keep(store, [run_span("one", "r-1", 1), run_span("two", "r-1", 2)], "It")
    assert ["one", "two"] == sorted(span.name for span in store.spans())

    def fail():
        with appending(store, "It") as appender:
            appender.append([run_span("three", "r-1", 3)])
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    store.refresh()
    assert ["one", "three", "two"] == sorted(span.name for span in store.spans())
