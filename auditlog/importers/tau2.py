"""Reads τ²-bench result files.

The rules:

1. One simulation is one conversation. Its id is derived from the simulation, the agent's model, the policy and the
   caller's tags: the same simulation under the same tags is the same conversation, in whatever file it stands.
2. The agent is the recorded side; the simulated user's own model calls, tokens and cost are left out, except the
   total cost as `tau2.user_cost`.
3. The file's times have no zone and are taken for UTC. Where one is missing or unreadable, the message has the time of
   the one before, and the conversation is marked `auditlog.time_synthetic`.
4. The system prompt is the domain's policy; what τ² puts around it is not in the file.
5. The greeting that stands before the first user message is canned: a turn without a model span.
6. A cost of 0 for a call that used tokens is a price that the benchmark did not know, and is left out.
7. The reward and the checks it was made of are evaluations. A simulation that was not judged has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from auditlog.importers.dialogue import Dialogue, Said, ToolCall, ToolResult
from auditlog.importers.spans import content_digest, conversation_name, ignore
from auditlog.values import Evaluation, Json

_FACTS = ("id", "agent_cost", "user_cost", "seed", "termination_reason")
"""What the outermost spans keep of a simulation, as `tau2.<name>`."""


def records(
    document: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    *,
    skip: Callable[[str], object] = ignore,
) -> Iterator[bytes]:
    """Give the records of a result file.

    Args:
        document: the file's JSON object.
        tags: the caller's tags; they stand beside `task_id`, `trial` and `domain`, and win over them.
        skip: called with a sentence for each simulation that has no readable messages.
    """
    info = _mapping(document.get("info"))
    seen: set[str] = set()
    for position, simulation in enumerate(_list(document.get("simulations"))):
        messages = simulation.get("messages") if isinstance(simulation, dict) else None
        if not isinstance(messages, list) or not any(isinstance(m, dict) for m in messages):
            skip(f"simulation {position} has no messages")
            continue
        dialogue = _dialogue(info, simulation, messages, dict(tags or {}))
        if dialogue.conversation_id in seen:
            skip(f"simulation {position} stands in the file twice")
            continue
        seen.add(dialogue.conversation_id)
        yield from dialogue.records()


def _dialogue(
    info: Mapping[str, Any], simulation: dict[str, Any], messages: list[Any], tags: dict[str, str]
) -> Dialogue:
    agent, environment = _mapping(info.get("agent_info")), _mapping(info.get("environment_info"))
    model, policy = _text(agent.get("llm")), _text(environment.get("policy"))
    own = {
        "task_id": simulation.get("task_id"),
        "trial": simulation.get("trial"),
        "domain": environment.get("domain_name"),
    }
    all_tags = {key: str(value) for key, value in own.items() if value is not None} | tags
    clock = _Clock(simulation)
    steps = [step for m in _flat(messages) if (step := _step(m, clock)) is not None]
    facts = {f"tau2.{key}": simulation[key] for key in _FACTS if simulation.get(key) is not None}
    return Dialogue(
        conversation_id=conversation_name(all_tags, content_digest(simulation, model, policy, tags)),
        steps=steps,
        start_ns=clock.start_ns,
        agent_name=_text(agent.get("implementation")) or "agent",
        model=model,
        parameters=_mapping(agent.get("llm_args")),
        system_prompt=policy,
        tags=all_tags,
        evaluations=tuple(_evaluations(_mapping(simulation.get("reward_info")))),
        facts=facts,
        time_synthetic=clock.synthetic,
    )


def _flat(messages: list[Any]) -> Iterator[dict[str, Any]]:
    """Give the messages, and those that a message of several tool results holds."""
    for message in messages:
        match message:
            case {"role": "tool", "tool_messages": list(results)}:
                yield from (result for result in results if isinstance(result, dict))
            case dict():
                yield message


def _step(message: Mapping[str, Any], clock: _Clock) -> Said | ToolResult | None:
    time_ns = clock.read(message.get("timestamp"))
    match message:
        case {"role": "tool"}:
            return ToolResult(
                call_id=_text(message.get("id")),
                time_ns=time_ns,
                content=_text(message.get("content")) or "",
                error=message.get("error") is True,
                by_user=message.get("requestor") == "user",
            )
        case {"role": "user" | "assistant" as role}:
            calls = message.get("tool_calls")
            return Said(
                role=role,
                time_ns=time_ns,
                text=_text(message.get("content")),
                calls=tuple(
                    ToolCall(
                        _text(call.get("id")), _text(call.get("name")) or "unknown", call.get("arguments")
                    )
                    for call in (calls if isinstance(calls, list) else ())
                    if isinstance(call, dict)
                ),
                reasoning=_text(message.get("reasoning")),
                by_model=message.get("usage") is not None or message.get("raw_data") is not None,
                facts=_facts(message),
            )
        case _:
            return None


def _facts(message: Mapping[str, Any]) -> dict[str, Json]:
    usage, raw = _mapping(message.get("usage")), _mapping(message.get("raw_data"))
    facts = {
        "gen_ai.usage.input_tokens": usage.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": usage.get("completion_tokens"),
        "auditlog.cost_usd": message.get("cost") or None if usage else message.get("cost"),
        "gen_ai.response.model": raw.get("model"),
        "gen_ai.response.finish_reasons": [raw["finish_reason"]]
        if isinstance(raw.get("finish_reason"), str)
        else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def _evaluations(judged: Mapping[str, Any]) -> Iterator[Evaluation]:
    if isinstance(judged.get("reward"), int | float):
        parts = ", ".join(
            f"{name} {value}" for name, value in _mapping(judged.get("reward_breakdown")).items()
        )
        yield Evaluation("reward", float(judged["reward"]), explanation=parts or None)
    match judged.get("db_check"):
        case {"db_match": bool(matches)}:
            yield Evaluation("db_match", float(matches), "match" if matches else "mismatch")
    for name, field, flag, what in (
        (
            "action_match",
            "action_checks",
            "action_match",
            lambda check: _mapping(check.get("action")).get("name"),
        ),
        ("communicate_match", "communicate_checks", "met", lambda check: check.get("info")),
        ("assertion_match", "nl_assertions", "met", lambda check: check.get("nl_assertion")),
    ):
        checks = [
            c for c in _list(judged.get(field)) if isinstance(c, dict) and isinstance(c.get(flag), bool)
        ]
        if checks:
            missed = [str(what(check)) for check in checks if not check[flag]]
            share = 1.0 - len(missed) / len(checks)
            said = f"{len(checks) - len(missed)} of {len(checks)}"
            yield Evaluation(name, share, said, f"missed: {', '.join(missed)}" if missed else None)


class _Clock:
    """Reads a simulation's times (rule 3)."""

    def __init__(self, simulation: Mapping[str, Any]) -> None:
        started = nanoseconds(simulation.get("start_time"))
        stamps = (nanoseconds(message.get("timestamp")) for message in _flat(simulation["messages"]))
        self.synthetic = started is None
        self.start_ns = started if started is not None else next((s for s in stamps if s is not None), 0)
        self._now = self.start_ns

    def read(self, stamp: Json) -> int:
        """Give a message's time."""
        found = nanoseconds(stamp)
        if found is None:
            self.synthetic = True
        else:
            self._now = max(self._now, found)
        return self._now


def nanoseconds(stamp: Json) -> int | None:
    """Read an ISO time, in UTC where it names no zone, as nanoseconds since the epoch; None where it is none."""
    try:
        moment = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return round(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _mapping(value: Json) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
