"""What the agent can do: one retriever and four tools, and how a model is told of them.

The rules:

1. Each tool declares its effect; the decorators record every call.
2. A tool's error goes back to the model as text, so that the agent can answer; the record keeps it as an error.
3. What a model asks for is looked up in `TOOLS` and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import auditlog

from .retrieval import shop_index
from .shop import open_shop


@auditlog.retriever
def search_articles(query: str, limit: int = 3) -> list[dict[str, Any]]:
    """Find the help articles that fit a question, best first."""
    return [
        {"id": a.id, "content": f"{a.title}\n{a.content}", "score": score, "source": a.source}
        for a, score in shop_index().search(query, limit)
    ]


@auditlog.tool(effect="read", scope="orders")
def look_up_order(order_id: str) -> dict[str, Any]:
    """Give an order: its items, total, status, days and delivery address."""
    return open_shop().order(order_id)


@auditlog.tool(effect="write", scope="refunds", reversible=False, rate="5/min", approval="refund-desk")
def issue_refund(order_id: str, amount: float, reason: str) -> dict[str, Any]:
    """Pay money of an order back the way it was paid. Cannot be undone."""
    return open_shop().refund(order_id, amount, reason)


@auditlog.tool(effect="write", scope="orders", reversible=True)
def change_address(order_id: str, address: str) -> dict[str, Any]:
    """Give an order that has not left the warehouse another delivery address."""
    return open_shop().move(order_id, address)


@auditlog.tool(effect="control", scope="conversation")
def escalate_to_human(reason: str, team: str = "front desk") -> dict[str, Any]:
    """Hand the conversation over to a person of a team: `front desk` or `refund desk`."""
    auditlog.escalate(reason, to=team)
    return {"handed_over_to": team}


TOOLS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "look_up_order": look_up_order,
    "issue_refund": issue_refund,
    "change_address": change_address,
    "escalate_to_human": escalate_to_human,
}
_TYPES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "look_up_order": (("order_id", "string"),),
    "issue_refund": (("order_id", "string"), ("amount", "number"), ("reason", "string")),
    "change_address": (("order_id", "string"), ("address", "string")),
    "escalate_to_human": (("reason", "string"), ("team", "string")),
}


def tool_definitions() -> list[dict[str, Any]]:
    """Give the tools as an OpenAI-compatible model is told of them."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": (function.__doc__ or "").strip(),
                "parameters": {
                    "type": "object",
                    "properties": {parameter: {"type": kind} for parameter, kind in _TYPES[name]},
                    "required": [parameter for parameter, _ in _TYPES[name]],
                },
            },
        }
        for name, function in TOOLS.items()
    ]


def run_tool(name: str, arguments: str) -> dict[str, Any]:
    """Run the tool that a model asked for, its arguments as JSON text; an error becomes a result (rule 2)."""
    tool = TOOLS.get(name)
    if tool is None:
        return {"error": f"There is no tool {name}. There are: {', '.join(TOOLS)}."}
    try:
        return tool(**json.loads(arguments))
    except Exception as error:  # noqa: BLE001 - rule 2: whatever a tool raises, the agent goes on
        return {"error": str(error)}
