"""Where a call stands: its conversation, its turn, its parent.

The rules:

1. A frame lives in the OpenTelemetry context, so whatever carries that context (tasks, `to_thread`,
   instrumented executors) carries it, and there is one notion of "inside" and not two.
2. A frame is attached for the time the body runs and detached in the same task or thread; generators attach
   and detach around each step, so a consumer never finds itself inside the stream that it reads.
3. `propagate` carries the context into an executor's threads, which Python does not do by itself.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from auditlog.foreign_span import bounded

Context = otel_context.Context

_FRAME = otel_context.create_key("auditlog-frame")
_SCOPE = otel_context.create_key("auditlog-conversation")
_STAND_IN = otel_context.create_key("auditlog-stand-in")


@dataclass(frozen=True, slots=True)
class ConversationScope:
    """The conversation that `auditlog.conversation` opened."""

    conversation_id: str
    user_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """One recorded call that is under way."""

    trace_id: str
    span_id: str
    turn_id: str | None
    conversation_id: str | None
    user_id: str | None
    tags: Mapping[str, str]
    facts: dict[str, Any]
    """Attributes that the body added to this call; they go into its END record."""
    turn_facts: dict[str, Any]
    """The same of the turn's agent call."""


def current(context: Context | None = None) -> Frame | None:
    """Give the frame of the innermost recorded call around here, if any."""
    frame = otel_context.get_value(_FRAME, context)
    return frame if isinstance(frame, Frame) else None


def current_scope(context: Context | None = None) -> ConversationScope | None:
    """Give the conversation around here, if any."""
    scope = otel_context.get_value(_SCOPE, context)
    return scope if isinstance(scope, ConversationScope) else None


@dataclass(frozen=True, slots=True)
class _StandIn:
    """The ids of a call that has no OpenTelemetry span, and the span that is current around it."""

    ids: trace.SpanContext
    around: trace.SpanContext


def with_frame(frame: Frame, span: trace.Span | None) -> Context:
    """Make the context in which the body of a call runs.

    Args:
        frame: the call.
        span: the span that the user's provider opened for it. Without one, the current span stays the user's own:
            a span of ours in its place, sampled or not, would decide for the samplers of providers that we know
            nothing of.
    """
    inside = otel_context.set_value(_FRAME, frame)
    if span is not None:
        return otel_context.set_value(_STAND_IN, None, trace.set_span_in_context(span, inside))
    ids = trace.SpanContext(int(frame.trace_id, 16), int(frame.span_id, 16), is_remote=False)
    stand_in = _StandIn(ids, trace.get_current_span().get_span_context())
    return otel_context.set_value(_STAND_IN, stand_in, inside)


def parent_span(context: Context | None = None) -> trace.SpanContext | None:
    """Give the ids of the innermost call around here: a recorded one, or an OpenTelemetry span, whoever opened it."""
    found = trace.get_current_span(context).get_span_context()
    stand_in = otel_context.get_value(_STAND_IN, context)
    if isinstance(stand_in, _StandIn) and found == stand_in.around:
        return stand_in.ids
    return found if found.is_valid else None


def new_trace_id() -> str:
    """Give 32 random hex digits. Not from `random`, which an application may have seeded."""
    return os.urandom(16).hex()


def new_span_id() -> str:
    """Give 16 random hex digits."""
    return os.urandom(8).hex()


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


def propagate(executor: Executor) -> Executor:
    """Make an executor's tasks run in the context of whoever submits them; give the same executor back."""
    submit = executor.submit

    @functools.wraps(submit)
    def submit_in_context(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return submit(contextvars.copy_context().run, function, *args, **kwargs)

    executor.submit = submit_in_context  # type: ignore[method-assign]
    return executor


def plain_text(value: Any) -> str:
    """Give a value's text; the lone surrogates in it, which UTF-8 has no bytes for, are escaped."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _texts(tags: Mapping[str, str] | None) -> dict[str, str]:
    return {plain_text(key): plain_text(value) for key, value in (tags or {}).items()}
