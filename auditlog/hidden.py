"""Says which characters of a recorded call reorder what is read, or do not show: a sign that somebody hides something.

The rules:

1. Content is looked through, not ids and settings: names, arguments, results, prompts, messages, documents, errors.
2. What stands for each is its name, as `safe_text` shows it: `U+202E`.
"""

from __future__ import annotations

from collections.abc import Iterable

from auditlog.safe_text import hidden_in
from auditlog.values import Message, Span


def hidden_of(spans: Iterable[Span]) -> str:
    """Name the hiding characters in some spans, each with how often it stands there; empty where there are none."""
    found: dict[str, int] = {}
    for span in spans:
        for name, number in _of(span).items():
            found[name] = found.get(name, 0) + number
    return ", ".join(name if number == 1 else f"{name} ×{number:,}" for name, number in sorted(found.items()))


def _of(span: Span) -> dict[str, int]:
    fault = span.fault
    return hidden_in(
        span.name,
        span.input,
        span.output,
        span.system_instructions,
        [value for document in span.documents for value in (document.id, document.source, document.content)],
        [value for message in span.input_messages for value in _said(message)],
        [value for message in span.output_messages for value in _said(message)],
        None if fault is None else [fault.type, fault.message],
    )


def _said(message: Message) -> Iterable[object]:
    for part in message.parts:
        yield from (part.content, part.name, part.arguments, part.response)
