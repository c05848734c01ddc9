"""What the baseline does to itself: the second baseline beside the candidate.

The rules:

1. A case is `unstable` when the baseline, run again, differs from itself in behaviour as much as the candidate does:
   at least as many steps differ, and the candidate has no finding that the second baseline does not have too.
2. Other words are never unstable, and a finding that only the candidate has is never noise.
3. A case that could not be compared keeps its class, and so does one in which a write was blocked, unless the second
   baseline was blocked too.
4. The table counts the candidate over every case, and the noise over the cases that have a second baseline; rates
   say which number they are of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from replay.diff.model import CLASSES, CaseClass, Diff, Finding


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """How often one class came up, for the candidate and for the baseline run again."""

    case_class: CaseClass
    noise: int
    """Cases of this class among those with a second baseline: `baseline_2` against `baseline`."""
    candidate: int
    """Cases of this class among all: `candidate` against `baseline`."""
    noise_rate: float | None
    """Share of the sampled cases; None when none was sampled."""
    candidate_rate: float | None
    """Share of all cases; None when there is none."""


@dataclass(frozen=True, slots=True)
class NoiseTable:
    """The noise beside the candidate's change."""

    sampled: int
    """Cases that have a second baseline."""
    cases: int
    rows: tuple[NoiseRow, ...]
    """In the order of `CLASSES`, without classes that never came up."""
    noise_differently: int
    """Sampled cases in which the baseline, run again, behaved differently from itself."""
    candidate_differently: int
    """Cases in which the candidate behaved differently; unstable ones among them."""


class _Compared(NamedTuple):
    candidate: Diff
    noise: Diff | None


def differing_steps(diff: Diff) -> int:
    """Count the calls that do not stand on both sides with the same arguments in the same order."""
    subjects = ((step.op, step.after or step.before) for step in diff.steps)
    return sum(
        1 for op, subject in subjects if op != "same" and subject is not None and subject.kind != "answer"
    )


def is_unstable(diff: Diff, noise: Diff | None) -> bool:
    """Whether the baseline differs from itself as much as the candidate differs from it.

    Args:
        diff: the candidate against the baseline.
        noise: the second baseline against the baseline; None where the case was not sampled.
    """
    if noise is None or not diff.behaves_differently or not noise.behaves_differently:
        return False
    if "no-recording" in (diff.case_class, noise.case_class):
        return False
    if diff.case_class in ("blocked", "errored") and noise.case_class != diff.case_class:
        return False
    known = {_finding_key(noise, finding) for finding in noise.findings}
    if not {_finding_key(diff, finding) for finding in diff.findings} <= known:
        return False
    return differing_steps(noise) >= differing_steps(diff)


def with_noise(diff: Diff, noise: Diff | None) -> Diff:
    """Give the candidate's diff, as class `unstable` where the baseline differs from itself as much."""
    if not is_unstable(diff, noise):
        return diff
    return replace(diff, case_class="unstable", group=f"unstable {diff.group}")


def noise_table(cases: Iterable[tuple[Diff, Diff | None]]) -> NoiseTable:
    """Count the classes of both comparisons.

    Args:
        cases: for each case the candidate's diff and the second baseline's, None where it was not sampled.
    """
    compared = [_Compared(*case) for case in cases]
    sampled = [case.noise for case in compared if case.noise is not None]
    candidate_counts = Counter(case.candidate.case_class for case in compared)
    noise_counts = Counter(noise.case_class for noise in sampled)

    def row(case_class: CaseClass, noise: int, candidate: int) -> NoiseRow:
        return NoiseRow(
            case_class,
            noise,
            candidate,
            noise / len(sampled) if sampled else None,
            candidate / len(compared) if compared else None,
        )

    rows = tuple(
        row(name, noise_counts[name], candidate_counts[name])
        for name in CLASSES
        if noise_counts[name] or candidate_counts[name]
    )
    return NoiseTable(
        sampled=len(sampled),
        cases=len(compared),
        rows=rows,
        noise_differently=sum(noise.behaves_differently for noise in sampled),
        candidate_differently=sum(case.candidate.behaves_differently for case in compared),
    )


def _finding_key(diff: Diff, finding: Finding) -> tuple[str, str]:
    """Give what makes two findings of two runs the same: the kind, and the tool or else the claim."""
    step = diff.steps[finding.step] if finding.step is not None else None
    subject = (step.after or step.before) if step is not None else None
    if subject is None or subject.kind == "answer":
        return finding.kind, finding.detail
    return finding.kind, subject.name
