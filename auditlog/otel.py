"""Takes the spans of any OpenTelemetry instrumentation in the process into the same journal.

    provider.add_span_processor(auditlog.AuditSpanProcessor())

The rules:

1. Synchronous, and without a queue: a span's START record is written when it starts and its END record when it ends,
   so a crash loses neither, and a burst drops nothing.
2. Nothing is raised into the instrumented code; what fails is counted (`faults`).
3. The spans that our own decorators open are left out: the decorators recorded those calls themselves.
4. The user's span is never changed. Conversation, turn, customer and tags are those of the context that it started in.
5. START says little: ids, name, time, short attributes. END says everything: content as parts, events, links, status,
   resource, scope, and how much the SDK dropped.
6. What is remembered of open spans is bounded. A span that is not remembered is written whole when it ends.

This is the one module that imports the OpenTelemetry SDK, and `import auditlog` does not import this module.
"""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Link, SpanContext

from auditlog import config, context
from auditlog.encoding.encode import encode
from auditlog.errors import RecordingError
from auditlog.foreign_span import ForeignSpan, map_span
from auditlog.names import bounded
from auditlog.normalise import kind_of, name_of, split_content
from auditlog.recorder import SCOPE, Recorder
from auditlog.reserved import foreign_attributes, foreign_name

MAX_OPEN = 65_536
"""How many open spans are remembered."""
MAX_START_CHARACTERS = 1024
"""The longest text that a START record holds as an attribute."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is remembered of an open span."""

    recorder: Recorder | None
    """Where its START record is; None where it could not be written."""
    entry: Mapping[str, Any]
    """Its ids, its start, and what it stood in."""
    standing: Mapping[str, Any]
    """The attributes that what it stood in lends it."""


class _Standing(NamedTuple):
    """What a span's surroundings lend it."""

    entry: Mapping[str, Any]
    attributes: Mapping[str, Any]


class AuditSpanProcessor(SpanProcessor):
    """Records the spans of a tracer provider."""

    def __init__(self, recorder: Recorder | None = None, *, max_open: int = MAX_OPEN) -> None:
        """Record into a recorder.

        Args:
            recorder: where to; by default the one that `auditlog.configure` set up, whenever it does.
            max_open: how many open spans are remembered.
        """
        self.faults = 0
        """Spans of which something could not be recorded."""
        self.forgotten = 0
        """Open spans that were no longer remembered, since too many were open."""
        self._recorder = recorder
        self._max_open = max_open
        # Its single operations are atomic, so no lock is needed, and none can be held across a fork.
        self._open: OrderedDict[tuple[int, int], _Begun] = OrderedDict()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Write the START record of a span."""
        try:
            recorder = self._current()
            ids = span.get_span_context()
            if recorder is None or ids is None or not ids.is_valid or _is_ours(span):
                return
            standing = _standing(span, parent_context)
            entry = {**_placed(span, ids, context.parent_span(parent_context)), **standing.entry}
            attributes = {
                name: _plain(value) for name, value in (span.attributes or {}).items() if _is_short(value)
            }
            small, _ = split_content(foreign_attributes(attributes))
            # A kind that only the end will tell is left to the end.
            if (kind := kind_of(attributes)) != "other":
                entry["kind"] = kind
            entry["name"] = bounded(foreign_name(kind, name_of(kind, attributes, span.name)))
            begun = dict(entry)
            written = recorder.start(entry, {**small, **standing.attributes}, {})
            self._remember(ids, _Begun(recorder if written else None, begun, standing.attributes))
        except Exception as error:  # noqa: BLE001 - rule 2
            self._fault(error)

    def on_end(self, span: ReadableSpan) -> None:
        """Write the END record of a span."""
        try:
            recorder = self._current()
            ids = span.get_span_context()
            if recorder is None or ids is None or not ids.is_valid or _is_ours(span):
                return
            begun = self._open.pop((ids.trace_id, ids.span_id), None)
            mapped = map_span(_foreign(span))
            parts = {part: encode(value).text for part, value in mapped.parts.items() if value is not None}
            told = {"kind": mapped.kind, "name": bounded(mapped.name), "status": mapped.status}
            if begun is not None and begun.recorder is recorder:
                recorder.end({"time": span.end_time, **_ids(ids), **told}, mapped.attributes, parts)
                return
            placed, standing = (
                (begun.entry, begun.standing) if begun is not None else (_placed(span, ids, None), {})
            )
            recorder.span({**placed, **told, "end": span.end_time}, {**mapped.attributes, **standing}, parts)
        except Exception as error:  # noqa: BLE001 - rule 2
            self._fault(error)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - a sync cannot be given a deadline
        """Wait until everything recorded so far is on the disk; False when anything is missing or not durable."""
        recorder = self._current()
        return recorder is None or recorder.flush()

    def shutdown(self) -> None:
        """Make what was recorded durable; the recorder stays open, since others write to it too."""
        self.force_flush()

    def _current(self) -> Recorder | None:
        return self._recorder if self._recorder is not None else config.recorder()

    def _remember(self, ids: SpanContext, begun: _Begun) -> None:
        self._open[ids.trace_id, ids.span_id] = begun
        if len(self._open) > self._max_open:
            self._open.popitem(last=False)
            self.forgotten += 1

    def _fault(self, error: BaseException) -> None:
        self.faults += 1
        recorder = self._recorder or config.recorder()
        if recorder is not None:
            # What `on_failure` asks for is for calls that we decorate; rule 2 holds for the spans of others.
            with contextlib.suppress(RecordingError):
                recorder.fault(error)


def _is_ours(span: ReadableSpan) -> bool:
    scope = span.instrumentation_scope
    return scope is not None and scope.name == SCOPE


def _ids(ids: SpanContext) -> dict[str, Any]:
    return {"trace": f"{ids.trace_id:032x}", "span": f"{ids.span_id:016x}"}


def _placed(span: ReadableSpan, ids: SpanContext, around: SpanContext | None) -> dict[str, Any]:
    """Give the entry that places a span.

    Args:
        span: the span.
        ids: its ids.
        around: what it started in: a recorded call that has no OpenTelemetry span is a parent that the SDK cannot know.
    """
    entry: dict[str, Any] = {"time": span.start_time, **_ids(ids), "source": "otel"}
    parent = around if around is not None and around.is_valid else span.parent
    if parent is not None and parent.is_valid:
        entry["parent"] = f"{parent.span_id:016x}"
    return entry


def _standing(span: ReadableSpan, parent_context: Context | None) -> _Standing:
    frame = context.current(parent_context)
    around = frame or context.current_scope(parent_context)
    if around is None:
        return _Standing({}, {})
    entry: dict[str, Any] = {}
    if around.conversation_id:
        entry["conversation"] = bounded(around.conversation_id)
    if frame is not None and frame.turn_id:
        entry["turn"] = frame.turn_id
    attributes: dict[str, Any] = {f"auditlog.tag.{key}": value for key, value in around.tags.items()}
    if around.user_id is not None and "user.id" not in (span.attributes or {}):
        attributes["user.id"] = around.user_id
    return _Standing(entry, attributes)


def _foreign(span: ReadableSpan) -> ForeignSpan:
    state = span.context.trace_state if span.context is not None else None
    scope = span.instrumentation_scope
    return ForeignSpan(
        name=span.name,
        attributes=_plain_mapping(span.attributes),
        span_kind=span.kind.name,
        status_code=span.status.status_code.name,
        status_description=span.status.description,
        events=[_event(event) for event in span.events],
        links=[_link(link) for link in span.links],
        trace_state=state.to_header() if state else None,
        dropped={
            "attributes": span.dropped_attributes,
            "events": span.dropped_events,
            "links": span.dropped_links,
        },
        resource=_plain_mapping(span.resource.attributes),
        scope=None
        if scope is None
        else {
            "name": scope.name,
            **({"version": scope.version} if scope.version else {}),
            **({"attributes": found} if (found := _plain_mapping(scope.attributes)) else {}),
        },
    )


def _event(event: Event) -> dict[str, Any]:
    return {"name": event.name, "time": event.timestamp, "attributes": _plain_mapping(event.attributes)}


def _link(link: Link) -> dict[str, Any]:
    return _ids(link.context) | {"attributes": _plain_mapping(link.attributes)}


def _plain_mapping(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in (attributes or {}).items()}


def _plain(value: Any) -> Any:
    """Give an attribute's value as JSON has it; bytes and what is no number are marked, as in any recorded value."""
    if isinstance(value, str | bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return value
    return orjson.loads(encode(value).text)


def _is_short(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_START_CHARACTERS
    return isinstance(value, bool | int | float)
