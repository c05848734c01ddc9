"""One decorated call under way: from its arguments to its END record.

The rules:

1. The order is fixed: bind and encode the arguments, write START, ask the interceptor, run the body or not,
   write END. Nothing of the recording raises; what the interceptor raises does.
2. The body runs inside the call's frame, and whatever a generator yields leaves it.
3. The agent call without an agent around it begins a turn.
4. With an interceptor installed, a call that cannot be described to it does not happen.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

import orjson
from opentelemetry import trace

from auditlog import config, context, interception
from auditlog.encode import Encoded, encode, error_facts
from auditlog.facts import response_attributes
from auditlog.interception import Call, Raised, Served
from auditlog.operation import Operation
from auditlog.recorder import ListSink, Recorder, user_tracer
from auditlog.values import Kind

_OPERATIONS = {
    "agent": "invoke_agent",
    "model": "chat",
    "tool": "execute_tool",
    "retriever": "retrieval",
    "embedding": "embeddings",
    "handoff": "handoff",
}
_SPAN_KINDS: dict[Kind, trace.SpanKind] = {"model": trace.SpanKind.CLIENT}


class ActiveCall:
    """A call that has begun. Make one with `begin`, run the body between `enter` and `leave`, end it once."""

    __slots__ = (
        "_chunks",
        "_context",
        "_done",
        "_facts",
        "_first_chunk",
        "_operation",
        "_parent",
        "_recorder",
        "_span",
        "_started",
        "_token",
        "frame",
    )

    def __init__(
        self, operation: Operation, recorder: Recorder, frame: context.Frame, parent: str | None = None
    ) -> None:
        """Describe a call; `begin` writes its START record."""
        self.frame = frame
        self._parent = parent
        self._operation = operation
        self._recorder = recorder
        self._facts = frame.facts
        self._span: trace.Span | None = None
        self._context: context.Context | None = None
        self._token: Any = None
        self._started = time.time_ns()
        self._first_chunk: int | None = None
        self._chunks: list[Any] = []
        self._done = False

    def enter(self) -> None:
        """Put the code that follows inside the call."""
        if self._context is not None:
            self._token = context.attach(self._context)

    def leave(self) -> None:
        """Take the code that follows out of the call again."""
        if self._token is not None:
            context.detach(self._token)
            self._token = None

    def chunk(self, item: Any) -> None:
        """Keep what a stream yielded."""
        if self._first_chunk is None:
            self._first_chunk = time.time_ns()
        self._chunks.append(item)

    def succeed(self, result: Any) -> None:
        """Write the END record of a call that returned."""
        self._end("ok", result=result)

    def exhaust(self, result: Any = None, *, abandoned: bool = False) -> None:
        """Write the END record of a stream that ended, or that its consumer left.

        Args:
            result: what the generator returned, beside what it yielded.
            abandoned: the consumer left before the end.
        """
        if result is not None:
            self._facts["auditlog.stream.returned"] = True
        if abandoned:
            self._facts["auditlog.stream.abandoned"] = True
        self._end("ok", result=self._chunks, stream=True)

    def fail(self, error: BaseException) -> None:
        """Write the END record of a call that raised; facts that the error carries go with it."""
        # A stranger's error may answer anything to any name.
        with contextlib.suppress(Exception):
            self._facts.update(getattr(error, "auditlog_facts", None) or {})
        self._end("error", error=error, stream=bool(self._chunks))

    def answer(self, arguments: Encoded) -> Served | Raised | None:
        """Ask the interceptor of this process, if there is one."""
        interceptor = interception.installed()
        if interceptor is None:
            return None
        frame = self.frame
        call = Call(
            operation=self._operation,
            arguments=orjson.loads(arguments.text),
            lossy=arguments.lossy,
            trace_id=frame.trace_id,
            span_id=frame.span_id,
            parent_span_id=self._parent,
        )
        answer = interceptor.before(call)
        if answer is not None:
            self._facts.update(answer.facts)
        return answer

    def start(self, arguments: Encoded, attributes: Mapping[str, Any]) -> None:
        """Write the START record."""
        operation, frame = self._operation, self.frame
        attributes = {
            "gen_ai.operation.name": _OPERATIONS.get(operation.kind, operation.kind),
            **operation.attributes,
            **attributes,
            **_standing(frame, operation, self._recorder),
        }
        if arguments.lossy:
            attributes["auditlog.lossy"] = attributes["auditlog.lossy_input"] = True
        entry = {
            "time": self._started,
            "trace": frame.trace_id,
            "span": frame.span_id,
            "parent": self._parent,
            "turn": frame.turn_id,
            "conversation": frame.conversation_id,
            "kind": operation.kind,
            "name": operation.name,
            "source": "decorator",
        }
        parts = {"input": arguments.text} if operation.capture_input else {}
        self._recorder.start(entry, attributes, parts)

    def open_span(self) -> None:
        """Open a span with the user's provider, and make the context that the body runs in."""
        operation, tracer = self._operation, user_tracer()
        if tracer is not None:
            self._span = tracer.start_span(
                f"{_OPERATIONS.get(operation.kind, operation.kind)} {operation.name}",
                kind=_SPAN_KINDS.get(operation.kind, trace.SpanKind.INTERNAL),
                attributes={
                    "gen_ai.operation.name": _OPERATIONS.get(operation.kind, operation.kind),
                    **operation.attributes,
                    **({"gen_ai.conversation.id": c} if (c := self.frame.conversation_id) else {}),
                },
                start_time=self._started,
            )
            ids = self._span.get_span_context()
            # A disabled SDK opens no span: it gives an invalid one, or the current one again.
            if not ids.is_valid or ids == trace.get_current_span().get_span_context():
                self._span = None
            else:
                trace_id, span_id = f"{ids.trace_id:032x}", f"{ids.span_id:016x}"
                turn_id = span_id if self.frame.turn_id == self.frame.span_id else self.frame.turn_id
                self.frame = _with_ids(self.frame, trace_id, span_id, turn_id)
        self._context = context.with_frame(self.frame, self._span)

    def _end(
        self, status: str, *, result: Any = None, error: BaseException | None = None, stream: bool = False
    ) -> None:
        if self._done:
            return
        self._done = True
        try:
            attributes, parts = self._outcome(result, error, stream=stream)
            frame = self.frame
            entry = {"trace": frame.trace_id, "span": frame.span_id, "status": status}
            self._recorder.end(entry, attributes, parts)
            self._end_span(attributes, error)
        except Exception as failure:  # noqa: BLE001 - the recorder never raises into the agent
            self._recorder.fault(failure)

    def _outcome(
        self, result: Any, error: BaseException | None, *, stream: bool
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        operation = self._operation
        parts: dict[str, bytes] = {}
        attributes: dict[str, Any] = {}
        if stream:
            attributes["auditlog.stream"] = True
            if self._first_chunk is not None:
                attributes["auditlog.ttft_ms"] = (self._first_chunk - self._started) / 1e6
        if error is not None:
            parts["error"] = encode(error_facts(error)).text
            result = self._chunks if stream else None
        if error is None or stream:
            output = encode(result)
            if output.lossy:
                attributes["auditlog.lossy"] = attributes["auditlog.lossy_output"] = True
            if operation.capture_output:
                parts["output"] = output.text
            if operation.kind == "model":
                attributes.update(response_attributes(result, output.text))
        if not operation.capture_input:
            attributes["auditlog.lossy"] = attributes["auditlog.lossy_input"] = True
        if not operation.capture_output:
            attributes["auditlog.lossy"] = attributes["auditlog.lossy_output"] = True
        facts = dict(self._facts)
        if evaluations := facts.pop("auditlog.evaluations", None):
            parts["evaluations"] = encode(evaluations).text
        attributes.update(facts)
        return attributes, parts

    def _end_span(self, attributes: Mapping[str, Any], error: BaseException | None) -> None:
        span = self._span
        if span is None:
            return
        span.set_attributes({k: v for k, v in attributes.items() if isinstance(v, str | bool | int | float)})
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
        span.end()


def begin(operation: Operation, arguments: Encoded, attributes: Mapping[str, Any]) -> ActiveCall:
    """Begin a call: give it a place, open its span, write its START record.

    Args:
        operation: what is called.
        arguments: the encoded arguments by name.
        attributes: what the arguments say, such as the model requested.

    Raises:
        Exception: only while an interceptor is installed (rule 4).
    """
    recorder = config.recorder() or _unrecorded
    above = context.current()
    parent = context.parent_span()
    try:
        frame = _place(operation, above, parent)
        call = ActiveCall(operation, recorder, frame, None if parent is None else f"{parent.span_id:016x}")
        call.open_span()
        call.start(arguments, attributes)
    except Exception as error:
        if interception.installed() is not None:
            raise
        recorder.fault(error)
        return ActiveCall(operation, _unrecorded, _lost_frame())
    return call


def _place(
    operation: Operation, above: context.Frame | None, parent: trace.SpanContext | None
) -> context.Frame:
    scope = context.current_scope()
    span_id = context.new_span_id()
    trace_id = f"{parent.trace_id:032x}" if parent is not None else context.new_trace_id()
    facts: dict[str, Any] = {}
    turn_id = above.turn_id if above is not None else None
    begins_turn = turn_id is None and operation.kind == "agent"
    return context.Frame(
        trace_id=trace_id,
        span_id=span_id,
        turn_id=span_id if begins_turn else turn_id,
        conversation_id=scope.conversation_id if scope else above.conversation_id if above else None,
        user_id=scope.user_id if scope else above.user_id if above else None,
        tags=scope.tags if scope else above.tags if above else {},
        facts=facts,
        turn_facts=facts if begins_turn or above is None else above.turn_facts,
    )


def _standing(frame: context.Frame, operation: Operation, recorder: Recorder) -> dict[str, Any]:
    """Give the attributes that say whose call this is."""
    attributes: dict[str, Any] = {}
    if operation.kind == "agent":
        version = operation.version or recorder.agent_version
        if version is not None:
            attributes["gen_ai.agent.version"] = version
        if frame.user_id is not None:
            attributes["user.id"] = frame.user_id
        for key, value in frame.tags.items():
            attributes[f"auditlog.tag.{key}"] = value
    return attributes


def _with_ids(frame: context.Frame, trace_id: str, span_id: str, turn_id: str | None) -> context.Frame:
    return context.Frame(
        trace_id,
        span_id,
        turn_id,
        frame.conversation_id,
        frame.user_id,
        frame.tags,
        frame.facts,
        frame.turn_facts,
    )


def _lost_frame() -> context.Frame:
    return context.Frame("0" * 32, "0" * 16, None, None, None, {}, {}, {})


class _Nowhere(ListSink):
    """Keeps nothing: for calls that are intercepted while nobody records."""

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:  # noqa: ARG002
        return True


_unrecorded = Recorder(_Nowhere())
