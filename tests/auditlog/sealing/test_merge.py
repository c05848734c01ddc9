"""Merging records into spans."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.errors import FormatError
from auditlog.record import encode_record
from auditlog.sealing.merge import Merger

TRACE = "ab" * 16


def record(type_, span="01" * 8, time=5, parts=None, **entry):
    """Encode one record of one trace."""
    return encode_record({"type": type_, "time": time, "trace": TRACE, "span": span, **entry}, parts or {})


def merged(*frames):
    """Merge (writer, sequence, payload) frames; give the spans by id, ended ones and open ones."""
    merger = Merger()
    for frame in frames:
        merger.feed(*frame)
    spans = [*merger.take(), *merger.unfinished()]
    found = {(s.start or s.end).record.entry["span"]: s for s in spans}
    assert len(found) == len(spans)
    return merger, found


def test_start_and_end_meet_across_files():
    """A span that began in one file and ended in the next is one span, at home in the second."""
    _, spans = merged(("w1", 1, record("start")), ("w2", 1, record("end", status="ok")))
    (span,) = spans.values()
    assert span.start.writer == "w1"
    assert (span.end.writer, span.home) == ("w2", "w2")


def test_a_frame_counts_once():
    """A frame that stands twice in a file, and a START carried into the next file, make no second span."""
    start = record("start")
    merger, spans = merged(
        ("w1", 1, start), ("w1", 1, start), ("w2", 1, start), ("w2", 2, record("end", status="ok"))
    )
    (span,) = spans.values()
    assert (span.start.writer, span.start.sequence) == ("w2", 1)
    assert merger.duplicates == {"w1": 1}


def test_a_second_end_is_a_conflict():
    """The first END of a span holds; a different second one is counted."""
    first, second = record("end", status="ok"), record("end", status="error")
    merger, spans = merged(("w1", 1, record("start")), ("w1", 2, first), ("w1", 3, second), ("w1", 4, first))
    (span,) = spans.values()
    assert span.end.sequence == 2
    assert (merger.conflicts, merger.duplicates) == ({"w1": 1}, {"w1": 1})


def test_an_end_without_its_start_is_a_span():
    """Where the START was lost, the END still shows."""
    _, spans = merged(("w1", 1, record("end", status="error")))
    (span,) = spans.values()
    assert span.start is None
    assert span.end is not None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff\xffrubbish",
        record("start")[:-3],
        encode_record({"type": "start", "time": 1}, {}),
        encode_record({"type": "start", "time": 1, "trace": "a" * 4096, "span": "b"}, {}),
        encode_record({"type": "start", "time": "soon", "trace": "a", "span": "b"}, {}),
        encode_record({"type": ["x"], "time": 1}, {}),
        encode_record({"type": "party", "time": 1}, {}),
    ],
)
def test_what_is_no_record_is_counted(payload):
    """A frame that holds no record of ours makes no span and is counted."""
    merger, spans = merged(("w1", 1, payload))
    assert spans == {}
    assert merger.unreadable == {"w1": 1}


def test_a_record_of_a_newer_format_is_refused():
    """Records of a newer format are an error, not rubbish."""
    entry = orjson.dumps({"v": 3, "type": "start"})
    with pytest.raises(FormatError, match="format 3.*Upgrade"):
        merged(("w1", 1, len(entry).to_bytes(4, "little") + entry))


def test_a_record_of_an_older_format_names_the_command_that_brings_it_up():
    """Records of format 1 are an error that names the command that migrates them."""
    entry = orjson.dumps({"v": 1, "type": "start"})
    with pytest.raises(FormatError, match="format 1.*Run `auditlog migrate`"):
        merged(("w1", 1, len(entry).to_bytes(4, "little") + entry))


def test_gaps_are_told():
    """What a writer could not write is given with its count and reason."""
    merger, _ = merged(
        ("w1", 1, encode_record({"type": "gap", "time": 9, "lost": 3, "since": 4, "reason": "OSError"}, {}))
    )
    assert merger.gaps == [("w1", 3, 4, "OSError", {})]


def test_a_circle_of_parents_ends():
    """Spans that name each other as parents are resolved without spinning."""
    _, spans = merged(
        ("w1", 1, record("span", "a1", parent="b1", status="ok", end=6)),
        ("w1", 2, record("span", "b1", parent="a1", status="ok", end=6)),
    )
    assert {span.conversation_id for span in spans.values()} == {TRACE}


def test_the_outermost_agent_is_the_turn():
    """Without a turn of its own, a span's turn is the outermost agent above it, else the topmost span."""
    _, spans = merged(
        ("w1", 1, record("span", "leaf", parent="inner", status="ok", end=6)),
        ("w1", 2, record("span", "inner", parent="outer", kind="agent", status="ok", end=6)),
        ("w1", 3, record("span", "outer", parent="root", kind="agent", conversation="c", status="ok", end=6)),
        ("w1", 4, record("span", "root", kind="other", status="ok", end=6)),
        ("w1", 5, record("span", "beside", parent="root", kind="other", status="ok", end=6)),
    )
    assert {name: span.turn_id for name, span in spans.items()} == {
        "leaf": "outer",
        "inner": "outer",
        "outer": "outer",
        "root": "root",
        "beside": "root",
    }
    assert {span.conversation_id for span in spans.values()} == {"c"}


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["start", "end"])), max_size=24), st.data())
def test_feeding_in_pieces_gives_what_feeding_at_once_gives(calls, data):
    """However often the spans so far are taken, each ended span is given as it would be at the end."""
    frames = [
        ("w1", n, record(kind, f"s{span}", status="ok", conversation="c", turn="t"))
        for n, (span, kind) in enumerate(calls)
    ]
    _, whole = merged(*frames)
    merger, given_out = Merger(), {}
    for frame in frames:
        merger.feed(*frame)
        if data.draw(st.booleans()):
            given_out |= {s.end.record.entry["span"]: s for s in merger.take()}
    given_out |= {s.end.record.entry["span"]: s for s in merger.take()}
    given_out |= {s.start.record.entry["span"]: s for s in merger.unfinished()}
    assert given_out == whole
