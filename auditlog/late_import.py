"""Has something done to a module once it is imported, and imports nothing for it.

The rules:

1. With a module that is loaded already it is done at once. Of one that is not, nothing is loaded and nothing is looked for
   until somebody imports it, or looks for it. Each time that it is loaded, it is done.
2. What is done happens when its code has run, before whoever imported it goes on. What fails there fails the import.
3. A module that was met is left as it was found: its loader is its own.
"""

from __future__ import annotations

import importlib.abc
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Then = Callable[[ModuleType], None]


class _Waiting(importlib.abc.MetaPathFinder):
    """Stands before the finders, and sees the names that are waited for."""

    def __init__(self) -> None:
        self.then: dict[str, Then] = {}
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find what is waited for as the others do, and see it loaded; who only looks for it changes nothing."""
        then = self.then.get(fullname)
        asked: set[str] = self._asking.__dict__.setdefault("names", set())
        # Another finder may ask all of them in its turn, and so this one again.
        if then is None or fullname in asked:
            return None
        asked.add(fullname)
        try:
            spec = self._by_the_others(fullname, path, target)
        finally:
            asked.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Seen(spec.loader, then)
        return spec

    def _by_the_others(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            if find is not None and (spec := find(fullname, path, target)) is not None:
                return spec
        return None


class _Seen(importlib.abc.Loader):
    """Loads a module as its own loader does, and does then what was to be done."""

    def __init__(self, own: Any, then: Then) -> None:
        self._own, self._then = own, then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module."""
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run its code."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        self._then(module)


_waiting = _Waiting()


def when_imported(name: str, then: Then) -> None:
    """Do something with a module: at once where it is loaded, and whenever it is loaded.

    Args:
        name: of a module that stands at the top.
        then: what is done; once for each time that the module is loaded.
    """
    _waiting.then[name] = then
    if _waiting not in sys.meta_path:
        sys.meta_path.insert(0, _waiting)
    if (module := sys.modules.get(name)) is not None:
        then(module)
