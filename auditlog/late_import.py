"""Has something done to a module once it is imported, and imports nothing for it.

The rules:

1. A module that is loaded already is the caller's to look at. Of one that is not, nothing is loaded and nothing is looked for
   until somebody imports it.
2. What is done happens when its code has run, before whoever imported it goes on. What fails there fails the import.
3. A module that was met is left as it was found: its loader is its own.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Then = Callable[[ModuleType], None]


class _Waiting(importlib.abc.MetaPathFinder):
    """Stands before the finders, and sees the names that are waited for."""

    def __init__(self) -> None:
        self.then: dict[str, Then] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - as Python has it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Find what is waited for as the others do, and see it loaded."""
        then = self.then.pop(fullname, None)
        if then is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            self.then[fullname] = then
            return spec
        spec.loader = _Seen(spec.loader, then)
        return spec


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
        try:
            self._own.exec_module(module)
        except BaseException:
            _waiting.then[module.__name__] = self._then
            raise
        self._then(module)


_waiting = _Waiting()


def when_imported(name: str, then: Then) -> None:
    """Do something with a module: at once where it is loaded, else when it is.

    Args:
        name: of a module that stands at the top.
        then: what is done; once for each time that the module is loaded.
    """
    if (module := sys.modules.get(name)) is not None:
        then(module)
        return
    _waiting.then[name] = then
    if _waiting not in sys.meta_path:
        sys.meta_path.insert(0, _waiting)
