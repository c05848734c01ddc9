"""What a model's answer says of itself: the model served, tokens, finish reasons.

The rules:

1. OpenAI and Anthropic shapes are read, as objects or as mappings, whole or as the chunks of a stream.
2. What is not there is not invented: no attribute is better than a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_REQUEST = {
    "model": "gen_ai.request.model",
    "temperature": "gen_ai.request.temperature",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}


def request_attributes(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Read model and parameters out of a model call's arguments."""
    return {
        _REQUEST[name]: value
        for name, value in arguments.items()
        if name in _REQUEST and isinstance(value, (str, int, float))
    }


def response_attributes(result: Any, text: bytes) -> dict[str, Any]:
    """Read the model served, tokens and finish reasons out of a model's answer.

    Args:
        result: the answer, or the list of a stream's chunks.
        text: the same, encoded.
    """
    if type(result) is str or result is None:
        return {}
    items = result if type(result) is list else [result]
    if all(type(item) is str for item in items):
        return {}
    # A client's objects are read as they were written; mappings are at hand.
    if not all(type(item) is dict for item in items):
        decoded = orjson.loads(text)
        items = decoded if isinstance(decoded, list) else [decoded]
    attributes: dict[str, Any] = {}
    for item in items:
        if isinstance(item, dict):
            _read(item, attributes)
    return attributes


def _read(item: dict[str, Any], attributes: dict[str, Any]) -> None:
    if isinstance(item.get("model"), str):
        attributes["gen_ai.response.model"] = item["model"]
    if isinstance(item.get("id"), str):
        attributes["gen_ai.response.id"] = item["id"]
    if isinstance(item.get("system_fingerprint"), str):
        attributes["openai.response.system_fingerprint"] = item["system_fingerprint"]
    if isinstance(usage := item.get("usage"), dict):
        _read_usage(usage, attributes)
    reasons = [
        choice["finish_reason"]
        for choice in item.get("choices") or ()
        if isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str)
    ]
    if isinstance(item.get("stop_reason"), str):
        reasons.append(item["stop_reason"])
    if reasons:
        attributes["gen_ai.response.finish_reasons"] = reasons
    kind = item.get("type")
    if kind == "message_start" and isinstance(start := item.get("message"), dict):
        _read(start, attributes)
    elif isinstance(kind, str) and kind.startswith("response.") and isinstance(item.get("response"), dict):
        _read(item["response"], attributes)


def _read_usage(usage: dict[str, Any], attributes: dict[str, Any]) -> None:
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    written = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    found = {
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens", usage.get("output_tokens")),
        "gen_ai.usage.cache_read.input_tokens": details.get(
            "cached_tokens", usage.get("cache_read_input_tokens")
        ),
        "gen_ai.usage.cache_write.input_tokens": usage.get("cache_creation_input_tokens"),
        "gen_ai.usage.reasoning.output_tokens": written.get("reasoning_tokens"),
    }
    attributes.update({name: value for name, value in found.items() if isinstance(value, int)})
