"""Reads OpenTelemetry traces as JSON: the Collector's file exporter, or any ExportTraceServiceRequest.

The rules:

1. The decoding is our own, since protobuf's JSON reader takes the hexadecimal ids of OTLP-JSON for base64: 64-bit
   numbers are texts, `bytesValue` is base64, `"NaN"` is a number, `{}` is null. Base64 ids are accepted too.
2. A span without valid ids, or without a start time, is skipped with a reason; one without an end is `incomplete`.
3. A span that our own exporter wrote is restored exactly: see `auditlog.exporters.otlp_json`.
4. What a span does not say of its turn and conversation stays open: readers inherit it within the trace.
5. The caller's tags stand on every span.
6. Content that is JSON text is decoded only where that changes nothing (`exact`); a span whose text stays text is `lossy`,
   and `auditlog.inexact` says why.
7. Of more than `MOST_ATTRIBUTES` of a span, event or link the rest is left out, counted on the span as dropped, and told.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from auditlog.encoding.encode import MARK
from auditlog.exporters.marker import Marker, restore
from auditlog.foreign_span import ForeignSpan, map_span
from auditlog.importers.exact import decode
from auditlog.importers.spans import ImportedSpan, ignore
from auditlog.normalise import decoded, first, mapping, split_content
from auditlog.values import Json

SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUS_CODES = ("UNSET", "OK", "ERROR")

MOST_ATTRIBUTES = 10_000
"""Of one span; SDKs keep 128 where they are not told otherwise."""

_HEX = re.compile(r"[0-9a-fA-F]+")


def records(
    documents: Sequence[Any],
    tags: Mapping[str, str] | None = None,
    *,
    skip: Callable[[str], object] = ignore,
) -> Iterator[bytes]:
    """Give the records of the spans in some export requests.

    Args:
        documents: the requests, each an object with `resourceSpans`.
        tags: the caller's tags.
        skip: called with a sentence for each span that cannot be imported.
    """
    for imported in spans(documents, tags, skip=skip):
        yield imported.payload()


def spans(
    documents: Sequence[Any],
    tags: Mapping[str, str] | None = None,
    *,
    skip: Callable[[str], object] = ignore,
) -> Iterator[ImportedSpan]:
    """Give the spans in some export requests; the arguments are those of `records`."""
    labels = {f"auditlog.tag.{key}": value for key, value in (tags or {}).items()}
    position = 0
    for document in documents:
        for resource_spans in _objects(document, "resourceSpans"):
            resource = _bag(resource_spans.get("resource"))
            for scope_spans in _objects(resource_spans, "scopeSpans"):
                scope = _scope(scope_spans.get("scope"))
                for raw in _objects(scope_spans, "spans"):
                    position += 1
                    for kept, left_out in _bounded(raw):
                        skip(
                            f"span {position} has {kept + left_out:,} attributes; {left_out:,} were left out"
                        )
                    try:
                        yield _span(raw, resource, scope, labels)
                    except ValueError as error:
                        skip(f"span {position} {error}")


def _bounded(raw: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Cut the attributes of a span, its events and its links; give for each cut how many stay and how many do not."""
    for holder in (raw, *_objects(raw, "events"), *_objects(raw, "links")):
        left_out = len(_list(holder, "attributes")) - MOST_ATTRIBUTES
        if left_out > 0:
            holder["attributes"] = holder["attributes"][:MOST_ATTRIBUTES]
            dropped = raw.get("droppedAttributesCount")
            raw["droppedAttributesCount"] = (dropped if isinstance(dropped, int) else 0) + left_out
            yield MOST_ATTRIBUTES, left_out


def any_value(value: Json) -> Json:
    """Decode an OTLP-JSON AnyValue; what JSON has no word for is marked as the recorder marks it."""
    match value:
        case {"stringValue": str(text)}:
            return text
        case {"boolValue": bool(truth)}:
            return truth
        case {"intValue": str(digits)} if re.fullmatch(r"-?[0-9]{1,20}", digits):
            return int(digits)
        case {"intValue": int(number)}:
            return number
        case {"doubleValue": "NaN" | "Infinity" | "-Infinity" as word}:
            return {MARK: "float", "value": str(float(word))}
        case {"doubleValue": int(number) | float(number)}:
            return float(number)
        case {"bytesValue": str(text)}:
            return {MARK: "bytes", "base64": text}
        case {"arrayValue": items}:
            return [any_value(item) for item in _list(items, "values")]
        case {"kvlistValue": items}:
            return attributes_of(_list(items, "values"))
        case _:
            return None


def attributes_of(pairs: Json) -> dict[str, Json]:
    """Decode a list of KeyValue; a pair without a key is left out, and of two with one key the later counts."""
    found = {}
    for pair in pairs if isinstance(pairs, list) else ():
        match pair:
            case {"key": str(key), **rest}:
                found[key] = any_value(rest.get("value"))
    return found


def _span(
    raw: Mapping[str, Any],
    resource: Mapping[str, Any] | None,
    scope: Mapping[str, Any] | None,
    labels: Mapping[str, str],
) -> ImportedSpan:
    trace_id, span_id = _id(raw.get("traceId"), 16), _id(raw.get("spanId"), 8)
    start_ns = _time(raw.get("startTimeUnixNano"))
    if trace_id is None or span_id is None:
        msg = "has no valid trace and span id"
        raise ValueError(msg)
    if start_ns is None:
        msg = "has no start time"
        raise ValueError(msg)
    attributes = attributes_of(raw.get("attributes"))
    ids = {"trace_id": trace_id, "span_id": span_id, "parent_span_id": _id(raw.get("parentSpanId"), 8)}
    times = {"start_ns": start_ns, "end_ns": _time(raw.get("endTimeUnixNano"))}
    marker = Marker.read(attributes)
    if marker is not None:
        return _ours(marker, raw, attributes, labels, ids | times)
    inexact: list[str] = []

    def exactly(part: str, value: Json) -> Json:
        if not (isinstance(value, str) and value.lstrip()[:1] in ("{", "[")):
            return value
        found = decode(value)
        if found.inexact is not None:
            inexact.append(f"{part}: {found.inexact}")
        return found.value

    mapped = map_span(_foreign(raw, attributes, resource, scope), exactly)
    flags = {"auditlog.lossy": True, "auditlog.inexact": inexact} if inexact else {}
    conversation = first(attributes, mapping()["conversation"])
    return ImportedSpan(
        **ids,
        **times,
        conversation_id=str(conversation)
        if isinstance(conversation, str | int) and conversation != ""
        else None,
        kind=mapped.kind,
        name=mapped.name,
        status=mapped.status,
        attributes={**mapped.attributes, **flags, **labels},
        content=mapped.parts,
    )


def _ours(
    marker: Marker,
    raw: Mapping[str, Any],
    attributes: Mapping[str, Json],
    labels: Mapping[str, str],
    fields: Mapping[str, Any],
) -> ImportedSpan:
    """Restore a span that our own exporter wrote: its attributes say everything, events and links only repeat it."""
    small, content = split_content(restore(marker, attributes))
    return ImportedSpan(
        **fields,
        turn_id=marker.turn,
        conversation_id=marker.conversation,
        kind=marker.kind,
        name=marker.name,
        status="error" if _status_code(raw) == "ERROR" else "ok",
        attributes={**small, **labels},
        content={part: decoded(value) for part, value in content.items()},
    )


def _foreign(
    raw: Mapping[str, Any],
    attributes: Mapping[str, Json],
    resource: Mapping[str, Any] | None,
    scope: Mapping[str, Any] | None,
) -> ForeignSpan:
    message = _object(raw, "status").get("message")
    state = raw.get("traceState")
    return ForeignSpan(
        name=raw["name"] if isinstance(raw.get("name"), str) else "",
        attributes=attributes,
        span_kind=_word(raw.get("kind"), SPAN_KINDS, "SPAN_KIND_", "INTERNAL"),
        status_code=_status_code(raw),
        status_description=message if isinstance(message, str) else None,
        events=[_event(event) for event in _objects(raw, "events")],
        links=[_link(link) for link in _objects(raw, "links")],
        trace_state=state if isinstance(state, str) else None,
        dropped={
            what: count
            for what in ("attributes", "events", "links")
            if isinstance(count := raw.get(f"dropped{what.capitalize()}Count"), int)
        },
        resource=resource,
        scope=scope,
    )


def _event(event: Mapping[str, Any]) -> dict[str, Any]:
    name = event.get("name")
    return {
        "name": name if isinstance(name, str) else "",
        "time": _time(event.get("timeUnixNano")),
        "attributes": attributes_of(event.get("attributes")),
    }


def _link(link: Mapping[str, Any]) -> dict[str, Any]:
    ids = {"trace": _id(link.get("traceId"), 16), "span": _id(link.get("spanId"), 8)}
    return ids | {"attributes": attributes_of(link.get("attributes"))}


def _bag(resource: Json) -> dict[str, Json] | None:
    return attributes_of(resource.get("attributes")) if isinstance(resource, dict) else None


def _scope(scope: Json) -> dict[str, Json] | None:
    if not isinstance(scope, dict):
        return None
    facts = {name: scope[name] for name in ("name", "version") if isinstance(scope.get(name), str)}
    return facts | ({"attributes": found} if (found := attributes_of(scope.get("attributes"))) else {})


def _id(value: Json, size: int) -> str | None:
    """Read an id of `size` bytes, in hexadecimal or base64; None where there is none, or only zeros."""
    if not isinstance(value, str):
        return None
    if len(value) == size * 2 and _HEX.fullmatch(value):
        found = value.lower()
    else:
        try:
            content = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return None
        found = content.hex() if len(content) == size else ""
    return found if found.strip("0") else None


def _time(value: Json) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    return value if type(value) is int and 0 < value < 1 << 63 else None


def _status_code(raw: Mapping[str, Any]) -> str:
    return _word(_object(raw, "status").get("code"), STATUS_CODES, "STATUS_CODE_", "UNSET")


def _word(value: Json, words: Sequence[str], prefix: str, default: str) -> str:
    """Read an enumeration, by number or by name."""
    if type(value) is int and 0 <= value < len(words):
        return words[value]
    word = value.removeprefix(prefix) if isinstance(value, str) else ""
    return word if word in words else default


def _objects(holder: Json, key: str) -> list[dict[str, Any]]:
    return [item for item in _list(holder, key) if isinstance(item, dict)]


def _object(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, dict) else {}


def _list(holder: Json, key: str) -> list[Any]:
    found = holder.get(key) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []
