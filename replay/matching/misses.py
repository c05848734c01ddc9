"""Why no recorded call answers: the nearest one, what differs, and which rule failed.

The rules:

1. A miss explains and never serves.
2. The nearest call is of the same tool, with the fewest changes as an RFC 6902 patch; of a tool that was not recorded, the
   tools that were are named.
3. What the declared rules forgive is no reason: named is what differs once they were applied.
4. Where every remaining difference is one that a built-in normaliser forgives, that normaliser is named, with its pointer.
   Whether it *should* be forgiven is the reader's to say.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from auditlog.values import Json
from replay.attributes import MISS_HINT, MISS_RULE, NEAREST, PATCH, PATCH_SIZE
from replay.canonical import canonical, first_words
from replay.matching.normalising import MatchRule, applied, instant
from replay.matching.recorded import Recorded
from replay.matching.rules import MatchRules

if TYPE_CHECKING:
    from replay.diff.model import PathChange

Rule = Literal["not recorded", "arguments differ", "used up", "arguments lost"]

_MOST_CHANGES = 20
_MOST_NAMES = 3
_DIGITS = range(6, -1, -1)

_DIFFERS_IN = {
    "lower": "case",
    "trim": "the space around it",
    "timezone": "the time zone it is written in",
    "round": "digits",
}


@dataclass(frozen=True, slots=True)
class Miss:
    """No recorded call answers."""

    rule: Rule
    nearest: Recorded | None = None
    changes: tuple[PathChange, ...] = ()
    """From the nearest recorded call's arguments to those asked for, the first twenty."""
    size: int = 0
    """How many changes there are in all."""
    hint: str = ""
    """Which rule came closest, or would serve; empty where nothing is to be said."""
    forgiven: tuple[MatchRule, ...] = ()
    """The declared rules that took effect, and did not suffice."""
    remaining: tuple[PathChange, ...] = field(default=(), repr=False)
    """What differs once the declared rules were applied."""

    def explain(self, kind: str, name: str) -> str:
        """Say in one sentence what was missing."""
        hint = f"; {self.hint}" if self.hint else ""
        match self.rule:
            case "not recorded":
                return f"the recording holds no call of {kind} {name}{hint}"
            case "used up":
                return f"the recorded call of {kind} {name} was used already, and is served once"
            case "arguments lost":
                return f"an argument of {kind} {name} cannot be compared: it is an object without a JSON form"
            case "arguments differ":
                after = f" after {', '.join(map(str, self.forgiven))}" if self.forgiven else ""
                return f"the nearest recorded call of {kind} {name} differs{after}: {describe(self.remaining)}{hint}"

    def facts(self) -> Mapping[str, Json]:
        """Give the attributes that a span keeps of it."""
        found: dict[str, Json] = {MISS_RULE: self.rule}
        if self.hint:
            found[MISS_HINT] = self.hint
        if self.nearest is not None:
            found[NEAREST] = self.nearest.span_id
            found[PATCH] = patch_of(self.changes)
        if self.size > len(self.changes):
            found[PATCH_SIZE] = self.size
        return found


def explained(
    kind: str, name: str, arguments: Json, recorded: Sequence[Recorded], rules: MatchRules, *, used_up: bool
) -> Miss:
    """Explain why nothing answers a call.

    Args:
        kind: the call's kind.
        name: its name.
        arguments: what it was asked.
        recorded: the recorded calls.
        rules: the declared rules, which did not suffice.
        used_up: equal calls were recorded, and served already.
    """
    # A miss is rare, and a worker that never has one starts sooner without the diff.
    from replay.diff.json_diff import json_diff

    same = [call for call in recorded if (call.kind, call.name) == (kind, name)]
    if not same:
        return Miss("not recorded", hint=_others(kind, name, recorded))
    own = rules.of(name) if kind != "model" else ()
    asked = applied(own, arguments)

    def differing(call: Recorded) -> tuple[PathChange, ...]:
        return json_diff(applied(own, call.arguments), asked)

    nearest = min(same, key=lambda call: (len(differing(call)), -_likeness(call.arguments, arguments)))
    changes = json_diff(nearest.arguments, arguments)
    remaining = differing(nearest)
    if used_up:
        return Miss("used up", nearest, changes[:_MOST_CHANGES], len(changes))
    forgiven = tuple(rule for rule in own if _took_effect(rule, own, nearest.arguments, arguments))
    return Miss(
        "arguments differ",
        nearest,
        changes[:_MOST_CHANGES],
        len(changes),
        _closest(name, remaining),
        forgiven,
        remaining,
    )


def patch_of(changes: Iterable[PathChange]) -> list[dict[str, Json]]:
    """Write changes as an RFC 6902 patch.

    Args:
        changes: what `json_diff` gave.
    """
    return [
        {"op": change.op, "path": change.path}
        if change.op == "remove"
        else {"op": change.op, "path": change.path, "value": change.after}
        for change in changes
    ]


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


def _likeness(recorded: Json, asked: Json) -> float:
    """Say how alike two arguments read, from 0 to 1; only the order of equally near calls depends on it."""
    from rapidfuzz.fuzz import ratio

    return ratio(canonical(recorded)[:2000], canonical(asked)[:2000]) / 100


def _others(kind: str, name: str, recorded: Sequence[Recorded]) -> str:
    names = sorted({call.name for call in recorded if call.kind == kind})
    if not names:
        return ""
    near = difflib.get_close_matches(name, names, _MOST_NAMES, 0) or names[:_MOST_NAMES]
    more = f" and {len(names) - len(near)} more" if len(names) > len(near) else ""
    return f"it holds {', '.join(near)}{more}"


def _took_effect(rule: MatchRule, own: Sequence[MatchRule], recorded: Json, asked: Json) -> bool:
    """Whether two arguments differ more without a rule than with it."""
    from replay.diff.json_diff import json_diff

    others = [other for other in own if other is not rule]
    with_it = json_diff(applied(own, recorded), applied(own, asked))
    return len(json_diff(applied(others, recorded), applied(others, asked))) > len(with_it)


def _closest(name: str, remaining: Sequence[PathChange]) -> str:
    """Name the normalisers that would serve, where some would; else nothing."""
    found = [_normaliser_for(name, change) for change in remaining]
    if not found or any(rules is None for rules in found):
        return ""
    rules = [rule for given in found if given is not None for rule in given]
    where: dict[str, list[str]] = {}
    for rule in rules:
        where.setdefault(_DIFFERS_IN[rule.how], []).append(rule.path)
    said = " and ".join(f"in {what} at {', '.join(paths)}" for what, paths in where.items())
    names = list(
        dict.fromkeys(f"{rule.how} {rule.option}" if rule.how == "round" else rule.how for rule in rules)
    )
    noun = "a normaliser" if len(names) == 1 else "normalisers"
    return f"it differs only {said}: {noun} would serve it ({', '.join(names)})"


def _normaliser_for(name: str, change: PathChange) -> tuple[MatchRule, ...] | None:
    before, after = change.before, change.after
    if change.op != "replace":
        return None
    rule_at = lambda how, option=None: MatchRule(name, how, change.path, option)  # noqa: E731 - a constructor, shortened
    if isinstance(before, str) and isinstance(after, str):
        if before.lower() == after.lower():
            return (rule_at("lower"),)
        if before.strip() == after.strip():
            return (rule_at("trim"),)
        if before.strip().lower() == after.strip().lower():
            return rule_at("trim"), rule_at("lower")
        if (moment := instant(before)) is not None and moment == instant(after):
            return (rule_at("timezone"),)
        return None
    if _is_number(before) and _is_number(after):
        # The most digits that still make one of the two: the least that is forgiven.
        digits = next((d for d in _DIGITS if round(before, d) == round(after, d)), None)
        return None if digits is None else (rule_at("round", digits),)
    return None


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
