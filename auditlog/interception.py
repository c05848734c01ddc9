"""The place below the decorators where a replay takes over.

The rules:

1. The switch is process-wide and not a ContextVar: a call on another thread meets the same interceptor.
2. An interceptor is asked before the body is entered; unless it answers None, the body is never entered.
3. What `before` raises propagates, and the body is not entered: a broken interceptor fails closed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from auditlog.errors import ConfigurationError
from auditlog.operation import Operation
from auditlog.vocabulary import Json


@dataclass(frozen=True, slots=True)
class Call:
    """A decorated call that is about to happen."""

    operation: Operation
    arguments: Mapping[str, Json]
    """The arguments by name, exactly as a recording would hold them."""
    lossy: bool
    """An argument could not be kept as it was."""
    trace_id: str
    span_id: str
    parent_span_id: str | None
    facts: dict[str, Any] = field(default_factory=dict)
    """Attributes for the call's span: an interceptor that lets the body run may add its own."""
    awaits: bool = False
    """It is made from a coroutine, which waits for what `first` holds and keeps nobody else waiting."""
    first: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What a call that awaits waits for before its body is entered: an interceptor that lets the body run may add to it."""


@dataclass(frozen=True, slots=True)
class Served:
    """Answer the call with a value; of a generator, with the list of what it yields."""

    value: Json
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Attributes for the call's span."""
    then: Callable[[], BaseException] | None = None
    """Of a stream that did not end as streams do: makes what is raised where its reader goes on after the last item."""


@dataclass(frozen=True, slots=True)
class Raised:
    """Answer the call with an error."""

    error: BaseException
    facts: Mapping[str, Json] = field(default_factory=dict)


class Interceptor(Protocol):
    """Decides what a decorated call does."""

    def before(self, call: Call) -> Served | Raised | None:
        """Answer the call, or give None to let its body run."""
        ...


_installed: Interceptor | None = None


def install(interceptor: Interceptor) -> None:
    """Put an interceptor below every decorator of this process.

    Raises:
        ConfigurationError: another one is there already.
    """
    global _installed  # noqa: PLW0603 - rule 1: the switch is the process's
    if _installed is not None and _installed is not interceptor:
        msg = f"A {type(_installed).__name__} already intercepts this process. Uninstall it first."
        raise ConfigurationError(msg)
    _installed = interceptor


def uninstall() -> None:
    """Let the bodies of decorated functions run again."""
    global _installed  # noqa: PLW0603 - rule 1
    _installed = None


def installed() -> Interceptor | None:
    """Give the interceptor of this process, if there is one."""
    return _installed
