"""A model call as a conversation: its messages, read out of what was recorded.

The rules:

1. The arguments of a model call are kept whole as its input; messages and system prompt are read out of them when
   somebody looks, and are not stored twice.
2. The shapes of OpenAI's chat completions and responses and of Anthropic's messages are read, whole or as the chunks of a
   stream; what is none of them is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from auditlog.normalise import decoded, messages, system_text
from auditlog.values import Message

_ENDED = frozenset({"response.completed", "response.failed", "response.incomplete"})
_TEXTS = frozenset({"text", "input_text", "output_text"})
_CALL_ITEMS = frozenset({"function_call", "custom_tool_call"})


class Chat(NamedTuple):
    """A model call as messages."""

    system: str | None
    input_messages: tuple[Message, ...]
    output_messages: tuple[Message, ...]
    tool_definitions: Any


def chat_of(arguments: Any, output: Any) -> Chat:
    """Read a model call's messages out of its arguments and its answer.

    Args:
        arguments: the call's arguments by name; `messages`, `system` and `tools` are looked for, and what other shapes call
            them.
        output: what it returned, decoded; the list of chunks for a stream.
    """
    given = arguments if isinstance(arguments, dict) else {}
    asked = given.get("messages", given.get("prompt", given.get("input")))
    said = messages([_plain(item) for item in asked] if isinstance(asked, list) else asked)
    system = system_text(given.get("system", given.get("instructions"))) or next(
        (m.text for m in said if m.role in ("system", "developer")), None
    )
    heard = tuple(m for m in said if m.role not in ("system", "developer"))
    return Chat(system, heard, _answer(output), given.get("tools"))


def _answer(output: Any) -> tuple[Message, ...]:
    match output:
        case str() if output:
            return messages([{"role": "assistant", "content": output}])
        case {"choices": list(choices)}:
            found = [
                c["message"] for c in choices if isinstance(c, dict) and isinstance(c.get("message"), dict)
            ]
            return messages(found)
        case {"role": str()}:
            return messages([_plain(output)])
        case {"object": "response", "output": list(items)}:
            return messages([_plain(item) for item in items if _is_said(item)])
        case list() if output and all(isinstance(item, str) for item in output):
            return messages([{"role": "assistant", "content": "".join(output)}])
        case list():
            return _streamed(output)
        case _:
            return ()


def _streamed(chunks: Iterable[Any]) -> tuple[Message, ...]:
    """Put the chunks of a stream together."""
    text: list[str] = []
    calls: dict[Any, dict[str, Any]] = {}
    for chunk in chunks:
        match chunk:
            case {"choices": [{"delta": dict(delta)}, *_]}:
                text.append(_text(delta.get("content")))
                for call in delta.get("tool_calls") or ():
                    if isinstance(call, dict) and isinstance(call.get("function"), dict):
                        _add(calls, call.get("index"), call.get("id"), **call["function"])
            case {"type": "content_block_start", "content_block": {"type": "tool_use", **block}, "index": at}:
                _add(calls, at, block.get("id"), block.get("name"))
            case {"type": "content_block_delta", "delta": dict(delta), "index": at}:
                text.append(_text(delta.get("text")))
                if at in calls:
                    _add(calls, at, arguments=delta.get("partial_json"))
            case {"type": str(kind), "response": dict(response)} if kind in _ENDED:
                return _answer({"object": "response", **response})
            case {"type": "response.output_text.delta", "delta": str(said)}:
                text.append(said)
    said = "".join(text)
    if not said and not calls:
        return ()
    made = [{"id": c["id"], "name": c["name"], "arguments": "".join(c["pieces"])} for c in calls.values()]
    return messages([{"role": "assistant", "content": said, "tool_calls": made}])


def _add(
    calls: dict[Any, dict[str, Any]],
    at: Any,
    call_id: Any = None,
    name: Any = None,
    arguments: Any = None,
    **_: Any,
) -> None:
    if not isinstance(at, int | str | None):
        return
    call = calls.setdefault(at, {"id": None, "name": None, "pieces": []})
    call["id"], call["name"] = call["id"] or call_id, call["name"] or name
    call["pieces"].append(_text(arguments))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_said(item: Any) -> bool:
    return isinstance(item, dict) and (item.get("type") in _CALL_ITEMS or "role" in item)


def _plain(item: Any) -> Any:
    """Give a message in the shape that the normaliser reads."""
    match item:
        case {"type": str(kind), "name": name, **rest} if kind in _CALL_ITEMS:
            given = decoded(rest.get("arguments", rest.get("input")))
            part = {"type": "tool_call", "id": rest.get("call_id"), "name": name, "arguments": given}
            return {"role": "assistant", "parts": [part]}
        case {"type": "function_call_output", "output": output, **rest}:
            part = {"type": "tool_call_response", "id": rest.get("call_id"), "response": output}
            return {"role": "tool", "parts": [part]}
        case {"role": str(), "content": list(content)}:
            return {**item, "content": [_plain_part(part) for part in content]}
        case _:
            return item


def _plain_part(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    match part:
        case {"type": str(kind), "text": str(text)} if kind in _TEXTS:
            return {"type": "text", "content": text}
        case {"type": "thinking", "thinking": str(text)}:
            return {"type": "reasoning", "content": text}
        case {"type": "tool_use", "name": name, **rest}:
            return {"type": "tool_call", "id": rest.get("id"), "name": name, "arguments": rest.get("input")}
        case {"type": "tool_result", **rest}:
            return {
                "type": "tool_call_response",
                "id": rest.get("tool_use_id"),
                "response": rest.get("content"),
            }
        case _:
            return part
