"""Maps a span that somebody else's instrumentation made onto the fields and parts of a record.

The rules:

1. What means what stands in `schemas/attributes.json`, as for every other record; this module adds what OpenTelemetry
   keeps outside the attributes: span kind, status, events, links, resource, scope, dropped counts.
2. Nothing is lost: what has no part of its own stays as an attribute, under the names that OpenTelemetry's
   specification gives exporters for it (`otel.status_description`, `otel.dropped_attributes_count`, …).
3. Content that arrives as JSON text of an object or array is decoded; any other text stays text.
4. A failed span's error is that of its last exception event, else its error type and status description.
5. A span of which the SDK dropped attributes is `lossy`.
6. What only this program says of a span is kept under other names: see `auditlog.reserved`.
7. Pure: values in, values out. Neither the SDK nor a file is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from auditlog.normalise import decoded, kind_of, name_of, split_content
from auditlog.reserved import foreign_attributes, foreign_name

OWN_PREFIX = "auditlog."
"""Content under our own names is always JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignSpan:
    """A span as OpenTelemetry has it, without its ids and times."""

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    span_kind: str = "INTERNAL"
    status_code: str = "UNSET"
    """`UNSET`, `OK` or `ERROR`."""
    status_description: str | None = None
    events: Sequence[Mapping[str, Any]] = ()
    """Each {name, time (nanoseconds), attributes}."""
    links: Sequence[Mapping[str, Any]] = ()
    """Each {trace, span, attributes}."""
    trace_state: str | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many `attributes`, `events` and `links` the SDK threw away."""
    resource: Mapping[str, Any] | None = None
    scope: Mapping[str, Any] | None = None
    """{name, version, attributes}"""


class Mapped(NamedTuple):
    """What a record says of a foreign span."""

    kind: str
    name: str
    status: str
    """`ok` or `error`."""
    attributes: dict[str, Any]
    parts: dict[str, Any]
    """Content by part name, as values."""


def map_span(span: ForeignSpan, decode: Callable[[str, Any], Any] | None = None) -> Mapped:
    """Map a span.

    Args:
        span: what somebody's instrumentation made.
        decode: makes the value of a part of its name and what the attribute holds; `structured` where it is None.
    """
    small, content = split_content(foreign_attributes(span.attributes))
    kind = kind_of(span.attributes)
    name = foreign_name(kind, name_of(kind, span.attributes, span.name))
    failed = span.status_code == "ERROR"
    parts = {
        part: decoded(value)
        if _is_ours(part, span.attributes)
        else decode(part, value)
        if decode is not None
        else structured(value)
        for part, value in content.items()
    }
    if failed and "error" not in parts and (error := _error(span)) is not None:
        parts["error"] = error
    if span.events:
        parts["events"] = list(span.events)
    if span.resource:
        parts["resource"] = span.resource
    if span.scope:
        parts["scope"] = span.scope
    return Mapped(kind, name, "error" if failed else "ok", small | _beside(span, name), parts)


def structured(value: Any) -> Any:
    """Decode a text that is a JSON object or array; a plain text, also one that looks like a number, stays as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return decoded(value)
    return value


def _is_ours(part: str, attributes: Mapping[str, Any]) -> bool:
    return f"{OWN_PREFIX}{part}" in attributes


def _beside(span: ForeignSpan, name: str) -> dict[str, Any]:
    """Give what is no attribute in OpenTelemetry, as attributes."""
    beside: dict[str, Any] = {}
    if span.name != name:
        beside["otel.span.name"] = span.name
    if span.span_kind != "INTERNAL":
        beside["otel.span.kind"] = span.span_kind
    if span.status_code == "OK":
        beside["otel.status_code"] = "OK"
    if span.status_description:
        beside["otel.status_description"] = span.status_description
    if span.trace_state:
        beside["otel.trace_state"] = span.trace_state
    if span.links:
        beside["otel.links"] = list(span.links)
    if span.dropped.get("attributes"):
        beside["auditlog.lossy"] = True
    beside |= {f"otel.dropped_{what}_count": count for what, count in span.dropped.items() if count}
    return beside


def _error(span: ForeignSpan) -> dict[str, Any] | None:
    for event in reversed(span.events):
        if event.get("name") == "exception":
            facts = event.get("attributes") or {}
            error = {
                "type": _text(facts.get("exception.type")) or "Error",
                "message": _text(facts.get("exception.message")) or "",
            }
            stack = _text(facts.get("exception.stacktrace"))
            return error | ({"stack": stack} if stack else {})
    kind = _text(span.attributes.get("error.type"))
    if kind or span.status_description:
        return {"type": kind or "Error", "message": span.status_description or ""}
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
