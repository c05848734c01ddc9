"""What a case came to, in the five words of a replay: same, worded, behaved, unmatched, errored.

The rules:

1. A case behaves differently when its diff says so: a finding makes other words matter.
2. What the baseline does to itself as much is `unstable`, and counts apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

from replay.diff import CaseClass, Diff
from tui.render.formats import State

Outcome = Literal["same", "worded", "behaved", "unmatched", "errored", "unstable"]

WORDS: dict[Outcome, str] = {
    "same": "same",
    "worded": "worded differently",
    "behaved": "behaved differently",
    "unmatched": "unmatched",
    "errored": "errored",
    "unstable": "unstable",
}
ROLES: dict[Outcome, str] = {
    "same": "ok",
    "worded": "muted",
    "behaved": "error",
    "unmatched": "warn",
    "errored": "error",
    "unstable": "warn",
}

_OF_CLASS: dict[CaseClass, Outcome] = {
    "identical": "same",
    "cosmetic": "worded",
    "errored": "errored",
    "no-recording": "unmatched",
    "unstable": "unstable",
}
_GLYPHS: dict[CaseClass, str] = {
    "identical": "=",
    "cosmetic": "≈",
    "arguments": "≠",
    "missing": "−",
    "extra": "+",
    "reordered": "↕",
    "blocked": "⊘",
    "errored": "✗",
    "no-recording": "?",
    "unstable": "±",
}


def of_class(case_class: CaseClass) -> Outcome:
    """Give the outcome of a class alone."""
    return _OF_CLASS.get(case_class, "behaved")


def outcome_of(diff: Diff) -> Outcome:
    """Give the outcome of a case."""
    outcome = of_class(diff.case_class)
    return "behaved" if outcome in ("same", "worded") and diff.behaves_differently else outcome


def state_of(diff: Diff) -> State:
    """Give a case's class as glyph, word and role."""
    return State(_GLYPHS.get(diff.case_class, "?"), diff.case_class, ROLES[outcome_of(diff)])


def counts(diffs: Iterable[Diff]) -> dict[Outcome, int]:
    """Count outcomes, in the order of `WORDS`; unstable ones only where there are any."""
    return _ordered(Counter(outcome_of(diff) for diff in diffs))


def counts_of_classes(classes: Mapping[CaseClass, int]) -> dict[Outcome, int]:
    """Count outcomes of a run that only tells its classes."""
    found: Counter[Outcome] = Counter()
    for case_class, number in classes.items():
        found[of_class(case_class)] += number
    return _ordered(found)


def _ordered(found: Counter[Outcome]) -> dict[Outcome, int]:
    return {name: found[name] for name in WORDS if found[name] or name != "unstable"}
