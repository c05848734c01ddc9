"""Two behaviours in, one `Diff` out: its class, its first divergence, its findings, its measures.

The rules:

1. How the run ended comes first: a baseline that the recording could not serve is `no-recording`, a failed candidate
   is `errored`, and one with a stopped write is `blocked`.
2. Otherwise the first divergence decides. Calls speak first: one more, one less, or one with other arguments. Order
   alone speaks only where nothing else differs, and an answer more or less (a turn more in a free conversation) only
   where no call differs at all.
3. A call that was refused by the sandbox diverges even when its arguments are the same.
4. Where all steps are the same, equal texts are `identical` and others `cosmetic`; nothing is normalised before
   texts are compared.
5. Every step after the first divergence is its consequence, whatever it is.
6. What a release engineer declared to be no difference between two calls is none here either; the steps show what was said.
7. A group names the class, the tool and the argument paths, never a value, an index or a key that looks like data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from auditlog.values import Json, Turn
from replay.diff.align import Pair, align
from replay.diff.documents import documents_diff
from replay.diff.findings import describe, findings_of
from replay.diff.json_diff import json_diff, pointer_segments
from replay.diff.measures import measures_of
from replay.diff.model import CaseClass, CaseStatus, Diff, Finding, PathChange, Step, StepDiff
from replay.diff.steps import steps_of, unserved
from replay.diff.text import text_diff
from replay.diff.values import clip

_IDENTIFIER = re.compile(r"[A-Za-z_-]{1,40}\d{0,2}")
"""A path segment that may stand in a group: an argument's name, not an index or a customer's id."""


Forgiven = Callable[[str, Json], Json]
"""Gives a tool's arguments, by its name, as they are compared: see `replay.matching.rules`."""


def compare(
    before: Sequence[Turn],
    after: Sequence[Turn],
    status: CaseStatus = "complete",
    forgiven: Forgiven | None = None,
) -> Diff:
    """Say how one behaviour differs from another.

    Args:
        before: the baseline's turns, oldest first.
        after: the candidate's turns, oldest first.
        status: how the candidate's run ended.
        forgiven: what the declared rules of matching make of a call's arguments; None where there are none.

    Returns:
        The difference; compared with itself, a behaviour is `identical` unless it was never served.
    """
    ended = _ended(before, after, status)
    old, new = steps_of(before), steps_of(after)
    if forgiven is None:
        steps = [_step_diff(pair, old, new) for pair in align(old, new)]
    else:
        alike = _compared(old, forgiven), _compared(new, forgiven)
        steps = [_as_said(_step_diff(pair, *alike), pair, old, new) for pair in align(*alike)]
    first = _first_divergence(steps)
    findings = findings_of(before, after, steps, ended)
    case_class = _class_of(steps, first, ended, old)
    return Diff(
        case_class=case_class,
        steps=tuple(_with_consequence(step, first is not None and i > first) for i, step in enumerate(steps)),
        first_divergence=first,
        summary=_summary(case_class, steps, first, ended, findings),
        group=_group(case_class, steps, first, findings),
        findings=findings,
        measures=measures_of(before, after),
    )


def _ended(before: Sequence[Turn], after: Sequence[Turn], status: CaseStatus) -> CaseStatus:
    """Give how the candidate's run ended: a failed agent counts as failed unless the baseline failed the same way."""
    if status != "complete":
        return status
    old, new = ([t.agent.fault.type if t.agent.fault else "" for t in turns if t.status == "error"]
                for turns in (before, after))  # fmt: skip
    return "errored" if new and new != old else status


def _step_diff(pair: Pair, before: Sequence[Step], after: Sequence[Step]) -> StepDiff:
    old = before[pair.before] if pair.before is not None else None
    new = after[pair.after] if pair.after is not None else None
    if old is None or new is None:
        return StepDiff("extra" if old is None else "missing", old, new)
    if old.kind == "answer":
        return StepDiff("same", old, new, text=text_diff(old.text, new.text))
    changes = json_diff(old.arguments, new.arguments)
    refused = unserved(new) and not unserved(old)
    documents = documents_diff(old.documents, new.documents) if old.documents or new.documents else None
    return StepDiff(
        op="reordered" if pair.reordered else "arguments" if changes or refused else "same",
        before=old,
        after=new,
        changes=changes,
        result_changes=json_diff(old.result, new.result),
        documents=documents,
    )


def _compared(steps: Sequence[Step], forgiven: Forgiven) -> tuple[Step, ...]:
    return tuple(
        replace(step, arguments=forgiven(step.name, step.arguments))
        if step.kind in ("tool", "retriever")
        else step
        for step in steps
    )


def _as_said(step: StepDiff, pair: Pair, before: Sequence[Step], after: Sequence[Step]) -> StepDiff:
    """Show the arguments that were given in place of those that were compared."""
    old = None if pair.before is None else before[pair.before]
    return replace(step, before=old, after=None if pair.after is None else after[pair.after])


def _with_consequence(step: StepDiff, consequence: bool) -> StepDiff:
    if not consequence:
        return step
    return StepDiff(
        step.op,
        step.before,
        step.after,
        step.changes,
        step.result_changes,
        step.documents,
        step.text,
        consequence=True,
    )


def _first_divergence(steps: Sequence[StepDiff]) -> int | None:
    differing = [index for index, step in enumerate(steps) if step.op != "same"]
    calls = [index for index in differing if _subject(steps[index]).kind != "answer"]
    louder = [index for index in calls if steps[index].op != "reordered"]
    return next(iter(louder or calls or differing), None)


def _class_of(
    steps: Sequence[StepDiff], first: int | None, status: CaseStatus, before: Sequence[Step]
) -> CaseClass:
    if status == "unreplayable" or any(unserved(step) for step in before):
        return "no-recording"
    if status in ("errored", "invalid"):
        return "errored"
    if status == "blocked" or any(
        step.after is not None and step.after.match_tier == "blocked" for step in steps
    ):
        return "blocked"
    if first is not None:
        op = steps[first].op
        return "arguments" if op == "same" else op
    return "cosmetic" if any(step.text is not None and step.text.changed for step in steps) else "identical"


def _summary(
    case_class: CaseClass,
    steps: Sequence[StepDiff],
    first: int | None,
    status: CaseStatus,
    findings: Sequence[Finding],
) -> str:
    said = _divergence_line(steps, first) if first is not None else _words_line(steps)
    match case_class:
        case "no-recording":
            refused = next(
                (s.before.name for s in steps if s.before is not None and unserved(s.before)), None
            )
            why = f": it holds no such call of {clip(refused)}" if refused else ""
            return f"the recording could not serve the baseline{why}"
        case "errored":
            failed = next((f.detail for f in findings if f.kind == "new error"), "")
            ended = "something tried to leave the sandbox" if status == "invalid" else "the agent failed"
            return "; ".join(part for part in (failed or ended, said if first is not None else "") if part)
        case "blocked":
            place = _blocked_place(steps)
            if place is None or place == first:
                return f"{said} (blocked)" if said else "a write was blocked"
            return f"{said}; step {place + 1}: {_called(steps[place])} is blocked"
        case "identical" | "cosmetic" if findings:
            return f"{findings[0].kind}: {findings[0].detail}"
        case _:
            return said


def _divergence_line(steps: Sequence[StepDiff], first: int) -> str:
    step = steps[first]
    name = _called(step)
    return f"step {first + 1}: {_divergence_text(steps, first, step, name)}"


def _divergence_text(steps: Sequence[StepDiff], first: int, step: StepDiff, name: str) -> str:
    match step.op:
        case "extra" if name == "answer":
            return "one more answer"
        case "missing" if name == "answer":
            return "one answer less"
        case "extra":
            follower = steps[first + 1] if first + 1 < len(steps) else None
            replaced = follower is not None and follower.op == "missing" and _called(follower) != "answer"
            return f"{name} in place of {_called(follower)}" if follower and replaced else f"{name} is new"
        case "missing":
            return f"{name} is not called"
        case "reordered":
            return f"{name} comes in another order"
        case _ if step.changes:
            more = f" (+{len(step.changes) - 1} more)" if len(step.changes) > 1 else ""
            return f"{name} {describe(step.changes[0])}{more}"
        case _:
            return f"{name} with the same arguments was not served: its definition or its count differs"


def _words_line(steps: Sequence[StepDiff]) -> str:
    places = sum(1 for s in steps if s.text for hunk in s.text.hunks if hunk.op != "equal")
    return f"other words in {places} place{'s' if places > 1 else ''}" if places else ""


def _group(
    case_class: CaseClass, steps: Sequence[StepDiff], first: int | None, findings: Sequence[Finding]
) -> str:
    if case_class in ("identical", "cosmetic"):
        return " ".join(dict.fromkeys((case_class, *(finding.kind for finding in findings))))
    place = _blocked_place(steps) if case_class == "blocked" else first
    if place is None:
        return case_class
    step = steps[place]
    return " ".join((case_class, _called(step), *_group_paths(step.changes)))


def _group_paths(changes: Iterable[PathChange]) -> list[str]:
    paths = sorted({"".join(f"/{_safe_segment(s)}" for s in pointer_segments(c.path)) for c in changes})
    return [*paths[:3], "…"] if len(paths) > 3 else paths


def _safe_segment(segment: str) -> str:
    return segment if _IDENTIFIER.fullmatch(segment) else "*"


def _blocked_place(steps: Sequence[StepDiff]) -> int | None:
    return next(
        (i for i, s in enumerate(steps) if s.after is not None and s.after.match_tier == "blocked"), None
    )


def _subject(step: StepDiff) -> Step:
    subject = step.after or step.before
    assert subject is not None
    return subject


def _called(step: StepDiff) -> str:
    return clip(_subject(step).name, 60)
