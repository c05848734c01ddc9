"""The whole store against a plain model: whatever is done to it, it shows what the model says, and verifies."""

import errno
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from auditlog.integrity.verify import verify
from auditlog.journal import JournalWriter
from auditlog.keeping.compact import compact
from auditlog.keeping.erase import HeldError, Subject, erase
from auditlog.keeping.holds import place, release
from auditlog.keeping.prune import prune
from auditlog.record import encode_record
from auditlog.sealing import seal
from auditlog.store import Store

EXAMPLES = int(os.environ.get("AUDITLOG_MACHINE_EXAMPLES", "40"))
DAY = 86_400 * 10**9
BEGAN = 1_700_000_000 * 10**9
WRITERS = st.integers(0, 2)
CONVERSATIONS = st.integers(0, 5)
SIZES = st.sampled_from([1, 40, 900, 5000])


class Span:
    """What the model knows of a span."""

    def __init__(self, name, conversation, content, writer):
        self.name, self.conversation, self.content, self.writer = name, conversation, content, writer
        self.ended = False
        self.gone = "no"
        """`no`, `yes`, or `maybe` where it was in a live journal when its conversation went."""


class StoreMachine(RuleBasedStateMachine):
    """Records, crashes, seals, compacts, erases, prunes and verifies."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        # A writer that is gone has this process's number, which lives.
        self.patch.setattr(seal, "LATE_SECONDS", -1.0)
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.root = Path(tempfile.mkdtemp(prefix="auditlog-machine-", dir=memory))
        self.store = Store.create(self.root / "audit")
        self.writers, self.spans, self.held = {}, {}, set()
        self.names, self.rounds = itertools.count(1), [0] * 6

    def teardown(self):
        """Remove everything."""
        for writer in self.writers.values():
            writer.close()
        self.store.close()
        self.patch.undo()
        shutil.rmtree(self.root)

    def writer(self, number):
        """Give a writer that lives."""
        if number not in self.writers:
            self.writers[number] = JournalWriter(self.root / "audit" / "journal", rotate_bytes=6000)
        return self.writers[number]

    def conversation(self, number):
        """Give the conversation of a number; once it went, its number means another one."""
        return f"c{number}-{self.rounds[number]}"

    def start_of(self, span, size):
        """Encode a START."""
        day = int(span.conversation[1])
        entry = {
            "type": "start",
            "time": BEGAN + day * DAY,
            "trace": f"t-{span.conversation}",
            "span": span.name,
        }
        entry |= {"kind": "agent", "name": "n", "conversation": span.conversation, "turn": span.name}
        return encode_record(entry, {"input": span.content})

    def end_of(self, span):
        """Encode an END."""
        day = int(span.conversation[1])
        entry = {
            "type": "end",
            "time": BEGAN + day * DAY + 5,
            "trace": f"t-{span.conversation}",
            "span": span.name,
        }
        return encode_record(entry | {"status": "ok"}, {"output": b"[1]"})

    def begin(self, number, conversation, size):
        """Make a span in the model."""
        name = f"{next(self.names):016x}"
        span = Span(name, self.conversation(conversation), b'"%s"' % (name[-1:].encode() * size), number)
        self.spans[name] = span
        return span

    @rule(number=WRITERS, conversation=CONVERSATIONS, size=SIZES)
    def start(self, number, conversation, size):
        """Write a START."""
        span = self.begin(number, conversation, size)
        assert self.writer(number).append(self.start_of(span, size), opens=span.name)

    @rule(number=WRITERS, conversation=CONVERSATIONS, size=SIZES, calls=st.integers(1, 4))
    def call(self, number, conversation, size, calls):
        """Write whole calls."""
        for _ in range(calls):
            span = self.begin(number, conversation, size)
            assert self.writer(number).append(self.start_of(span, size), opens=span.name)
            assert self.writer(number).append(self.end_of(span), closes=span.name)
            span.ended = True

    @rule(pick=st.integers(0, 1000))
    def end(self, pick):
        """Write an END, where the process of its START lives."""
        open_spans = [s for s in self.spans.values() if not s.ended and s.writer in self.writers]
        if open_spans:
            span = open_spans[pick % len(open_spans)]
            assert self.writers[span.writer].append(self.end_of(span), closes=span.name)
            span.ended = True

    @rule(number=WRITERS, conversation=CONVERSATIONS)
    def fork(self, number, conversation):
        """Write a call in a forked child, which dies with it."""
        writer, span = self.writer(number), self.begin(None, conversation, 10)
        if (child := os.fork()) == 0:
            kept = writer.append(self.start_of(span, 10), opens=span.name)
            kept = writer.append(self.end_of(span), closes=span.name) and kept
            os._exit(0 if kept else 1)
        assert os.waitpid(child, 0)[1] == 0
        span.ended = True

    @rule(number=WRITERS, torn=st.binary(max_size=30))
    def crash(self, number, torn):
        """Let a writer die without a word, and with half a frame."""
        writer = self.writers.pop(number, None)
        if writer is not None and writer.path is not None:
            path = writer.path
            writer._files.close_descriptors()
            writer._files.let_go()
            if torn:
                with path.open("ab") as file:
                    file.write(b"ALJ1" + torn)
            self.leave(number)

    @rule(number=WRITERS)
    def close(self, number):
        """Close a writer."""
        if number in self.writers:
            self.writers.pop(number).close()
            self.leave(number)

    def leave(self, number):
        """Take note that the open spans of a writer will never end."""
        for span in self.spans.values():
            if span.writer == number:
                span.writer = None

    @rule(number=WRITERS)
    def fail_to_sync(self, number):
        """Let a sync fail, so that what was written is written again."""
        if number in self.writers:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "fdatasync", _broken)
                self.writers[number].flush()

    @rule()
    def seal(self):
        """Seal."""
        report = self.store.seal()
        assert (report.conflicts, report.unreadable, report.lost) == (0, 0, 0)

    @rule()
    def compact(self):
        """Compact."""
        compact(self.store, grace=0.0)

    @rule(conversation=CONVERSATIONS)
    def hold(self, conversation):
        """Hold a conversation, or release it."""
        name = self.conversation(conversation)
        if name in self.held:
            release(self.store, conversation=name, where=None, reason="r")
            self.held.remove(name)
        elif any(span.conversation == name for span in self.spans.values()):
            place(self.store, conversation=name, where=None, reason="r")
            self.held.add(name)

    @rule(conversation=CONVERSATIONS)
    def erase(self, conversation):
        """Erase a conversation, unless it is held."""
        name = self.conversation(conversation)
        if not any(span.conversation == name for span in self.spans.values()):
            return
        subject = Subject(conversations=(name,))
        try:
            erase(self.store, subject, reason="r")
        except HeldError:
            assert name in self.held
        else:
            self.goes(conversation)

    @rule(day=st.integers(0, 5))
    def prune(self, day):
        """Prune what is older than a day, but for what is held."""
        prune(self.store, BEGAN + day * DAY + DAY // 2, older_than="x", reason="r")
        for number in range(day + 1):
            if self.conversation(number) not in self.held:
                self.goes(number)

    def goes(self, number):
        """Take note that a conversation went; what was live of it may still be there."""
        name = self.conversation(number)
        live = self.store.query("SELECT span_id FROM all_spans WHERE segment IS NULL")["span_id"].to_pylist()
        for span in self.spans.values():
            if span.conversation == name:
                span.gone = "maybe" if span.name in live or span.writer in self.writers else "yes"
        self.rounds[number] += 1

    @rule(deep=st.booleans())
    @precondition(lambda self: self.spans)
    def verify(self, deep):
        """Verify."""
        assert verify(self.store.layout, deep=deep, jobs=1).faults == []

    @rule()
    def open_again(self):
        """Open the store again."""
        self.store.close()
        self.store = Store.open(self.root / "audit")

    @invariant()
    def shows_what_the_model_says(self):
        """Each span once, with its content, its end and its conversation; of what went, no content."""
        self.store.refresh()
        rows = self.store.query(
            "SELECT span_id, conversation_id, input, output, end_ns FROM all_spans"
        ).to_pylist()
        found = {row["span_id"]: row for row in rows}
        assert len(found) == len(rows)
        assert found.keys() <= self.spans.keys()
        for span in self.spans.values():
            row = found.get(span.name)
            if span.gone == "no":
                assert row is not None, span.name
                output = b"[1]" if span.ended else None
                assert (span.conversation, span.content, output) == (
                    row["conversation_id"],
                    row["input"],
                    row["output"],
                )
                assert span.ended == (row["end_ns"] is not None)
            elif span.gone == "yes" and row is not None:
                assert (None, None) == (row["input"], row["output"])


def _broken(_descriptor):
    raise OSError(errno.EIO, "broken")


def machine(examples, steps, **more):
    """Run the machine."""
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


def test_a_store_shows_what_a_model_says():
    """A few short stories, the same each time."""
    machine(3, 12, derandomize=True, database=None)


@pytest.mark.slow
def test_a_store_shows_what_a_model_says_whatever_is_done_to_it():
    """Many long ones."""
    machine(EXAMPLES, 40)
