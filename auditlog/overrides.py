"""What a replay puts in the place of an agent's own model names, prompts and tool definitions.

The rules:

1. One set for the process, put there before the agent is imported; without one, this module costs a call one look.
2. What was replaced is counted, so that an override that reached nothing can be told.
3. A replaced tool keeps its name, effect and signature: whether its body may run at all is decided above it, as ever.

Pure: no recording happens here.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditlog.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class PromptOverride:
    """A prompt to be given in the place of the agent's own."""

    name: str
    text: str
    version: str | None = None
    """None: the beginning of the text's digest."""


@dataclass(frozen=True, slots=True)
class ToolOverride:
    """What a model is told of a tool, and what runs in its place."""

    name: str
    description: str | None = None
    parameters: str | None = None
    """A JSON Schema, as JSON text."""
    replace: str | None = None
    """`module:function`, run in the body's place where the body would run."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """Everything that a candidate replaces."""

    models: tuple[tuple[str, str], ...] = ()
    """Pairs of the name that the agent asks for, and the name that is asked for in its place."""
    prompts: tuple[PromptOverride, ...] = ()
    tools: tuple[ToolOverride, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is replaced."""
        return bool(self.models or self.prompts or self.tools)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name each one: `model old`, `prompt name`, `tool name`."""
        return (
            *(f"model {old}" for old, _ in self.models),
            *(f"prompt {prompt.name}" for prompt in self.prompts),
            *(f"tool {tool.name}" for tool in self.tools),
        )


class Installed:
    """The overrides of this process, made ready for looking up."""

    def __init__(self, overrides: Overrides) -> None:
        """Put them into tables."""
        self.models = dict(overrides.models)
        self.prompts = {prompt.name: prompt for prompt in overrides.prompts}
        self.tools = {tool.name: tool for tool in overrides.tools}
        self._reached: set[str] = set()

    def reached(self) -> tuple[str, ...]:
        """Give what was replaced since the last time, by label."""
        found = tuple(sorted(self._reached))
        self._reached.clear()
        return found

    def prompt(self, name: str) -> PromptOverride | None:
        """Give a prompt's replacement."""
        found = self.prompts.get(name)
        if found is not None:
            self._reached.add(f"prompt {name}")
        return found

    def request(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Give what is changed in a model's request: its model's name, and definitions among its tools.

        Args:
            asked: the request's fields by name.
        """
        changed: dict[str, Any] = {}
        model = asked.get("model")
        if isinstance(model, str) and model in self.models:
            changed["model"] = self.models[model]
            self._reached.add(f"model {model}")
        tools = asked.get("tools")
        if self.tools and isinstance(tools, (list, tuple)):
            told = [self._told(tool) for tool in tools]
            if any(new is not old for new, old in zip(told, tools, strict=True)):
                changed["tools"] = told
        return changed

    def body(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Give what runs for a tool: its own function, or what replaces it.

        Raises:
            ConfigurationError: the replacement cannot be found, or answers in another way than the tool.
        """
        tool = self.tools.get(name)
        if tool is None:
            return function
        return function if tool.replace is None else self._replacement(tool.replace, name, function)

    def asking(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make a model function ask for what is asked for in the place of its own arguments."""
        signature = inspect.signature(function)
        rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)

        @functools.wraps(function)
        def asks(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError:
                return function(*args, **kwargs)
            bound.apply_defaults()
            others = bound.arguments.get(rest, {}) if rest else {}
            changed = self.request({**others, **bound.arguments})
            for name, value in changed.items():
                (bound.arguments if name in bound.arguments else others)[name] = value
            return function(*bound.args, **bound.kwargs)

        return asks

    def bound(self, bind: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Make what binds a model function's arguments give those that are really asked with."""

        def binds(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
            arguments = bind(args, kwargs)
            return {**arguments, **self.request(arguments)}

        return binds

    def describe(self, name: str) -> str | None:
        """Give what replaces a tool's description."""
        tool = self.tools.get(name)
        return None if tool is None else tool.description

    def _told(self, tool: Any) -> Any:
        """Give a tool's definition as a model is told it; the same object where nothing is replaced."""
        if not isinstance(tool, Mapping):
            return tool
        inner = tool.get("function")
        if isinstance(inner, Mapping):
            told = self._told(inner)
            return tool if told is inner else {**tool, "function": told}
        found = self.tools.get(tool.get("name", ""))
        if found is None:
            return tool
        self._reached.add(f"tool {found.name}")
        changed: dict[str, Any] = {}
        if found.description is not None:
            changed["description"] = found.description
        if found.parameters is not None:
            key = "input_schema" if "input_schema" in tool else "parameters"
            changed[key] = json.loads(found.parameters)
        return {**tool, **changed} if changed else tool

    def _replacement(self, path: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        found = _found(path, name)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            msg = f"The tool {name} answers in a stream, and cannot be replaced by {path}."
            raise ConfigurationError(msg)
        if inspect.iscoroutinefunction(function):

            async def later(*args: Any, **kwargs: Any) -> Any:
                self._reached.add(f"tool {name}")
                given = found()(*args, **kwargs)
                return await given if inspect.isawaitable(given) else given

            return later

        def now(*args: Any, **kwargs: Any) -> Any:
            self._reached.add(f"tool {name}")
            return found()(*args, **kwargs)

        return now


def _found(path: str, name: str) -> Callable[[], Callable[..., Any]]:
    """Give what finds a replacement, when it is first needed: it may be in a module that is being imported."""

    @functools.cache
    def found() -> Callable[..., Any]:
        module, _, attribute = path.partition(":")
        try:
            target: Any = importlib.import_module(module)
            for part in attribute.split("."):
                target = getattr(target, part)
        except (ImportError, AttributeError) as error:
            msg = f"The tool {name} is replaced by {path}, which cannot be found: {error}."
            raise ConfigurationError(msg) from None
        # A replacement that is decorated itself would be a call inside the call.
        return inspect.unwrap(target)

    return found


_installed: Installed | None = None


def install(overrides: Overrides) -> None:
    """Put overrides below every decorator of this process, before the agent is imported."""
    global _installed  # noqa: PLW0603 - rule 1: one set for the process
    _installed = Installed(overrides) if overrides else None


def installed() -> Installed | None:
    """Give the overrides of this process, if there are any."""
    return _installed
