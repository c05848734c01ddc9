"""What a store holds, as values: Conversation, Turn, Span, Message, Document, Evaluation.

The rules:

1. Pure values: frozen, no clock, no files, no database; identity is a matter of the store.
2. One type from the store to the screen: replay, diff and the terminal UI read these and convert nothing.
3. Content is JSON as it was recorded (`input`, `output`, messages, documents); a value that could not be kept
   as it was makes the span `lossy`.
4. Times are integers, nanoseconds since the epoch, UTC, as OpenTelemetry counts them; the helpers give datetimes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from auditlog.vocabulary import EFFECTS, KINDS, Effect, Json, Kind, Status  # noqa: F401 - readers find them here


def utc(nanoseconds: int) -> datetime:
    """Turn nanoseconds since the epoch into an aware datetime in UTC (microsecond precision)."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message, as in the OpenTelemetry GenAI message schema."""

    type: str
    """`text`, `tool_call`, `tool_call_response`, `reasoning`, or a type this version does not know."""
    content: str = ""
    """The text of a `text` or `reasoning` part."""
    id: str | None = None
    """The call id of a `tool_call` or `tool_call_response`."""
    name: str | None = None
    """The tool's name of a `tool_call`."""
    arguments: Json = None
    """The arguments of a `tool_call`."""
    response: Json = None
    """The result of a `tool_call_response`."""
    raw: Json = None
    """The whole part as recorded, for a type that this version does not know."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a model call: who said it, and its parts."""

    role: str
    parts: tuple[Part, ...] = ()
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        return "\n".join(part.content for part in self.parts if part.type == "text")


@dataclass(frozen=True, slots=True)
class Document:
    """One retrieved document."""

    id: str | None
    content: str | None = None
    score: float | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One judgement of a turn or conversation, such as a benchmark's reward."""

    name: str
    value: float | None
    label: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What a failed call raised."""

    type: str
    message: str = ""
    stack: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call, or a sum of several; None where nobody reported any."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """Where a replayed span came from."""

    run_id: str
    arm: str
    repeat: int = 0
    source_trace_id: str | None = None
    source_span_id: str | None = None
    candidate_digest: str | None = None
    mode: str | None = None
    match_tier: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One recorded call."""

    trace_id: str
    """32 lower-case hex digits."""
    span_id: str
    """16 lower-case hex digits."""
    parent_span_id: str | None = None
    turn_id: str | None = None
    """The span id of the turn's agent span."""
    conversation_id: str | None = None
    kind: Kind = "other"
    name: str = ""
    status: Status = "ok"
    start_ns: int = 0
    end_ns: int | None = None
    """None for a span whose end was never recorded (`incomplete`)."""
    source: str = "decorator"
    """`decorator`, `otel` or `import`."""

    agent_name: str | None = None
    agent_version: str | None = None
    user_id: str | None = None
    model_requested: str | None = None
    model_served: str | None = None
    provider: str | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    """The request parameters: temperature, max_tokens, seed, …"""
    finish_reasons: tuple[str, ...] = ()
    usage: Usage = Usage()
    cost_usd: float | None = None
    ttft_ms: float | None = None
    """Milliseconds to the first chunk of a stream."""
    prompt_name: str | None = None
    prompt_version: str | None = None
    effect: Effect | None = None
    """A tool's declared effect; None where none was declared (replay then takes it for `write`)."""
    tool_call_id: str | None = None
    tool_digest: str | None = None
    """SHA-256, hex, of the tool's definition."""
    escalation_reason: str | None = None
    escalation_to: str | None = None
    lossy: bool = False
    stream: bool = False
    """The call was a generator: `output` is the list of what it yielded."""

    input: Json = None
    """The call's arguments by name: {"question": "…", "history": […]}."""
    output: Json = None
    """What the call returned."""
    system_instructions: str | None = None
    input_messages: tuple[Message, ...] = ()
    output_messages: tuple[Message, ...] = ()
    tool_definitions: Json = None
    documents: tuple[Document, ...] = ()
    fault: Fault | None = None
    evaluations: tuple[Evaluation, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Json] = field(default_factory=dict)
    """Every attribute as recorded, by its OpenTelemetry name."""
    replay: Replay | None = None
    segment: str | None = None
    """The sealed file that holds it, relative to the store; None while it is still in the journal."""
    erased: bool = False
    """Its content was taken away since; its place in the ledger still proves."""
    closed: str | None = None
    """The id of the content key that its content is encrypted with, where that is not here."""

    @property
    def start(self) -> datetime:
        """When the call began."""
        return utc(self.start_ns)

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from start to end; None for an incomplete span."""
        return None if self.end_ns is None else (self.end_ns - self.start_ns) / 1e6

    @property
    def output_text(self) -> str:
        """What the call said, as text: the output messages' text, a string output, or a stream of strings joined."""
        said = "\n".join(m.text for m in self.output_messages if m.text)
        return said or text_of(self.output)


def text_of(output: Json) -> str:
    """Give the text in a call's output: a string, a stream of strings, or the answer field of a mapping."""
    match output:
        case str():
            return output
        case list() if output and all(isinstance(item, str) for item in output):
            return "".join(output)
        case {"answer": str(text)} | {"content": str(text)} | {"text": str(text)} | {"output": str(text)}:
            return text
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One agent invocation of a conversation: the user's message in, the agent's answer out."""

    agent: Span
    """The outermost span: kind `agent`, or a lone call's own span where no agent was recorded."""
    spans: tuple[Span, ...]
    """Every span of the turn by start time, the agent span among them."""
    index: int = 0
    """0 for the conversation's first turn."""

    def of_kind(self, *kinds: Kind) -> tuple[Span, ...]:
        """Give the turn's spans of these kinds, by start time."""
        return tuple(span for span in self.spans if span.kind in kinds)

    @property
    def turn_id(self) -> str:
        """The agent span's id."""
        return self.agent.span_id

    @property
    def user_text(self) -> str:
        """What the user said: by the agent's call, else by the first model call that holds a user's message."""
        said = user_text_of(self.agent.input, self.agent.input_messages)
        asked = (user_text_of(None, span.input_messages) for span in self.of_kind("model"))
        return said or next((text for text in asked if text), "")

    @property
    def answer_text(self) -> str:
        """What the agent answered: by its call; where that ended well and says nothing, by its last model call."""
        if self.agent.output_text or self.agent.status != "ok" or self.agent.output is not None:
            return self.agent.output_text
        answered = (span.output_text for span in reversed(self.of_kind("model")))
        return next((text for text in answered if text), "")

    @property
    def system_prompt(self) -> str | None:
        """The system prompt of the turn's first model call that has one."""
        return next((s.system_instructions for s in self.spans if s.system_instructions), None)

    @property
    def status(self) -> Status:
        """The agent span's status."""
        return self.agent.status

    @property
    def escalation_reason(self) -> str | None:
        """Why the turn was handed to a person; None where it was not."""
        return next((s.escalation_reason for s in self.spans if s.escalation_reason is not None), None)


_USER_ARGUMENTS = ("question", "message", "user_message", "user_input", "query", "prompt", "text", "input")


def user_text_of(arguments: Json, messages: Iterable[Message] = ()) -> str:
    """Find what the user said in a call: the last user message, else an argument named for it, else any text.

    Args:
        arguments: the call's arguments by name.
        messages: the call's input messages, oldest first.
    """
    for message in reversed(tuple(messages)):
        if message.role == "user" and message.text:
            return message.text
    match arguments:
        case str():
            return arguments
        case dict():
            for name in _USER_ARGUMENTS:
                if isinstance(arguments.get(name), str):
                    return arguments[name]
            if isinstance(said := arguments.get("messages"), list):
                for item in reversed(said):
                    match item:
                        case {"role": "user", "content": str(text)}:
                            return text
            return next((value for value in arguments.values() if isinstance(value, str)), "")
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Everything one customer and one agent said to each other under one conversation id."""

    conversation_id: str
    turns: tuple[Turn, ...]

    def __iter__(self) -> Iterator[Turn]:
        """Give the turns, oldest first."""
        return iter(self.turns)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every span of every turn."""
        return tuple(span for turn in self.turns for span in turn.spans)

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every judgement of the conversation or of one of its spans."""
        return tuple(e for span in self.spans for e in span.evaluations)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of all turns; a later turn's value wins."""
        return {key: value for turn in self.turns for key, value in turn.agent.tags.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationSummary:
    """One row of the `conversations` view: what a list shows without reading any payload."""

    conversation_id: str
    start: datetime
    """Aware, UTC."""
    end: datetime | None
    duration_ms: float | None
    status: Status
    why: tuple[str, ...]
    """Any of `error`, `escalated`, `incomplete`, `tool error`, `lossy`; empty when nothing stands out."""
    agent_name: str | None
    agent_version: str | None
    model: str | None
    """The model served, or the one requested where the provider did not say."""
    user_id: str | None
    turns: int
    spans: int
    tool_calls: int
    tool_errors: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    last_user_text: str
    """Clipped to 200 characters."""
    tags: Mapping[str, str]
