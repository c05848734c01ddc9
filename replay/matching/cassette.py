"""The cassette: the recorded answers of one case, and which of them answers a call.

The rules:

1. Only the very call is served: same kind, same name, canonically equal arguments. Nothing near is ever served.
2. Among equal recorded calls, those of the same write-epoch (as many writes before it as were made so far) come
   first, then those not yet used, in the order of the recording.
3. A read is served again when all its recordings are used. A write, a hand-off and a model call are served once each.
4. A recorded call whose result was not kept as it was answers nothing, and says so.
5. A miss names the recorded call that came nearest, what differs by JSON path, and which rule failed. That explains;
   it never serves.

Matching is pure: no clock, no files, no agent.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from auditlog.values import Effect, Json
from replay.canonical import first_words, lost_something, match_key
from replay.matching.recorded import Recorded, is_read, is_write

if TYPE_CHECKING:
    from replay.diff.model import PathChange

Tier = Literal["exact", "normalised", "reuse"]
Rule = Literal["not recorded", "arguments differ", "used up", "arguments lost"]

_MOST_CHANGES = 20


@dataclass(frozen=True, slots=True)
class Hit:
    """The recorded call that answers."""

    recorded: Recorded
    tier: Tier
    definition_changed: bool = False
    """The tool's name, docstring or parameters changed since."""
    other_epoch: bool = False
    """It was recorded with another number of writes before it."""


@dataclass(frozen=True, slots=True)
class Miss:
    """No recorded call answers."""

    rule: Rule
    nearest: Recorded | None = None
    changes: tuple[PathChange, ...] = ()
    """From the nearest recorded call's arguments to those asked for."""

    def explain(self, kind: str, name: str) -> str:
        """Say in one sentence what was missing."""
        match self.rule:
            case "not recorded":
                return f"the recording holds no call of {kind} {name}"
            case "used up":
                return f"the recorded call of {kind} {name} was used already, and is served once"
            case "arguments lost":
                return f"an argument of {kind} {name} cannot be compared: it is an object without a JSON form"
            case "arguments differ":
                return f"the nearest recorded call of {kind} {name} differs: {describe(self.changes)}"


class Cassette:
    """The recorded answers of one case; safe to ask from any thread."""

    def __init__(self, recorded: Iterable[Recorded]) -> None:
        """Take the recorded calls, in the order in which they began."""
        self._recorded = tuple(recorded)
        self._by_key: dict[str, list[int]] = defaultdict(list)
        for position, call in enumerate(self._recorded):
            self._by_key[call.key].append(position)
        self._used: set[int] = set()
        self._writes_served = 0
        self._lock = threading.Lock()

    def take(
        self, kind: str, name: str, arguments: Json, *, effect: Effect | None = None, digest: str = ""
    ) -> Hit | Miss:
        """Find the recorded call that answers, and use it.

        Args:
            kind: `tool`, `retriever` or `model`.
            name: the operation's name.
            arguments: the arguments by name.
            effect: the tool's declared effect.
            digest: the tool's definition digest.
        """
        if lost_something(arguments):
            return Miss("arguments lost", self._nearest(kind, name, arguments))
        with self._lock:
            epoch = self._writes_served
            equal = self._by_key.get(match_key(kind, name, arguments), [])
            position, tier = self._choose(equal, reusable=is_read(kind, effect))
            if position is not None:
                self._used.add(position)
                if is_write(kind, effect):
                    self._writes_served += 1
        if position is None:
            return self._explain(kind, name, arguments, used_up=bool(equal))
        found = self._recorded[position]
        changed = bool(digest and found.digest and digest != found.digest)
        return Hit(found, tier, definition_changed=changed, other_epoch=found.epoch != epoch)

    def effect_of(self, kind: str, name: str) -> Effect | None:
        """Give the effect with which a tool was recorded."""
        return next((call.effect for call in self._recorded if (call.kind, call.name) == (kind, name)), None)

    def _choose(self, equal: list[int], *, reusable: bool) -> tuple[int | None, Tier]:
        def standing(position: int) -> tuple[bool, int]:
            return self._recorded[position].epoch != self._writes_served, position

        fresh = [position for position in equal if position not in self._used]
        if fresh:
            return min(fresh, key=standing), "exact"
        if equal and reusable:
            # Of several answers to one question the latest is what the world said last.
            return min(equal, key=lambda p: (standing(p)[0], -p)), "reuse"
        return None, "exact"

    def _explain(self, kind: str, name: str, arguments: Json, *, used_up: bool) -> Miss:
        nearest = self._nearest(kind, name, arguments)
        if nearest is None:
            return Miss("not recorded")
        if used_up:
            return Miss("used up", nearest)
        # A miss is rare, and a worker that never has one starts sooner without the diff.
        from replay.diff.json_diff import json_diff

        return Miss("arguments differ", nearest, json_diff(nearest.arguments, arguments)[:_MOST_CHANGES])

    def _nearest(self, kind: str, name: str, arguments: Json) -> Recorded | None:
        from replay.diff.json_diff import json_diff

        same = [call for call in self._recorded if (call.kind, call.name) == (kind, name)]
        return min(same, key=lambda call: len(json_diff(call.arguments, arguments)), default=None)


def describe(changes: Iterable[PathChange], most: int = 3) -> str:
    """Say changes in a few words, such as `/amount 40 → 400`.

    Args:
        changes: what `json_diff` gave.
        most: how many are named.
    """
    changes = tuple(changes)
    said = [
        f"{change.path or '/'} "
        + {
            "replace": f"{first_words(change.before)} → {first_words(change.after)}",
            "add": f"added {first_words(change.after)}",
            "remove": f"lacks {first_words(change.before)}",
        }.get(change.op, change.op)
        for change in changes[:most]
    ]
    return ", ".join(said) + (f", and {len(changes) - most} more" if len(changes) > most else "")
