"""Turns a transcript, a list of messages and tool results, into the spans of one conversation.

The rules:

1. Each user message starts a turn; what the agent said before the first one is a turn without a user's text.
2. A turn is one trace: an agent span, and below it a model span for each message that the model wrote and a tool
   span for each tool call. A user message that no agent answered is a span of kind `other`: no agent was invoked.
3. A message is stamped when it was finished: a model or tool span runs from the message before it to its own, and a
   turn from its user message to its last message. Below the file's precision, nanoseconds keep the order.
4. The input messages of a model span are those since the model call before it (`auditlog.input_messages.delta`): a
   call's whole input is those of all calls up to it. Repeating the history would be quadratic.
5. The system prompt stands on the first model span of each turn.
6. A tool's effect is unknown and stays so. A call that the *user* made is of kind `other`, since the agent did not
   make it, with `auditlog.tool.requestor` = `user`.
7. The conversation's evaluations stand on the agent span of its last turn that has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditlog.foreign_span import structured
from auditlog.importers.spans import ImportedSpan, derived_id
from auditlog.values import Evaluation, Json

HANDOFF_TOOL = "transfer_to_human_agents"
"""The tool with which the agents of these benchmarks hand a customer to a person; its `summary` says why."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as a message states it."""

    id: str | None
    name: str
    arguments: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A message of the user or the agent."""

    role: str
    """`user` or `assistant`."""
    time_ns: int
    """When it was finished."""
    text: str | None = None
    calls: tuple[ToolCall, ...] = ()
    reasoning: str | None = None
    by_model: bool = True
    """Whether a model wrote it; an agent's canned greeting was not."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Attributes of the model span: usage, cost, finish reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool gave back."""

    call_id: str | None
    time_ns: int
    name: str | None = None
    """The tool's name, where the result repeats it."""
    content: str = ""
    error: bool = False
    by_user: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """One conversation as a file tells it."""

    conversation_id: str
    steps: Sequence[Said | ToolResult]
    start_ns: int
    agent_name: str
    model: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    system_prompt: str | None = None
    user_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    evaluations: Sequence[Evaluation] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Attributes of every turn's outermost span."""
    time_synthetic: bool = False
    """The file holds no times: those of the steps are made up, and keep only the order."""

    def records(self) -> Iterator[bytes]:
        """Give the conversation's records, each turn's outermost span first."""
        turns = _turns(self.steps)
        judged = max((i for i, turn in enumerate(turns) if _answered(turn)), default=len(turns) - 1)
        unsent: list[Json] = []
        last_ns = self.start_ns
        for index, turn in enumerate(turns):
            builder = _TurnBuilder(self, index, turn, unsent, last_ns)
            last_ns = builder.build(self.evaluations if index == judged else ())
            yield from builder.payloads()


def _turns(steps: Sequence[Said | ToolResult]) -> list[list[Said | ToolResult]]:
    turns: list[list[Said | ToolResult]] = []
    for step in steps:
        begins = isinstance(step, Said) and step.role == "user" and not (turns and _user_is_busy(turns[-1]))
        if begins or not turns:
            turns.append([])
        turns[-1].append(step)
    return turns


def _answered(turn: Sequence[Said | ToolResult]) -> bool:
    return any(isinstance(step, Said) and step.role == "assistant" for step in turn)


def _user_is_busy(turn: Sequence[Said | ToolResult]) -> bool:
    """Say whether the user called tools of their own, and has not been answered since."""
    return not _answered(turn) and any(isinstance(step, Said) and bool(step.calls) for step in turn)


class _TurnBuilder:
    """Builds the spans of one turn."""

    def __init__(
        self,
        dialogue: Dialogue,
        index: int,
        steps: Sequence[Said | ToolResult],
        unsent: list[Json],
        last_ns: int,
    ) -> None:
        self._dialogue = dialogue
        self._steps = steps
        self._unsent = unsent
        self._now = last_ns
        self._trace = derived_id(32, dialogue.conversation_id, index)
        self._turn = derived_id(16, dialogue.conversation_id, index, "turn")
        self._spans: list[ImportedSpan] = []
        self._pending: list[tuple[ToolCall, str, int]] = []
        self._prompt = dialogue.system_prompt
        self._synthetic = {"auditlog.time_synthetic": True} if dialogue.time_synthetic else {}
        self._handoff: dict[str, Json] = {}

    def payloads(self) -> Iterator[bytes]:
        """Give the turn's records."""
        return (span.payload() for span in self._spans)

    def build(self, evaluations: Sequence[Evaluation]) -> int:
        """Make the turn's spans, and give the time of its last message."""
        began = self._now
        for position, step in enumerate(self._steps):
            before, self._now = self._now, max(self._now, step.time_ns)
            if isinstance(step, ToolResult):
                self._finish_call(step, before)
                continue
            if step.role == "assistant" and step.by_model:
                self._model_span(step, before)
            elif position == 0 and step.role == "user":
                began = self._now
            if step.role == "user" or not step.by_model:
                self._unsent.append(_message(step))
            self._pending += [(call, step.role, self._now) for call in step.calls]
        for call, role, called_ns in self._pending:
            self._tool_span(call, role == "user", called_ns, None)
        self._spans.insert(0, self._root(began, evaluations))
        return self._now

    def _root(self, began: int, evaluations: Sequence[Evaluation]) -> ImportedSpan:
        dialogue = self._dialogue
        answered = _answered(self._steps)
        said = [step for step in self._steps if isinstance(step, Said)]
        heard = "\n".join(step.text for step in said if step.role == "user" and step.text)
        told = [step.text for step in said if step.role == "assistant" and step.text and not step.calls]
        attributes: dict[str, Json] = {"gen_ai.conversation.id": dialogue.conversation_id}
        if answered:
            attributes |= {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": dialogue.agent_name}
        if dialogue.user_id is not None:
            attributes["user.id"] = dialogue.user_id
        attributes |= {f"auditlog.tag.{key}": value for key, value in dialogue.tags.items()}
        return ImportedSpan(
            trace_id=self._trace,
            span_id=self._turn,
            turn_id=self._turn,
            conversation_id=dialogue.conversation_id,
            kind="agent" if answered else "other",
            name=dialogue.agent_name if answered else "user_message",
            start_ns=began,
            end_ns=max(began, self._now),
            attributes={**attributes, **dialogue.facts, **self._handoff, **self._synthetic},
            content={
                "input": {"message": heard} if heard else None,
                "output": "\n\n".join(told) if told else None,
                "evaluations": [_judgement(e) for e in evaluations] or None,
            },
        )

    def _add(self, kind: str, name: str, start: int, end: int | None, **more: Any) -> None:
        ordinal = len(self._spans) + 1
        start += min(ordinal, 999)
        self._spans.append(
            ImportedSpan(
                trace_id=self._trace,
                span_id=derived_id(16, self._turn, ordinal),
                parent_span_id=self._turn,
                turn_id=self._turn,
                conversation_id=self._dialogue.conversation_id,
                kind=kind,
                name=name,
                start_ns=start,
                end_ns=None if end is None else max(start, end),
                **more,
            )
        )

    def _model_span(self, step: Said, before: int) -> None:
        dialogue = self._dialogue
        model = {"gen_ai.request.model": dialogue.model} if dialogue.model is not None else {}
        self._add(
            "model",
            dialogue.model or "model",
            before,
            self._now,
            attributes={
                "gen_ai.operation.name": "chat",
                **model,
                **{f"gen_ai.request.{name}": value for name, value in dialogue.parameters.items()},
                **step.facts,
                "auditlog.input_messages.delta": True,
                **self._synthetic,
            },
            content={
                "system_instructions": self._prompt,
                "input_messages": list(self._unsent),
                "output_messages": [_message(step)],
            },
        )
        self._prompt = None
        self._unsent.clear()

    def _finish_call(self, result: ToolResult, before: int) -> None:
        found = next((p for p in self._pending if p[0].id == result.call_id), None)
        if found is not None:
            self._pending.remove(found)
        call = found[0] if found is not None else ToolCall(result.call_id, result.name or "unknown", None)
        self._tool_span(call, result.by_user, before, result)
        if not result.by_user:
            response = {"type": "tool_call_response", "id": result.call_id, "response": result.content}
            self._unsent.append({"role": "tool", "parts": [response]})

    def _tool_span(self, call: ToolCall, by_user: bool, before: int, result: ToolResult | None) -> None:
        attributes: dict[str, Json] = {"gen_ai.tool.name": call.name}
        if call.id is not None:
            attributes["gen_ai.tool.call.id"] = call.id
        if by_user:
            attributes["auditlog.tool.requestor"] = "user"
        else:
            attributes["gen_ai.operation.name"] = "execute_tool"
        failed = result is not None and result.error
        if failed:
            attributes["error.type"] = "ToolError"
        if call.name == HANDOFF_TOOL and result is not None and not failed and not by_user:
            why = call.arguments.get("summary") if isinstance(call.arguments, dict) else None
            self._handoff = {
                "auditlog.escalation.reason": why if isinstance(why, str) else "",
                "auditlog.escalation.to": "human",
            }
        self._add(
            "other" if by_user else "tool",
            call.name,
            before,
            None if result is None else self._now,
            status="error" if failed else "ok",
            attributes=attributes | self._synthetic,
            content={
                "input": call.arguments,
                "output": structured(result.content) if result is not None else None,
                "error": {"type": "ToolError", "message": result.content}
                if result is not None and failed
                else None,
            },
        )


def _message(said: Said) -> Json:
    parts: list[Json] = []
    if said.reasoning:
        parts.append({"type": "reasoning", "content": said.reasoning})
    if said.text:
        parts.append({"type": "text", "content": said.text})
    parts += [{"type": "tool_call", "id": c.id, "name": c.name, "arguments": c.arguments} for c in said.calls]
    message: dict[str, Json] = {"role": said.role, "parts": parts}
    match said.facts.get("gen_ai.response.finish_reasons"):
        case [str(reason), *_]:
            message["finish_reason"] = reason
    return message


def _judgement(evaluation: Evaluation) -> Json:
    return {
        "name": evaluation.name,
        "value": evaluation.value,
        "label": evaluation.label,
        "explanation": evaluation.explanation,
    }
