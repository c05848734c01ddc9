"""What a recording holds of one case's calls, and its way to a worker.

The rules:

1. Tools and retrievers are recorded calls, and model calls where a replay serves those; in the order in which they began.
2. A call made inside another tool or retriever is kept, since a candidate may make it directly.
3. Each knows who made it (`callers`) and which writes stand before it (`epochs`).
4. A result that was not kept as it was is known to be unservable, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from auditlog.values import Effect, Fault, Json, Span, Turn
from replay.canonical import lost_something, match_key
from replay.matching.callers import TOP, Caller, callers_of
from replay.matching.epochs import Epochs, epochs_of

_SERVED_KINDS = ("tool", "retriever", "model")

_FACTS = ("gen_ai.usage.", "gen_ai.response.", "gen_ai.prompt.", "auditlog.cost_usd", "auditlog.fact.")
"""Attributes that a body adds to its call, and that a served call carries, too."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """A hand-off that happened inside a recorded call."""

    name: str
    reason: str
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded call."""

    span_id: str
    kind: str
    name: str
    arguments: Json
    key: str = field(compare=False)
    """Its match key, where that was asked for already; else empty: see `match_key`."""
    effect: Effect | None = None
    digest: str | None = None
    output: Json = None
    fault: Fault | None = None
    ended: bool = True
    """Its END was recorded."""
    lossy: bool = False
    """Its result could not be kept as it was."""
    left: bool = False
    """It is a stream that its reader left half-way: what it would have given after that is not known."""
    types: Mapping[str, Any] | None = None
    """What stood in its result where JSON has another word: see `replay.matching.restore`."""
    epoch: int = 0
    """How many writes were recorded before it."""
    last_epoch: int | None = None
    """The same with the writes that ran at the same time; None where there were none."""
    caller: Caller = TOP
    around: str = ""
    """The span id of the recorded call that made it; empty where none did."""
    writes: int = 0
    """How many write-epochs end with it: one for a write, and as many as were made inside of it."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    handoffs: tuple[Handoff, ...] = ()

    def stands_in(self, epoch: int) -> bool:
        """Whether it was recorded with this many writes before it, or could have been."""
        return self.epoch <= epoch <= (self.epoch if self.last_epoch is None else self.last_epoch)

    @property
    def match_key(self) -> str:
        """What `replay.canonical.match_key` gives for it."""
        return self.key or match_key(self.kind, self.name, self.arguments)

    @property
    def unservable(self) -> str | None:
        """Why its result cannot be handed out; None where it can."""
        if not self.ended:
            return "its end was never recorded"
        if self.fault is None and self.lossy and (self.kind != "model" or lost_something(self.output)):
            return "its result could not be recorded as it was (make it return plain data: dicts, lists, text, numbers)"
        return None


def side_lost(span: Span, side: Literal["input", "output"]) -> bool:
    """Whether a lossy span lost something on this side; where nobody said which, it was both.

    Args:
        span: the recorded call.
        side: its arguments, or its result.
    """
    sides = [name for name in ("input", "output") if span.attributes.get(f"auditlog.lossy_{name}") is True]
    return span.lossy and (not sides or side in sides)


def types_of(span: Span, side: Literal["input", "output"]) -> Mapping[str, Any] | None:
    """Give what stood on a side of a call where JSON has another word; None where it was JSON.

    Args:
        span: the recorded call.
        side: its arguments, or its result.
    """
    found = span.attributes.get(f"auditlog.types_{side}")
    return found if isinstance(found, Mapping) else None


def is_write(kind: str, effect: Effect | None) -> bool:
    """Whether a call may change the world; what nobody declared does."""
    return kind not in ("retriever", "model") and effect not in ("read", "control")


def is_read(kind: str, effect: Effect | None) -> bool:
    """Whether a call may be answered twice with the same recording."""
    return kind == "retriever" or (kind == "tool" and effect == "read")


def recorded_calls(turn: Turn, *, models: bool = False) -> tuple[Recorded, ...]:
    """Give what a cassette of this turn holds, in the order in which the calls began.

    Args:
        turn: the recorded turn.
        models: model calls, too.
    """
    spans = sorted(turn.spans, key=lambda span: span.start_ns)
    calls: list[Span] = []
    called: set[str] = set()
    around: dict[str, str] = {}
    outermost: dict[str, str] = {}
    writing: set[str] = set()
    for span in spans:
        parent = span.parent_span_id or ""
        # The first of a span id counts, so that nothing stands inside itself.
        around.setdefault(span.span_id, parent if parent in called else around.get(parent, ""))
        if parent in outermost:
            outermost[span.span_id] = outermost[parent]
        elif span.kind in ("tool", "retriever"):
            outermost[span.span_id] = span.span_id
        if span.kind not in _SERVED_KINDS or (span.kind == "model" and not models) or span is turn.agent:
            continue
        calls.append(span)
        called.add(span.span_id)
        if is_write(span.kind, span.effect):
            # Whatever is declared of the outer call: a replay serves that one, and what was written inside is written then.
            writing.add(outermost[span.span_id])
    writes = [span for span in spans if span.span_id in writing]
    counts: Counter[str] = Counter()
    for span in writes:
        at = span.span_id
        while at:
            counts[at] += 1
            at = around[at]
    callers, epochs = callers_of(spans), epochs_of(spans, turn.agent, writes)
    return tuple(
        replace(
            _recorded(span, epochs[span.span_id], callers[span.span_id], spans),
            around=around[span.span_id],
            writes=counts[span.span_id],
        )
        for span in calls
    )


def _recorded(span: Span, epochs: Epochs, caller: Caller, spans: list[Span]) -> Recorded:
    return Recorded(
        span_id=span.span_id,
        kind=span.kind,
        name=span.name,
        arguments=span.input,
        key="",
        effect=span.effect,
        digest=span.tool_digest,
        output=span.output,
        fault=span.fault
        or (Fault("Exception", "a recorded error without a text") if span.status == "error" else None),
        ended=span.status != "incomplete",
        lossy=side_lost(span, "output"),
        left=span.attributes.get("auditlog.stream.abandoned") is True,
        types=types_of(span, "output"),
        epoch=epochs.first,
        last_epoch=None if epochs.first == epochs.last else epochs.last,
        caller=caller,
        facts={name: value for name, value in span.attributes.items() if name.startswith(_FACTS)},
        handoffs=tuple(_handoffs(span, spans)),
    )


def _handoffs(span: Span, spans: list[Span]) -> Iterable[Handoff]:
    inside = {span.span_id}
    for other in spans:
        if other.parent_span_id in inside:
            inside.add(other.span_id)
            if other.kind == "handoff":
                yield Handoff(other.name, other.escalation_reason or "", other.escalation_to)


def to_json(calls: Iterable[Recorded]) -> list[dict[str, Any]]:
    """Give recorded calls as JSON, for the way to a worker; their keys are computed there, where they are needed."""
    return [
        {
            "span_id": call.span_id,
            "kind": call.kind,
            "name": call.name,
            "arguments": call.arguments,
            "effect": call.effect,
            "digest": call.digest,
            "output": call.output,
            "fault": None if call.fault is None else [call.fault.type, call.fault.message],
            "ended": call.ended,
            "lossy": call.lossy,
            "left": call.left,
            "types": call.types,
            "epoch": call.epoch,
            "last_epoch": call.last_epoch,
            "caller": list(call.caller),
            "around": call.around,
            "writes": call.writes,
            "facts": dict(call.facts),
            "handoffs": [[handoff.name, handoff.reason, handoff.to] for handoff in call.handoffs],
        }
        for call in calls
    ]


def from_json(items: Iterable[Mapping[str, Any]]) -> tuple[Recorded, ...]:
    """Read back what `to_json` gave."""
    return tuple(_read_back(item) for item in items)


def _read_back(item: Mapping[str, Any]) -> Recorded:
    fields: dict[str, Any] = dict(item)
    fields["fault"] = None if item["fault"] is None else Fault(*item["fault"])
    fields["caller"] = Caller(*item["caller"])
    fields["handoffs"] = tuple(Handoff(*handoff) for handoff in item["handoffs"])
    return Recorded(**fields, key="")
