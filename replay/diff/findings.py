"""The changes that matter whatever the words are.

The rules:

1. Writes: one that only the candidate makes, one that only the baseline made, one that the sandbox stopped, and one
   with another amount of money.
2. Hand-offs: the baseline handed the customer to a person and the candidate does not, or the other way round.
3. Claims: a number, id or date in the candidate's answer that nothing in its turn, or in the turns before it,
   supports, unless the baseline's answers hold it without support as well.
4. Failures: an agent that failed where the baseline's did not, and a tool that failed where its counterpart did not.
   What the sandbox refused to serve is no tool's failure, and where it ended the case, the agent's stop is none.
5. Documents: the same search that found other documents.
6. A run that was stopped proves nothing by what it did not do, except at the very point where it was stopped: what
   the baseline did there is what the candidate did not do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from auditlog.values import Fault, Json, Turn
from replay.diff.grounding import Claim, Sources
from replay.diff.json_diff import pointer_segments
from replay.diff.model import CaseStatus, Finding, PathChange, Step, StepDiff
from replay.diff.steps import is_escalation, is_write, steps_of, unserved
from replay.diff.values import clip, show

_MONEY = frozenset(
    (
        "amount balance charge cost credit discount fee money payment payout price refund shipping sum "
        "tax tip total value cents usd eur gbp chf jpy"
    ).split()
)
_NOT_AN_AMOUNT = frozenset({"id", "ids", "method", "type", "code", "reason", "status", "currency", "date"})


def findings_of(
    before: Sequence[Turn], after: Sequence[Turn], steps: Sequence[StepDiff], status: CaseStatus
) -> tuple[Finding, ...]:
    """Give the findings of a comparison, in the order of the rules.

    Args:
        before: the baseline's turns.
        after: the candidate's turns.
        steps: the aligned steps of both.
        status: how the candidate's run ended.
    """
    undone = set(_undone(steps, status))
    return (
        *_write_findings(steps, undone),
        *_escalation_findings(before, after, steps, undone, status),
        *_claim_findings(before, after, steps),
        *_error_findings(before, after, steps, status),
        *_document_findings(steps),
    )


def money_changes(changes: Iterable[PathChange]) -> Iterator[PathChange]:
    """Give the changes whose path names an amount of money and whose value is one."""
    for change in changes:
        words = {word for segment in pointer_segments(change.path) for word in _words(segment)}
        amounts = [value for value in (change.before, change.after) if value is not None]
        if words & _MONEY and not words & _NOT_AN_AMOUNT and all(_is_amount(value) for value in amounts):
            yield change


def _undone(steps: Sequence[StepDiff], status: CaseStatus) -> Iterator[int]:
    """Give the indexes of the baseline's steps that the candidate is known not to have taken."""
    gone = [index for index, step in enumerate(steps) if step.op == "missing"]
    if status == "complete":
        yield from gone
        return
    calls = [i for i, step in enumerate(steps) if step.after is not None and step.after.kind != "answer"]
    stopped_at = calls[-1] if calls else -1
    yield from (index for index in gone if index < stopped_at)
    at_that_point = next((i for i in gone if i > stopped_at), None)
    if at_that_point is not None and calls and steps[stopped_at].op == "extra":
        yield at_that_point


def _write_findings(steps: Sequence[StepDiff], undone: set[int]) -> Iterator[Finding]:
    for index, step in enumerate(steps):
        match step:
            case StepDiff(op="extra", after=Step() as new) if is_write(new) or new.match_tier == "blocked":
                yield Finding("new write", f"{_name(new)} is called; the baseline does not call it", index)
            case StepDiff(op="missing", before=Step() as gone) if is_write(gone) and index in undone:
                yield Finding("lost write", f"{_name(gone)} is not called; the baseline calls it", index)
            case StepDiff(after=Step() as new) if is_write(new):
                for change in money_changes(step.changes):
                    yield Finding("changed money", f"{_name(new)} {describe(change)}", index)
        if step.after is not None and step.after.match_tier == "blocked":
            detail = f"{_name(step.after)} was stopped: the recording holds no such call"
            yield Finding("write blocked", detail, index)


def _escalation_findings(
    before: Sequence[Turn],
    after: Sequence[Turn],
    steps: Sequence[StepDiff],
    undone: set[int],
    status: CaseStatus,
) -> Iterator[Finding]:
    old = [i for i, step in enumerate(steps) if step.before is not None and is_escalation(step.before)]
    new = [i for i, step in enumerate(steps) if step.after is not None and is_escalation(step.after)]
    was_handed_over = bool(old) or _has_reason(before)
    is_handed_over = bool(new) or _has_reason(after)
    if was_handed_over and not is_handed_over:
        known = [index for index in old if index in undone]
        if known or (status == "complete" and not old):
            where = known[0] if known else None
            step = steps[where].before if where is not None else None
            by = f" by {_name(step)}" if step is not None else ""
            yield Finding(
                "lost escalation", f"the customer is not handed to a person; the baseline does it{by}", where
            )
    if is_handed_over and not was_handed_over:
        where = new[0] if new else None
        step = steps[where].after if where is not None else None
        by = f" by {_name(step)}" if step is not None else ""
        yield Finding(
            "new escalation", f"the customer is handed to a person{by}; the baseline does not do it", where
        )


def _has_reason(turns: Sequence[Turn]) -> bool:
    return any(turn.escalation_reason is not None for turn in turns)


def _claim_findings(
    before: Sequence[Turn], after: Sequence[Turn], steps: Sequence[StepDiff]
) -> Iterator[Finding]:
    # The same answers from the same steps rest on the same sources.
    if all(step.op == "same" and not step.result_changes and not _reworded(step) for step in steps):
        return
    invented = list(unsupported_claims(after))
    if not invented:
        return
    before_too = {form for _, claim in unsupported_claims(before) for form in claim.forms}
    place = {
        step.after.span_id: i for i, step in enumerate(steps) if step.after and step.after.kind == "answer"
    }
    told: set[tuple[str, ...]] = set()
    for turn, claim in invented:
        if claim.forms in told or not before_too.isdisjoint(claim.forms):
            continue
        told.add(claim.forms)
        kind = "unsupported date" if claim.kind == "date" else "unsupported number"
        detail = f"the answer says “{clip(claim.text)}”, which nothing that the agent saw says"
        yield Finding(kind, detail, place.get(turn.turn_id))


def _reworded(step: StepDiff) -> bool:
    return step.text is not None and step.text.changed


def unsupported_claims(turns: Sequence[Turn]) -> Iterator[tuple[Turn, Claim]]:
    """Give the claims of each turn's answer without support; what was said earlier supports what is said later."""
    known = Sources()
    for turn in turns:
        known.add(_sources(turn))
        yield from ((turn, claim) for claim in known.unsupported(turn.answer_text))
        known.add((turn.answer_text,))


def _sources(turn: Turn) -> Iterator[Json]:
    """Give what the turn's answer may rest on, likeliest first.

    What an agent asks for is its own word, and supports nothing: else a number that it made up is supported by looking it up.
    A write or hand-over that was served is something that happened, and what it was of supports what is said of it.
    """
    done = {
        step.span_id
        for step in steps_of([turn])
        if (is_write(step) or is_escalation(step)) and step.fault is None and not unserved(step)
    }
    for span in turn.of_kind("tool", "retriever", "handoff", "embedding", "guardrail", "other"):
        yield from (span.output, span.fault.message if span.fault else None)
        if span.span_id in done:
            yield span.input
        for document in span.documents:
            yield from (document.content, document.id, document.source)
    yield turn.user_text
    for span in turn.of_kind("agent", "model"):
        if span.kind == "agent":
            yield span.input
        last_user = max(
            (place for place, message in enumerate(span.input_messages) if message.role == "user"), default=-1
        )
        for place, message in enumerate(span.input_messages):
            own = message.role == "assistant" and place > last_user
            for part in message.parts:
                yield from (None if own else part.content, part.response)
        if span.kind == "model" and not span.input_messages:
            yield span.input
        yield span.system_instructions


def _error_findings(
    before: Sequence[Turn], after: Sequence[Turn], steps: Sequence[StepDiff], status: CaseStatus
) -> Iterator[Finding]:
    known = {_fault_type(turn) for turn in before if turn.status == "error"}
    told: set[str] = set()
    # The agent of a case that the sandbox ended did not fail: it was stopped.
    for turn in () if status in ("diverged", "blocked") else after:
        fault = _fault_type(turn)
        if turn.status == "error" and fault not in known | told:
            told.add(fault)
            yield Finding("new error", f"the agent failed with {_fault_text(turn.agent.fault)}")
    for index, step in enumerate(steps):
        new, old = step.after, step.before
        if new is None or new.fault is None or unserved(new) or (old is not None and old.fault is not None):
            continue
        yield Finding("tool error", f"{_name(new)} failed with {_fault_text(new.fault)}", index)


def _document_findings(steps: Sequence[StepDiff]) -> Iterator[Finding]:
    for index, step in enumerate(steps):
        found = step.documents
        if step.changes or step.after is None or found is None or not (found.added or found.removed):
            continue
        if found.jaccard < 1:
            detail = f"{_name(step.after)} found {_listed(found.added)} in place of {_listed(found.removed)}"
            yield Finding("other documents", f"{detail} for the same search", index)


def describe(change: PathChange) -> str:
    """Say one change in a few words, such as `/amount 40 → 400`."""
    path = clip(change.path) or "the whole value"
    match change.op:
        case "add":
            return f"{path} + {show(change.after)}"
        case "remove":
            return f"{path} - {show(change.before)}"
        case _:
            return f"{path} {show(change.before)} → {show(change.after)}"


def _fault_type(turn: Turn) -> str:
    return turn.agent.fault.type if turn.agent.fault else "error"


def _fault_text(fault: Fault | None) -> str:
    if fault is None:
        return "an error"
    return f"{clip(fault.type)}: {clip(fault.message, 80)}" if fault.message else clip(fault.type)


def _listed(ids: Sequence[str]) -> str:
    if not ids:
        return "nothing"
    rest = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return ", ".join(clip(name) for name in ids[:3]) + rest


def _name(step: Step) -> str:
    return clip(step.name, 60)


def _words(segment: str) -> list[str]:
    """Give the words of an argument's name in lower case: `refundAmount` and `refund_amount` are two words each."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", segment)]


def _is_amount(value: Json) -> bool:
    match value:
        case bool():
            return False
        case int() | float():
            return True
        case str():
            return (
                re.fullmatch(r"\s*(?:[$€£¥]|[A-Z]{3})?\s*-?[\d.,]{1,40}\s*(?:[€£]|[A-Z]{3})?\s*", value)
                is not None
            )
        case _:
            return False
