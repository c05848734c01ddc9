"""Any Python value to JSON text, totally: it never raises, and it says when it could not keep the value as it was.

The rules:

1. What orjson encodes faithfully is encoded by orjson: that is the fast path, and nearly all traffic.
2. A value that JSON has no word for becomes `{"$auditlog": <what it was>, …}`, and the result is `lossy`.
   Tuples become lists and are not counted as lossy.
3. Of what a stranger's object defines, little is run: the serialisers of well-known libraries (`model_dump`,
   `to_pylist`, `to_dicts`, `tolist`, `to_dict`), what a subclass of a built-in makes of itself, and the text of an
   error. Where one of them fails, that is a substitution too.
4. Depth, items and text are bounded on the slow path, so that a cycle or a module cannot spin.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import traceback
import types
import uuid
from typing import Any, NamedTuple

import orjson

MARK = "$auditlog"
MAX_DEPTH = 100
MAX_ITEMS = 1_000_000

_FAITHFUL = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)


class Encoded(NamedTuple):
    """JSON text, and whether anything in it stands for something else."""

    text: bytes
    lossy: bool


def encode(value: Any) -> Encoded:
    """Encode any value; never raise."""
    try:
        text = orjson.dumps(value, None, _FAITHFUL)
    except Exception:  # noqa: BLE001 - rule 1: whatever orjson does not take goes the slow way
        return _encode_slowly(value)
    # orjson turns NaN and infinities into null without a word.
    return _encode_slowly(value) if b"null" in text and _has_no_number(value) else Encoded(text, lossy=False)


def decode(text: bytes) -> Any:
    """Decode what `encode` gave."""
    return orjson.loads(text)


def _encode_slowly(value: Any) -> Encoded:
    walk = _Walk()
    try:
        return Encoded(orjson.dumps(walk.plain(value, 0)), walk.lossy)
    except Exception as error:  # noqa: BLE001 - rule 1 of capture: the agent never sees this
        mark = {MARK: "unencodable", "type": _type_name(value), "why": type(error).__name__}
        return Encoded(orjson.dumps(mark), lossy=True)


def _has_no_number(value: Any) -> bool:
    pending, seen = [value], 0
    while pending:
        item = pending.pop()
        seen += 1
        if isinstance(item, float) and not math.isfinite(item):
            return True
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        if seen > MAX_ITEMS:
            return True
    return False


class _Walk:
    """One slow encoding: turns a value into what orjson takes, and remembers whether anything was substituted."""

    def __init__(self) -> None:
        self.lossy = False
        self._items = 0
        self._above: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        self._items += 1
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return (
                value if -(1 << 63) <= value < 1 << 64 else self._mark("int", digits=str(_short_int(value)))
            )
        if kind is float:
            return value if math.isfinite(value) else self._mark("float", value=str(value))
        if kind is str:
            return self._text(value)
        if depth >= MAX_DEPTH or self._items > MAX_ITEMS:
            return self._mark("too deep" if depth >= MAX_DEPTH else "too many", type=_type_name(value))
        if kind in (dict, list, tuple):
            return self._container(value, depth)
        return self._other(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        if id(value) in self._above:
            return self._mark("cycle", type=_type_name(value))
        self._above.add(id(value))
        try:
            if isinstance(value, dict):
                return {self._key(key): self.plain(item, depth + 1) for key, item in list(value.items())}
            return [self.plain(item, depth + 1) for item in list(value)]
        finally:
            self._above.discard(id(value))

    def _key(self, key: Any) -> str:
        if type(key) is str:
            text = self._text(key)
            return text if isinstance(text, str) else text["text"]
        self.lossy = True
        return (
            str(key) if isinstance(key, str | int | float | bool | enum.Enum | uuid.UUID) else _type_name(key)
        )

    def _text(self, value: str) -> Any:
        try:
            value.encode()
        except UnicodeEncodeError:
            return self._mark("text", text=value.encode("utf-8", "backslashreplace").decode())
        return value

    def _other(self, value: Any, depth: int) -> Any:
        self.lossy = True
        try:
            simple = _simple(value)
        except Exception as error:  # noqa: BLE001 - rule 3
            return self._mark("object", type=_type_name(value), why=type(error).__name__)
        return self.plain(simple, depth + 1)

    def _mark(self, what: str, **fields: Any) -> dict[str, Any]:
        self.lossy = True
        return {MARK: what, **fields}


def _simple(value: Any) -> Any:
    """Give a simpler value that keeps the meaning: built-in containers, numbers, text, or a marked mapping."""
    match value:
        case enum.Enum():
            return value.value
        case str():
            return str.__str__(value)
        case bool() | int():
            return int(value)
        case float():
            return float(value)
        case dict():
            return dict(value)
        case list() | tuple() if hasattr(value, "_asdict"):
            return value._asdict()
        case list() | tuple() | set() | frozenset():
            return (
                sorted(value, key=repr)
                if isinstance(value, set | frozenset) and _sortable(value)
                else list(value)
            )
        case bytes() | bytearray() | memoryview():
            return {MARK: "bytes", "base64": base64.b64encode(bytes(value)).decode()}
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal() | uuid.UUID() | pathlib.PurePath() | complex():
            return str(value)
        case BaseException():
            return {MARK: "exception", **error_facts(value, stack=False)}
        case type():
            return {MARK: "class", "type": f"{value.__module__}.{value.__qualname__}"}
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    if hasattr(type(value), "__attrs_attrs__"):
        return {a.name: getattr(value, a.name, None) for a in type(value).__attrs_attrs__}
    if callable(dump := getattr(type(value), "model_dump", None)):
        return dump(value, mode="json")
    if hasattr(type(value), "page_content") or "page_content" in getattr(value, "__dict__", ()):
        return {"content": value.page_content, "metadata": getattr(value, "metadata", {})}
    if type(value).__module__.split(".")[0] in ("numpy", "pandas", "polars", "pyarrow"):
        return _tabular(value)
    return {MARK: "object", "type": _type_name(value)}


def _tabular(value: Any) -> Any:
    for name in ("to_pylist", "to_dicts", "tolist"):
        if callable(method := getattr(type(value), name, None)):
            return method(value)
    if callable(method := getattr(type(value), "to_dict", None)):
        return method(value, orient="records") if hasattr(value, "columns") else method(value)
    return {MARK: "object", "type": _type_name(value)}


def error_facts(error: BaseException, *, stack: bool = True) -> dict[str, Any]:
    """Give an error as {type, message, stack}; the type is a bare name for a built-in, else with its module."""
    facts: dict[str, Any] = {"type": _error_name(type(error))}
    try:
        facts["message"] = str(error)[:10_000]
        if stack:
            lines = traceback.format_exception(
                type(error), error, _body_frames(error), limit=-30, chain=False
            )
            facts["stack"] = "".join(lines)[-20_000:]
    except Exception as failure:  # noqa: BLE001 - an error whose __str__ fails is still recorded
        facts["message"] = f"(its text raised {type(failure).__name__})"
    return facts


def _body_frames(error: BaseException) -> types.TracebackType | None:
    """Give the error's frames from the decorated body on, without the decorator's own."""
    frames = error.__traceback__
    while (
        frames is not None and frames.tb_frame.f_globals.get("__package__") == __package__ and frames.tb_next
    ):
        frames = frames.tb_next
    return frames


def _error_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _type_name(value: Any) -> str:
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _short_int(value: int) -> str:
    # str() of an int refuses more than 4,300 digits; hexadecimal has no such bound.
    return str(value) if value.bit_length() < 14_000 else hex(value)


def _sortable(values: Any) -> bool:
    return all(isinstance(value, str | int | float) for value in values)
