"""Reads τ-bench result files.

The rules:

1. One trajectory is one conversation. Its id is derived from the trajectory and the caller's tags.
2. The file holds no times. Each message is stamped one microsecond after the one before, from the time the file was
   last changed, and every span is marked `auditlog.time_synthetic`: only the order means anything.
3. The file holds no model, usage or cost. τ-bench writes the model and the domain into the file's name
   (`gpt-4o-airline.json`), and they are taken from there, or left empty.
4. The first message is the system prompt. A tool result that begins with `Error` or `Unknown action` is τ-bench's
   way to tell a failed call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from auditlog.foreign_span import structured
from auditlog.importers.dialogue import Dialogue, Said, ToolCall, ToolResult
from auditlog.importers.spans import content_digest, conversation_name, ignore
from auditlog.values import Evaluation, Json

STEP_NS = 1000
_FAILED = ("Error", "Unknown action")


def records(
    document: Sequence[Any],
    tags: Mapping[str, str] | None = None,
    *,
    file_stem: str = "",
    start_ns: int = 0,
    skip: Callable[[str], object] = ignore,
) -> Iterator[bytes]:
    """Give the records of a result file.

    Args:
        document: the file's JSON array.
        tags: the caller's tags; they stand beside `task_id`, `trial` and `domain`, and win over them.
        file_stem: the file's name without its ending (rule 3).
        start_ns: the time of the first message, nanoseconds since the epoch (rule 2).
        skip: called with a sentence for each trajectory that has no readable messages.
    """
    named = re.fullmatch(r"(?P<model>.+)-(?P<domain>airline|retail)", file_stem)
    seen: set[str] = set()
    for position, trajectory in enumerate(document):
        messages = trajectory.get("traj") if isinstance(trajectory, dict) else None
        readable = [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
        if not readable:
            skip(f"trajectory {position} has no messages")
            continue
        dialogue = _dialogue(
            trajectory, readable, dict(tags or {}), named.groupdict() if named else {}, start_ns
        )
        if dialogue.conversation_id in seen:
            skip(f"trajectory {position} stands in the file twice")
            continue
        seen.add(dialogue.conversation_id)
        start_ns += STEP_NS * (len(readable) + 1)
        yield from dialogue.records()


def _dialogue(
    trajectory: dict[str, Any],
    messages: list[dict[str, Any]],
    tags: dict[str, str],
    named: Mapping[str, str],
    start_ns: int,
) -> Dialogue:
    system = next((m.get("content") for m in messages if m.get("role") == "system"), None)
    own = {
        "task_id": trajectory.get("task_id"),
        "trial": trajectory.get("trial"),
        "domain": named.get("domain"),
    }
    all_tags = {key: str(value) for key, value in own.items() if value is not None} | tags
    info = trajectory.get("info")
    info = info if isinstance(info, dict) else {}
    times = (start_ns + STEP_NS * (position + 1) for position in range(len(messages)))
    steps = (_step(message, time_ns) for message, time_ns in zip(messages, times, strict=True))
    return Dialogue(
        conversation_id=conversation_name(all_tags, content_digest(trajectory, tags)),
        steps=[step for step in steps if step is not None],
        start_ns=start_ns,
        agent_name="agent",
        model=named.get("model"),
        system_prompt=system if isinstance(system, str) else None,
        user_id=_user_id(info),
        tags=all_tags,
        evaluations=tuple(_evaluations(trajectory, info)),
        facts={"tau1.user_cost": info["user_cost"]} if isinstance(info.get("user_cost"), int | float) else {},
        time_synthetic=True,
    )


def _step(message: Mapping[str, Any], time_ns: int) -> Said | ToolResult | None:
    content = message.get("content") if isinstance(message.get("content"), str) else None
    match message:
        case {"role": "tool"}:
            call_id, name = message.get("tool_call_id"), message.get("name")
            return ToolResult(
                call_id=call_id if isinstance(call_id, str) else None,
                time_ns=time_ns,
                name=name if isinstance(name, str) else None,
                content=content or "",
                error=(content or "").startswith(_FAILED),
            )
        case {"role": "user"}:
            return Said(role="user", time_ns=time_ns, text=content)
        case {"role": "assistant"}:
            return Said(
                role="assistant",
                time_ns=time_ns,
                text=content,
                calls=tuple(_calls(message.get("tool_calls"))),
            )
        case _:
            return None


def _calls(calls: Json) -> Iterator[ToolCall]:
    for call in calls if isinstance(calls, list) else ():
        match call:
            case {"function": {"name": str(name), **function}, **rest}:
                call_id = rest.get("id")
                arguments = structured(function.get("arguments"))
                yield ToolCall(call_id if isinstance(call_id, str) else None, name, arguments)


def _user_id(info: Mapping[str, Any]) -> str | None:
    match info.get("task"):
        case {"user_id": str(user_id)}:
            return user_id
        case _:
            return None


def _evaluations(trajectory: Mapping[str, Any], info: Mapping[str, Any]) -> Iterator[Evaluation]:
    if isinstance(trajectory.get("reward"), int | float):
        yield Evaluation("reward", float(trajectory["reward"]))
    match info.get("reward_info"):
        case {"info": dict(parts)}:
            for key, name in (("r_actions", "db_match"), ("r_outputs", "communicate_match")):
                if isinstance(parts.get(key), int | float):
                    yield Evaluation(name, float(parts[key]))
