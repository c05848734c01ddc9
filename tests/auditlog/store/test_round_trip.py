"""Whatever is recorded comes back, once, live and sealed."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlog.journal import JournalWriter
from auditlog.ledger.merkle import tree_root
from auditlog.record import leaf_hash
from auditlog.sealing import seal
from auditlog.sealing.rows import leaves
from auditlog.sealing.segment import read_segment
from auditlog.store import Store

EVIDENCE = "trace_id, span_id, status, turn_id, conversation_id, input, output, entry, end_ns"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
spans = st.fixed_dictionaries(
    {
        "conversation": st.sampled_from(["case-1", "case-2", None]),
        "day": st.integers(0, 2),
        "input": values,
        "output": values,
        "ends_after": st.none() | st.integers(0, 4),
    }
)


@settings(max_examples=12)
@given(st.lists(spans, max_size=10), st.sampled_from([600, 3000, 1 << 20]), st.booleans())
def test_records_come_back_once_live_and_sealed(script_for, recorded, rotate_bytes, closed):
    """Every span shows once with its bytes, across rotations, open ends and midnights; sealing changes nothing."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        # The spans left open will not end: the writer is this process, which goes on living.
        patch.setattr(seal, "LATE_SECONDS", -1.0)
        with Store.create(Path(place) / "audit") as store:
            writer = JournalWriter(store.path / "journal", rotate_bytes=rotate_bytes)
            expected = write(script_for(writer), recorded)
            store.refresh()
            live = rows(store)
            assert Counter(live) == Counter(expected)
            if closed:
                writer.close()
            report = store.seal()
            assert Counter(rows(store)) == Counter(expected)
            assert report.lost == report.conflicts == report.unreadable == 0
            writer.close()
            store.seal()
            assert Counter(rows(store)) == Counter(expected)
            assert list((store.path / "journal").iterdir()) == []
            assert sum(s.rows for s in store.segments()) == len(expected)
            for segment in store.segments():
                table = read_segment(store.path / segment.path)
                entries = list(leaves(table))
                assert (len(entries), tree_root(map(leaf_hash, entries)).hex()) == (
                    segment.rows,
                    segment.root,
                )
                keys = list(
                    zip(table["conversation_id"].to_pylist(), table["start_ns"].to_pylist(), strict=True)
                )
                assert keys == sorted(keys)


def write(script, recorded):
    """Write spans, each ended so many spans later or never; give (span id, status) of what must come back."""
    due, expected = {}, {}
    trace = script.new_id(32)
    for number, span in enumerate(recorded):
        span_id = script.new_id()
        script.now = 1_800_000_000_000_000_000 + span["day"] * 86_400_000_000_000 + number
        fields = {"trace": trace, "span": span_id, "turn": span_id, "conversation": span["conversation"]}
        script.start(**fields, kind="tool", name="t", parts={"input": span["input"]})
        expected[span_id] = "incomplete" if span["ends_after"] is None else "ok"
        if span["ends_after"] is not None:
            due.setdefault(number + span["ends_after"], []).append((span_id, span["output"]))
        for ended, output in due.pop(number, []):
            script.end(trace=trace, span=ended, parts={"output": output})
    for ended, output in (late for group in due.values() for late in group):
        script.end(trace=trace, span=ended, parts={"output": output})
    return list(expected.items())


def rows(store):
    """Give (span id, status) of everything, and check that content decodes where it should be."""
    table = store.query(f"SELECT {EVIDENCE} FROM all_spans")
    found = table.to_pylist()
    assert all((row["end_ns"] is None) == (row["status"] == "incomplete") for row in found)
    assert all(row["entry"] and row["input"] is not None for row in found)
    assert len(list(store.spans())) == len(found)
    return [(row["span_id"], row["status"]) for row in found]
