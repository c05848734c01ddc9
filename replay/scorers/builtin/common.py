"""What several of our scorers ask of an execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from auditlog.values import Turn
from replay.diff import Diff, compare
from replay.diff.model import CUT
from replay.scorers.model import Score, Subject

NO_REFERENCE = Score(None, "no reference", explanation="Nothing was run that it could be compared with.")


def stopped(subject: Subject) -> bool:
    """Whether the sandbox ended the execution before the agent did."""
    return subject.status in CUT


def comparable(subject: Subject) -> bool:
    """Whether there is a reference, and it was not stopped."""
    return subject.reference is not None and subject.reference_status not in CUT


def good(subject: Subject, label: str = "", explanation: str = "") -> Score:
    """Nothing bad was seen: good, and unscored where the execution was stopped."""
    if stopped(subject):
        why = f"Nothing bad was seen until the case ended as {subject.status}."
        return Score(None, subject.status, explanation=why)
    return Score(1.0, label, explanation=explanation)


def several(kinds: Iterable[str]) -> str:
    """Give one label for all kinds of what was seen: `new email ×2, new iban`; the gate reads it so."""
    counts = sorted(Counter(kinds).items())
    return ", ".join(kind if count == 1 else f"{kind} ×{count}" for kind, count in counts)


def bad(label: str, evidence: Iterable[str], explanation: str) -> Score:
    """Something bad was seen."""
    return Score(0.0, label, tuple(dict.fromkeys(evidence)), explanation)


_last: list[tuple[Turn, Turn, Diff]] = []


def difference(subject: Subject, reference: Turn) -> Diff:
    """Compare an execution with a turn; several scorers ask for the same comparison one after the other."""
    if _last and _last[0][0] is reference and _last[0][1] is subject.run:
        return _last[0][2]
    found = compare((reference,), (subject.run,), subject.status)
    _last[:] = [(reference, subject.run, found)]
    return found


def cited(subject: Subject, diff: Diff, step: int | None) -> tuple[str, ...]:
    """Give the spans of one step of a comparison; the agent's where there is none."""
    if step is not None:
        sides = (diff.steps[step].after, diff.steps[step].before)
        found = tuple(side.span_id for side in sides if side is not None and side.span_id)
        if found:
            return found
    return (subject.run.turn_id,)


def from_findings(subject: Subject, kinds: Sequence[str], label: str, reference: Turn) -> Score:
    """Score 0 where a comparison finds one of these kinds, with the spans and words of each finding."""
    diff = difference(subject, reference)
    found = [finding for finding in diff.findings if finding.kind in kinds]
    if not found:
        return good(subject)
    evidence = [span for finding in found for span in cited(subject, diff, finding.step)]
    said = "; ".join(finding.detail for finding in found[:3])
    return bad(label, evidence, said)
