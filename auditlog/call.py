"""One decorated call under way: from its arguments to its END record.

The rules:

1. The order is fixed: bind and encode the arguments, write START, ask the interceptor, run the body or not,
   write END. Nothing of the recording raises; what the interceptor raises does.
2. The body runs inside the call's frame, and whatever a generator yields leaves it.
3. The agent call without an agent around it begins a turn.
4. With an interceptor installed, a call that cannot be described to it does not happen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from opentelemetry import trace

from auditlog import clock, context, interception
from auditlog.binding import binder
from auditlog.encoding.encode import MARK, Encoded, encode, json_text
from auditlog.encoding.error_facts import error_facts
from auditlog.facts import request_attributes, response_attributes
from auditlog.heads import end_head, start_head, start_tail
from auditlog.interception import Call, Interceptor, Raised, Served
from auditlog.names import plain_text
from auditlog.operation import Operation
from auditlog.recorder import ListSink, Recorder, attributes_text
from auditlog.vocabulary import Kind

_OPERATIONS = {
    "agent": "invoke_agent",
    "model": "chat",
    "tool": "execute_tool",
    "retriever": "retrieval",
    "embedding": "embeddings",
    "handoff": "handoff",
}
_NOTHING: Mapping[str, Any] = {}
_SPAN_KINDS: dict[Kind, trace.SpanKind] = {"model": trace.SpanKind.CLIENT}


class Site:
    """One decorated function: what is the same in each of its calls, made ready once."""

    __slots__ = (
        "_encoded",
        "attributes",
        "bind",
        "left_out",
        "name",
        "operation",
        "span_attributes",
        "span_kind",
        "span_name",
        "start_tail",
    )

    def __init__(self, operation: Operation, function: Callable[..., Any]) -> None:
        """Read the function's signature."""
        name = _OPERATIONS.get(operation.kind, operation.kind)
        self.operation = operation
        self.bind = binder(function)
        self.attributes: dict[str, Any] = {"gen_ai.operation.name": name, **operation.attributes}
        self.left_out = _left_out(operation)
        parts = ("attributes", "input") if operation.capture_input else ("attributes",)
        self.name = plain_text(operation.name)
        self.start_tail = start_tail(operation.kind, self.name, parts)
        self.span_name = f"{name} {operation.name}"
        # What a user's backend knows; each attribute costs the SDK as much as a whole record costs us.
        self.span_attributes = {k: v for k, v in self.attributes.items() if k.startswith("gen_ai.")}
        self.span_kind = _SPAN_KINDS.get(operation.kind, trace.SpanKind.INTERNAL)
        self._encoded: tuple[Recorder | None, dict[str, Any], bytes] = (None, {}, b"")

    def attributes_text(self, recorder: Recorder, own: Mapping[str, Any]) -> bytes:
        """Give the attributes of a call's START record.

        Args:
            recorder: adds those of its process.
            own: those of this call.
        """
        known, attributes, text = self._encoded
        if known is not recorder:
            attributes = {**recorder.base_attributes, **self.attributes}
            if self.operation.kind == "agent" and (
                version := self.operation.version or recorder.agent_version
            ):
                attributes["gen_ai.agent.version"] = version
            text = attributes_text(attributes)
            self._encoded = (recorder, attributes, text)
        if not own:
            return text
        if attributes.keys().isdisjoint(own):
            return text[:-1] + b"," + attributes_text(own)[1:]
        return attributes_text({**attributes, **own})


class ActiveCall(context.Frame):
    """A call that has begun. Make one with `begin`, run the body between `enter` and `leave`, end it once."""

    __slots__ = (
        "_chunks",
        "_done",
        "_first_chunk",
        "_forks",
        "_recorder",
        "_site",
        "_span",
        "_started",
        "_token",
        "_withheld",
        "answer",
        "first",
    )

    answer: Served | Raised | None
    """What the interceptor gave in place of the body's result."""
    first: list[Callable[[], Awaitable[None]]] | None
    """What is awaited before the body is entered."""

    def __init__(self, site: Site, recorder: Recorder) -> None:
        """Describe a call that has no place yet."""
        self._site = site
        self._recorder = recorder
        self._span: trace.Span | None = None
        self.inner = None
        self._token: Any = None
        self._started = clock.time_ns()
        self._first_chunk: int | None = None
        self._chunks: list[Any] = []
        self._done = False
        self._forks = context.Process.forks
        self.answer = None
        self.first = None
        self._withheld: tuple[bytes, bytes] | None = None

    @property
    def kind(self) -> Kind:
        """What kind of call it is."""
        return self._site.operation.kind

    def start(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, awaits: bool = False) -> None:
        """Take a place in the context, open a span, and write the START record.

        Args:
            args: the call's.
            kwargs: the call's.
            awaits: the caller waits for `ready` before the body is entered.

        Raises:
            Exception: only while an interceptor is installed (rule 4).
        """
        interceptor = interception.installed()
        site = self._site
        try:
            arguments: Any = site.bind(args, kwargs)
            lossy, said = False, _NOTHING
            text = json_text(arguments) if site.operation.redact is None else None
            if text is None:
                arguments, (text, lossy, types) = self._encoded(arguments)
                said = _kept("input", lossy, types)
            self._take_place()
            self._write_start(arguments, text, said)
        except Exception as error:
            if self._span is not None:
                self._span.end()
                self._span = None
            if interceptor is not None:
                raise
            self._recorder.fault(error)
            self.inner, self._recorder = None, unrecorded
            self._lose_place()
            return
        if interceptor is not None:
            self._ask(interceptor, text, lossy=lossy, awaits=awaits)

    async def ready(self) -> None:
        """Wait for what is to be awaited before the body is entered."""
        for wait in self.first or ():
            await wait()

    def enter(self) -> None:
        """Put the code that follows inside the call."""
        if self.inner is not None:
            self._token = context.attach(self.inner)

    def leave(self) -> None:
        """Take the code that follows out of the call again."""
        if self._token is not None:
            context.detach(self._token)
            self._token = None
            if self._done:
                self.inner = None

    def chunk(self, item: Any) -> None:
        """Keep what a stream yielded."""
        if self._first_chunk is None:
            self._first_chunk = clock.time_ns()
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
            self.facts["auditlog.stream.returned"] = True
        if abandoned:
            self.facts["auditlog.stream.abandoned"] = True
        self._end("ok", result=self._chunks, stream=True)

    def fail(self, error: BaseException) -> None:
        """Write the END record of a call that raised."""
        self._end("error", error=error, stream=bool(self._chunks))

    def _end(
        self, status: str, *, result: Any = None, error: BaseException | None = None, stream: bool = False
    ) -> None:
        if self._done:
            return
        self._done = True
        if self._token is None:
            # The context holds this call: as a cycle, both would wait for the collector.
            self.inner = None
        if self._forks != context.Process.forks:
            # A forked child came back through a call of its parent's, who ends it.
            return
        try:
            attributes, parts = self._outcome(result, error, stream=stream)
            if attributes:
                parts["attributes"] = attributes_text(attributes)
            keeper = self._recorder.keeper
            if keeper is not None:
                keeper.ended(self.span_id, clock.time_ns(), status, parts)
            else:
                head = end_head(clock.time_ns(), self.trace_id, self.span_id, status, tuple(parts))
                self._recorder.write(head, parts, closes=self.span_id)
            if self._span is not None:
                self._end_span(self._span, attributes, error)
        except Exception as failure:  # noqa: BLE001 - the recorder never raises into the agent
            self._recorder.fault(failure)

    def _outcome(
        self, result: Any, error: BaseException | None, *, stream: bool
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        operation = self._site.operation
        parts: dict[str, bytes] = {}
        if error is None and not stream and operation.redact is None and (text := json_text(result)):
            if operation.capture_output:
                parts["output"] = text
            attributes = response_attributes(result, text) if operation.kind == "model" else {}
        else:
            attributes = self._unusual_outcome(parts, result, error, stream=stream)
        if self._site.left_out:
            attributes.update(self._site.left_out)
        if self.facts:
            facts = dict(self.facts)
            if evaluations := facts.pop("auditlog.evaluations", None):
                parts["evaluations"] = encode(evaluations).text
            attributes.update(facts)
        return attributes, parts

    def _unusual_outcome(
        self, parts: dict[str, bytes], result: Any, error: BaseException | None, *, stream: bool
    ) -> dict[str, Any]:
        """Put an outcome that is not simply a JSON value into parts, and give its attributes."""
        operation = self._site.operation
        attributes: dict[str, Any] = {}
        if stream:
            attributes["auditlog.stream"] = True
            if self._first_chunk is not None:
                attributes["auditlog.ttft_ms"] = (self._first_chunk - self._started) / 1e6
        if error is not None:
            parts["error"], exact = self._told(error)
            if not exact:
                attributes["auditlog.lossy"] = attributes["auditlog.lossy_output"] = True
            if not stream:
                return attributes
            result = self._chunks
        if operation.reduce is not None and stream:
            attributes["auditlog.stream.reduced"] = True
            attributes["auditlog.lossy"] = attributes["auditlog.lossy_output"] = True
            result = operation.reduce(result)
        result, output = self._encoded(result)
        attributes.update(_kept("output", output.lossy, output.types))
        if operation.capture_output:
            parts["output"] = output.text
        if operation.kind == "model":
            attributes.update(response_attributes(result, output.text))
        return attributes

    def _told(self, error: BaseException) -> tuple[bytes, bool]:
        """Give what may be recorded of an error, and whether it says what the error does."""
        facts = error_facts(error)
        if self._site.operation.redact is None:
            return orjson.dumps(facts.told()), facts.exact
        from auditlog.encoding.withheld import allowed_error

        told, fault = allowed_error(facts.told(), self._site.operation.redact, self._withheld)
        if fault is not None:
            self._recorder.fault(fault)
        return orjson.dumps(told), facts.exact and told == facts.told()

    def _encoded(self, value: Any) -> tuple[Any, Encoded]:
        """Give what may be recorded of a value: lossy where it is not the value; a mark where the function fails."""
        redact = self._site.operation.redact
        if redact is None:
            return value, encode(value)
        whole = encode(value).text
        try:
            allowed = redact(value)
        except Exception as error:  # noqa: BLE001 - rule 1
            self._recorder.fault(error)
            allowed = {MARK: "unredactable", "why": type(error).__name__}
        encoded = encode(allowed)
        self._withheld = (whole, encoded.text)
        return allowed, encoded if encoded.text == whole else encoded._replace(lossy=True)

    def _end_span(self, span: trace.Span, attributes: Mapping[str, Any], error: BaseException | None) -> None:
        if attributes:
            span.set_attributes(
                {
                    name: value
                    for name, value in attributes.items()
                    if isinstance(value, (str, bool, int, float))
                }
            )
        if error is not None:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
        span.end()

    def _take_place(self) -> None:
        site = self._site
        here = context.place(self, begins_turn=site.operation.kind == "agent")
        if self.tracer is None:
            self.inner = context.inside(self, here)
            return
        attributes = site.span_attributes
        if self.conversation_id is not None:
            attributes = {**attributes, "gen_ai.conversation.id": self.conversation_id}
        self._span = self.tracer.start_span(
            site.span_name, here, site.span_kind, attributes, start_time=self._started
        )
        self.inner = context.adopt(self, self._span, here)
        if self.around is not self._span:
            self._span = None

    def _lose_place(self) -> None:
        self.trace_id, self.span_id, self.parent_id = "0" * 32, "0" * 16, None
        self.facts = self.turn_facts = {}

    def _write_start(self, arguments: Any, text: bytes, said: Mapping[str, Any]) -> None:
        operation, recorder = self._site.operation, self._recorder
        own: Mapping[str, Any] = said
        if operation.kind == "model":
            if type(arguments) is dict:
                own = {**request_attributes(arguments), **said}
        elif operation.kind == "agent" and (self.tags or self.user_id is not None):
            own = {f"auditlog.tag.{key}": value for key, value in self.tags.items()}
            if self.user_id is not None:
                own["user.id"] = self.user_id
            own.update(said)
        parts = {"attributes": self._site.attributes_text(recorder, own)}
        if operation.capture_input:
            parts["input"] = text
        if recorder.keeper is not None:
            recorder.keeper.begun(
                {
                    "type": "start",
                    "time": self._started,
                    "trace": self.trace_id,
                    "span": self.span_id,
                    "parent": self.parent_id,
                    "turn": self.turn_id,
                    "conversation": self.conversation_id,
                    "kind": operation.kind,
                    "name": self._site.name,
                    "source": "decorator",
                },
                parts,
            )
            return
        head = start_head(
            self._started,
            self.trace_id,
            self.span_id,
            self.parent_id,
            self.turn_id,
            self.conversation_id,
            self._site.start_tail,
        )
        recorder.write(head, parts, opens=self.span_id)

    def _ask(self, interceptor: Interceptor, text: bytes, *, lossy: bool, awaits: bool) -> None:
        """Ask the interceptor for the call's answer; the call fails with what it raises."""
        call = Call(
            operation=self._site.operation,
            arguments=orjson.loads(text),
            lossy=lossy,
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_span_id=self.parent_id,
            facts=self.facts,
            awaits=awaits,
        )
        try:
            self.answer = interceptor.before(call)
        except BaseException as error:
            self.fail(error)
            raise
        if self.answer is not None:
            self.facts.update(self.answer.facts)
        if call.first:
            self.first = call.first


def _left_out(operation: Operation) -> dict[str, Any]:
    """Give the attributes of a call whose content is not captured, by what is left out."""
    said: dict[str, Any] = {}
    for side, captured in (("input", operation.capture_input), ("output", operation.capture_output)):
        if not captured:
            said["auditlog.lossy"] = said[f"auditlog.lossy_{side}"] = True
    return said


def _kept(side: str, lossy: bool, types: dict[str, Any] | None) -> dict[str, Any]:
    """Give the attributes that say how a side of a call was kept: what stood there, and whether anything is lost."""
    said: dict[str, Any] = {}
    if types is not None:
        said[f"auditlog.types_{side}"] = types
    if lossy:
        said["auditlog.lossy"] = said[f"auditlog.lossy_{side}"] = True
    return said


class _Nowhere(ListSink):
    """Keeps nothing: for calls that are intercepted while nobody records."""

    def append(self, payload: bytes, *, opens: str | None = None, closes: str | None = None) -> bool:  # noqa: ARG002
        return True


unrecorded = Recorder(_Nowhere())
"""What calls are recorded by that are intercepted while nobody records."""
