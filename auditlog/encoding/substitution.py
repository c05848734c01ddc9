"""What JSON has no word for: how it is written, and what stood there.

The rules:

1. A substitution keeps what a reader needs: a dataclass becomes its fields, a date its ISO text, a tuple a list. What has
   no JSON that says it becomes a mark, `{"$auditlog": <what it was>, …}`.
2. Every substitution is entered in a tree of the value's shape (`Encoded.types`): `{"as": tag, …}` at the place itself,
   `"of": {key: tree}` below a mapping or list, `"each": tree` where all items of a list have the same.
3. A tag among `RESTORABLE` says enough to make the value again; any other makes the encoding lossy.
4. Types are looked at, objects are not asked: `__class__`, `__getattr__`, properties and the methods of subclasses do
   not run. Fields are read out of `__dict__` and slots. Only libraries that are loaded already are known.
5. Bounds: items, levels, seconds, and the size of the tree. What is beyond is cut, marked, and lossy.
"""

from __future__ import annotations

import base64
import collections
import datetime as dt
import decimal
import enum
import math
import pathlib
import sys
import time
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from auditlog.encoding.encode import MARK, MAX_BYTES, Encoded, type_name
from auditlog.encoding.error_facts import error_facts
from auditlog.encoding.moments import moment_text
from auditlog.encoding.object_fields import dict_of, field_of, members_of, slot_of

MAX_DEPTH = 100
MAX_ITEMS = 1_000_000
MAX_SECONDS = 2.0
MAX_TYPES_BYTES = 64 * 1024
Tree = dict[str, Any]
Written = tuple[Any, Tree | None]
"""A value's JSON, and the tree of what was substituted in it."""

RESTORABLE = frozenset(
    "tuple set frozenset deque dict OrderedDict Counter defaultdict namedtuple dataclass attrs pydantic pydantic-root enum "
    "bytes bytearray text int float complex decimal uuid path date time datetime timedelta ndarray number".split()
)
"""Tags of values that a replay can make again; those of a class (`type`) only where the class is loaded there."""

_KEYS: dict[type, str] = {int: "int", float: "float", bool: "bool"}


def encode_slowly(value: Any) -> Encoded:
    """Encode any value, with substitutions; never raise."""
    try:
        walk = _Walk()
        plain, tree = walk.plain(value, 0)
        text = orjson.dumps(plain)
        if tree is None or len(orjson.dumps(tree)) <= MAX_TYPES_BYTES:
            return Encoded(text, walk.lossy, tree)
        return Encoded(text, lossy=True)
    except Exception as error:  # noqa: BLE001 - a recorder never raises into the agent
        mark = {MARK: "unencodable", "type": type_name(type(value)), "why": type_name(type(error))}
        return Encoded(orjson.dumps(mark), lossy=True)


class _Walk:
    """One encoding: turns a value into what orjson takes, and keeps the tree of substitutions."""

    def __init__(self) -> None:
        self.lossy = False
        self._items = 0
        self._bytes = 0
        self._until = time.monotonic() + MAX_SECONDS
        self._above: set[int] = set()

    def plain(self, value: Any, depth: int) -> Written:
        """Give a value's JSON, and the tree of what was substituted in it."""
        kind = type(value)
        if kind is str:
            return self._text(value)
        if value is None or kind is bool:
            return value, None
        if kind is int:
            return (
                (value, None) if -(1 << 63) <= value < 1 << 64 else self._mark("int", digits=_digits(value))
            )
        if kind is float:
            return (value, None) if math.isfinite(value) else self._mark("float", value=str(value))
        if (bound := self._bound(depth)) is not None:
            return self._mark(bound, type=type_name(kind))
        if id(value) in self._above:
            return self._mark("cycle", type=type_name(kind))
        self._above.add(id(value))
        try:
            return self._substituted(value, kind, depth)
        except Exception as error:  # noqa: BLE001 - rule 4 holds for what was foreseen
            return self._mark("object", type=type_name(kind), why=type_name(type(error)))
        finally:
            self._above.discard(id(value))

    def _bound(self, depth: int) -> str | None:
        self._items += 1
        if depth >= MAX_DEPTH:
            return "too deep"
        if self._items > MAX_ITEMS:
            return "too many"
        if self._bytes > MAX_BYTES:
            return "too large"
        if not self._items % 256 and time.monotonic() > self._until:
            self._items = MAX_ITEMS
            return "too long"
        return None

    def _substituted(self, value: Any, kind: type, depth: int) -> Written:
        if (known := _EXACT.get(kind)) is not None:
            return known(self, value, depth)
        for base, known in _SUBCLASSES:
            if issubclass(kind, base):
                return known(self, value, depth)
        members = members_of(kind)
        if "__dataclass_fields__" in members:
            names = [name for name in members["__dataclass_fields__"] if type(name) is str]
            return self._fields("dataclass", value, names, depth)
        if "__attrs_attrs__" in members:
            return self._fields("attrs", value, [a.name for a in members["__attrs_attrs__"]], depth)
        if "__pydantic_fields__" in members or "__pydantic_core_schema__" in members:
            return self._pydantic(value, members, depth)
        if "model_dump" in members:
            # A client's object: its fields are kept, and its method is not run.
            return self._below({"as": "fields", "type": type_name(kind)}, dict(dict_of(value)), depth)
        if "page_content" in members or "page_content" in dict_of(value):
            found = {
                "content": field_of(value, kind, "page_content"),
                "metadata": dict_of(value).get("metadata", {}),
            }
            return self._below({"as": "document", "type": type_name(kind)}, found, depth)
        return _of_library(self, value, kind, depth) or self._mark("object", type=type_name(kind))

    def _mapping(self, value: dict[Any, Any], depth: int, tree: Tree | None = None) -> Written:
        """Write a mapping; `tree` says what it is where it is no plain dict."""
        # A copy in one step, which no other thread can come between.
        pairs = list(dict.items(value))
        kinds = {type(key) for key, _ in pairs}
        if kinds <= {str}:
            return self._below(tree, dict(pairs), depth)
        if len(kinds) == 1 and (name := _KEYS.get(next(iter(kinds)))):
            tree = {"as": "dict", **(tree or {}), "keys": name}
        else:
            self.lossy = True
            tree = {"as": "dict", **(tree or {}), "keys": "other"}
        return self._below(tree, self._named(pairs), depth)

    def _named(self, pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        """Give keys as text. Keys that are different, and have one text, are numbered: no value is lost."""
        named: dict[str, Any] = {}
        for key, item in pairs:
            name = _key(key)
            if name in named:
                self.lossy = True
                name = f"{name} ({len(named) + 1})"
            named[name] = item
        return named

    def _below(self, tree: Tree | None, fields: dict[str, Any], depth: int) -> Written:
        """Write a mapping with text keys."""
        if tree is not None and tree["as"] not in RESTORABLE:
            self.lossy = True
        written, below = {}, {}
        for name, item in fields.items():
            key = name if name.isascii() else self._name(name)
            if _is_short(item):
                self._items += 1
                written[key] = item
                continue
            written[key], inner = self.plain(item, depth + 1)
            if inner is not None:
                below[key] = inner
        if below:
            tree = {**(tree or {}), "of": below}
        return written, tree

    def _sequence(self, value: Iterable[Any], depth: int, tree: Tree | None = None) -> Written:
        """Write a list; `tree` says what it is where it is no plain list."""
        if tree is not None and tree["as"] not in RESTORABLE:
            self.lossy = True
        written: list[Any] = []
        trees: list[Tree | None] = []
        for item in value:
            if _is_short(item):
                self._items += 1
                plain, inner = item, None
            else:
                plain, inner = self.plain(item, depth + 1)
            written.append(plain)
            trees.append(inner)
            if self._items > MAX_ITEMS:
                written.append({MARK: "too many"})
                trees.append({"as": "too many"})
                self.lossy = True
                break
        if any(inner is not None for inner in trees):
            same = trees.count(trees[0]) == len(trees)
            below = {"each": trees[0]} if same else {"of": {str(n): t for n, t in enumerate(trees) if t}}
            tree = {**(tree or {}), **below}
        return written, tree

    def _fields(self, tag: str, value: Any, names: Iterable[str], depth: int) -> Written:
        kind = type(value)
        found: dict[str, Any] = {}
        for name in names:
            try:
                found[name] = field_of(value, kind, name)
            except AttributeError:
                continue
        if extra := dict_of(value).keys() - found.keys():
            # What was hung onto the object beside its fields is not made again.
            self.lossy = self.lossy or any(not str(name).startswith("_") for name in extra)
        return self._below({"as": tag, "type": type_name(kind)}, found, depth)

    def _pydantic(self, value: Any, members: dict[str, Any], depth: int) -> Written:
        found = dict(dict_of(value))
        tree: Tree = {"as": "pydantic", "type": type_name(type(value))}
        if members.get("__pydantic_root_model__") is True:
            written, below = self.plain(found.get("root"), depth + 1)
            return written, {**tree, "as": "pydantic-root", **({"root": below} if below else {})}
        names = slot_of(value, "__pydantic_fields_set__")
        if type(names) is set and names != found.keys():
            tree["set"] = sorted(name for name in names if type(name) is str)
        extra = slot_of(value, "__pydantic_extra__")
        if type(extra) is dict and extra:
            tree["extra"] = [name for name in extra if type(name) is str]
            found |= extra
        if slot_of(value, "__pydantic_private__"):
            self.lossy = True
        return self._below(tree, found, depth)

    def _text(self, value: str) -> Written:
        self._bytes += len(value)
        if self._bytes > MAX_BYTES:
            return self._mark("too large", type="builtins.str", characters=len(value))
        try:
            value.encode()
        except UnicodeEncodeError:
            readable = value.encode("utf-8", "backslashreplace").decode()
            whole = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()
            return self._mark("text", text=readable, base64=whole)
        return value, None

    def _name(self, name: str) -> str:
        try:
            name.encode()
        except UnicodeEncodeError:
            self.lossy = True
            return name.encode("utf-8", "backslashreplace").decode()
        return name

    def _mark(self, what: str, **fields: Any) -> Written:
        return self.tagged({MARK: what, **fields}, what)

    def tagged(self, plain: Any, tag: str, **more: Any) -> Written:
        """Give JSON that stands for something else."""
        if tag not in RESTORABLE:
            self.lossy = True
        return plain, {"as": tag, **more}

    # What is known of the types of Python.

    def write_dict(self, value: Any, depth: int) -> Written:
        return self._mapping(value, depth)

    def write_list(self, value: Any, depth: int) -> Written:
        return self._sequence(list.copy(value), depth)

    def write_tuple(self, value: Any, depth: int) -> Written:
        return self._sequence(value, depth, {"as": "tuple"})

    def write_set(self, value: Any, depth: int) -> Written:
        name = type(value).__name__
        items = list(value)
        if {type(item) for item in items} in ({str}, {int}, {float}, {bool}):
            items.sort()
        return self._sequence(items, depth, {"as": name})

    def write_deque(self, value: Any, depth: int) -> Written:
        bounds = {} if value.maxlen is None else {"most": value.maxlen}
        return self._sequence(list(value), depth, {"as": "deque", **bounds})

    def write_ordered(self, value: Any, depth: int) -> Written:
        return self._mapping(value, depth, {"as": "OrderedDict"})

    def write_counter(self, value: Any, depth: int) -> Written:
        return self._mapping(value, depth, {"as": "Counter"})

    def write_defaulting(self, value: Any, depth: int) -> Written:
        factory = value.default_factory
        known = factory if factory in (list, dict, set, int, float, str) else None
        self.lossy = self.lossy or known is not factory
        return self._mapping(value, depth, {"as": "defaultdict", "of_each": known and known.__name__})

    def write_bytes(self, value: Any, _depth: int) -> Written:
        tag = "bytearray" if type(value) is bytearray else "bytes"
        self._bytes += len(value)
        if self._bytes > MAX_BYTES:
            return self._mark("too large", type=f"builtins.{tag}", bytes=len(value))
        plain, tree = self._mark("bytes", base64=base64.b64encode(value).decode())
        return plain, tree if tag == "bytes" else {"as": tag}

    def write_view(self, value: Any, _depth: int) -> Written:
        self.lossy = True
        return self._mark("bytes", base64=base64.b64encode(value.tobytes()).decode())

    def write_moment(self, value: Any, _depth: int) -> Written:
        text, exact = moment_text(value)
        self.lossy = self.lossy or not exact
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return self.tagged(text, "date")
        tag = "datetime" if isinstance(value, dt.datetime) else "time"
        zone = value.tzinfo
        more: dict[str, Any] = {"fold": 1} if value.fold else {}
        if type(zone) is zoneinfo.ZoneInfo and type(zone.key) is str:
            more["zone"] = zone.key
        elif zone is not None and type(zone) is not dt.timezone:
            self.lossy = True
        return self.tagged(text, tag, **more)

    def write_duration(self, value: Any, _depth: int) -> Written:
        seconds = value.total_seconds()
        try:
            exact = dt.timedelta(seconds=seconds) == value
        except OverflowError:
            exact = False
        self.lossy = self.lossy or not exact
        return self.tagged(seconds, "timedelta")

    def write_number(self, value: Any, _depth: int) -> Written:
        return self.tagged(str(value), "decimal" if type(value) is decimal.Decimal else "complex")

    def write_uuid(self, value: Any, _depth: int) -> Written:
        return self.tagged(str(value), "uuid")

    def write_path(self, value: Any, _depth: int) -> Written:
        plain, tree = self._text(str(value))
        if tree is not None:
            self.lossy = True
        return plain, {"as": "path", "type": type(value).__name__}

    def write_view_of_dict(self, value: Any, depth: int) -> Written:
        return self._sequence(list(value), depth, {"as": type(value).__name__})

    # What is known of their subclasses.

    def write_enum(self, value: Any, depth: int) -> Written:
        written, below = self.plain(value._value_, depth + 1)
        return written, {"as": "enum", "type": type_name(type(value)), **({"value": below} if below else {})}

    def write_error(self, value: Any, _depth: int) -> Written:
        facts = error_facts(value, stack=False)
        return self._mark("exception", type=facts.type, message=facts.message)

    def write_type(self, value: Any, _depth: int) -> Written:
        return self._mark("class", type=type_name(value))

    def write_some_tuple(self, value: Any, depth: int) -> Written:
        kind = type(value)
        names = members_of(kind).get("_fields")
        items = tuple.__getitem__(value, slice(None))
        if type(names) is tuple and len(names) == len(items) and all(type(name) is str for name in names):
            tree = {"as": "namedtuple", "type": type_name(kind)}
            return self._below(tree, dict(zip(names, items, strict=True)), depth)
        return self._sequence(items, depth, {"as": "subclass of tuple", "type": type_name(kind)})

    def write_some_dict(self, value: Any, depth: int) -> Written:
        return self._mapping(value, depth, {"as": "subclass of dict", "type": type_name(type(value))})

    def write_some_list(self, value: Any, depth: int) -> Written:
        tree = {"as": "subclass of list", "type": type_name(type(value))}
        return self._sequence(list.__getitem__(value, slice(None)), depth, tree)

    def write_some_set(self, value: Any, depth: int) -> Written:
        base: Any = set if issubclass(type(value), set) else frozenset
        tree = {"as": f"subclass of {base.__name__}", "type": type_name(type(value))}
        return self._sequence(list(base.__iter__(value)), depth, tree)

    def write_some_scalar(self, value: Any, depth: int) -> Written:
        base, simple = next((b, f) for b, f in _SCALARS if issubclass(type(value), b))
        if (found := _of_library(self, value, type(value), depth)) is not None:
            return found
        written, _ = self.plain(simple(value), depth + 1)
        return self.tagged(written, f"subclass of {base.__name__}", type=type_name(type(value)))

    def write_some_moment(self, value: Any, depth: int) -> Written:
        if (found := _of_library(self, value, type(value), depth)) is not None:
            return found
        bases = (dt.datetime, dt.date, dt.time, dt.timedelta)
        base: Any = next(base for base in bases if issubclass(type(value), base))
        plain = dt.timedelta.total_seconds(value) if base is dt.timedelta else moment_text(value)[0]
        return self.tagged(plain, f"subclass of {base.__name__}", type=type_name(type(value)))


_Writer = Callable[[_Walk, Any, int], Written]

_SCALARS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (decimal.Decimal, decimal.Decimal.__str__),
)
_EXACT: dict[type, _Writer] = {
    dict: _Walk.write_dict,
    list: _Walk.write_list,
    tuple: _Walk.write_tuple,
    set: _Walk.write_set,
    frozenset: _Walk.write_set,
    collections.deque: _Walk.write_deque,
    collections.OrderedDict: _Walk.write_ordered,
    collections.Counter: _Walk.write_counter,
    collections.defaultdict: _Walk.write_defaulting,
    bytes: _Walk.write_bytes,
    bytearray: _Walk.write_bytes,
    memoryview: _Walk.write_view,
    dt.datetime: _Walk.write_moment,
    dt.date: _Walk.write_moment,
    dt.time: _Walk.write_moment,
    dt.timedelta: _Walk.write_duration,
    decimal.Decimal: _Walk.write_number,
    complex: _Walk.write_number,
    uuid.UUID: _Walk.write_uuid,
    type({}.keys()): _Walk.write_view_of_dict,
    type({}.values()): _Walk.write_view_of_dict,
    type({}.items()): _Walk.write_view_of_dict,
    **dict.fromkeys(
        (pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath, pathlib.PureWindowsPath),
        _Walk.write_path,
    ),
}
_SUBCLASSES: tuple[tuple[type | tuple[type, ...], _Writer], ...] = (
    (enum.Enum, _Walk.write_enum),
    (BaseException, _Walk.write_error),
    (type, _Walk.write_type),
    (tuple, _Walk.write_some_tuple),
    (dict, _Walk.write_some_dict),
    (list, _Walk.write_some_list),
    ((set, frozenset), _Walk.write_some_set),
    ((dt.date, dt.time, dt.timedelta), _Walk.write_some_moment),
    (tuple(base for base, _ in _SCALARS), _Walk.write_some_scalar),
)


def _is_short(item: Any) -> bool:
    """Whether an item is surely JSON as it stands, and small."""
    kind = type(item)
    if kind is str:
        return len(item) < 1000 and item.isascii()
    return item is None or kind is bool or (kind is int and -(1 << 63) <= item < 1 << 63)


def _of_library(walk: _Walk, value: Any, kind: type, depth: int) -> Written | None:
    """Write an array, scalar or table of a library that is loaded; None where it is of none."""
    for base in type.__getattribute__(kind, "__mro__"):
        library = type_name(base).partition(".")[0]
        if library in ("numpy", "pandas", "polars", "pyarrow") and library in sys.modules:
            from auditlog.encoding.tabular import tabular

            return tabular(walk, value, kind, library, depth)
    return None


def _key(key: Any) -> str:
    kind = type(key)
    if kind is str:
        return key
    if kind is bool or kind is float or key is None:
        return str(key)
    if kind is int:
        return _digits(key)
    if kind in (dt.date, dt.datetime):
        return moment_text(key)[0]
    if kind in (decimal.Decimal, uuid.UUID, bytes) or (kind is tuple and _is_small(key)):
        return str(key)
    if issubclass(kind, str):
        return str.__str__(key)
    if issubclass(kind, int):
        return _digits(int.__int__(key))
    if issubclass(kind, enum.Enum):
        return f"{type_name(kind)}.{key._name_}"
    return type_name(kind)


def _is_small(key: tuple[Any, ...]) -> bool:
    return len(key) < 10 and all(type(item) in (str, int, float, bool, type(None)) for item in key)


def _digits(value: int) -> str:
    # str() of an int refuses more than 4,300 digits; hexadecimal has no such bound.
    return str(value) if value.bit_length() < 14_000 else hex(value)
