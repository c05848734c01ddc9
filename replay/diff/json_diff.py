"""Two JSON values in, the changes between them out.

The rules:

1. Values are compared in canonical form: the order of an object's keys does not matter, `1` and `1.0` are the
   same number, and `true` is not `1`.
2. Paths are RFC 6901 pointers. The changes are in an order in which an RFC 6902 patch can apply them: in one
   list, changes inside elements first, then removals from the end, then additions from the front.
3. Lists are aligned by equal elements; between those, a removed and an added element at the same place are one
   changed element, and are compared in turn when both are objects or both are lists.
"""

from __future__ import annotations

from collections.abc import Iterator

from auditlog.values import Json
from replay.canonical import DEEPEST, canonical
from replay.diff.edits import edits
from replay.diff.model import PathChange


def json_diff(before: Json, after: Json) -> tuple[PathChange, ...]:
    """Say what turns `before` into `after`, as changes that can be applied in order.

    Args:
        before: the baseline's value.
        after: the candidate's value.

    Returns:
        The changes by object key in sorted order; empty for values that are canonically equal.
    """
    return tuple(_changes("", before, after, 0))


def pointer(*segments: str | int) -> str:
    """Join unescaped segments to an RFC 6901 pointer."""
    return "".join("/" + str(segment).replace("~", "~0").replace("/", "~1") for segment in segments)


def pointer_segments(path: str) -> tuple[str, ...]:
    """Split an RFC 6901 pointer into its unescaped segments; the empty pointer has none."""
    return tuple(s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:])


def leaves(value: Json) -> dict[str, Json]:
    """Give the scalars (and empty containers) of a value by their pointer."""
    return dict(_leaves("", value, 0))


def same_scalar(before: Json, after: Json) -> bool:
    """Whether two leaves are equal in canonical form."""
    if isinstance(before, bool) is not isinstance(after, bool):
        return False
    if before == after:
        return True
    return isinstance(before, float) and isinstance(after, float) and before != before and after != after  # noqa: PLR0124


def _leaves(path: str, value: Json, depth: int) -> Iterator[tuple[str, Json]]:
    match value:
        case dict() if value and depth < DEEPEST:
            for key, item in value.items():
                yield from _leaves(path + pointer(key), item, depth + 1)
        case list() if value and depth < DEEPEST:
            for index, item in enumerate(value):
                yield from _leaves(path + pointer(index), item, depth + 1)
        case _:
            yield path, value


def _changes(path: str, before: Json, after: Json, depth: int) -> Iterator[PathChange]:
    if depth < DEEPEST:
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _object_changes(path, before, after, depth)
            return
        if isinstance(before, list) and isinstance(after, list):
            yield from _list_changes(path, before, after, depth)
            return
    if _is_container(before) or _is_container(after):
        equal = type(before) is type(after) and canonical(before) == canonical(after)
    else:
        equal = same_scalar(before, after)
    if not equal:
        yield PathChange(path, "replace", before, after)


def _object_changes(
    path: str, before: dict[str, Json], after: dict[str, Json], depth: int
) -> Iterator[PathChange]:
    for key in sorted(before.keys() | after.keys(), key=str):
        at = path + pointer(key)
        if key not in after:
            yield PathChange(at, "remove", before=before[key])
        elif key not in before:
            yield PathChange(at, "add", after=after[key])
        else:
            yield from _changes(at, before[key], after[key], depth + 1)


def _list_changes(path: str, before: list[Json], after: list[Json], depth: int) -> Iterator[PathChange]:
    changed, removed, added = _aligned(before, after)
    for old, new in changed:
        yield from _changes(path + pointer(old), before[old], after[new], depth + 1)
    for old in reversed(removed):
        yield PathChange(path + pointer(old), "remove", before=before[old])
    for new in added:
        yield PathChange(path + pointer(new), "add", after=after[new])


def _aligned(before: list[Json], after: list[Json]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Align two lists by index: pairs that changed in place, indexes removed, indexes added."""
    changed: list[tuple[int, int]] = []
    removed: list[int] = []
    added: list[int] = []
    if len(before) == len(after) == 1:
        return [(0, 0)], removed, added
    old_run: list[int] = []
    new_run: list[int] = []

    def close_run() -> None:
        paired = min(len(old_run), len(new_run))
        changed.extend(zip(old_run, new_run, strict=False))
        removed.extend(old_run[paired:])
        added.extend(new_run[paired:])
        old_run.clear()
        new_run.clear()

    old_texts, new_texts = [canonical(item) for item in before], [canonical(item) for item in after]
    # Of several best alignments the same one is taken in either direction.
    turned = old_texts > new_texts
    codes = edits(new_texts, old_texts).inverse() if turned else edits(old_texts, new_texts)
    for code in codes:
        if code.tag == "equal":
            close_run()
        old_run.extend(range(code.src_start, code.src_end) if code.tag != "equal" else ())
        new_run.extend(range(code.dest_start, code.dest_end) if code.tag != "equal" else ())
    close_run()
    return changed, removed, added


def _is_container(value: Json) -> bool:
    return isinstance(value, dict | list)
