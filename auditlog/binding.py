"""Arguments by name, as a recording keeps them.

The rules:

1. `self` and `cls` are left out; defaults are filled in, so that leaving one out and naming it are the same call.
2. `*args` stand under their own name as a list, `**kwargs` among the others.
3. Arguments that do not fit the signature are kept as they came: the body then raises its own TypeError.
4. Python itself does the binding: a function with the same parameters is made once, and gives them as a dict.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

Bind = Callable[..., dict[str, Any]]
"""Takes a call's arguments as the function does, and gives them by name, in the order of the signature."""

_STARS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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
    exact = _exact(parameters, skip)
    names = [p.name for p in parameters if p.kind in _POSITIONAL]

    def bind(*args: Any, **kwargs: Any) -> dict[str, Any]:
        try:
            return exact(*args, **kwargs)
        except TypeError:
            return _misfit(names, skip, args, kwargs)

    return bind


def _exact(parameters: list[inspect.Parameter], skip: int) -> Bind:
    """Make `lambda self, a, b=…, *rest, c, **more: {'a': a, 'b': b, 'rest': [*rest], 'c': c, **more}`."""
    taken, given = [], []
    defaults: dict[str, Any] = {}
    kinds = [p.kind for p in parameters]
    for position, parameter in enumerate(parameters):
        name = parameter.name
        if parameter.kind is parameter.KEYWORD_ONLY and kinds[position - 1] not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            taken.append("*")
        star = _STARS.get(parameter.kind, "")
        default = ""
        if parameter.default is not parameter.empty:
            defaults[f"_{position}"] = parameter.default
            default = f"=_{position}"
        taken.append(f"{star}{name}{default}")
        if parameter.kind is parameter.POSITIONAL_ONLY and kinds[position + 1 : position + 2] != [
            parameter.POSITIONAL_ONLY
        ]:
            taken.append("/")
        if position >= skip:
            given.append(_item(parameter, name))
    if kinds and kinds[-1] is inspect.Parameter.VAR_KEYWORD and inspect.Parameter.POSITIONAL_ONLY in kinds:
        # `f(1, a=2)` may give `a` twice; the parameter's own value stays.
        given.insert(0, given.pop())
    # A signature's names are identifiers; `inspect` refuses others.
    return eval(f"lambda {', '.join(taken)}: {{{', '.join(given)}}}", defaults)  # noqa: S307


def _item(parameter: inspect.Parameter, name: str) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"**({{{name!r}: [*{name}]}} if {name} else {{}})"
    return f"**{name}" if parameter.kind is parameter.VAR_KEYWORD else f"{name!r}: {name}"


def _misfit(names: list[str], skip: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = dict(zip(names[skip:], args[skip:], strict=False))
    if extra := args[len(names) :]:
        bound["args"] = list(extra)
    return {**kwargs, **bound}


def _is_method(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> bool:
    if not parameters or parameters[0].name not in ("self", "cls"):
        return False
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(scope) and not scope.endswith("<locals>")
