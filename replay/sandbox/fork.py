"""A fork: the first calls of a case are served exactly as they were recorded, and the run's modes begin after them.

The rules:

1. What counts is what the agent asked for itself: calls of models, tools and retrievers, those inside another one left out.
2. Before the fork nothing runs and nothing is made up. Tools and retrievers must ask for the very calls that were recorded.
3. A model says what it said then, in the order of the recording, whatever it is asked: a fork is for trying another prompt or
   model from here on, and with another prompt no model call would be the recorded one. Where it was asked something else, its
   tier says `forked`.
4. An agent that ends before the fork, or strays from the recording before it, has no what-if: its case is `diverged`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from auditlog.interception import Call, Raised, Served
from auditlog.values import Effect, Json, Turn
from replay.canonical import match_key
from replay.errors import ReplayMiss
from replay.matching.callers import Caller
from replay.matching.cassette import Cassette, Miss
from replay.matching.recorded import Recorded, is_read
from replay.sandbox.answers import TIER, answer_of, served
from replay.sandbox.state import CaseState

BEFORE = "auditlog.replay.before_fork"

_KINDS = ("model", "tool", "retriever")

OnMiss = Callable[[CaseState, Call, Miss, "Effect | None"], Raised]


def first_calls(turn: Turn, count: int) -> tuple[str, ...]:
    """Give the span ids of the first calls of a turn.

    Args:
        turn: the recorded turn.
        count: how many.
    """
    inside: set[str] = set()
    found = []
    for span in sorted(turn.spans, key=lambda span: span.start_ns):
        nested = span.parent_span_id in inside
        if nested or span.kind in _KINDS:
            inside.add(span.span_id)
        if span.kind in _KINDS and not nested and span is not turn.agent:
            found.append(span.span_id)
    return tuple(found[:count])


def split(
    recorded: Sequence[Recorded], first: Iterable[str]
) -> tuple[tuple[Recorded, ...], tuple[Recorded, ...]]:
    """Part what comes before a fork from what may be served after it.

    A read of before the fork may be served again, and was read then; a write, a hand-off and a model call are used up, and so
    are those that were made inside of what comes before.

    Args:
        recorded: the case's recorded calls.
        first: the span ids of those before the fork.
    """
    names = set(first)
    before = tuple(call for call in recorded if call.span_id in names)
    writes = sum(call.writes for call in before)
    over = set(names)
    for call in recorded:
        if call.around in over:
            over.add(call.span_id)
    after = tuple(
        replace(
            call,
            # Below zero for what was read before a write of before the fork: no epoch after it is that one.
            epoch=call.epoch - writes,
            last_epoch=None if call.last_epoch is None else call.last_epoch - writes,
            writes=0 if call.span_id in over else call.writes,
        )
        for call in recorded
        if call.span_id not in over or is_read(call.kind, call.effect)
    )
    return before, after


class Prefix:
    """What comes before a fork; safe to ask from any thread."""

    def __init__(self, before: Sequence[Recorded], cassette: Cassette) -> None:
        """Serve these calls.

        Args:
            before: the calls before the fork, in the order of the recording.
            cassette: the same.
        """
        self._cassette = cassette
        self._models = [call for call in before if call.kind == "model"]
        self._left = {call.span_id for call in before}
        self._count = len(before)
        self._lock = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether every call before the fork was made."""
        return not self._left

    def ended_early(self) -> str | None:
        """Say that the agent ended before the fork; None where it did not."""
        if self.over:
            return None
        made = self._count - len(self._left)
        return f"it ended before the fork, after {made} of the {self._count} calls that come before it"

    def answer(
        self, case: CaseState, call: Call, effect: Effect | None, caller: Caller, missed: OnMiss
    ) -> Served | Raised | None:
        """Answer a call before the fork.

        Args:
            case: the case, which ends where the recording holds no such call.
            call: what is asked.
            effect: its effect.
            caller: who makes it.
            missed: gives what a miss means.
        """
        operation = call.operation
        call.facts[BEFORE] = True
        if operation.kind == "model":
            return self._model(case, call)
        found = self._cassette.take(
            operation.kind,
            operation.name,
            call.arguments,
            effect=effect,
            digest=operation.digest,
            caller=caller,
        )
        if isinstance(found, Miss):
            return missed(case, call, found, effect)
        with self._lock:
            self._left.discard(found.recorded.span_id)
        return served(case, call, found)

    def _model(self, case: CaseState, call: Call) -> Served | Raised:
        name = call.operation.name
        with self._lock:
            # A model that was exchanged for another has another name.
            position = next((i for i, known in enumerate(self._models) if known.name == name), 0)
            said = self._models.pop(position) if self._models else None
            if said is not None:
                self._left.discard(said.span_id)
        if said is None:
            stop = ReplayMiss(
                f"{name} was not served: the recording holds no further model call before the fork."
            )
            return Raised(case.stop(stop), {TIER: "miss", "auditlog.replay.miss_rule": "not recorded"})
        same = match_key("model", said.name, call.arguments) == said.match_key
        facts: dict[str, Json] = {TIER: "exact" if same else "forked"}
        return answer_of(case, call, said, facts)
