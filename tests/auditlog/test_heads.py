"""The entries that are put together as text are those that an encoder of JSON would write."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.encoding.encode import encode, json_text
from auditlog.heads import end_head, start_head, start_tail
from auditlog.record import END_PARTS, FORMAT, decode_record, encode_record, payload_of

_IDS = st.text("0123456789abcdef", min_size=16, max_size=16)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_TIMES = st.integers(0, 2**63 - 1)


@given(_TIMES, _IDS, _IDS, st.none() | _IDS, st.none() | _IDS, st.none() | _TEXTS, _TEXTS, st.booleans())
def test_a_start_entry_is_what_an_encoder_writes(time, trace, span, parent, turn, conversation, name, given):
    """Byte for byte, whatever the conversation and the function are called."""
    parts = {"attributes": b"{}", **({"input": b"[1]"} if given else {})}
    entry = {
        "type": "start",
        "time": time,
        "trace": trace,
        "span": span,
        "parent": parent,
        "turn": turn,
        "conversation": conversation,
        "kind": "tool",
        "name": name,
        "source": "decorator",
    }
    tail = start_tail("tool", name, parts)
    head = start_head(time, trace, span, parent, turn, conversation, tail)
    assert encode_record(entry, parts) == payload_of(head, parts)


@given(
    _TIMES,
    _IDS,
    _IDS,
    st.sampled_from(["ok", "error"]),
    st.dictionaries(st.sampled_from(("attributes", *END_PARTS)), st.binary()),
)
def test_an_end_entry_is_what_an_encoder_writes(time, trace, span, status, parts):
    """Byte for byte, whichever parts it has; and it reads back."""
    entry = {"type": "end", "time": time, "trace": trace, "span": span, "status": status}
    payload = payload_of(end_head(time, trace, span, status, tuple(parts)), parts)
    assert encode_record(entry, parts) == payload
    assert (parts, FORMAT) == (decode_record(payload).parts, decode_record(payload).entry["v"])


_NUMBERS = st.floats() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text("ab") | st.none()
_VALUES = st.recursive(
    _NUMBERS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text("abc"), inner, max_size=5)
)


@given(_VALUES)
def test_a_value_is_taken_as_it_stands_exactly_where_every_number_is_one(value):
    """A number that is none is found wherever it stands; what is taken reads back equal."""
    text = json_text(value)
    assert (text is None) == (not _is_finite(value))
    if text is not None:
        assert value == orjson.loads(text)


@pytest.mark.parametrize("value", [[1e308] * 3, [1e308, "a", 1e308], {"a": -1e308, "b": [-1e308, -1e308]}])
def test_numbers_whose_sum_is_none_are_numbers(value):
    """What is finite is kept as it is, however large."""
    assert (orjson.dumps(value), False, None) == encode(value)


def _is_finite(value):
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
