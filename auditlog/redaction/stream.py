"""Finds values that a stream splits over its chunks.

The rules:

1. The texts that stand in the same place of successive chunks are one text: the chunks themselves where they are texts,
   `choices[0].delta.content`, `delta.partial_json`, and the like. A place is the names on the way to it, and the `index`
   that a chunk gives to a choice or a tool call.
2. Only values that cross a border between chunks are replaced here; whatever lies within one chunk is found like all else.
3. The token stands in the chunk where the value began; what came of it in later chunks is taken out of those.
4. What names no text (ids, roles, models; `not_in_streams` in schemas/redaction.json) is not joined.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from auditlog.redaction.validators import schema

_DEEPEST = 12

Path = tuple[str | int, ...]


class Joined(NamedTuple):
    """A stream without the values that crossed its chunks."""

    text: bytes
    counts: dict[str, int]
    originals: dict[str, str]


class _Place(NamedTuple):
    """Where a text stands: the container, and the key or position in it."""

    holder: Any
    key: Any


def redacted(
    raw: bytes,
    find: Callable[[str], Sequence[tuple[int, int, str]]],
    replacement: Callable[[str, str], str | None],
) -> Joined | None:
    """Replace what crosses chunks; None where nothing does.

    Args:
        raw: the JSON list of a stream's items.
        find: gives the values of a text: start, end, kind.
        replacement: gives a token for a kind and a value.
    """
    try:
        chunks = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(chunks, list) or len(chunks) < 2:
        return None
    texts: dict[Path, list[_Place]] = {}
    skipped = frozenset(schema()["not_in_streams"])
    for position, chunk in enumerate(chunks):
        for path, place in _texts(chunk, _Place(chunks, position), (), skipped, 0):
            texts.setdefault(path, []).append(place)
    counts: dict[str, int] = {}
    originals: dict[str, str] = {}
    for places in texts.values():
        if len(places) > 1:
            _replace(places, find, replacement, counts, originals)
    return Joined(orjson.dumps(chunks), counts, originals) if counts else None


def _replace(
    places: Sequence[_Place],
    find: Callable[[str], Sequence[tuple[int, int, str]]],
    replacement: Callable[[str, str], str | None],
    counts: dict[str, int],
    originals: dict[str, str],
) -> None:
    pieces = [place.holder[place.key] for place in places]
    begins, size = [], 0
    for piece in pieces:
        begins.append(size)
        size += len(piece)
    whole = "".join(pieces)
    # From the end, so that places before stay where they are.
    for start, end, kind in reversed(find(whole)):
        first, last = bisect_right(begins, start) - 1, bisect_right(begins, end - 1) - 1
        made = replacement(kind, whole[start:end]) if first != last else None
        if made is None:
            continue
        counts[kind] = counts.get(kind, 0) + 1
        originals[made] = whole[start:end]
        pieces[last] = pieces[last][end - begins[last] :]
        pieces[first] = pieces[first][: start - begins[first]] + made
        pieces[first + 1 : last] = [""] * (last - first - 1)
    for place, piece in zip(places, pieces, strict=True):
        place.holder[place.key] = piece


def _texts(
    value: Any, place: _Place, path: Path, skipped: frozenset[str], depth: int
) -> Iterator[tuple[Path, _Place]]:
    if isinstance(value, str):
        yield path, place
    elif depth >= _DEEPEST:
        return
    elif isinstance(value, dict):
        index = value.get("index")
        inside = (*path, index) if isinstance(index, int) else path
        for key, item in value.items():
            if key not in skipped and not key.endswith("_id"):
                yield from _texts(item, _Place(value, key), (*inside, key), skipped, depth + 1)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            # Items that say their own index are told apart by that.
            said = isinstance(item, dict) and isinstance(item.get("index"), int)
            inside = path if said else (*path, position)
            yield from _texts(item, _Place(value, position), inside, skipped, depth + 1)
