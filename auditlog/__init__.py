"""The flight recorder of customer-facing agents.

    import auditlog

    auditlog.configure("./audit", agent_version="2026.11.3")

    @auditlog.tool(effect="read")
    def look_up_order(order_id: str) -> dict: ...

    @auditlog.agent("support-bot")
    def answer(question: str) -> str: ...

    with auditlog.conversation("case-8812", user="u-17"):
        answer("Where is my parcel?")

Every name here is imported when it is first used, so that `import auditlog` stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from auditlog.clients import wrap
    from auditlog.config import configure, flush, shutdown
    from auditlog.context import conversation, propagate
    from auditlog.decorators import agent, model, retriever, tool
    from auditlog.errors import AuditlogError
    from auditlog.http_calls import record_http
    from auditlog.operation import Operation
    from auditlog.otel import AuditSpanProcessor
    from auditlog.pinned import now, rng, uuid4
    from auditlog.prompts import prompt
    from auditlog.safe_text import safe_text
    from auditlog.store import Store
    from auditlog.turn import annotate, escalate, evaluate, review

__all__ = [
    "AuditSpanProcessor",
    "AuditlogError",
    "Operation",
    "Store",
    "agent",
    "annotate",
    "configure",
    "conversation",
    "escalate",
    "evaluate",
    "flush",
    "model",
    "now",
    "prompt",
    "propagate",
    "record_http",
    "retriever",
    "review",
    "rng",
    "safe_text",
    "shutdown",
    "tool",
    "uuid4",
    "wrap",
]

_HOME = {
    "AuditSpanProcessor": "otel",
    "AuditlogError": "errors",
    "Operation": "operation",
    "Store": "store",
    "agent": "decorators",
    "annotate": "turn",
    "configure": "config",
    "conversation": "context",
    "escalate": "turn",
    "evaluate": "turn",
    "flush": "config",
    "model": "decorators",
    "now": "pinned",
    "prompt": "prompts",
    "propagate": "context",
    "record_http": "http_calls",
    "retriever": "decorators",
    "review": "turn",
    "rng": "pinned",
    "safe_text": "safe_text",
    "shutdown": "config",
    "tool": "decorators",
    "uuid4": "pinned",
    "wrap": "clients",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        msg = f"module 'auditlog' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(importlib.import_module(f"auditlog.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
