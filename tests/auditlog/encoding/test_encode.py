"""The encoder is total: it never raises, it keeps meaning, and it says what it could not keep."""

import base64
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import sys
import threading
import uuid
import zoneinfo

import numpy as np
import orjson
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.encoding import tabular
from auditlog.encoding.encode import MARK, Encoded, decode, encode

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


class Client:
    """What a client library gives, with a method that must not run."""

    def __init__(self):
        """Hold a text."""
        self.text = "hi"

    def model_dump(self, mode):
        """Never end."""
        while True:
            pass


class Hostile:
    """Fails, whatever it is asked."""

    def _fail(self, *args, **kwargs):
        raise SystemError

    __class__ = property(_fail)
    __getattribute__ = __getattr__ = __repr__ = __str__ = __hash__ = __eq__ = __len__ = __iter__ = (
        __bool__
    ) = _fail
    __reduce__ = __format__ = __dir__ = __float__ = __int__ = __index__ = __bytes__ = __call__ = _fail


class Meta(type):
    """Fails, whatever its classes are asked."""

    def _fail(cls, *args, **kwargs):
        raise SystemError

    __getattribute__ = __getattr__ = __repr__ = __hash__ = __eq__ = __instancecheck__ = __subclasscheck__ = (
        _fail
    )


class HostileClass(metaclass=Meta):
    """Its class fails, too."""


class Loud(dict):
    """A mapping whose own methods must not run."""

    def _fail(self, *args):
        raise SystemError

    items = keys = values = __iter__ = __getitem__ = __len__ = _fail


def _cycle():
    value = []
    value.append(value)
    return value


def _deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


def _shared():
    value = [1, 2]
    for _ in range(100):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "expected", "tag"),
    [
        (Order("A1", decimal.Decimal("9.90")), {"order_id": "A1", "total": "9.90"}, "dataclass"),
        (dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC), "2026-01-02T03:04:00+00:00", "datetime"),
        (pathlib.PurePosixPath("/x/y"), "/x/y", "path"),
        (b"\x00\xff", {MARK: "bytes", "base64": "AP8="}, "bytes"),
        ({3, 1, 2}, [1, 2, 3], "set"),
        ({1: "a"}, {"1": "a"}, "dict"),
        ((1, "a"), [1, "a"], "tuple"),
        (Colour.RED, "red", "enum"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001", "uuid"),
        (math.nan, {MARK: "float", "value": "nan"}, "float"),
        (2**70, {MARK: "int", "digits": str(2**70)}, "int"),
        ("a\ud800b", {MARK: "text", "text": "a\\ud800b", "base64": "Ye2ggGI="}, "text"),
    ],
)
def test_meaning_is_kept_and_what_stood_there_is_said(value, expected, tag):
    """A value that JSON has no word for is written readably, and its place says what can be made again of it."""
    encoded = encode(value)
    assert not encoded.lossy
    assert expected == decode(encoded.text)
    assert encoded.types is not None
    assert tag == encoded.types["as"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ValueError("no"), {MARK: "exception", "type": "ValueError", "message": "no"}),
        (Client(), {"text": "hi"}),
        (sys, {MARK: "object", "type": "builtins.module"}),
        (dict, {MARK: "class", "type": "builtins.dict"}),
        (Loud(a=1), {"a": 1}),
        ({(1, "a"): 1, None: 2}, {"(1, 'a')": 1, "None": 2}),
        (type("Name", (str,), {})("x"), "x"),
        (range(3), {MARK: "object", "type": "builtins.range"}),
    ],
)
def test_loss_is_said(value, expected):
    """What cannot be made again is written readably or marked, makes the result lossy, and none of its code runs."""
    encoded = encode(value)
    assert encoded.lossy
    assert expected == decode(encoded.text)


@pytest.mark.parametrize(
    "make",
    [
        _cycle,
        _deep,
        _shared,
        Hostile,
        lambda: HostileClass(),  # noqa: PLW0108 - pytest would ask the class for its name
        lambda: HostileClass,
        lambda: sys,
        threading.Lock,
        lambda: (x for x in ()),
        lambda: open,
        lambda: sys.__stdin__,
        object,
        lambda: np.array([object()]),
        lambda: pd.DataFrame({"a": [1], "when": [pd.Timestamp(0)]}),
        lambda: pl.DataFrame({"a": [1]}),
        lambda: pa.table({"a": [1]}),
    ],
)
def test_nothing_raises_or_spins(make):
    """Cycles, depth, shared lists, modules, locks, streams, tables and hostile objects end in a lossy substitution."""
    encoded = encode({"value": make()})
    assert encoded.lossy
    assert {"value"} == decode(encoded.text).keys()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        (pl.DataFrame({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (pa.table({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
        (pd.Series([1, 2]), [1, 2]),
        (pl.Series([1, 2]), [1, 2]),
        (pa.chunked_array([[1], [2]]), [1, 2]),
    ],
    ids=lambda value: type(value).__module__,
)
def test_a_table_is_its_rows(table, expected):
    """Tables and series of pandas, polars and pyarrow are read as rows and values."""
    encoded = encode(table)
    assert encoded.lossy
    assert expected == decode(encoded.text)


def test_large_content_is_kept_whole():
    """Fifty megabytes of text or bytes, and a list of a million rows, are recorded to the last byte."""
    text, content = "é" * 25_000_000, bytes(50_000_000)
    assert text == decode(encode({"text": text}).text)["text"]
    assert content == base64.b64decode(decode(encode(content).text)["base64"])
    rows = [None, 1.5] * 500_000
    assert Encoded(orjson.dumps(rows), lossy=False) == encode(rows)


def test_a_table_that_is_too_long_is_cut_and_says_so():
    """Beyond its bound a table is cut, and what was there is said."""
    encoded = encode(pa.table({"a": range(tabular.MAX_CELLS)}))
    assert (tabular.MAX_CELLS // 2, True) == (len(decode(encoded.text)), encoded.lossy)
    assert tabular.MAX_CELLS == encoded.types["rows"]


def test_a_mapping_that_another_thread_changes_is_recorded():
    """A dict that grows and shrinks during the encoding costs nothing but the moment it is seen in."""
    changing = {str(n): [n] for n in range(1000)}
    stop = threading.Event()

    def change():
        n = 0
        while not stop.is_set():
            n += 1
            changing[f"x{n % 50}"] = n
            changing.pop(f"x{(n + 25) % 50}", None)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        found = [encode({"changing": changing, "pair": (1, 2)}) for _ in range(50)]
    finally:
        stop.set()
        thread.join()
    assert [True] * 50 == [len(decode(encoded.text)["changing"]) >= 1000 for encoded in found]


class Strange:
    """Anything."""


ANY = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.builds(Hostile)
    | st.sampled_from(
        [
            Strange(),
            sys,
            print,
            Ellipsis,
            range(2),
            Colour.RED,
            pd.NaT,
        ]
    ),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters()) | st.integers() | st.none() | st.tuples(st.text()), inner)
        | st.builds(collections.deque, st.lists(inner))
        | st.builds(Order, inner, inner)
        | st.builds(Loud, st.lists(st.tuples(st.text(), inner)))
    ),
    max_leaves=20,
)


@given(ANY)
def test_anything_becomes_json(value):
    """Whatever is nested in whatever, the result is JSON that decodes."""
    encoded = encode(value)
    decode(encoded.text)
    assert encoded.types is None or encoded.types == decode(orjson.dumps(encoded.types))


class Hanging(dt.tzinfo):
    """A time zone whose code never ends."""

    def utcoffset(self, moment):
        """Never end."""
        raise SystemExit

    dst = tzname = utcoffset


def test_a_time_zone_of_a_stranger_is_not_asked():
    """A time in a zone that Python does not bring is written as its clock shows it, and is lossy."""
    moment = dt.datetime(2026, 11, 3, 4, 5, 6, 7, tzinfo=Hanging())
    late = type("Late", (dt.datetime,), {})(2026, 11, 3, tzinfo=Hanging())
    found = encode([moment, moment.timetz(), late])
    assert ["2026-11-03T04:05:06.000007", "04:05:06.000007", "2026-11-03T00:00:00"] == decode(found.text)
    assert found.lossy
    zoned = dt.datetime(2026, 11, 3, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
    assert ('"2026-11-03T00:00:00+01:00"', False) == (encode(zoned).text.decode(), encode(zoned).lossy)


def test_keys_that_are_one_text_lose_no_value():
    """Values of different keys with one text are all kept, and the mapping is lossy."""
    found = encode({1: "a", "1": "b", None: "c", "None": "d"})
    assert {"1": "a", "1 (2)": "b", "None": "c", "None (4)": "d"} == decode(found.text)
    assert found.lossy


def test_columns_of_one_name_lose_no_value(recwarn):
    """Tables with a column's name twice keep both, and warn nobody."""
    for table in (
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
    ):
        assert [{"a": 1, "a (2)": 2}] == decode(encode(table).text)
    assert not recwarn.list


def test_a_list_that_stands_in_itself_a_hundred_million_times_is_cut():
    """What would be a hundred million items is not listed before it is refused."""
    shared = ["x" * 100] * 100_000
    found = encode([shared] * 1000)
    assert found.lossy
    assert 200 * 2**20 > len(found.text)
