"""The embedded model: a deterministic stand-in for a language model, behind the OpenAI client's surface.

The rules:

1. `client.chat.completions.create(…)` takes what the OpenAI client takes and gives a `ChatCompletion` as a dict, with
   token counts and the name of the model that served it.
2. The answer depends on the messages and on nothing else: no clock, no chance, no state. Only where `SUPPORT_BOT_NOISE` asks for
   it does the model vary, as `noise` says.
3. It asks for tools in this order: look orders up; hand over; then refund or change the address; then it answers.
4. Money goes back, and an address changes, only for an order that the customer has named together with its e-mail
   address; never for a message that tries to instruct the agent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import noise, wording
from .policy import Policy, read_policy
from .understanding import Request, understand
from .wording import Done

SERVED_NAME = "embedded-1"
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")
_MAX_LOOK_UPS = 3


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for."""

    name: str
    arguments: Mapping[str, Any]


class EmbeddedClient:
    """What stands in for `openai.OpenAI()`: `client.chat.completions.create(…)` (rule 1)."""

    def __init__(self) -> None:
        self.chat = self
        self.completions = self

    def create(
        self,
        *,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        temperature: float = 0.0,
        max_tokens: int | None = None,
    ) -> dict[str, Any]:
        """Complete a chat."""
        del model, temperature, max_tokens
        decision = _varied(messages, decide(messages, may_call=bool(tools)), may_call=bool(tools))
        return _completion(messages, decision)


def decide(messages: Sequence[Mapping[str, Any]], *, may_call: bool) -> str | list[ToolCall]:
    """Decide what to do next: the tools to call, or the answer (rule 3)."""
    system = "\n".join(str(m["content"]) for m in messages if m["role"] == "system")
    policy, articles = read_policy(system), wording.articles_in(system)
    request, done = understand(messages), _done(messages)
    if may_call:
        missing = [i for i in request.order_ids if i not in done.orders][:_MAX_LOOK_UPS]
        if missing and not request.accepts_desk and len(done.orders) < _MAX_LOOK_UPS:
            return [ToolCall("look_up_order", {"order_id": order_id}) for order_id in missing]
        if (handing := _hand_over(request, policy)) and not done.handed_over:
            return [handing]
        if not done.handed_over and not request.instructing and (writes := _writes(request, done, policy)):
            return writes
    return wording.answer(request, policy, articles, done)


def _varied(
    messages: Sequence[Mapping[str, Any]], decision: str | list[ToolCall], *, may_call: bool
) -> str | list[ToolCall]:
    """Vary a decision where noise is asked for."""
    level = noise.noise()
    if level is None:
        return decision
    request = understand(messages)
    if isinstance(decision, str):
        lost = decision.endswith((wording.NOT_FOUND, wording.CLOSING)) and not _done(messages).handed_over
        varied = noise.vary_answer(level, messages, decision, helpless=lost and may_call)
        if varied is not None and varied.hands_over:
            reason = {"reason": "the customer may need a person", "team": "front desk"}
            return [ToolCall("escalate_to_human", reason)]
        return decision if varied is None or varied.text is None else varied.text
    varied = noise.vary_calls(level, messages, [call.name for call in decision], angry=request.angry)
    if varied is None:
        return decision
    return varied.text if varied.text is not None else [decision[place] for place in varied.names]


def _hand_over(request: Request, policy: Policy) -> ToolCall | None:
    if request.accepts_desk:
        about = f" for {request.order_ids[0]}" if request.order_ids else ""
        return ToolCall(
            "escalate_to_human", {"reason": f"refund above the limit{about}", "team": "refund desk"}
        )
    if request.angry and policy.hands_over_angry:
        return ToolCall("escalate_to_human", {"reason": "the customer is angry", "team": "front desk"})
    if "human" in request.wants:
        return ToolCall(
            "escalate_to_human", {"reason": "the customer asks for a person", "team": "front desk"}
        )
    return None


def _writes(request: Request, done: Done, policy: Policy) -> list[ToolCall]:
    """Give the writes that are asked for, allowed and not yet done (rule 4)."""
    calls: list[ToolCall] = []
    for order_id, order in done.orders.items():
        if "refund" in request.wants and order_id not in done.refunds:
            amount = wording.refund_amount(order, request.text)
            within = policy.refund_limit is None or amount <= policy.refund_limit
            if wording.refund_obstacle(order, request) is None and within:
                arguments = {
                    "order_id": order_id,
                    "amount": amount,
                    "reason": "return within the return window",
                }
                calls.append(ToolCall("issue_refund", arguments))
        moving = "address" in request.wants and order_id not in done.moves
        if moving and request.new_address and wording.address_obstacle(order, request) is None:
            calls.append(ToolCall("change_address", {"order_id": order_id, "address": request.new_address}))
    return calls


def _done(messages: Sequence[Mapping[str, Any]]) -> Done:
    """Collect the tool results since the last user message."""
    start = max(i for i, message in enumerate(messages) if message["role"] == "user")
    asked: dict[str, tuple[str, Mapping[str, Any]]] = {}
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for message in messages[start:]:
        for call in message.get("tool_calls") or ():
            function = call["function"]
            asked[call["id"]] = (function["name"], json.loads(function["arguments"]))
        if message["role"] == "tool" and message["tool_call_id"] in asked:
            name, arguments = asked[message["tool_call_id"]]
            found.setdefault(name, {})[str(arguments.get("order_id", ""))] = json.loads(message["content"])
    return Done(
        orders=found.get("look_up_order", {}),
        refunds=found.get("issue_refund", {}),
        moves=found.get("change_address", {}),
        handed_over="escalate_to_human" in found,
    )


def _completion(messages: Sequence[Mapping[str, Any]], decision: str | list[ToolCall]) -> dict[str, Any]:
    """Put a decision into the shape of a ChatCompletion."""
    digest = hashlib.sha256(json.dumps([dict(m) for m in messages], sort_keys=True).encode()).hexdigest()
    message: dict[str, Any] = {"role": "assistant", "content": None}
    if isinstance(decision, str):
        message["content"], written = decision, decision
    else:
        message["tool_calls"] = [
            {
                "id": f"call_{digest[:8]}_{number}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
                },
            }
            for number, call in enumerate(decision)
        ]
        written = json.dumps(message["tool_calls"], ensure_ascii=False)
    read = sum(len(_TOKEN.findall(str(m.get("content") or ""))) + 4 for m in messages)
    wrote = len(_TOKEN.findall(written))
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": SERVED_NAME,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "stop" if isinstance(decision, str) else "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote},
    }
