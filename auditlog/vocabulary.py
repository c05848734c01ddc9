"""The words of a recording: kinds of calls, effects of tools, how a call ended.

The rules:

1. Each set is closed; a word that is in none of them is not written.
2. Nothing but words stands here, so that the recording path costs little to import.
"""

from __future__ import annotations

from typing import Any, Literal

Json = Any
"""A JSON value: None, bool, int, float, str, list or dict with string keys."""

Kind = Literal["agent", "model", "tool", "retriever", "embedding", "guardrail", "handoff", "other"]
Effect = Literal["read", "write", "control"]
Status = Literal["ok", "error", "incomplete"]

KINDS: tuple[Kind, ...] = (
    "agent",
    "model",
    "tool",
    "retriever",
    "embedding",
    "guardrail",
    "handoff",
    "other",
)
EFFECTS: tuple[Effect, ...] = ("read", "write", "control")
