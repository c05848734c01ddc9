"""What the index keeps of a conversation, and how two parts of one become one.

The rules:

1. Pure: values in, values out. Merging is commutative but for two facts of one nanosecond, of which the first stays.
2. The latest of something is kept with its time; a sum with whether there was anything to add up.
3. A number that no 64-bit column holds is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

ERROR, INCOMPLETE, ESCALATED, TOOL_ERROR, LOSSY = 1, 2, 4, 8, 16
"""The bits of `flags`."""

WHY = (
    (ERROR, "error"),
    (ESCALATED, "escalated"),
    (INCOMPLETE, "incomplete"),
    (TOOL_ERROR, "tool error"),
    (LOSSY, "lossy"),
)

LATEST = ("agent", "any_agent", "version", "any_version", "model", "user", "said")
SUMS = (
    "spans",
    "tools",
    "tool_errors",
    "call_input",
    "every_input",
    "call_output",
    "every_output",
    "call_cost",
    "every_cost",
)
COLUMNS = (
    "start_ns",
    "end_ns",
    "flags",
    *(f"{name}{suffix}" for name in LATEST for suffix in ("_at", "")),
    *SUMS,
    "turns",
    "turn_ids",
    "tags",
)
"""The columns of a roll-up, in order."""

_PLACES = {name: place for place, name in enumerate(COLUMNS)}
_LIMIT = 1 << 63

Rollup = list[Any]


def merged(one: Sequence[Any], other: Sequence[Any]) -> Rollup:
    """Make one roll-up of two of the same conversation."""
    made: Rollup = [None] * len(COLUMNS)
    for name, choose in (("start_ns", min), ("end_ns", max)):
        place = _PLACES[name]
        made[place] = _chosen(one[place], other[place], choose)
    made[_PLACES["flags"]] = one[_PLACES["flags"]] | other[_PLACES["flags"]]
    for name in LATEST:
        at, place = _PLACES[f"{name}_at"], _PLACES[name]
        later = other if one[at] is None or (other[at] is not None and other[at] > one[at]) else one
        made[at], made[place] = later[at], later[place]
    for name in SUMS:
        place = _PLACES[name]
        made[place] = _fitting(_chosen(one[place], other[place], lambda a, b: a + b))
    ids = dict.fromkeys(orjson.loads(one[_PLACES["turn_ids"]]))
    ids |= dict.fromkeys(orjson.loads(other[_PLACES["turn_ids"]]))
    made[_PLACES["turns"]], made[_PLACES["turn_ids"]] = len(ids), orjson.dumps(list(ids)).decode()
    made[_PLACES["tags"]] = _merged_tags(one[_PLACES["tags"]], other[_PLACES["tags"]])
    return made


def turns_of(ids: Sequence[str]) -> tuple[int, str]:
    """Give the columns `turns` and `turn_ids`."""
    return len(ids), orjson.dumps(ids).decode()


def tags_of(said: Sequence[Mapping[str, Any]] | None) -> str | None:
    """Give the column `tags`: each key with its latest value, and when it was said.

    Args:
        said: what the turns' spans say: `at`, and `tags` as JSON.
    """
    if not said:
        return None
    found: dict[str, list[Any]] = {}
    for one in sorted(said, key=lambda one: one["at"] or 0):
        try:
            values = orjson.loads(one["tags"])
        except ValueError:
            continue
        if isinstance(values, dict):
            found.update({key: [one["at"] or 0, value] for key, value in values.items()})
    return orjson.dumps(found).decode()


def plain_tags(kept: str | None) -> dict[str, str]:
    """Give the tags of a roll-up as a list shows them."""
    return {} if kept is None else {key: str(value) for key, (_, value) in orjson.loads(kept).items()}


def _merged_tags(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return one or other
    found = orjson.loads(one)
    for key, (at, value) in orjson.loads(other).items():
        if key not in found or at > found[key][0]:
            found[key] = [at, value]
    return orjson.dumps(found).decode()


def _chosen(one: Any, other: Any, choose: Callable[[Any, Any], Any]) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


def _fitting(value: Any) -> Any:
    return None if isinstance(value, int) and not -_LIMIT <= value < _LIMIT else value
