"""Maps records onto columns: the one normaliser, for decorators, OpenTelemetry spans and imports.

The rules:

1. Which attribute means what stands in `schemas/attributes.json`; this module knows no convention.
2. Content attributes become parts before they are written; everything else stays in the `attributes` part, raw.
3. A column is derived from the stored bytes alone, so deriving it again gives the same value.
4. A value of the wrong type for its column leaves the column empty; the raw attribute is still there.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from auditlog.record import Record
from auditlog.resources import schema
from auditlog.values import KINDS, Message, Part, text_of, user_text_of

PREVIEW_CHARACTERS = 200


@functools.cache
def mapping() -> dict[str, Any]:
    """Read `schemas/attributes.json`."""
    return schema("attributes")


@functools.cache
def columns() -> dict[str, dict[str, str]]:
    """Read `schemas/columns.json`: the columns by name, in order."""
    return {column["name"]: column for column in schema("columns")["columns"]}


@functools.cache
def _part_of_attribute() -> dict[str, str]:
    return {attribute: part for part, names in mapping()["parts"].items() for attribute in names}


@functools.cache
def _columns_of_attribute() -> dict[str, list[tuple[str, str, int]]]:
    """Give, for each attribute, the columns it fills, their types, and its rank among the names of the column."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for column, names in mapping()["columns"].items():
        for rank, name in enumerate(names):
            found.setdefault(name, []).append((column, columns()[column]["type"], rank))
    return found


def split_content(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a span's attributes into small ones and content by part name; the first name in the schema wins."""
    part_of = _part_of_attribute()
    small, content = {}, {}
    for name, value in attributes.items():
        if name in part_of:
            content.setdefault(part_of[name], {})[name] = value
        else:
            small[name] = value
    chosen = {
        part: next(found[name] for name in mapping()["parts"][part] if name in found)
        for part, found in content.items()
    }
    return small, chosen


def kind_of(attributes: Mapping[str, Any]) -> str:
    """Give a span's kind by its operation name; `other` where it has none that we know."""
    kind = attributes.get("auditlog.kind")
    if kind in KINDS:
        return kind
    operation = attributes.get("gen_ai.operation.name")
    return mapping()["kinds"].get(operation, "other") if isinstance(operation, str) else "other"


def name_of(kind: str, attributes: Mapping[str, Any], span_name: str) -> str:
    """Give the name of what was called: the agent's, tool's or retriever's, else the span's."""
    return str(first(attributes, mapping()["names"].get(kind, ())) or span_name)


def first(attributes: Mapping[str, Any], names: Any) -> Any:
    """Give the first of these attributes that is present and not None."""
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def row(entry: Mapping[str, Any], parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Make one span's columns of its entry and parts.

    Returns:
        A value for each column; those of origin evidence are the sealer's, and None here.
    """
    return dict.fromkeys(columns()) | filled(entry, parts)


def filled(entry: Mapping[str, Any], parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Give what `row` gives, without the columns that are empty."""
    values = stated(entry, parts)
    attributes = orjson.loads(parts["attributes"]) if "attributes" in parts else None
    if attributes:
        _fill(values, attributes)
    else:
        attributes = {}
    if "error" in parts or "error.type" in attributes:
        values["error_type"] = _error_type(parts.get("error"), attributes)
    if values["kind"] == "agent" or not values["parent_span_id"]:
        values["user_text"], values["answer_text"] = _previews(parts)
    return values


def stated(entry: Mapping[str, Any], parts: Mapping[str, bytes]) -> dict[str, Any]:
    """Give the columns that the entry alone fills, and the parts' bytes."""
    began = entry["start"]
    return {
        "trace_id": entry["trace"],
        "span_id": entry["span"],
        "parent_span_id": entry.get("parent"),
        "turn_id": entry.get("turn"),
        "conversation_id": entry.get("conversation"),
        "kind": entry["kind"],
        "name": entry["name"],
        "status": entry["status"],
        "start_ns": began,
        "end_ns": entry.get("end"),
        "start_time": began // 1000,
        "source": entry["source"],
        **parts,
    }


class _Role(NamedTuple):
    """What an attribute of a name is good for."""

    columns: tuple[tuple[str, str, int], ...]
    """The columns it fills, their types, and its rank among the names of the column."""
    parameter: str | None
    tag: str | None
    seconds: tuple[tuple[str, int], ...]
    """The columns of milliseconds that it fills, and its rank there."""


@functools.lru_cache(maxsize=4096)
def _role(name: str) -> _Role | None:
    told = mapping()
    parameter = tag = None
    if name.startswith(told["parameters"]):
        parameter = name.removeprefix(told["parameters"])
        parameter = None if parameter == "model" else parameter
    if name.startswith(told["tags"]):
        tag = name.removeprefix(told["tags"])
    seconds = tuple((column, names.index(name)) for column, names in told["seconds"].items() if name in names)
    targets = tuple(_columns_of_attribute().get(name, ()))
    found = _Role(targets, parameter, tag, seconds)
    return found if any(part not in ((), None) for part in found) else None


def _fill(values: dict[str, Any], attributes: Mapping[str, Any]) -> None:
    ranks: dict[str, int] = {}
    parameters, tags = {}, {}
    seconds: dict[str, tuple[int, Any]] = {}
    for name, value in attributes.items():
        role = _role(name)
        if role is None:
            continue
        if value is not None:
            for column, kind, rank in role.columns:
                if rank <= ranks.get(column, rank):
                    ranks[column] = rank
                    values[column] = _typed(kind, value)
            for column, rank in role.seconds:
                if column not in seconds or rank < seconds[column][0]:
                    seconds[column] = (rank, value)
        if role.parameter is not None:
            parameters[role.parameter] = value
        if role.tag is not None:
            tags[role.tag] = value
    for column, (_, value) in seconds.items():
        if values.get(column) is None and isinstance(value, int | float):
            values[column] = value * 1000.0
    if parameters:
        values["parameters"] = orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS).decode()
    if tags:
        values["tags"] = orjson.dumps(tags, option=orjson.OPT_SORT_KEYS).decode()


def typed(column: str, value: Any) -> Any:
    """Give what a column holds of an attribute's value; None where it is of another type."""
    return _typed(columns()[column]["type"], value)


def attributes_of(record: Record | None) -> dict[str, Any]:
    """Decode a record's attributes; empty where it has none."""
    return (record.json("attributes") or {}) if record is not None else {}


def messages(value: Any) -> tuple[Message, ...]:
    """Read GenAI messages, OpenAI chat messages, or a plain text; what fits none becomes a raw part."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return (Message("user", (Part("text", value),)),)
    if isinstance(value, dict):
        value = [value]
    return tuple(_message(item) for item in value) if isinstance(value, list) else ()


def _message(item: Any) -> Message:
    match item:
        case {"role": str(role), "parts": list(parts), **rest}:
            reason = rest.get("finish_reason")
            return Message(
                role, tuple(_part(part) for part in parts), reason if isinstance(reason, str) else None
            )
        case {"role": "tool", "content": content, **rest}:
            return Message(
                "tool", (Part("tool_call_response", id=rest.get("tool_call_id"), response=content),)
            )
        case {"role": str(role), **rest}:
            return Message(role, (*_text_parts(rest.get("content")), *_call_parts(rest.get("tool_calls"))))
        case str():
            return Message("user", (Part("text", item),))
        case _:
            return Message("", (Part("unknown", raw=item),))


def _text_parts(content: Any) -> tuple[Part, ...]:
    match content:
        case str() if content:
            return (Part("text", content),)
        case list():
            return tuple(_part(part) for part in content)
        case _:
            return ()


def _call_parts(calls: Any) -> tuple[Part, ...]:
    parts = []
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"function": {"name": name, **function}}:
                given = decoded(function.get("arguments"))
                parts.append(Part("tool_call", id=call.get("id"), name=name, arguments=given))
            case {"name": name}:
                given = decoded(call.get("arguments"))
                parts.append(Part("tool_call", id=call.get("id"), name=name, arguments=given))
            case _:
                parts.append(Part("unknown", raw=call))
    return tuple(parts)


def _part(part: Any) -> Part:
    match part:
        case {"type": "text" | "reasoning" as kind, **rest}:
            text = rest.get("content", rest.get("text"))
            return Part(kind, text if isinstance(text, str) else "")
        case {"type": "tool_call", **rest}:
            return Part(
                "tool_call",
                id=rest.get("id"),
                name=rest.get("name"),
                arguments=decoded(rest.get("arguments")),
            )
        case {"type": "tool_call_response", **rest}:
            return Part(
                "tool_call_response", id=rest.get("id"), response=rest.get("response", rest.get("result"))
            )
        case str():
            return Part("text", part)
        case {"type": str(kind)}:
            return Part(kind, raw=part)
        case _:
            return Part("unknown", raw=part)


def decoded(value: Any) -> Any:
    """Decode a JSON text, as some instrumentations send arguments; anything else stays as it is."""
    if isinstance(value, str):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def system_text(value: Any) -> str | None:
    """Give the system prompt as text, of a string or of a list of parts."""
    value = decoded(value) if isinstance(value, str) and value.startswith("[") else value
    match value:
        case None:
            return None
        case str():
            return value
        case list():
            return "\n".join(text for text in (_part(part).content for part in value) if text)
        case _:
            return orjson.dumps(value).decode()


def _previews(parts: Mapping[str, bytes]) -> tuple[str, str]:
    said = {
        name: orjson.loads(content) if (content := parts.get(name)) else None
        for name in ("input", "input_messages", "output", "output_messages")
    }
    user = user_text_of(decoded(said["input"]), messages(said["input_messages"]))
    answer = "\n".join(m.text for m in messages(said["output_messages"]) if m.text) or text_of(said["output"])
    return _clip(user), _clip(answer)


def _clip(text: str) -> str:
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"


def _error_type(error: bytes | None, attributes: Mapping[str, Any]) -> str | None:
    match orjson.loads(error) if error else None:
        case {"type": str(name)}:
            return name
        case _:
            name = attributes.get("error.type")
            return name if isinstance(name, str) else None


_MOST = 1 << 48
"""The largest count that is believed: sums of such fit into 64 bits, and the attribute keeps what was said."""


def _typed(kind: str, value: Any) -> Any:
    match kind:
        case "string":
            return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else None
        case "int64":
            is_count = isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value <= _MOST
            return value if is_count else None
        case "double":
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "bool":
            return value if isinstance(value, bool) else None
        case "json":
            return orjson.dumps(value).decode()
        case _:
            return None
