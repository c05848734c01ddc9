"""A record keeps the bytes that are hashed, and refuses what is none."""

import hashlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.errors import FormatError
from auditlog.record import commitments_of, decode_record, encode_record, leaf_hash, leaf_text, part_salt

PARTS = st.dictionaries(st.sampled_from(["input", "output", "attributes", "error"]), st.binary(max_size=300))


@given(PARTS)
def test_round_trip(parts):
    """Each part comes back as written, and the entry names them in their order."""
    record = decode_record(encode_record({"type": "start", "span": "ab"}, parts))
    assert (list(parts), parts) == (record.entry.get("parts", []), record.parts)


def test_the_leaf_is_that_of_rfc_6962():
    """A leaf hashes a zero byte and the leaf text."""
    assert hashlib.sha256(b"\x00" + b"text").digest() == leaf_hash(b"text")


def test_the_leaf_text_commits_to_each_part():
    """The leaf text is the entry with SHA-256(part's salt, content) of each part, in the order of the columns."""
    salt = bytes(range(16))
    own = {n: hashlib.sha256(salt + n.encode()).digest()[:16] for n in ("attributes", "input")}
    parts = {"input": b"[1]", "error": None, "attributes": b"{}"}
    expected = {
        "attributes": hashlib.sha256(own["attributes"] + b"{}").hexdigest(),
        "input": hashlib.sha256(own["input"] + b"[1]").hexdigest(),
    }
    assert own["input"] == part_salt(salt, "input")
    assert list(expected.items()) == list(commitments_of(salt, parts).items())
    assert leaf_text(b'{"v":2}', expected) == orjson.dumps({"v": 2, "parts": expected})


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
    payload = encode_record({"type": "gap"}, {}).replace(b'"v":2', b'"v":9')
    with pytest.raises(FormatError, match=r"format 9.*Upgrade"):
        decode_record(payload)
