"""Finds the agent that a run names: `module:attribute`, or an adapter for anything else.

The rules:

1. A target is a decorated agent (sync, async, a generator, a bound method), or a function that takes the recorded
   arguments as one mapping and gives the answer (an adapter).
2. It is imported in the worker only: the process that holds the store never runs the agent's code.
3. What cannot be found is said with the nearest thing that can, and with what was searched.
4. Recorded arguments are handed over by name. What the agent does not take, or lacks, is said before it is called.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from auditlog.binding import taken_names
from auditlog.operation import Operation
from auditlog.values import Json
from auditlog.wording import nearest, nearest_hint
from replay.errors import CaseStop, TargetError
from replay.targets.sources import strayed


@dataclass(frozen=True, slots=True)
class Target:
    """A callable that answers a recorded turn."""

    path: str
    """As named: `module:attribute`."""
    name: str
    """The agent's name; an adapter's function name."""
    function: Callable[..., Any]
    adapter: bool
    digest: str
    """SHA-256, hex, of the agent's definition; empty for an adapter, which has none."""
    version: str | None = None

    def arguments(self, recorded: Mapping[str, Json]) -> tuple[list[Any], dict[str, Any]]:
        """Lay recorded arguments out for a call.

        Raises:
            TargetError: the agent takes other arguments than were recorded.
        """
        if self.adapter:
            return [], dict(recorded)
        names = _named(self.function)
        if names and recorded.keys() == names.keys():
            # All of them and no other, as recordings mostly have it.
            return [], {name: recorded[name] for name in names}
        return _laid_out(self.path, _signature(self.function), recorded)


@functools.lru_cache(8)
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


@functools.lru_cache(8)
def _named(function: Callable[..., Any]) -> dict[str, None]:
    """Give the names of a function's parameters where each can be given by name; empty where one cannot."""
    parameters = _signature(function).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if any(parameter.kind not in by_name for parameter in parameters):
        return {}
    return dict.fromkeys(parameter.name for parameter in parameters)


def resolve(path: str, *, adapter: bool = False, within: str = "") -> Target:
    """Import a target.

    Args:
        path: `module:attribute`, the attribute possibly dotted.
        adapter: it takes the recorded arguments as one mapping, and need not be decorated.
        within: the directory that it has to be in; empty for wherever it is found.

    Raises:
        TargetError: it is not there, does not import, or is no agent.
    """
    module_name, colon, attribute = path.partition(":")
    if not (colon and module_name and attribute):
        msg = f"{path!r} names no agent. Write module:attribute, such as examples.support_bot:v2."
        raise TargetError(msg)
    module = _imported(module_name)
    if where := strayed(module_name, within):
        msg = (
            f"{module_name} is not in the files that are to be run: what was found is {where}, which is installed here. "
            "Name the directory of the agent with --path."
        )
        raise TargetError(msg)
    found = _attribute(module, attribute, path)
    if not callable(found):
        msg = f"{path} is a {type(found).__name__}, and nothing that can be called.{_offer(module)}"
        raise TargetError(msg)
    operation = getattr(found, "__auditlog__", None)
    if adapter:
        name = operation.name if isinstance(operation, Operation) else getattr(found, "__name__", attribute)
        return Target(path, name, _adapted(found, name), adapter=True, digest="")
    if not isinstance(operation, Operation):
        msg = (
            f"{path} is not a decorated agent. Put @auditlog.agent on it, or name it as an adapter "
            f"(--adapter {path}), which is called with the recorded arguments as one mapping.{_offer(module)}"
        )
        raise TargetError(msg)
    if operation.kind != "agent":
        msg = f"{path} is decorated as a {operation.kind}, and a replay runs agents.{_offer(module)}"
        raise TargetError(msg)
    if _is_unbound(found):
        msg = f"{path} is a method without its object. Name a method of an instance, such as {module_name}:bot.answer."
        raise TargetError(msg)
    return Target(
        path, operation.name, found, adapter=False, digest=operation.digest, version=operation.version
    )


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise TargetError(_not_found(name, error.name)) from None
        where = (
            "is not in its environment, since its lock does not name it"
            if sys.flags.no_site
            else ("is not installed here. Install it where this command runs")
        )
        msg = f"{name} imports {error.name}, which {where}."
        raise TargetError(msg) from None
    except CaseStop as error:
        msg = f"{name} does not import: {error}"
        raise TargetError(msg) from None
    except BaseException as error:  # noqa: BLE001 - a module may do anything, `sys.exit` among it
        msg = f"{name} does not import: {type(error).__name__}: {error}{_where(error)}"
        raise TargetError(msg) from None


def _not_found(name: str, missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    folders = sys.path if not parent else list(getattr(sys.modules.get(parent), "__path__", []))
    there = sorted({found for folder in folders for found in _modules_in(folder)})
    near = nearest(last, there)
    hint = "" if near is None else f" The nearest is {(f'{parent}.{near}' if parent else near)!r}."
    own = [folder or "." for folder in folders if not folder.startswith((sys.prefix, sys.base_prefix))]
    searched = ", ".join([*own[:4], "the installed packages"])
    where = f"in {parent}" if parent else f"on the path ({searched})"
    return (
        f"No module {missing} {where}{f', which {name!r} needs' if name != missing else ''}.{hint} "
        "Run the command in the directory that holds it, or set PYTHONPATH."
    )


def _modules_in(folder: str) -> set[str]:
    try:
        entries = list(Path(folder or ".").iterdir())
    except OSError:
        return set()
    names = {entry.stem for entry in entries if entry.suffix == ".py"}
    return names | {entry.name for entry in entries if entry.name.isidentifier() and entry.is_dir()}


def _attribute(module: ModuleType, attribute: str, path: str) -> Any:
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            hint = nearest_hint(part, (name for name in dir(found) if not name.startswith("__")))
            msg = f"{path}: {_name_of(found)} has no attribute {part!r}.{hint}{_offer(module)}"
            raise TargetError(msg) from None
    return found


def _name_of(found: Any) -> str:
    return found.__name__ if isinstance(found, ModuleType) else type(found).__name__


def _offer(module: ModuleType) -> str:
    """Name the decorated agents of a module."""
    names = sorted(
        name
        for name, value in vars(module).items()
        if isinstance(found := getattr(value, "__auditlog__", None), Operation) and found.kind == "agent"
    )
    return f" Decorated agents of {module.__name__}: {', '.join(names)}." if names else ""


def _where(error: BaseException) -> str:
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and not _is_ours(frame.filename)
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _is_ours(filename: str) -> bool:
    return filename in (__file__, importlib.__file__)


def _is_unbound(function: Any) -> bool:
    if inspect.ismethod(function):
        return False
    parameters = list(inspect.signature(function).parameters)
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    return bool(parameters) and parameters[0] == "self" and bool(scope) and not scope.endswith("<locals>")


def _adapted(function: Callable[[dict[str, Json]], Any], name: str) -> Callable[..., Any]:
    from auditlog.decorators import agent

    def adapter(**arguments: Json) -> Any:
        return function(arguments)

    return agent(name)(adapter)


def _laid_out(
    path: str, signature: inspect.Signature, recorded: Mapping[str, Json]
) -> tuple[list[Any], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    rest = dict(recorded)
    parameters = signature.parameters.values()
    for parameter in parameters:
        match parameter.kind:
            case parameter.POSITIONAL_ONLY if parameter.name in rest:
                args.append(rest.pop(parameter.name))
            case parameter.VAR_POSITIONAL:
                given = rest.pop(parameter.name, [])
                if given:
                    # What stands before *args goes by position, too, or Python would bind it twice.
                    args += list(kwargs.values())
                    kwargs = {}
                    args += given if isinstance(given, list) else [given]
            case parameter.POSITIONAL_OR_KEYWORD | parameter.KEYWORD_ONLY if parameter.name in rest:
                kwargs[parameter.name] = rest.pop(parameter.name)
            case parameter.VAR_KEYWORD:
                apart = rest.get(parameter.name)
                if parameter.name in taken_names(parameters) and isinstance(apart, dict):
                    del rest[parameter.name]
                    kwargs |= apart
                kwargs |= rest
                rest = {}
            case _:
                pass
    if rest:
        takes = ", ".join(signature.parameters) or "none"
        msg = f"{path} does not take the recorded argument {', '.join(sorted(rest))}; it takes {takes}. Write an adapter."
        raise TargetError(msg)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        msg = f"{path} cannot be called with the recorded arguments {', '.join(sorted(recorded)) or '(none)'}: {error}."
        raise TargetError(msg) from None
    return args, kwargs
