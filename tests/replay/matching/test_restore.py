"""What the encoder wrote in place of a value makes the value again, or says why it cannot."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import sys
import typing
import uuid
import zoneinfo
from typing import Any

import attrs
import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlog.encoding.encode import decode, encode
from replay.matching.restore import NotRestorable, restored


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Rank(enum.IntEnum):
    """An enum of numbers."""

    TOP = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A frozen dataclass with slots."""

    sku: str
    price: decimal.Decimal


@dataclasses.dataclass
class Order:
    """A dataclass of dataclasses, whose constructor must not run."""

    order_id: str
    lines: list[Line]
    placed: dt.datetime | None = None

    def __post_init__(self):
        """Run only where the test makes one."""
        if self.order_id == "restored":
            raise AssertionError


@attrs.frozen
class Point:
    """An attrs class."""

    x: int
    y: float


class Address(pydantic.BaseModel):
    """A model."""

    city: str
    zip_code: str | None = None


class Customer(pydantic.BaseModel):
    """A model of models that takes extra fields."""

    model_config = pydantic.ConfigDict(extra="allow")

    name: str
    since: dt.date
    addresses: list[Address] = []


class Scores(pydantic.RootModel[dict[str, float]]):
    """A model that is one value."""


class Pair(typing.NamedTuple):
    """A named tuple."""

    left: object
    right: object


NAIVE = dt.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - as agents give them

VALUES = [
    (1, "a", (2.5, None)),
    {1, 2, 3},
    frozenset({"a"}),
    b"\x00\xff",
    bytearray(b"x"),
    2**70,
    -(10**5000),
    "a\ud800\\ud800",
    decimal.Decimal("9.90"),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("/x/y"),
    pathlib.Path("z"),
    1 + 2j,
    dt.date(2026, 1, 2),
    NAIVE,
    dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
    dt.time(3, 4),
    dt.timedelta(days=3, microseconds=1),
    Colour.RED,
    Rank.TOP,
    Pair(1, (2,)),
    {1: "a", 2: ["b"]},
    collections.OrderedDict(a=1),
    collections.Counter("aab"),
    collections.defaultdict(list, a=[1]),
    collections.deque([1, 2], 5),
    Line("s", decimal.Decimal(1)),
    Order("A1", [Line("s", decimal.Decimal("1.5")), Line("t", decimal.Decimal(2))], NAIVE),
    Point(1, 2.5),
    Address(city="Bern"),
    Customer(name="n", since=dt.date(2020, 1, 1), addresses=[Address(city="x", zip_code="1")], vip=True),
    Scores({"a": 1.5}),
    [{"when": dt.date(2026, 1, day), "n": day} for day in range(1, 20)],
    {"plain": 1, "$auditlog": "bytes", "base64": "AA=="},
    np.float64(1.5),
    np.int32(7),
    np.bool_(True),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """What is not lossy is the same value again, of the same type, down to its fields."""
    encoded = encode({"given": value})
    assert not encoded.lossy
    back = restored(decode(encoded.text), encoded.types)["given"]
    assert (type(value), value) == (type(back), back)
    if isinstance(value, pydantic.BaseModel):
        assert value.model_fields_set == back.model_fields_set
        assert value.model_dump() == back.model_dump()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.array([1.5, math.nan, math.inf]),
        np.zeros((3, 0)),
        np.array(4),
        np.arange(20_000, dtype="<f4").reshape(100, 200),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_of_numbers_comes_back(array: Any) -> None:
    """Shape, type and every number of an array are the same again, small or large."""
    encoded = encode([array])
    assert not encoded.lossy
    (back,) = restored(decode(encoded.text), encoded.types)
    assert (array.dtype, array.shape) == (back.dtype, back.shape)
    np.testing.assert_array_equal(array, back)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.just(dt.UTC) | st.none())
    | st.timedeltas(min_value=dt.timedelta(days=-90_000), max_value=dt.timedelta(days=90_000))
    | st.uuids()
    | st.sampled_from(list(Colour))
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]))
ANY = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(WORDS, inner)
        | st.dictionaries(st.integers(), inner)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


@given(ANY)
def test_any_nesting_comes_back(value: Any) -> None:
    """Whatever such values are nested in, lossless means the same again."""
    encoded = encode(value)
    assert not encoded.lossy
    assert value == restored(decode(encoded.text), encoded.types)


def test_no_constructor_runs() -> None:
    """A dataclass is filled, not constructed."""
    order = Order("A1", [])
    order.order_id = "restored"
    encoded = encode(order)
    assert order == restored(decode(encoded.text), encoded.types)


def test_a_class_that_changed_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that is not loaded, or has other fields by now, is named and not guessed."""
    encoded = encode(Point(1, 2.0))
    value, tree = decode(encoded.text), encoded.types
    monkeypatch.setattr(sys.modules[__name__], "Point", Line)
    with pytest.raises(NotRestorable, match="other fields by now"):
        restored(value, tree)
    monkeypatch.delattr(sys.modules[__name__], "Point")
    with pytest.raises(NotRestorable, match="no such class loaded"):
        restored(value, tree)


def test_what_was_the_main_program_is_found_where_it_is_now() -> None:
    """A class that was recorded as `__main__`'s is found in the one module that defines it."""
    tree = {"as": "attrs", "type": "__main__.Point"}
    assert Point(1, 2.0) == restored({"x": 1, "y": 2.0}, tree)
    with pytest.raises(NotRestorable, match="0 loaded modules"):
        restored({}, {"as": "attrs", "type": "__main__.NoSuchClassAnywhere"})


def test_a_copy_is_handed_out_each_time() -> None:
    """What an agent does to a restored value does not reach the recording."""
    recorded = {"items": [1]}
    restored(recorded, {"of": {}})["items"].append(2)
    assert {"items": [1]} == recorded
