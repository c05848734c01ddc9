"""The one place where a model is called.

The rules:

1. Both models stand behind the OpenAI client's surface, and every call goes through `complete`, which is recorded.
2. The embedded model decides which tools run. With `SUPPORT_BOT_MODEL=smollm2` (or `MODEL=smollm2`) the real model
   words the answers that come from the help articles; what was done with an order keeps its exact words.
3. Temperature is 0 everywhere.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

import auditlog

from .embedded import SERVED_NAME, EmbeddedClient

SMOLLM2 = "smollm2-135m-instruct"
_MAX_TOKENS = 60


def real_model() -> bool:
    """Tell whether the answers are worded by the real model (rule 2)."""
    chosen = os.environ.get("SUPPORT_BOT_MODEL") or os.environ.get("MODEL") or "embedded"
    return chosen.strip().lower() == "smollm2"


@cache
def _client(model: str) -> Any:
    if model == SERVED_NAME:
        return EmbeddedClient()
    import openai

    from .smollm2 import base_url

    return openai.OpenAI(base_url=base_url(), api_key="none", max_retries=0, timeout=120.0)


@auditlog.model
def complete(
    messages: list[dict[str, Any]],
    model: str,
    tools: list[dict[str, Any]] | None = None,
    temperature: float = 0.0,
    max_tokens: int | None = None,
) -> Any:
    """Complete a chat with the model of that name."""
    auditlog.annotate(provider="embedded" if model == SERVED_NAME else "llama.cpp")
    options = {"tools": tools, "max_tokens": max_tokens}
    given = {name: value for name, value in options.items() if value is not None}
    completion = _client(model).chat.completions.create(
        model=model, messages=messages, temperature=temperature, **given
    )
    return (
        completion if isinstance(completion, dict) else completion.model_dump(mode="json", exclude_none=True)
    )


def decide(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """Ask the embedded model for the next step, and give its message."""
    return complete(messages=messages, model=SERVED_NAME, tools=tools)["choices"][0]["message"]


def tool_message(call: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Give a tool's result as the message that answers the model's call."""
    return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result, ensure_ascii=False)}


def word(prompt: str, passage: str, question: str) -> str:
    """Let the real model answer a question from a passage."""
    messages = [
        {"role": "system", "content": f"{prompt}\n\nPassage: {passage}"},
        {"role": "user", "content": question},
    ]
    completion = complete(messages=messages, model=SMOLLM2, max_tokens=_MAX_TOKENS)
    return str(completion["choices"][0]["message"]["content"]).strip()
