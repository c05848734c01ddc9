"""Makes the traffic that the benches share: turns of six spans and about 19 KB, as a support agent would record them.

The rules:

1. Deterministic: a conversation is a function of its number, so any slice can be made by itself, and in any process.
2. Every turn is an agent span, a retriever, a model call that asks for two tools, the two tools, and a second model call.
3. What recurs, recurs as it does in life: the system prompt and the tools' definitions in each model call of a version of
   the agent, three articles of a help centre of 400 in a turn (a few of them often), the history in every later turn, the
   first model call's messages in the second's.
4. What people and models say is drawn from a vocabulary by Zipf's law, so that it compresses about as English does.
5. Times follow the days evenly: conversations overlap, as they arrive.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from auditlog.record import encode_record

SPANS = 6
DAY_NS = 86_400 * 1_000_000_000
BEGAN_NS = 1_790_000_000_000_000_000 // DAY_NS * DAY_NS
LENGTHS = (1, 2, 3, 2)
"""How many turns conversations have, in turn."""

_ARTICLES = 400
_SLOTS = 1 << 16
_MODELS = ("sonnet-5", "haiku-5", "sonnet-5", "gpt-6-mini")
_SYLLABLES = (
    "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu an er in on ut st ch sh th ea ou".split()
)


class Call(NamedTuple):
    """One span: what is known when it begins, and what when it ends."""

    trace: str
    span: str
    parent: str | None
    turn: str
    conversation: str
    kind: str
    name: str
    start: int
    """Nanoseconds since the epoch."""
    end: int
    attributes: dict[str, Any]
    """Of its START."""
    usage: dict[str, Any]
    """The attributes of its END."""
    before: dict[str, Any]
    """The START's parts, decoded."""
    after: dict[str, Any]
    """The END's."""


def turns(count: int, days: int = 1, first: int = 0) -> Iterator[list[Call]]:
    """Make turns, conversation by conversation.

    Args:
        count: how many turns; the last conversation may be cut short.
        days: over how many days they are spread.
        first: the conversation to begin with.
    """
    total = max(1, -(-count * len(LENGTHS) // sum(LENGTHS)))
    pace = days * DAY_NS // (total + 1)
    left, number = count, first
    while left > 0:
        for calls in conversation(number, BEGAN_NS + (number - first) * pace):
            if left:
                yield calls
                left -= 1
        number += 1


def conversation(number: int, began: int) -> Iterator[list[Call]]:
    """Make the turns of one conversation, which begins at a moment in nanoseconds."""
    chance = random.Random(number)
    version = ("v1", "v2", "v2")[number % 3]
    name = f"case-{chance.getrandbits(40):010x}"
    facts = {"gen_ai.agent.name": "support-bot", "gen_ai.agent.version": version}
    facts["user.id"] = f"u-{chance.getrandbits(20)}"
    history: list[dict[str, Any]] = []
    for index in range(LENGTHS[number % len(LENGTHS)]):
        yield _turn(chance, name, facts, history, began + index * 45_000_000_000)


def records(call: Call) -> tuple[bytes, bytes]:
    """Encode a span's START and END as the recorder does."""
    start = {
        "type": "start",
        "time": call.start,
        "trace": call.trace,
        "span": call.span,
        "parent": call.parent,
        "turn": call.turn,
        "conversation": call.conversation,
        "kind": call.kind,
        "name": call.name,
        "source": "decorator",
    }
    end = {"type": "end", "time": call.end, "trace": call.trace, "span": call.span, "status": "ok"}
    return (
        encode_record(start, _encoded(call.attributes, call.before)),
        encode_record(end, _encoded(call.usage, call.after)),
    )


def line(call: Call) -> bytes:
    """Encode a span as one JSON line."""
    return orjson.dumps(call._asdict()) + b"\n"


def _encoded(attributes: dict[str, Any], parts: dict[str, Any]) -> dict[str, bytes]:
    made = {name: orjson.dumps(value) for name, value in parts.items()}
    if attributes:
        made["attributes"] = orjson.dumps(attributes)
    return made


def _turn(
    chance: random.Random, name: str, facts: dict[str, Any], history: list[dict[str, Any]], began: int
) -> list[Call]:
    trace, turn = f"{chance.getrandbits(128):032x}", _span_id(chance)
    question, answer = text(chance, 52), text(chance, 104)
    found = [
        {
            "id": f"kb-{n:04}",
            "content": ARTICLES[n],
            "score": chance.getrandbits(20) / (1 << 20),
            "source": "help",
        }
        for n in (chance.getrandbits(12) % _ARTICLES for _ in range(3))
    ]
    order = f"A-{chance.getrandbits(28)}"
    calls = [_asked(chance, "look_up_order", {"order_id": order})]
    calls += [_asked(chance, "issue_refund", {"order_id": order, "amount": chance.getrandbits(13)})]
    state = {
        "order_id": order,
        "state": chance.choice(("sent", "open", "delivered", "returned")),
        "placed": f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
        "total": chance.getrandbits(14) / 100,
        "lines": [
            {"sku": f"S{chance.getrandbits(17)}", "quantity": 1, "title": text(chance, 5)} for _ in range(2)
        ],
        "notes": text(chance, 78),
    }
    done = {"refund_id": f"R-{chance.getrandbits(30):x}", "ok": True}
    read = "Answer from these articles.\n\n" + "\n\n".join(f"[{d['id']}]\n{d['content']}" for d in found)
    messages = [*history, _said("user", read), _said("user", question)]
    more = [
        {"role": "assistant", "parts": calls},
        *(
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": call["id"], "response": result}]}
            for call, result in zip(calls, (state, done), strict=True)
        ),
    ]
    prompt, tools = PROMPTS[facts["gen_ai.agent.version"]], TOOLS[facts["gen_ai.agent.version"]]
    model = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": chance.choice(_MODELS),
        "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 1024,
    }
    asked = {"system_instructions": prompt, "tool_definitions": tools}
    work = [
        (
            "agent",
            "support-bot",
            facts,
            {"input": {"question": question, "history": [*history]}},
            {"output": answer},
        ),
        ("retriever", "search_articles", {}, {"input": {"question": question}}, {"output": found}),
        ("model", "chat", model, asked | {"input_messages": messages}, {"output_messages": [more[0]]}),
        ("tool", "look_up_order", _TOOL, {"input": {"order_id": order}}, {"output": state}),
        ("tool", "issue_refund", _TOOL, {"input": calls[1]["arguments"]}, {"output": done}),
        (
            "model",
            "chat",
            model,
            asked | {"input_messages": messages + more},
            {"output_messages": [_said("assistant", answer)]},
        ),
    ]
    history += [_said("user", question), _said("assistant", answer)]
    made, at = [], began + chance.getrandbits(30)
    for position, (kind, called, attributes, before, after) in enumerate(work):
        usage = _usage(chance, attributes) if kind == "model" else {}
        took = 4_000_000_000 if position == 0 else chance.getrandbits(29)
        parent, span = (turn, _span_id(chance)) if position else (None, turn)
        made.append(
            Call(
                trace, span, parent, turn, name, kind, called, at, at + took, attributes, usage, before, after
            )
        )
        at += 1_000 + chance.getrandbits(12) if position == 0 else took + chance.getrandbits(16)
    return made


def _usage(chance: random.Random, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.response.model": model["gen_ai.request.model"] + "-0915",
        "gen_ai.response.id": f"msg_{chance.getrandbits(96):024x}",
        "gen_ai.usage.input_tokens": 1500 + chance.getrandbits(10),
        "gen_ai.usage.output_tokens": chance.getrandbits(8),
        "gen_ai.response.finish_reasons": ["stop"],
    }


def _asked(chance: random.Random, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "tool_call",
        "id": f"call_{chance.getrandbits(64):016x}",
        "name": name,
        "arguments": arguments,
    }


def _said(role: str, said: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": said}]}


def _span_id(chance: random.Random) -> str:
    return f"{chance.getrandbits(63) + 1:016x}"


def text(chance: random.Random, words: int) -> str:
    """Say so many words, more or less by a third."""
    number = words + chance.getrandbits(6) * words // 96 - words // 3
    drawn = array("H")
    drawn.frombytes(chance.randbytes(2 * number))
    return " ".join(map(_WORDS.__getitem__, drawn))


def _vocabulary() -> list[str]:
    """Lay words over the slots, each as often as Zipf's law has it; the common ones are short."""
    chance = random.Random(0)
    slots: list[str] = []
    rank = 1
    while len(slots) < _SLOTS:
        word = "".join(
            chance.choices(_SYLLABLES, k=1 + min(3, (rank.bit_length() + chance.getrandbits(1)) // 4))
        )
        share = max(1, _SLOTS // (12 * rank))
        slots += [word] * share
        if rank % 3 == 0:
            slots[-1] += ","
        elif rank % 7 == 0:
            slots[-1] += "."
        rank += 1
    return slots[:_SLOTS]


def _tools(chance: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "name": name,
            "description": text(chance, 8),
            "parameters": {
                "type": "object",
                "properties": {
                    "order_id": {"type": "string", "description": text(chance, 3)},
                    "amount": {"type": "integer", "description": text(chance, 3)},
                },
                "required": ["order_id"],
            },
        }
        for name in ("look_up_order", "issue_refund", "escalate")
    ]


_WORDS = _vocabulary()
_FIXED = random.Random(7)
PROMPTS = {version: text(_FIXED, 120) for version in ("v1", "v2")}
TOOLS = {version: _tools(_FIXED) for version in ("v1", "v2")}
ARTICLES = [text(_FIXED, 108) for _ in range(_ARTICLES)]
_TOOL = {"gen_ai.operation.name": "execute_tool", "auditlog.tool.effect": "read"}
