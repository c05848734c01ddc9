"""Which dictionaries may have changed since they were last looked at, without a look into them.

The rules:

1. CPython gives a dictionary another version with every change, and none twice in a process (PEP 509): the same version is
   the same content. Another version says nothing.
2. That it does so is tried out first. Where it does not, and of what is no plain dictionary, all may have changed, every time.
"""

from __future__ import annotations

import ctypes
import operator
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_VERSION_AT = object.__basicsize__ + ctypes.sizeof(ctypes.c_ssize_t)
"""Behind what every object begins with, and the count of its items."""
_VERSION = ctypes.c_char * 8

_map, _ne, _bytes_of = map, operator.ne, memoryview.tobytes


class Versions:
    """The versions of some dictionaries."""

    def __init__(self, dictionaries: Sequence[Mapping[str, Any]]) -> None:
        """Begin with all of them changed; they are kept alive."""
        self._dictionaries = tuple(dictionaries)
        has_versions = HAS_VERSIONS and all(type(each) is dict for each in dictionaries)
        self._views = [_view(each) for each in self._dictionaries] if has_versions else None
        self._known: Iterable[bytes] = [b""] * len(self._dictionaries)

    def changed(self) -> Iterator[bool]:
        """Say of each, in their order, whether it may have changed since this was last asked."""
        if self._views is None:
            return iter([True] * len(self._dictionaries))
        now = list(_map(_bytes_of, self._views))
        before, self._known = self._known, now
        return _map(_ne, now, before)


def _view(dictionary: Mapping[str, Any]) -> memoryview:
    return memoryview(_VERSION.from_address(id(dictionary) + _VERSION_AT)).toreadonly()


def _has_versions() -> bool:
    """Whether each way to change a dictionary gives it a version that it never had."""
    if sys.implementation.name != "cpython":
        return False
    tried: dict[str, object] = {"a": 1, "b": 2}
    view, seen = _view(tried), set[bytes]()
    for change in (
        lambda: None,
        lambda: tried.__setitem__("a", 2),
        lambda: tried.__setitem__("a", 1),
        lambda: tried.__delitem__("a"),
        lambda: tried.setdefault("a", 1),
        lambda: tried.pop("b"),
        lambda: tried.update(b=2),
        tried.clear,
        lambda: tried.update({"a": 1, "b": 2}),
        tried.popitem,
        lambda: exec("b = 2", {}, tried),  # noqa: S102 - as a module's own code does it
    ):
        change()
        if view.tobytes() in seen:
            return False
        seen.add(view.tobytes())
        if view.tobytes() not in seen:
            return False
    return True


HAS_VERSIONS = _has_versions()
