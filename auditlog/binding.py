"""Arguments by name, as a recording keeps them.

The rules:

1. `self` and `cls` are left out; defaults are filled in, so that leaving one out and naming it are the same call.
2. They stand in the order of the signature; `*args` under their own name as a list, `**kwargs` among the others. Of those, the
   ones that have a name which means something else here stand under the name of `**kwargs`: no two calls look the same.
3. Arguments that do not fit the signature are kept as they came: the body then raises its own TypeError.
4. The signature is read once; a call copies the defaults and writes what it was given over them, unless it was given all
   of them in order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

Bind = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]
"""Takes a call's arguments, and gives them by name."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)


def binder(function: Callable[..., Any]) -> Bind:
    """Make what binds the arguments of one function; it never raises."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]
    skip = 1 if _is_method(function, parameters) else 0
    parameters = parameters[skip:]
    names = tuple(p.name for p in parameters if p.kind in _POSITIONAL)
    defaults = {p.name: p.default for p in parameters if p.kind in _NAMED}
    required = tuple(name for name, default in defaults.items() if default is inspect.Parameter.empty)
    rest = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "args")
    more = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), "")
    taken = taken_names(parameters)
    named, fixed, count = tuple(defaults), len(names) == len(defaults), len(names) + skip

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if kwargs:
            if tuple(kwargs) == named and len(args) == skip:
                return kwargs.copy()
        elif fixed and len(args) == count:
            return dict(zip(names, args[skip:]))  # noqa: B905 - a keyword would cost as much as the binding
        if skip:
            args = args[1:]
        if taken and not taken.isdisjoint(kwargs):
            apart = {name: value for name, value in kwargs.items() if name in taken}
            kwargs = {**{name: value for name, value in kwargs.items() if name not in taken}, more: apart}
        bound = defaults.copy()
        bound.update(kwargs)
        bound.update(zip(names, args, strict=False))
        if len(args) > len(names):
            bound[rest] = list(args[len(names) :])
        for name in required:
            if bound[name] is inspect.Parameter.empty:
                del bound[name]
        return bound

    return bind


def taken_names(parameters: Collection[inspect.Parameter]) -> frozenset[str]:
    """Give the names that `**kwargs` may be given and that mean something else here (rule 2), its own among them."""
    more = {p.name for p in parameters if p.kind is p.VAR_KEYWORD}
    taken = {p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)}
    return frozenset(taken | more) if taken and more else frozenset()


def _is_method(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> bool:
    if not parameters or parameters[0].name not in ("self", "cls"):
        return False
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(scope) and not scope.endswith("<locals>")
