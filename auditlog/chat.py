"""A model call as a conversation: its messages, read out of what was recorded.

The rules:

1. The arguments of a model call are kept whole as its input; messages and system prompt are read out of them when
   somebody looks, and are not stored twice.
2. OpenAI and Anthropic shapes are read, whole or as the chunks of a stream.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from auditlog.normalise import messages, system_text
from auditlog.values import Message


class Chat(NamedTuple):
    """A model call as messages."""

    system: str | None
    input_messages: tuple[Message, ...]
    output_messages: tuple[Message, ...]
    tool_definitions: Any


def chat_of(arguments: Any, output: Any) -> Chat:
    """Read a model call's messages out of its arguments and its answer.

    Args:
        arguments: the call's arguments by name; `messages`, `system` and `tools` are looked for.
        output: what it returned, decoded; the list of chunks for a stream.
    """
    given = arguments if isinstance(arguments, dict) else {}
    said = messages(given.get("messages", given.get("prompt")))
    system = system_text(given.get("system")) or next(
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
            return messages([output])
        case list() if output and all(isinstance(item, str) for item in output):
            return messages([{"role": "assistant", "content": "".join(output)}])
        case list() if output and (text := "".join(_delta(item) for item in output)):
            return messages([{"role": "assistant", "content": text}])
        case _:
            return ()


def _delta(item: Any) -> str:
    match item:
        case {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
        case _:
            return ""
