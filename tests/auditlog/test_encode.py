"""The encoder is total: it never raises, it keeps meaning, and it says what it could not keep."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.encode import MARK, decode, encode, error_facts

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_round_trips(value):
    """A JSON value comes back as it was, and is not lossy."""
    encoded = encode(value)
    assert not encoded.lossy
    assert value == decode(encoded.text)


@dataclasses.dataclass
class Order:
    """A dataclass."""

    order_id: str
    total: decimal.Decimal


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Broken:
    """Looks like a Pydantic model, and fails like none."""

    def model_dump(self, mode):
        """Fail."""
        raise RuntimeError


def _cycle():
    value = []
    value.append(value)
    return value


def _deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Order("A1", decimal.Decimal("9.90")), {"order_id": "A1", "total": "9.90"}),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), "2026-01-02T03:04:00+00:00"),
        (pathlib.PurePosixPath("/x/y"), "/x/y"),
        (b"\x00\xff", {MARK: "bytes", "base64": "AP8="}),
        ({3, 1, 2}, [1, 2, 3]),
        ({1: "a"}, {"1": "a"}),
        (math.nan, {MARK: "float", "value": "nan"}),
        ([None, math.inf], [None, {MARK: "float", "value": "inf"}]),
        (2**70, {MARK: "int", "digits": str(2**70)}),
        ("a\ud800b", {MARK: "text", "text": "a\\ud800b"}),
        (ValueError("no"), {MARK: "exception", "type": "ValueError", "message": "no"}),
        (Broken(), {MARK: "object", "type": f"{__name__}.Broken", "why": "RuntimeError"}),
    ],
)
def test_meaning_is_kept_and_loss_is_said(value, expected):
    """A value that JSON has no word for keeps its meaning and makes the result lossy."""
    encoded = encode(value)
    assert encoded.lossy
    assert expected == decode(encoded.text)


@pytest.mark.parametrize(
    "value",
    [_cycle(), _deep(), sys, threading.Lock(), (x for x in ()), open, object(), 10**6000],
    ids=["cycle", "deep", "module", "lock", "generator", "function", "object", "huge int"],
)
def test_nothing_raises_or_spins(value):
    """Cycles, depth, modules, locks and generators end in a marked substitution."""
    encoded = encode({"value": value})
    assert encoded.lossy
    assert MARK in json.dumps(decode(encoded.text))


def test_tuples_and_enums_are_no_loss():
    """Tuples are told apart from lists, and enums from their values, by nobody who reads JSON."""
    encoded = encode({"pair": (1, "a"), "colour": Colour.RED})
    assert (b'{"pair":[1,"a"],"colour":"red"}', False) == encoded


def test_an_error_that_cannot_print_itself_is_still_recorded():
    """An exception whose text raises gives its type all the same."""

    class Mute(Exception):  # noqa: N818
        def __str__(self):
            raise RuntimeError

    facts = error_facts(Mute())
    assert facts["type"].endswith("Mute")
    assert "RuntimeError" in facts["message"]
