"""Who made a call: its causal parent, told so that a recording and a replay of it tell the same.

The rules:

1. A call's caller is the way from the turn's agent down to it: through sub-agents, tools, retrievers and model calls. Ids and
   times are no part of it, since a replay has others.
2. A step of the way is its kind, its name and the arguments that it was called with; of several equal ones under one
   parent it is the first, the second, … in the order in which they began. A model call's arguments are left out.
3. Beside that stands the same way without arguments, for a candidate that asks its sub-agents in other words.
4. What has no known parent stands at the top, in a recording and in a replay alike; a span of another kind is looked through.
5. Calls at the top of the turn, or under one parent, that nothing tells apart have one caller: their order counts then.
6. Most calls call nothing: the way to one is worked out when something asks for it, and then those of all that began before
   it, in their order.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from auditlog.values import Json, Span
from replay.canonical import match_key

_STEPS = ("agent", "tool", "retriever", "model", "embedding", "guardrail")


class Caller(NamedTuple):
    """Who made a call; two callers are compared, and nothing else is read out of one."""

    exact: str = ""
    """The way with the arguments of each step, as 16 hex digits; empty at the top."""
    named: str = ""
    """The way with the names alone."""

    def distance(self, other: Caller) -> int:
        """Say how far another caller is from this one: 0 the same, 1 the same by name, 2 another."""
        return 0 if self.exact == other.exact else 1 if self.named == other.named else 2


TOP = Caller()


class Callers:
    """Tells of each call of one turn who made it; safe to ask from any thread."""

    def __init__(self) -> None:
        """Begin with a turn of which nothing has happened."""
        self._inside: dict[str, Caller] = {}
        self._unasked: dict[str, tuple[Caller, str, str, Json]] = {}
        """Calls whose own way nobody asked for, as they began: their caller, kind, name and arguments."""
        self._begun: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def begin(self, span_id: str, parent_id: str | None, kind: str, name: str, arguments: Json) -> Caller:
        """Take a call that begins, and give who made it.

        Args:
            span_id: the call's.
            parent_id: the span around it.
            kind: the call's kind; one that is no step is looked through.
            name: its name.
            arguments: its arguments by name.
        """
        with self._lock:
            if parent_id in self._unasked:
                self._work_out()
            caller = self._inside.get(parent_id or "")
            if caller is None:
                # The turn's agent begins at the top, and what it calls is called from there.
                caller, is_top = TOP, kind == "agent"
            else:
                is_top = False
            if is_top or kind not in _STEPS:
                self._inside[span_id] = caller
            else:
                self._unasked[span_id] = (caller, kind, name, arguments)
            return caller

    def at(self, span_id: str) -> Caller:
        """Give the way down to a call itself: the caller of what is called inside of it."""
        with self._lock:
            if span_id in self._unasked:
                self._work_out()
            return self._inside.get(span_id, TOP)

    def _work_out(self) -> None:
        for span_id, (caller, kind, name, arguments) in self._unasked.items():
            self._inside[span_id] = self._within(caller, kind, name, arguments)
        self._unasked.clear()

    def _within(self, caller: Caller, kind: str, name: str, arguments: Json) -> Caller:
        said = "" if kind == "model" else match_key(kind, name, arguments)
        return Caller(
            self._step("exact", caller.exact, (kind, name, said)),
            self._step("named", caller.named, (kind, name)),
        )

    def _step(self, way: str, above: str, step: tuple[str, ...]) -> str:
        equal = hashlib.sha256("\0".join((above, *step)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        number = self._begun[way, equal]
        self._begun[way, equal] += 1
        return f"{equal}.{number}"


def callers_of(spans: Iterable[Span]) -> Mapping[str, Caller]:
    """Give who made each call of a recorded turn, by span id.

    Args:
        spans: those of one turn, in the order in which they began.
    """
    callers = Callers()
    return {
        span.span_id: callers.begin(span.span_id, span.parent_span_id, span.kind, span.name, span.input)
        for span in spans
    }
