"""Writes conversations as OpenTelemetry traces: OTLP-JSON lines, as the Collector's file exporter writes them.

The rules:

1. A line is one ExportTraceServiceRequest, and holds one conversation.
2. Names are those of OpenTelemetry's GenAI conventions, as `schemas/attributes.json` has them; content is JSON text in
   attributes, an error is a status, an `error.type` and an exception event, an evaluation is an event.
3. Importing a line gives equal spans: what OpenTelemetry has no place for is in the marker (`marker.py`).
4. A span whose end was never recorded has no end time.
5. Numbers are written as OTLP-JSON wants them: 64-bit integers as text, `NaN` as a word.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from auditlog.encoding.encode import encode
from auditlog.exporters.marker import ATTRIBUTE, Marker
from auditlog.normalise import decoded, first, kind_of, mapping
from auditlog.recorder import SCOPE
from auditlog.values import Conversation, Json, Message, Part, Span

SPAN_KINDS = {"UNSPECIFIED": 0, "INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
_TRACE, _SPAN = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")
_WORDS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_CONTENT_OF_TOOLS = {"input": "gen_ai.tool.call.arguments", "output": "gen_ai.tool.call.result"}


def lines(conversations: Iterable[Conversation]) -> Iterator[bytes]:
    """Give a line for each conversation."""
    for conversation in conversations:
        yield encode(request(conversation)).text + b"\n"


def request(conversation: Conversation) -> dict[str, Any]:
    """Give a conversation as an ExportTraceServiceRequest."""
    agent = next((span.agent_name for span in conversation.spans if span.agent_name), None)
    service = {"service.name": agent or "unknown_service"}
    scope_spans = {"scope": {"name": SCOPE}, "spans": [span_object(span) for span in conversation.spans]}
    return {"resourceSpans": [{"resource": {"attributes": key_values(service)}, "scopeSpans": [scope_spans]}]}


def span_object(span: Span) -> dict[str, Any]:
    """Give a span as OTLP-JSON."""
    attributes = {name: value for name, value in span.attributes.items() if name != ATTRIBUTE}
    attributes |= _facts(span, attributes)
    added = _for_others(span, attributes)
    content = {
        name: encode(value).text.decode() for name, value in _content(span).items() if value is not None
    }
    as_text = tuple(name for name, value in attributes.items() if not _has_word(value))
    attributes |= {name: encode(attributes[name]).text.decode() for name in as_text}
    marker = Marker(
        kind=span.kind,
        name=span.name,
        turn=span.turn_id,
        conversation=span.conversation_id,
        added=tuple(added),
        as_text=as_text,
    )
    found = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "traceState": _text(span.attributes.get("otel.trace_state")),
        "name": _span_name(span, attributes | added),
        "kind": _span_kind(span),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": None if span.end_ns is None else str(span.end_ns),
        "attributes": key_values({**attributes, **added, **content, ATTRIBUTE: marker.text()}),
        "events": _events(span),
        "links": _links(span.attributes.get("otel.links")),
        "status": _status(span),
    }
    for what in ("attributes", "events", "links"):
        count = span.attributes.get(f"otel.dropped_{what}_count")
        found[f"dropped{what.capitalize()}Count"] = (
            count if type(count) is int and 0 < count < 1 << 32 else None
        )
    return {name: value for name, value in found.items() if value is not None and value != []}


def key_values(attributes: Mapping[str, Json]) -> list[dict[str, Any]]:
    """Give attributes as a list of KeyValue."""
    return [{"key": name, "value": any_value(value)} for name, value in attributes.items()]


def any_value(value: Json) -> dict[str, Any]:
    """Give a JSON value as an OTLP AnyValue; what the recorder marked as bytes or as no number becomes that again."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case {"$auditlog": "bytes", "base64": str(text)} if len(value) == 2 and _is_base64(text):
            return {"bytesValue": text}
        case {"$auditlog": "float", "value": "nan" | "inf" | "-inf" as word} if len(value) == 2:
            return {"doubleValue": _WORDS[word]}
        case dict():
            return {"kvlistValue": {"values": key_values(value)}}
        case _:
            return {"arrayValue": {"values": [any_value(item) for item in value]}}


def _has_word(value: Json) -> bool:
    """Say whether OTLP can carry a value: its integers have 64 bits, with a sign."""
    match value:
        case bool():
            return True
        case int():
            return -(1 << 63) <= value < 1 << 63
        case dict():
            return all(_has_word(item) for item in value.values())
        case list() | tuple():
            return all(_has_word(item) for item in value)
        case _:
            return True


def _facts(span: Span, attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Give the span's fields that its attributes do not say, under their first name."""
    replay, usage = span.replay, span.usage
    fields: dict[str, Json] = {}
    for column, names in mapping()["columns"].items():
        seconds = mapping()["seconds"].get(column, ())
        holder = replay if column.startswith("replay_") else usage if hasattr(usage, column) else span
        value = getattr(holder, column.removeprefix("replay_"), None) if holder is not None else None
        if value not in (None, False, (), "") and first(attributes, (*names, *seconds)) is None:
            fields[names[0]] = list(value) if isinstance(value, tuple) else value
    fields |= {f"{mapping()['parameters']}{name}": value for name, value in span.parameters.items()}
    fields |= {f"{mapping()['tags']}{name}": value for name, value in span.tags.items()}
    return {name: value for name, value in fields.items() if name not in attributes}


def _for_others(span: Span, attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Give what other readers need and our marker says already."""
    added: dict[str, Json] = {}
    operation = mapping()["operations"].get(span.kind)
    if operation is not None and kind_of(attributes) != span.kind:
        added["gen_ai.operation.name"] = operation
    names = mapping()["names"].get(span.kind, ())
    if names and span.name and first(attributes, names) is None:
        added[next((name for name in names if name.startswith("gen_ai.")), names[0])] = span.name
    if span.conversation_id is not None and first(attributes, mapping()["conversation"]) is None:
        added[mapping()["conversation"][0]] = span.conversation_id
    if span.fault is not None and "error.type" not in attributes:
        added["error.type"] = span.fault.type
    return {name: value for name, value in added.items() if name not in attributes}


def _content(span: Span) -> dict[str, Json]:
    """Give the content by attribute name."""
    names = {part: attributes[0] for part, attributes in mapping()["parts"].items()}
    if span.kind == "tool":
        names |= _CONTENT_OF_TOOLS
    system = span.system_instructions
    documents = [_present(d, ("id", "content", "score", "source")) for d in span.documents]
    # A retriever that says nothing of its documents returned them, so that it had none has to be said.
    told = documents or (span.kind == "retriever" and isinstance(decoded(span.output), list))
    return {
        names["input"]: _undecodable(span.input),
        names["output"]: span.output,
        names["system_instructions"]: None if system is None else [{"type": "text", "content": system}],
        names["input_messages"]: [_message(m) for m in span.input_messages] or None,
        names["output_messages"]: [_message(m) for m in span.output_messages] or None,
        names["tool_definitions"]: _undecodable(span.tool_definitions),
        names["documents"]: documents if told else None,
        names["error"]: None if span.fault is None else _present(span.fault, ("type", "message", "stack")),
        names["evaluations"]: [
            _present(e, ("name", "value", "label", "explanation")) for e in span.evaluations
        ]
        or None,
    }


def _message(message: Message) -> Json:
    match message.parts:
        case (Part(type="unknown", raw=raw),) if not message.role:
            return raw
    found: dict[str, Json] = {"role": message.role, "parts": [_part(part) for part in message.parts]}
    return found if message.finish_reason is None else found | {"finish_reason": message.finish_reason}


def _part(part: Part) -> Json:
    match part.type:
        case "text" | "reasoning":
            return {"type": part.type, "content": part.content}
        case "tool_call":
            arguments = _undecodable(part.arguments)
            return {"type": "tool_call", "id": part.id, "name": part.name, "arguments": arguments}
        case "tool_call_response":
            return {"type": "tool_call_response", "id": part.id, "response": part.response}
        case _:
            return part.raw


def _undecodable(value: Json) -> Json:
    """Wrap a text that readers would take for JSON in JSON, since they decode some content that is a text."""
    return orjson.dumps(value).decode() if isinstance(value, str) and decoded(value) != value else value


def _events(span: Span) -> list[dict[str, Any]]:
    time = str(span.end_ns or span.start_ns)
    events = []
    if span.fault is not None:
        facts = {"type": span.fault.type, "message": span.fault.message, "stacktrace": span.fault.stack}
        found = {f"exception.{name}": value for name, value in facts.items() if value is not None}
        events.append({"timeUnixNano": time, "name": "exception", "attributes": key_values(found)})
    for evaluation in span.evaluations:
        facts = {
            "name": evaluation.name,
            "score.value": evaluation.value,
            "score.label": evaluation.label,
            "explanation": evaluation.explanation,
        }
        found = {f"gen_ai.evaluation.{name}": value for name, value in facts.items() if value is not None}
        events.append(
            {"timeUnixNano": time, "name": "gen_ai.evaluation.result", "attributes": key_values(found)}
        )
    return events


def _links(links: Json) -> list[dict[str, Any]]:
    found = []
    for link in links if isinstance(links, list) else ():
        match link:
            case {"trace": str(trace), "span": str(span), **rest} if _TRACE.fullmatch(
                trace
            ) and _SPAN.fullmatch(span):
                attributes = rest.get("attributes")
                pairs = key_values(attributes) if isinstance(attributes, dict) else []
                found.append({"traceId": trace, "spanId": span, "attributes": pairs})
    return found


def _status(span: Span) -> dict[str, Any]:
    if span.status == "error":
        message = _text(span.attributes.get("otel.status_description")) or (
            span.fault.message if span.fault else ""
        )
        return {"code": 2, "message": message} if message else {"code": 2}
    return {"code": 1} if span.attributes.get("otel.status_code") == "OK" else {}


def _span_kind(span: Span) -> int:
    default = "CLIENT" if span.kind in ("model", "embedding") else "INTERNAL"
    return SPAN_KINDS.get(_text(span.attributes.get("otel.span.kind")) or default, SPAN_KINDS[default])


def _span_name(span: Span, attributes: Mapping[str, Json]) -> str:
    """Give the name that the span had, or the one that the conventions make of operation and name."""
    kept = _text(span.attributes.get("otel.span.name"))
    if kept is not None:
        return kept
    operation = _text(attributes.get("gen_ai.operation.name"))
    return f"{operation} {span.name}".strip() if operation else span.name


def _present(value: Any, names: Sequence[str]) -> dict[str, Json]:
    return {name: found for name in names if (found := getattr(value, name)) is not None}


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _is_base64(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False
