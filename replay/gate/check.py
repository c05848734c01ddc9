"""What the gate says, as values: Check, Example, Verdict.

The rules:

1. A check has an id that stays the same from run to run, and a sentence that a person can act on.
2. A check that only informs has a verdict of its own, and none in the whole: `gates` says which.
3. FAIL outweighs INCONCLUSIVE, and that outweighs PASS. A gate without a single check that gates is INCONCLUSIVE.
4. A person can answer for what a check did not show: a waiver turns INCONCLUSIVE into a pass that says so. What was shown to be
   wrong cannot be waived, and neither can what a verdict rests on, such as a run that is complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Literal

from auditlog.values import Json
from replay.gate.policy import Waiver

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Group = Literal["run", "hard", "primary", "secondary", "slice", "regress", "evidence", "governance"]

GROUPS: Mapping[Group, str] = {
    "run": "The run",
    "hard": "Hard invariants",
    "primary": "Primary metrics",
    "secondary": "Secondary metrics",
    "slice": "Slices",
    "regress": "Regression set",
    "governance": "Exposure",
    "evidence": "Evidence in the store",
}
"""In the order in which they are shown."""
MOST_EXAMPLES = 1_000
"""Cases that a check of what must never happen names: an output that keeps track of each shows all of them."""
SHOWN_EXAMPLES = 10
"""Cases that an output for people shows of a check."""


@dataclass(frozen=True, slots=True)
class Example:
    """One case that a check rests on."""

    case_id: str
    where: str
    """Its conversation and turn."""
    what: str


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    id: str
    """Such as `primary.write_set`; the same from run to run."""
    group: Group
    title: str
    outcome: Outcome
    sentence: str
    """What was found, and what to do where that is something to do."""
    gates: bool = True
    """Whether it decides; otherwise it informs."""
    warning: bool = False
    """A pass with something to look at."""
    figures: Mapping[str, Json] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    waivable: bool = True
    waiver: Waiver | None = None

    @property
    def counts(self) -> Outcome:
        """What it adds to the verdict."""
        return "PASS" if self.waiver is not None or not self.gates else self.outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of a run."""

    run_id: str
    outcome: Outcome
    checks: tuple[Check, ...]
    level: int
    level_name: str
    policy_digest: str
    policy_path: str
    cases_digest: str
    candidate: str
    baseline: str
    judged: datetime
    """Aware, UTC."""
    cases: int
    conversations: int
    owner: str | None = None
    policy_text: str = ""
    """The policy, as it was read."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """Further figures, such as the targets' digests."""
    warnings: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    """Every waiver in force, used or not."""
    record: str = ""
    """What became of the verdict's record; empty where none was asked for."""
    diffs: tuple[DiffGroup, ...] = ()

    def of(self, outcome: Outcome) -> tuple[Check, ...]:
        """Give the checks that count as this."""
        return tuple(check for check in self.checks if check.gates and check.counts == outcome)


@dataclass(frozen=True, slots=True)
class DiffGroup:
    """Cases that differ alike."""

    name: str
    count: int
    case_class: str
    findings: tuple[str, ...]
    example: Example
    summary: str = ""


def storable(value: Json) -> Json:
    """Give a figure as a record can hold it: a whole number beyond 64 bits is one that nobody can reach, and is null."""
    match value:
        case dict():
            return {name: storable(item) for name, item in value.items()}
        case list():
            return [storable(item) for item in value]
        case int() if not -(2**63) <= value < 2**63:
            return None
        case _:
            return value


def concluded(checks: Sequence[Check]) -> Outcome:
    """Give the verdict over checks (rule 3)."""
    said = {check.counts for check in checks if check.gates}
    return "FAIL" if "FAIL" in said else "INCONCLUSIVE" if "INCONCLUSIVE" in said or not said else "PASS"


def with_waivers(
    checks: Iterable[Check], waivers: Sequence[Waiver], run_id: str, today: date
) -> tuple[Check, ...]:
    """Put on each check that did not pass the waiver that covers it (rule 4)."""
    found = []
    for check in checks:
        waiver = next((w for w in waivers if w.covers(check.id, run_id, today)), None)
        waived = waiver is not None and check.waivable and check.outcome == "INCONCLUSIVE"
        found.append(replace(check, waiver=waiver) if waived else check)
    return tuple(found)
