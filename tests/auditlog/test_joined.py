"""START and END become one span's entry and parts."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.joined import UNREADABLE, joined, joined_lists, joined_objects
from auditlog.record import decode_record, encode_record

objects = st.dictionaries(
    st.text(max_size=3), st.none() | st.integers(-(2**53), 2**53) | st.text(max_size=5), max_size=4
)


@given(objects, objects)
def test_attributes_are_the_starts_updated_with_the_ends(before, after):
    """Joined attributes decode to one mapping updated with the other, and no name stands in them twice."""
    text = joined_objects(orjson.dumps(before), orjson.dumps(after))
    assert orjson.loads(text) == {**before, **after}
    assert text.count(b":") >= len({**before, **after})


def test_a_name_in_both_keeps_every_digit():
    """Where texts are written again, a number of thirty digits stays what it was."""
    number = b"1" * 30
    text = joined_objects(b'{"a":1,"n":%b}' % number, b'{"a":2}')
    assert text == b'{"a":2,"n":%b}' % number


@pytest.mark.parametrize("odd", [b"[1]", b"{no json", b"\xff", b"[" * 3000])
def test_attributes_that_are_no_object_stay_as_text(odd):
    """What cannot be joined is kept under a name that says so."""
    found = orjson.loads(joined_objects(odd, b'{"a":1}'))
    assert found == {UNREADABLE: odd.decode("utf-8", "backslashreplace"), "a": 1}


def test_vaults_stand_one_behind_the_other():
    """What redaction took out of START and of END is kept, both."""
    assert joined_lists(b'["a"]', b'["b","c"]') == b'["a","b","c"]'
    assert joined_lists(b"[]", b'"b"') == b'["b"]'


def test_an_end_wins_but_for_attributes():
    """Of a part in both records the END's counts."""

    def record(kind, parts):
        entry = {"type": kind, "time": 5, "trace": "t", "span": "s", "status": "ok"}
        return decode_record(encode_record(entry, parts))

    start = record("start", {"input": b"1", "output": b"2", "attributes": b'{"a":1}'})
    entry, parts = joined(start, record("end", {"output": b"3", "attributes": b'{"b":2}'}))
    assert parts == {"input": b"1", "output": b"3", "attributes": b'{"a":1,"b":2}'}
    assert (entry["start"], entry["end"], entry["status"]) == (5, 5, "ok")
    assert joined(start, None)[0]["status"] == "incomplete"
