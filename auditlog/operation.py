"""What a decorator knows of the function it stands on.

The rules:

1. An operation is fixed at decoration: kind, name, effect, version, digest never change from call to call.
2. A tool's definition digest covers what a model is told of it: name, docstring and parameters.
3. An undeclared effect stays None in the record, and is taken for `write` wherever it matters.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from auditlog.vocabulary import Effect, Kind


@dataclass(frozen=True, slots=True)
class Operation:
    """One decorated function."""

    kind: Kind
    name: str
    effect: Effect | None = None
    version: str | None = None
    """The agent's version, where the decorator states one."""
    digest: str = ""
    """SHA-256, hex, of the definition."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Attributes that every call of it carries, by their OpenTelemetry names."""
    capture_input: bool = True
    capture_output: bool = True
    redact: Callable[[Any], Any] | None = None
    """Makes of arguments (a mapping by name) and of a result what may be recorded."""
    reduce: Callable[[list[Any]], Any] | None = None
    """Makes of a stream's items what is recorded of it."""

    @property
    def writes(self) -> bool:
        """Whether a call may change the world: a tool that is declared `write`, or not declared at all."""
        return self.kind == "tool" and self.effect in (None, "write")


def definition_digest(function: Callable[..., Any], name: str, described: str | None = None) -> str:
    """Give the SHA-256 of a function's definition as a model would be told it.

    Args:
        function: the function.
        name: what it is called.
        described: its description, where that is not its docstring.
    """
    try:
        parameters = [
            [p.name, str(p.kind), str(p.annotation), "" if p.default is p.empty else repr(p.default)[:200]]
            for p in inspect.signature(function).parameters.values()
        ]
    except (TypeError, ValueError):
        parameters = []
    definition = [name, (inspect.getdoc(function) if described is None else described) or "", parameters]
    return hashlib.sha256(orjson.dumps(definition)).hexdigest()
