"""Any Python value to JSON text, totally: it never raises, and it says when it could not keep the value as it was.

The rules:

1. A value that is JSON as it stands (dicts with text keys, lists, text, numbers, true, false, None) is encoded by
   orjson: that is the fast path, and nearly all traffic.
2. Anything else is written as the JSON that says most (`auditlog.encoding.substitution`), and `types` says where something else
   stood, so that a replay can make it again. What cannot be made again makes the result `lossy`.
3. Work is bounded. The fast path takes 20 million items; the slow one is cut at 1 million items, 100 levels, or
   2 seconds, and says so. Text and bytes are kept whole, up to 1 GiB a value.
4. No code of a stranger's object runs, but for what numpy, pandas, polars and pyarrow make of their own arrays and tables.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import orjson

MARK = "$auditlog"
MAX_BYTES = 1 << 30
"""The most text and bytes of one value; a record holds no more."""
MAX_PLAIN_ITEMS = 20_000_000
MAX_PLAIN_DEPTH = 250
"""orjson itself refuses 254."""

_FAITHFUL = (
    orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_SCALARS = frozenset({str, int, bool, type(None)})
_LEAVES = _SCALARS | {float}
_JSON = _LEAVES | {dict, list}
_SEVERAL = 16
"""From here on, how much stands in the items of a level is counted before it is looked at."""
_MANY = 1000
"""From here on, the length of texts counts, and not only their number."""
_VERY_MANY = 1_000_000
"""From here on, a level is looked at for lists and dicts that stand in it many times."""


class Encoded(NamedTuple):
    """JSON text, and what in it stands for something else."""

    text: bytes
    lossy: bool
    """Something cannot be made again as it was."""
    types: dict[str, Any] | None = None
    """Where something else than JSON stood, and what: see `auditlog.encoding.substitution`. None where nothing did."""


def encode(value: Any) -> Encoded:
    """Encode any value; never raise."""
    text = json_text(value)
    if text is not None:
        return Encoded(text, False)  # noqa: FBT003 - a keyword would cost as much as the encoding
    from auditlog.encoding.substitution import encode_slowly

    return encode_slowly(value)


def json_text(value: Any) -> bytes | None:
    """Encode a value that is JSON as it stands; None where it is not, or is out of bounds. Never raises."""
    try:
        if type(value) in _SCALARS or is_json(value):
            text = orjson.dumps(value, None, _FAITHFUL)
            if len(text) <= MAX_BYTES:
                return text
    except Exception:  # noqa: BLE001, S110 - rule 2: what orjson does not take, or changes meanwhile, goes the slow way
        pass
    return None


def decode(text: bytes) -> Any:
    """Decode what `encode` gave."""
    return orjson.loads(text)


def is_json(value: Any) -> bool:
    """Whether a value is of JSON's types only, and within bounds; keys that are no text are left to orjson to refuse.

    orjson alone would turn NaN into null and enums into their values, silently, and would write lists within lists that
    are all the same list for ever. So this goes level by level, where a cycle ends at the greatest depth, and counts.
    What stands in a dict or list is what it refers to; asking the collector for that of a whole level is one call.
    """
    kind = type(value)
    level: Collection[Any] = value.values() if kind is dict else value if kind is list else (value,)
    seen = size = 0
    for _ in range(MAX_PLAIN_DEPTH):
        kinds = set(map(type, level))
        seen += len(level)
        if seen > _MANY:
            size += sum(len(item) for item in level if type(item) is str)
            if seen > MAX_PLAIN_ITEMS or size > MAX_BYTES or (seen > _VERY_MANY and _repeats(level)):
                return False
        if float in kinds and not _are_finite(level, kinds):
            return False
        if _LEAVES.issuperset(kinds):
            return True
        if not _JSON.issuperset(kinds):
            return False
        if len(level) > _SEVERAL and _explodes(level, seen):
            return False
        level = gc.get_referents(*level)
    return False


def _explodes(level: Collection[Any], seen: int) -> bool:
    """Whether what stands in some items is more than is taken; asked before it is all listed."""
    below = sum([len(item) for item in level if type(item) is list or type(item) is dict])
    return below > _VERY_MANY and (seen + below > MAX_PLAIN_ITEMS or _repeats(level))


def _are_finite(level: Iterable[Any], kinds: set[type]) -> bool:
    """Whether all numbers among some items are numbers."""
    numbers = [item for item in level if type(item) is float] if len(kinds) > 1 else level
    # A sum of numbers may be too large for one; what is none shows in every sum.
    return math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))


def _repeats(items: Collection[Any]) -> bool:
    """Whether most of the lists and dicts among many items are the same few, again and again."""
    inner = [id(item) for item in items if type(item) is list or type(item) is dict]
    return len(inner) > 2 * len(set(inner))


def type_name(kind: type) -> str:
    """Give a type's name with its module; never raise."""
    try:
        names = [type.__getattribute__(kind, name) for name in ("__module__", "__qualname__")]
        return ".".join(name[:200] for name in names if type(name) is str)
    except Exception:  # noqa: BLE001 - a metaclass may answer anything
        return "?"
