"""What a person may answer for, and for how long.

The rules:

1. A waiver without a run lets the policy ask for less than its level, or stands for what no run shows: attacks, rehearsals,
   disclosure, evidence; for runs that compare a version with itself, and for what `--match` forgives of writes.
2. What a run showed (hard metrics and their bound, primary metrics, slices, grounding, hand-overs, regression cases that were not
   judged), and that the candidate failed before it, is waived for that run alone; a waiver that names a run loosens no policy.
3. It names one check, and no group of them, but for `adversarial`, which is every list of attacks.
4. It ends within 90 days. A check that cannot exist cannot be waived, nor what a verdict rests on: the run, its owner, what was
   recorded of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from auditlog.schema_faults import Fault, as_date
from auditlog.wording import unknown

LONGEST = timedelta(days=90)
ADVERSARIAL = "adversarial"

_LOOSENED = (
    "margin", "alpha", "hard_bound", "grounded", "completeness", "most_diverged", "most_unfaithful", "most_unscored",
    "metrics.hard", "metrics.primary", ADVERSARIAL, "adversarial.surfaces",
)  # fmt: skip
"""What a policy may ask for less of."""
_STANDING = ("drill", "rollback", "disclosure", "same_version", "match")
"""Checks of what no run shows."""
_OF_A_RUN = ("hard_bound", "grounded", "escalation", "regress", "earlier", "clock")


@dataclass(frozen=True, slots=True)
class Waiver:
    """A person's word for what a check did not show."""

    check: str
    owner: str
    reason: str
    expires: date
    run: str | None = None

    def covers(self, check_id: str, run_id: str, today: date) -> bool:
        """Whether it speaks of this check of this run, today."""
        named = check_id == self.check or (
            self.check == ADVERSARIAL and check_id.startswith(f"{ADVERSARIAL}.")
        )
        if not named or self.expires < today:
            return False
        return self.run == run_id if is_of_a_run(check_id) else self.run in (None, run_id)


def is_of_a_run(check_id: str) -> bool:
    """Whether a check says what one run showed."""
    return check_id in _OF_A_RUN or check_id.startswith(("hard.", "primary.", "unscored.", "slice."))


def loosened(document: Mapping[str, Any], today: date) -> set[str]:
    """Give what the waivers in force let a policy ask for less of."""
    return {
        entry["check"]
        for entry in document.get("waiver", ())
        if "run" not in entry and as_date(entry["expires"]) >= today
    }


def waiver_faults(
    document: Mapping[str, Any], metrics: Mapping[str, Iterable[str]], lists: Iterable[str], today: date
) -> Iterator[Fault]:
    """Find waivers that waive nothing that can be, or for too long.

    Args:
        document: the policy.
        metrics: the metrics that it judges by, by their role.
        lists: the lists of attacks that it asks for.
        today: the present day.
    """
    of_runs = {*_OF_A_RUN}
    for role, names in metrics.items():
        of_runs |= {f"{role}.{name}" for name in names if role != "secondary"}
        of_runs |= {f"unscored.{name}" for name in names}
    of_runs |= {
        f"slice.{name}.{metric}"
        for name in document.get("slices", {}).get("named", ())
        for metric in metrics.get("primary", ())
    }
    standing = {*_STANDING, ADVERSARIAL, *(f"{ADVERSARIAL}.{name}" for name in lists)}
    standing |= {f"evidence.{entry['name']}" for entry in document.get("evidence", ())}
    for index, entry in enumerate(document.get("waiver", ())):
        yield from _faults(entry, ("waiver", index), of_runs, standing, today)


def _faults(
    entry: Mapping[str, Any], path: tuple[str | int, ...], of_runs: set[str], standing: set[str], today: date
) -> Iterator[Fault]:
    check = entry["check"]
    if as_date(entry["expires"]) > today + LONGEST:
        yield Fault(
            (*path, "expires"),
            f"a waiver ends within {LONGEST.days} days, at the latest on {today + LONGEST}; sign again then",
        )
    if check in of_runs:
        if "run" not in entry and check not in _LOOSENED:
            yield Fault(
                (*path, "check"),
                f"'{check}' says what a run showed, and is waived for that run alone: write run = \"…\"",
            )
    elif check not in standing and check not in _LOOSENED:
        yield Fault((*path, "check"), unknown("check", check, sorted({*of_runs, *standing, *_LOOSENED})))
