"""Makes recorded values of Python's types again: the reverse of what the encoder wrote in place of them.

The rules:

1. Where the tree of substitutions says nothing, JSON is handed out as it is, a copy each time.
2. A class is found among the modules that are loaded already, by the name that it was recorded under; nothing is
   imported, unpickled, or constructed: fields are put into a bare object, and neither validators nor `__init__` run.
3. A class that is not there, or has other fields now, cannot be restored, and the reason is said.
"""

from __future__ import annotations

import base64
import collections
import copy
import datetime as dt
import decimal
import enum
import pathlib
import sys
import uuid
import zoneinfo
from collections.abc import Callable, Mapping
from typing import Any

from auditlog.encoding.object_fields import members_of
from auditlog.values import Json

Tree = Mapping[str, Any]


class NotRestorable(ValueError):  # noqa: N818 - a finding about a recording, as `NotServable` is
    """A recorded value cannot be made again in this process; the text says why."""


def restored(value: Json, tree: Tree | None) -> Any:
    """Make a recorded value again.

    Args:
        value: the JSON that was recorded.
        tree: what was substituted in it, as recorded; None where nothing was.

    Raises:
        NotRestorable: a type is not there, or is another one by now.
    """
    if not tree:
        return _copied(value)
    try:
        return _made(_inner(value, tree), tree)
    except NotRestorable:
        raise
    except Exception as error:  # noqa: BLE001 - a recording is whatever it is, and so is a class of the agent's
        msg = (
            f"a recorded {tree.get('as', 'value')} could not be made again ({type(error).__name__}: {error})"
        )
        raise NotRestorable(msg) from None


def _copied(value: Json) -> Json:
    # What was JSON holds nothing twice, and nothing but these.
    if type(value) is dict:
        return {name: _copied(item) for name, item in value.items()}
    if type(value) is list:
        return [_copied(item) for item in value]
    return value if value is None or type(value) in _SCALARS else copy.deepcopy(value)


_SCALARS = (str, int, float, bool)


def _inner(value: Json, tree: Tree) -> Any:
    """Restore what stands inside a value, and leave the value itself."""
    of, each = tree.get("of"), tree.get("each")
    if isinstance(value, dict):
        return {key: restored(item, (of or {}).get(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [restored(item, each or (of or {}).get(str(n))) for n, item in enumerate(value)]
    return value


def _made(value: Any, tree: Tree) -> Any:
    tag = tree.get("as")
    if tag is None:
        return value
    if (make := _SIMPLE.get(tag)) is not None:
        return make(value)
    if (restore := _BY_TREE.get(tag)) is not None:
        return restore(value, tree)
    msg = f"a {tree.get('type', tag)} was recorded in a form that does not tell all of it"
    raise NotRestorable(msg)


_SIMPLE: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "OrderedDict": collections.OrderedDict,
    "Counter": collections.Counter,
    "bytes": lambda mark: base64.b64decode(mark["base64"]),
    "bytearray": lambda mark: bytearray(base64.b64decode(mark["base64"])),
    "text": lambda mark: base64.b64decode(mark["base64"]).decode("utf-8", "surrogatepass"),
    "int": lambda mark: _whole(mark["digits"]),
    "float": lambda mark: float(mark["value"]),
    "complex": complex,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
    "date": dt.date.fromisoformat,
    "timedelta": lambda seconds: dt.timedelta(seconds=seconds),
}


def _whole(digits: str) -> int:
    return int(digits, 16) if "x" in digits else int(digits)


def _mapping(value: dict[str, Any], tree: Tree) -> Any:
    keys = {"int": int, "float": float, "bool": "True".__eq__}.get(tree["keys"])
    if keys is None:
        msg = "a mapping was recorded whose keys were not kept as they were"
        raise NotRestorable(msg)
    return {keys(key): item for key, item in value.items()}


def _defaulting(value: dict[str, Any], tree: Tree) -> Any:
    factories = {"list": list, "dict": dict, "set": set, "int": int, "float": float, "str": str}
    return collections.defaultdict(factories.get(tree["of_each"]), value)


def _moment(value: str, tree: Tree) -> Any:
    made = (dt.time if tree["as"] == "time" else dt.datetime).fromisoformat(value)
    if zone := tree.get("zone"):
        made = made.replace(tzinfo=zoneinfo.ZoneInfo(zone))
    return made.replace(fold=tree.get("fold", 0))


def _path(value: str, tree: Tree) -> Any:
    kinds = (pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath, pathlib.PureWindowsPath)
    return next(kind for kind in kinds if kind.__name__ == tree["type"])(value)


def _array(value: Any, tree: Tree) -> Any:
    numpy = _library("numpy")
    if isinstance(value, dict):
        flat = numpy.frombuffer(base64.b64decode(value["base64"]), dtype=value["dtype"])
        return flat.reshape(value["shape"]).copy()
    return numpy.array(_numbers(value), dtype=tree["dtype"]).reshape(tree["shape"])


def _numbers(value: Any) -> Any:
    """Give an array's items, in which what is no number stands as a mark."""
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value["value"]) if isinstance(value, dict) else value


def _number(value: Any, tree: Tree) -> Any:
    return _library("numpy").dtype(tree["dtype"]).type(_numbers(value))


def _namedtuple(value: dict[str, Any], tree: Tree) -> Any:
    kind = _class(tree)
    _same_fields(kind, value, getattr(kind, "_fields", ()))
    return tuple.__new__(kind, value.values())


def _enum(value: Any, tree: Tree) -> Any:
    kind = _class(tree)
    if not issubclass(kind, enum.Enum):
        raise NotRestorable(_changed(kind, "is no enum any more"))
    return kind(restored(value, tree.get("value")))


def _dataclass(value: dict[str, Any], tree: Tree) -> Any:
    kind = _class(tree)
    _same_fields(kind, value, members_of(kind).get("__dataclass_fields__", ()))
    return _filled(kind, value)


def _attrs(value: dict[str, Any], tree: Tree) -> Any:
    kind = _class(tree)
    _same_fields(kind, value, [a.name for a in members_of(kind).get("__attrs_attrs__", ())])
    return _filled(kind, value)


def _filled(kind: type, fields: Mapping[str, Any]) -> Any:
    made = object.__new__(kind)
    for name, item in fields.items():
        object.__setattr__(made, name, item)
    return made


def _pydantic(value: dict[str, Any], tree: Tree) -> Any:
    kind = _class(tree)
    known = members_of(kind)
    if "__pydantic_fields__" not in known or known.get("__private_attributes__"):
        raise NotRestorable(_changed(kind, "is no Pydantic model, or has private attributes"))
    names = tree.get("extra", [])
    fields = {name: item for name, item in value.items() if name not in names}
    _same_fields(kind, fields, known["__pydantic_fields__"])
    extra = {name: value[name] for name in names}
    allows = known.get("model_config", {}).get("extra") == "allow"
    given = set(tree.get("set", fields))
    return _modelled(kind, fields, given, extra if extra or allows else None)


def _root(value: Any, tree: Tree) -> Any:
    return _modelled(_class(tree), {"root": restored(value, tree.get("root"))}, {"root"}, None)


def _modelled(kind: type, fields: dict[str, Any], given: set[str], extra: dict[str, Any] | None) -> Any:
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", fields)
    object.__setattr__(made, "__pydantic_fields_set__", given)
    object.__setattr__(made, "__pydantic_extra__", extra)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


_BY_TREE: dict[str, Callable[[Any, Tree], Any]] = {
    "dict": _mapping,
    "defaultdict": _defaulting,
    "deque": lambda value, tree: collections.deque(value, tree.get("most")),
    "datetime": _moment,
    "time": _moment,
    "path": _path,
    "ndarray": _array,
    "number": _number,
    "namedtuple": _namedtuple,
    "enum": _enum,
    "dataclass": _dataclass,
    "attrs": _attrs,
    "pydantic": _pydantic,
    "pydantic-root": _root,
}


def _library(name: str) -> Any:
    found = sys.modules.get(name)
    if found is None:
        msg = f"a value of {name} was recorded, and this process has not loaded {name}"
        raise NotRestorable(msg)
    return found


def _class(tree: Tree) -> type:
    """Find a recorded class among the loaded modules."""
    name = str(tree["type"])
    if name.startswith("__main__."):
        return _once_main(name.partition(".")[2])
    found = loaded(name)
    if not isinstance(found, type):
        msg = f"a {name} was recorded, and this process has no such class loaded"
        raise NotRestorable(msg)
    return found


def loaded(name: str) -> Any:
    """Give what the modules that are loaded hold under a dotted name; None where they hold nothing."""
    module, _, qualified = name.rpartition(".")
    while module and module not in sys.modules:
        module, _, outer = module.rpartition(".")
        qualified = f"{outer}.{qualified}"
    return _attribute(sys.modules.get(module), qualified)


def _once_main(qualified: str) -> type:
    """Find a class of what was the main program when it was recorded, and is some module here."""
    modules = list(sys.modules.items())
    found = [
        kind
        for name, module in modules
        if isinstance(kind := _attribute(module, qualified), type) and kind.__module__ == name
    ]
    if len(found) != 1:
        msg = f"a {qualified} of the main program was recorded, and {len(found)} loaded modules have a class of that name"
        raise NotRestorable(msg)
    return found[0]


def _attribute(module: Any, qualified: str) -> Any:
    found = module
    for part in qualified.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found


def _same_fields(kind: type, recorded: Mapping[str, Any], there: Any) -> None:
    if set(recorded) != set(there):
        missing = ", ".join(sorted(map(str, set(recorded) ^ set(there))))
        raise NotRestorable(_changed(kind, f"has other fields by now: {missing}"))


def _changed(kind: type, how: str) -> str:
    return f"a {kind.__module__}.{kind.__qualname__} was recorded, and that class {how}"
