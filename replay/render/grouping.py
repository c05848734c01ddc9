"""Which cases of a report matter most: the ones that differ, grouped and ordered.

The rules:

1. A case differs when its behaviour does and the baseline's own noise does not explain it. Unstable cases and those
   that could not be compared are counted beside, never among the differing and never dropped.
2. Cases with the same first divergence are one group.
3. The worst come first: what touches the world or loses a customer, then failures, then other calls, then words.
   Among equals the larger group comes first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from replay.diff import Diff, NoiseTable, noise_table
from replay.results.report import CaseResult, Report

_FINDING_RANK = {
    "new write": 0,
    "write blocked": 0,
    "changed money": 0,
    "lost escalation": 1,
    "lost write": 1,
    "new error": 2,
    "unsupported date": 3,
    "unsupported number": 3,
    "new escalation": 4,
    "tool error": 4,
    "other documents": 5,
}
_CLASS_RANK = {"blocked": 0, "errored": 2, "extra": 5, "missing": 5, "arguments": 5, "reordered": 6}
_LAST_RANK = 9


class Group(NamedTuple):
    """Cases with the same first divergence."""

    name: str
    cases: tuple[CaseResult, ...]
    """Worst first."""


class Counts(NamedTuple):
    """How the cases of a report come out; the parts sum up to `cases`."""

    cases: int
    different: int
    unstable: int
    not_compared: int
    same: int
    not_done: int


def differs(case: CaseResult) -> bool:
    """Whether the candidate behaves differently, beyond what the baseline's own noise explains."""
    return case.diff.behaves_differently and case.diff.case_class not in ("unstable", "no-recording")


def counts_of(report: Report) -> Counts:
    """Count the cases of a report by how they come out."""
    classes = Counter(case.diff.case_class for case in report.cases)
    different = sum(differs(case) for case in report.cases)
    unstable, not_compared = classes["unstable"], classes["no-recording"]
    # A report may hold some of a run's cases only; what the run has not done is missing from any of them.
    not_done = max(report.run.cases - report.run.done, 0)
    same = len(report.cases) - different - unstable - not_compared
    return Counts(len(report.cases) + not_done, different, unstable, not_compared, same, not_done)


def groups_of(cases: Iterable[CaseResult]) -> tuple[Group, ...]:
    """Group the cases that differ, worst group first."""
    found: defaultdict[str, list[CaseResult]] = defaultdict(list)
    for case in cases:
        if differs(case):
            found[case.diff.group].append(case)
    groups = [Group(name, tuple(worst_first(members))) for name, members in found.items()]
    return tuple(sorted(groups, key=lambda g: (rank(g.cases[0].diff), -len(g.cases), g.name)))


def worst_first(cases: Iterable[CaseResult]) -> list[CaseResult]:
    """Order cases by how much their difference matters."""
    return sorted(cases, key=lambda case: (rank(case.diff), -len(case.diff.findings), case.case_id))


def rank(diff: Diff) -> int:
    """Give how much a difference matters; 0 is worst."""
    ranks = [_FINDING_RANK.get(finding.kind, _LAST_RANK) for finding in diff.findings]
    return min([*ranks, _CLASS_RANK.get(diff.case_class, _LAST_RANK)])


def finding_counts(report: Report) -> tuple[tuple[str, int], ...]:
    """Count the cases that have each kind of finding, worst kind first."""
    counts = Counter(
        kind for case in report.cases for kind in {finding.kind for finding in case.diff.findings}
    )
    return tuple(sorted(counts.items(), key=lambda item: (_FINDING_RANK.get(item[0], _LAST_RANK), item[0])))


def noise_of(report: Report) -> NoiseTable:
    """Count the classes of the candidate beside those of the baseline's own noise."""
    return noise_table((case.diff, case.noise) for case in report.cases)
