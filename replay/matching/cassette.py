"""The cassette: the recorded answers of one case, and which of them answers a call.

The rules:

1. Only the very call is served: same kind, same name, canonically equal arguments; or arguments that are equal under the
   declared rules (`MatchRules`), which come second and are named with the answer. Nothing near is ever served.
2. Among equal recorded calls, those of the same write-epoch (as many writes before it as were made so far) come first, then
   those of the same caller (`callers`), then those not yet used, in the order of the recording.
3. A read is served again when all its recordings are used, and what one caller was served is not used up for another: the
   answer to a read depends on who asks, how often they asked, and the writes so far, and not on how concurrent calls interleave.
4. A write, a hand-off and a model call are served once each, whoever asks. What was made inside a call that was served is used up
   with it; and a call inside of which a write was made is not served once that write was, by itself.
5. A recorded call whose result was not kept as it was answers nothing, and says so.
6. A miss explains itself (`misses`), and never serves.

Matching is pure: no clock, no files, no agent.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from auditlog.values import Effect, Json
from replay.canonical import lost_something, match_key
from replay.matching.callers import TOP, Caller
from replay.matching.misses import Miss, describe, explained
from replay.matching.normalising import MatchRule
from replay.matching.recorded import Recorded, is_read, is_write
from replay.matching.rules import NO_RULES, MatchRules

__all__ = ["Cassette", "Hit", "Miss", "Tier", "describe"]

Tier = Literal["exact", "normalised", "reuse"]

_WORST_FIRST: tuple[Effect, ...] = ("write", "control", "read")


@dataclass(frozen=True, slots=True)
class Hit:
    """The recorded call that answers."""

    recorded: Recorded
    tier: Tier
    rules: tuple[MatchRule, ...] = ()
    """The declared rules without which it would not answer; for tier `normalised`."""
    reused: bool = False
    """Its caller was served it before."""
    definition_changed: bool = False
    """The tool's name, docstring or parameters changed since."""
    other_epoch: bool = False
    """It was recorded with another number of writes before it."""
    other_caller: bool = False
    """Another agent, tool or model step made the recorded call."""


class _Choice(NamedTuple):
    position: int
    reused: bool


class Cassette:
    """The recorded answers of one case; safe to ask from any thread."""

    def __init__(self, recorded: Iterable[Recorded], rules: MatchRules = NO_RULES) -> None:
        """Take the recorded calls, in the order in which they began, and the declared rules."""
        self._recorded = tuple(recorded)
        self._rules = rules
        self._by_key: dict[str, list[int]] = defaultdict(list)
        self._by_normalised_key: dict[str, list[int]] = defaultdict(list)
        for position, call in enumerate(self._recorded):
            self._by_key[call.match_key].append(position)
            if not rules.rules or lost_something(call.arguments):
                continue
            normalised = rules.key(call.kind, call.name, call.arguments)
            if normalised is not None:
                self._by_normalised_key[normalised].append(position)
        self._inside = _inside(self._recorded)
        self._used: set[int] = set()
        self._used_by: set[tuple[str, int]] = set()
        self._writes_served = 0
        self._lock = threading.Lock()

    def take(
        self,
        kind: str,
        name: str,
        arguments: Json,
        *,
        effect: Effect | None = None,
        digest: str = "",
        caller: Caller = TOP,
        entered: bool = False,
    ) -> Hit | Miss:
        """Find the recorded call that answers, and use it.

        Args:
            kind: `tool`, `retriever` or `model`.
            name: the operation's name.
            arguments: the arguments by name.
            effect: the tool's declared effect.
            digest: the tool's definition digest.
            caller: who makes the call, as `Callers` tells it.
            entered: its body runs all the same, and makes its own calls.
        """
        if lost_something(arguments):
            nearest = explained(kind, name, arguments, self._recorded, NO_RULES, used_up=False).nearest
            return Miss("arguments lost", nearest)
        reusable = is_read(kind, effect)
        exact = self._by_key.get(match_key(kind, name, arguments), [])
        normalised_key = self._rules.key(kind, name, arguments) if self._rules.rules else None
        normalised = self._by_normalised_key.get(normalised_key, []) if normalised_key is not None else []
        with self._lock:
            epoch = self._writes_served
            choice = self._choose(exact, caller, reusable=reusable)
            is_exact = choice is not None
            if choice is None:
                choice = self._choose(normalised, caller, reusable=reusable)
            if choice is not None:
                ended = 0 if choice.position in self._used else self._recorded[choice.position].writes
                self._writes_served += max(ended, is_write(kind, effect))
                self._used.add(choice.position)
                self._used_by.add((caller.exact, choice.position))
                if not entered:
                    self._used.update(self._inside[choice.position])
        if choice is None:
            used_up = bool(exact or normalised)
            return explained(kind, name, arguments, self._recorded, self._rules, used_up=used_up)
        found = self._recorded[choice.position]
        return Hit(
            found,
            "normalised" if not is_exact else "reuse" if choice.reused else "exact",
            () if is_exact else self._rules.needed(name, found.arguments, arguments),
            reused=choice.reused,
            definition_changed=bool(digest and found.digest and digest != found.digest),
            other_epoch=not found.stands_in(epoch),
            other_caller=found.caller.distance(caller) > 0,
        )

    def count_write(self) -> None:
        """Know of a write that happens for real, and that no recording holds: what is read from here on is read after it."""
        with self._lock:
            self._writes_served += 1

    def effect_of(self, kind: str, name: str) -> Effect | None:
        """Give the worst effect with which this turn recorded a tool; None where it has none, or no such call."""
        found = {call.effect for call in self._recorded if (call.kind, call.name) == (kind, name)}
        return next((effect for effect in _WORST_FIRST if effect in found), None)

    def _choose(self, equal: Sequence[int], caller: Caller, *, reusable: bool) -> _Choice | None:
        """Choose among equal calls by the order of rule 2; None where none of them may be served any more."""

        def is_used(position: int) -> bool:
            return (caller.exact, position) in self._used_by if reusable else position in self._used

        def standing(position: int) -> tuple[bool, int, bool, int]:
            call, used = self._recorded[position], is_used(position)
            # Of several used answers to one question the latest is what the world said last.
            order = -position if used else position
            return not call.stands_in(self._writes_served), call.caller.distance(caller), used, order

        def is_over(position: int) -> bool:
            writes = (
                i
                for i in self._inside[position]
                if is_write(self._recorded[i].kind, self._recorded[i].effect)
            )
            return position in self._used or any(i in self._used for i in writes)

        allowed = [position for position in equal if reusable or not is_over(position)]
        if len(allowed) < 2:
            return _Choice(allowed[0], is_used(allowed[0])) if allowed else None
        best = min(allowed, key=standing)
        return _Choice(best, is_used(best))


def _inside(recorded: Sequence[Recorded]) -> list[list[int]]:
    """Give for each recorded call those that were made inside of it, at any depth."""
    positions = {call.span_id: position for position, call in enumerate(recorded)}
    found: list[list[int]] = [[] for _ in recorded]
    for position, call in enumerate(recorded):
        around = positions.get(call.around)
        while around is not None:
            found[around].append(position)
            around = positions.get(recorded[around].around)
    return found
