"""Arguments by name, as a recording keeps them.

The rules:

1. `self` and `cls` are left out; defaults are filled in, so that leaving one out and naming it are the same call.
2. `*args` stand under their own name as a list, `**kwargs` among the others.
3. Arguments that do not fit the signature are kept as they came: the body then raises its own TypeError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Binder:
    """Binds the arguments of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Read the function's signature once."""
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = [
                inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
                inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
            ]
        self._skip = 1 if _is_method(function, parameters) else 0
        parameters = parameters[self._skip :]
        self._names = tuple(p.name for p in parameters if p.kind in _NAMED)
        self._keywords = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        self._rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self._defaults = {p.name: p.default for p in parameters if p.default is not p.empty}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Give the arguments by name, in the order of the signature."""
        args = args[self._skip :]
        named = dict(zip(self._names, args, strict=False))
        extra = args[len(self._names) :]
        bound = {
            name: named.get(name, kwargs.get(name, self._defaults.get(name, _MISSING)))
            for name in self._names
        }
        if extra:
            bound[self._rest or "args"] = list(extra)
        for name in self._keywords:
            bound[name] = kwargs.get(name, self._defaults.get(name, _MISSING))
        for name, value in kwargs.items():
            bound.setdefault(name, value)
        return {name: value for name, value in bound.items() if value is not _MISSING}


_MISSING = object()


def _is_method(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> bool:
    if not parameters or parameters[0].name not in ("self", "cls"):
        return False
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(scope) and not scope.endswith("<locals>")
