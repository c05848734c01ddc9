"""A record keeps the bytes that are hashed, and refuses what is none."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.errors import FormatError
from auditlog.record import commitment, decode_record, encode_record, leaf_hash

PARTS = st.dictionaries(st.sampled_from(["input", "output", "attributes", "error"]), st.binary(max_size=300))


@given(PARTS)
def test_round_trip_with_commitments(parts):
    """Each part comes back as written, and the entry commits to it with its salt."""
    record = decode_record(encode_record({"type": "start", "span": "ab"}, parts))
    assert parts == {name: part.content for name, part in record.parts.items()}
    for name, part in record.parts.items():
        assert record.entry["parts"][name] == commitment(part.salt, part.content)


def test_the_leaf_is_that_of_rfc_6962():
    """A leaf hashes a zero byte and the entry."""
    record = decode_record(encode_record({"type": "gap"}, {}))
    assert hashlib.sha256(b"\x00" + record.entry_bytes).digest() == leaf_hash(record.entry_bytes)


@given(PARTS, st.data())
def test_a_cut_record_is_refused(parts, data):
    """Whatever ends too early is a FormatError, never a crash or a short read."""
    payload = encode_record({"type": "start"}, parts)
    cut = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(FormatError):
        decode_record(payload[:cut])


@given(st.binary(max_size=200))
def test_noise_is_refused(noise):
    """Bytes that are no record are a FormatError."""
    with pytest.raises(FormatError):
        decode_record(noise)


def test_a_newer_format_says_what_to_do():
    """A record of a later version asks for an upgrade."""
    payload = encode_record({"type": "gap"}, {}).replace(b'"v":1', b'"v":9')
    with pytest.raises(FormatError, match=r"format 9.*Upgrade"):
        decode_record(payload)
