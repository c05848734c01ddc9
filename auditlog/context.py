"""Where a call stands: its conversation, its turn, its parent.

The rules:

1. A frame lives in the OpenTelemetry context, so whatever carries that context (tasks, `to_thread`,
   instrumented executors) carries it, and there is one notion of "inside" and not two.
2. A frame is attached for the time the body runs and detached in the same task or thread; generators attach
   and detach around each step, so a consumer never finds itself inside the stream that it reads.
3. `propagate` carries the context into an executor's threads or processes, which Python does not do by itself.
4. A call belongs to the process in which it began: a forked child that comes back through it does not end it.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace

from auditlog.names import bounded, plain_text
from auditlog.recorder import SCOPE

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Context = otel_context.Context

_FRAME = otel_context.create_key("auditlog-frame")
_SCOPE = otel_context.create_key("auditlog-conversation")


@dataclass(frozen=True, slots=True)
class ConversationScope:
    """The conversation that `auditlog.conversation` opened."""

    conversation_id: str
    user_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Frame:
    """The place of one recorded call that is under way."""

    __slots__ = (
        "around",
        "conversation_id",
        "facts",
        "inner",
        "parent_id",
        "span_id",
        "tags",
        "trace_id",
        "tracer",
        "turn_facts",
        "turn_id",
        "user_id",
    )

    trace_id: str
    span_id: str
    parent_id: str | None
    turn_id: str | None
    conversation_id: str | None
    user_id: str | None
    tags: Mapping[str, str]
    facts: dict[str, Any]
    """Attributes that the body added to this call; they go into its END record."""
    turn_facts: dict[str, Any]
    """The same of the turn's agent call."""
    tracer: trace.Tracer | None
    """What opens the spans of a user's OpenTelemetry provider: one for everything below one outermost call."""
    around: trace.Span
    """The OpenTelemetry span that is current in the body: the one that the user's provider opened for the call, or else
    whatever was current around it. A span of ours in its place, sampled or not, would decide for the samplers of
    providers that we know nothing of."""
    inner: Context | None
    """The context in which the body runs, while it does."""


def current(context: Context | None = None) -> Frame | None:
    """Give the frame of the innermost recorded call around here, if any."""
    frame = otel_context.get_value(_FRAME, context)
    return frame if isinstance(frame, Frame) else None


def current_scope(context: Context | None = None) -> ConversationScope | None:
    """Give the conversation around here, if any."""
    scope = otel_context.get_value(_SCOPE, context)
    return scope if isinstance(scope, ConversationScope) else None


def place(frame: Frame, *, begins_turn: bool) -> Context:
    """Give a call its place in the context around here: ids, parent, turn, conversation.

    Args:
        frame: filled in.
        begins_turn: the call is an agent's, and a turn where no turn is around it.

    Returns:
        The context around the call.
    """
    here = otel_context.get_current()
    above = here.get(_FRAME)
    frame.span_id = new_span_id()
    frame.facts = {}
    if isinstance(above, Frame) and above.inner is here:
        # Nothing was put between: all but the call itself is as it is there.
        frame.trace_id, frame.parent_id = above.trace_id, above.span_id
        frame.conversation_id, frame.user_id, frame.tags = above.conversation_id, above.user_id, above.tags
        frame.tracer, frame.around = above.tracer, above.around
        frame.turn_id = above.turn_id
        _join_turn(frame, above, begins_turn=begins_turn)
        return here
    scope, span = here.get(_SCOPE), trace.get_current_span(here)
    frame.around = span
    if isinstance(above, Frame):
        frame.turn_id, frame.tracer = above.turn_id, above.tracer
        frame.conversation_id, frame.user_id, frame.tags = above.conversation_id, above.user_id, above.tags
    else:
        above = None
        frame.turn_id = frame.conversation_id = frame.user_id = None
        frame.tags, frame.tracer = {}, user_tracer()
    if isinstance(scope, ConversationScope):
        frame.conversation_id, frame.user_id, frame.tags = scope.conversation_id, scope.user_id, scope.tags
    if above is not None and _is_around(above, span):
        frame.trace_id, frame.parent_id = above.trace_id, above.span_id
    elif (found := span.get_span_context()).is_valid:
        frame.trace_id, frame.parent_id = f"{found.trace_id:032x}", f"{found.span_id:016x}"
    else:
        frame.trace_id, frame.parent_id = new_span_id() + new_span_id(), None
    _join_turn(frame, above, begins_turn=begins_turn)
    return here


def _join_turn(frame: Frame, above: Frame | None, *, begins_turn: bool) -> None:
    if begins_turn and frame.turn_id is None:
        frame.turn_id = frame.span_id
        frame.turn_facts = frame.facts
    else:
        frame.turn_facts = frame.facts if above is None else above.turn_facts


def inside(frame: Frame, here: Context) -> Context:
    """Make the context in which the body of a call runs."""
    return otel_context.set_value(_FRAME, frame, here)


def adopt(frame: Frame, span: trace.Span, here: Context) -> Context:
    """Give a call the ids of the span that the user's provider opened for it, and make the context of its body.

    Args:
        frame: the call.
        span: what the provider gave. A disabled SDK opens no span: it gives an invalid one, or the current one again.
        here: the context around the call.
    """
    ids = span.get_span_context()
    if not ids.is_valid or ids == frame.around.get_span_context():
        return inside(frame, here)
    if frame.turn_id == frame.span_id:
        frame.turn_id = f"{ids.span_id:016x}"
    frame.trace_id, frame.span_id, frame.around = f"{ids.trace_id:032x}", f"{ids.span_id:016x}", span
    return trace.set_span_in_context(span, inside(frame, here))


def parent_span(context: Context | None = None) -> trace.SpanContext | None:
    """Give the ids of the innermost call around here: a recorded one, or an OpenTelemetry span, whoever opened it."""
    span, frame = trace.get_current_span(context), current(context)
    if frame is not None and _is_around(frame, span):
        return trace.SpanContext(int(frame.trace_id, 16), int(frame.span_id, 16), is_remote=False)
    found = span.get_span_context()
    return found if found.is_valid else None


def _is_around(frame: Frame, span: trace.Span) -> bool:
    """Whether the current span is still the one that a call's body began with."""
    return span is frame.around or span.get_span_context() == frame.around.get_span_context()


_tracers: list[tuple[trace.TracerProvider, trace.Tracer | None]] = []
"""The provider that was looked at last, and the tracer that it gave."""


def user_tracer() -> trace.Tracer | None:
    """Give a tracer where the user runs an OpenTelemetry provider; None where a span would go nowhere."""
    provider = trace.get_tracer_provider()
    for known, tracer in _tracers:
        if known is provider:
            return tracer
    nowhere = isinstance(provider, (trace.ProxyTracerProvider, trace.NoOpTracerProvider))
    found = None if nowhere else provider.get_tracer(SCOPE)
    _tracers[:] = [(provider, found)]
    return found


_ids: list[str] = []
"""Ids to be given out: one system call for many of them."""


def new_span_id() -> str:
    """Give 16 random hex digits. Not from `random`, which an application may have seeded."""
    try:
        return _ids.pop()
    except IndexError:
        digits = os.urandom(8 * 256).hex()
        _ids.extend(digits[at : at + 16] for at in range(16, len(digits), 16))
        return digits[:16]


class Process:
    """Tells whether this is still the process in which something began."""

    forks = 0
    """How many forks lie between this process and the one that started Python."""


def _after_fork_in_child() -> None:
    Process.forks += 1
    # A child must not give out what its parent gives out.
    _ids.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

attach = otel_context.attach
detach = otel_context.detach


@contextlib.contextmanager
def conversation(
    conversation_id: str, *, user: str | None = None, tags: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Say that the calls inside belong to a conversation.

    Args:
        conversation_id: your id of it, such as a ticket or session number.
        user: your id of the customer.
        tags: labels for finding it again, such as {"channel": "chat"}.
    """
    scope = ConversationScope(
        bounded(plain_text(conversation_id)), None if user is None else plain_text(user), _texts(tags)
    )
    token = attach(otel_context.set_value(_SCOPE, scope))
    try:
        yield
    finally:
        detach(token)


E = TypeVar("E", bound="Executor")


def propagate(executor: E) -> E:
    """Make an executor's tasks run in the context of whoever submits them; give the same executor back.

    To another process goes only where a call stands: calls there become part of the same turn, and what they say of the
    turn itself (`escalate`) is recorded as a hand-off below them.
    """
    submit = executor.submit
    elsewhere = any(kind.__name__ == "ProcessPoolExecutor" for kind in type(executor).__mro__)

    @functools.wraps(submit)
    def submit_in_context(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if elsewhere:
            return submit(run_at, standing(), function, *args, **kwargs)
        return submit(contextvars.copy_context().run, function, *args, **kwargs)

    executor.submit = submit_in_context  # type: ignore[method-assign]
    return executor


def standing() -> dict[str, Any] | None:
    """Say where a call stands, as values that another process can take; None outside of every call and conversation."""
    frame, scope = current(), current_scope()
    if frame is None:
        return None if scope is None else {"scope": (scope.conversation_id, scope.user_id, dict(scope.tags))}
    found = scope or frame
    return {
        "scope": (found.conversation_id, found.user_id, dict(found.tags)),
        "frame": (frame.trace_id, frame.span_id, frame.turn_id),
    }


def run_at(
    place: Mapping[str, Any] | None, function: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Run a function where a call in another process stands."""
    if place is None:
        return function(*args, **kwargs)
    here = otel_context.get_current()
    conversation_id, user_id, tags = place["scope"]
    if conversation_id is not None:
        here = otel_context.set_value(_SCOPE, ConversationScope(conversation_id, user_id, tags), here)
    if "frame" in place:
        frame = Frame()
        frame.trace_id, frame.span_id, frame.turn_id = place["frame"]
        frame.parent_id, frame.tracer, frame.around = None, user_tracer(), trace.get_current_span(here)
        frame.conversation_id, frame.user_id, frame.tags = conversation_id, user_id, tags
        frame.facts = frame.turn_facts = {}
        frame.inner = None
        here = inside(frame, here)
    token = attach(here)
    try:
        return function(*args, **kwargs)
    finally:
        detach(token)


def _texts(tags: Mapping[str, str] | None) -> dict[str, str]:
    return {plain_text(key): plain_text(value) for key, value in (tags or {}).items()}
