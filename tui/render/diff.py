"""One difference: findings first, then the steps, the first divergence marked, what follows from it folded.

The rules:

1. A change is told by a sign (`-`, `+`, `≠`, `[-…-]`, `{+…+}`), and only helped by colour.
2. Turns are aligned, then calls, then arguments by JSON path, then prose by words.
3. What stands after the first divergence is its consequence: dimmed, and folded into one line until asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from auditlog.safe_text import safe_text
from auditlog.values import Json, Turn
from auditlog.wording import many
from replay.diff import Diff, Finding, Measure, PathChange, Step, StepDiff, TextDiff
from replay.render.wording import match_lines
from tui.render import formats, outcomes
from tui.render.block import Block
from tui.render.difflist import FLAG
from tui.render.flow import flow
from tui.render.line import BLANK, Line, Piece, fitted, line, recorded, rule, with_role, wrapped
from tui.render.value import arguments, compact, searchable

SIGNS = {"same": "=", "arguments": "≠", "missing": "-", "extra": "+", "reordered": "↕"}
ROLE = {"same": "muted", "arguments": "warn", "missing": "remove", "extra": "add", "reordered": "warn"}
GLYPHS = {"tool": "●", "retriever": "≡", "handoff": "▲", "answer": "¶"}
CHANGES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Arms:
    """The two behaviours that are compared, by their names."""

    before: str
    after: str


def blocks(
    diff: Diff,
    arms: Arms,
    *,
    folded: bool,
    side: bool,
    turns: Sequence[Turn] = (),
    noise: Diff | None = None,
    scores: Sequence[tuple[str, bool]] = (),
) -> list[Block]:
    """Lay out a difference.

    Args:
        diff: what differs.
        arms: whose behaviours they are.
        folded: show what follows from the first divergence as one line.
        side: set both behaviours side by side.
        turns: the turns of both, so that a step finds its turn.
        noise: the second baseline against the baseline.
        scores: what scorers said of the case, and whether that is worse than good.
    """
    laid = [Block("head", partial(_head, diff, arms, noise), searchable(diff.summary, diff.group))]
    for number, finding in enumerate(diff.findings):
        laid.append(Block(f"finding/{number}", partial(_finding, finding), finding.detail, finding))
    for number, (said, is_bad) in enumerate(scores):
        laid.append(Block(f"score/{number}", partial(_score, said, is_bad), said))
    turn_of = {span.span_id: turn.index for turn in turns for span in turn.spans}
    many = len(set(turn_of.values())) > 1
    shown_turn: int | None = None
    first = diff.first_divergence
    for index, step in enumerate(diff.steps):
        turn = _turn_of(step, turn_of)
        heading = turn if many and turn is not None and turn != shown_turn else None
        shown_turn = turn if turn is not None else shown_turn
        if folded and step.consequence:
            count = len(diff.steps) - index
            laid.append(Block("folded", partial(_folded, count), partial(_text_of, diff.steps[index:])))
            break
        draw = partial(_step, step, index, arms, heading, index == first, side)
        laid.append(Block(f"step/{index}", draw, partial(_text_of, [step]), step))
    return laid


def _turn_of(step: StepDiff, turn_of: Mapping[str, int]) -> int | None:
    for one in (step.after, step.before):
        if one is not None and one.span_id in turn_of:
            return turn_of[one.span_id]
    return None


def _text_of(steps: Sequence[StepDiff]) -> str:
    sides = [one for step in steps for one in (step.before, step.after) if one is not None]
    return searchable(*(value for one in sides for value in (one.name, one.text, one.arguments, one.result)))


def _head(diff: Diff, arms: Arms, noise: Diff | None, width: int) -> list[Line]:
    state = outcomes.state_of(diff)
    verdict = outcomes.WORDS[outcomes.outcome_of(diff)]
    lines = [
        fitted(
            line(
                (state.text, f"strong {state.role}"),
                (f"  {verdict}" if verdict != state.word else "", state.role),
            ),
            width,
        ),
        *(wrapped(diff.summary, width, "strong", indent=2) if diff.summary else []),
    ]
    if told := _measures(diff.measures):
        lines += wrapped(told, width, "muted", indent=2, most=3)
    if noise is not None:
        same = (
            "behaves the same"
            if not noise.behaves_differently
            else f"differs too: {noise.summary or noise.case_class}"
        )
        lines += wrapped(f"noise: run again, the baseline {same}", width, "muted", indent=2, most=2)
    legend = line(
        ("  - ", "remove"),
        recorded(arms.before, "remove", 30),
        ("  + ", "add"),
        recorded(arms.after, "add", 30),
    )
    return [*lines, fitted(legend, width)]


_MEASURES = (
    ("cost_usd", "cost", formats.cost),
    ("latency_ms", "latency", formats.duration),
    ("input_tokens", "tokens in", formats.count),
    ("output_tokens", "tokens out", formats.count),
    ("model_calls", "model calls", formats.count),
    ("tool_calls", "tool calls", formats.count),
)


def _measures(measures: Mapping[str, Measure]) -> str:
    told: list[str] = []
    for name, title, write in _MEASURES:
        measure = measures.get(name)
        if measure is None or (measure.before is None and measure.after is None):
            continue
        if measure.before == measure.after:
            told.append(f"{title} {write(measure.before)}")
        else:
            told.append(f"{title} {write(measure.before)} → {write(measure.after)}")
    return " · ".join(told)


def _finding(finding: Finding, width: int) -> list[Line]:
    at = "" if finding.step is None else f" (step {finding.step + 1})"
    first = Piece(f"{FLAG} {finding.kind}{at}: ", "error")
    made = flow([first, Piece(safe_text(finding.detail), "")], width - 2)
    return [line("  ", *part.pieces) for part in made]


def _score(said: str, is_bad: bool, width: int) -> list[Line]:
    role = "error" if is_bad else "muted"
    made = flow(
        [Piece(f"{FLAG} score " if is_bad else "score ", role), Piece(safe_text(said), role)], width - 2
    )
    return [line("  ", *part.pieces) for part in made]


def _folded(count: int, width: int) -> list[Line]:
    verb = "follows" if count == 1 else "follow"
    text = f"… {many(count, 'step')} {verb} from it: z unfolds"
    return [fitted(line(("      " + text, "consequence")), width)]


def _step(
    step: StepDiff, index: int, arms: Arms, turn: int | None, first: bool, side: bool, width: int
) -> list[Line]:
    lines: list[Line] = []
    if turn is not None:
        lines += [BLANK, rule([Piece(f"turn {turn + 1}", "strong")], width)]
    if first:
        lines += [rule([Piece("▼ first divergence", "strong error")], width, "error")]
    body = _side(step, index, width) if side else _unified(step, index, arms, width)
    if step.consequence:
        body = [with_role(made, "consequence") for made in body]
    return lines + body


def _changes(step: StepDiff) -> tuple[PathChange, ...]:
    """Give the arguments that differ; of a step without counterpart, all of them."""
    one = step.after or step.before
    if step.op not in ("missing", "extra") or one is None or one.kind == "answer":
        return step.changes
    if not isinstance(one.arguments, dict):
        return () if one.arguments is None else (_change("", one.arguments, step.op),)
    return tuple(_change(f"/{name}", value, step.op) for name, value in one.arguments.items())


def _change(path: str, value: Json, op: str) -> PathChange:
    return (
        PathChange(path, "remove", before=value) if op == "missing" else PathChange(path, "add", after=value)
    )


def _title(step: Step, room: int, *, alone: bool) -> list[Piece]:
    pieces = [Piece(f"{GLYPHS.get(step.kind, '·')} ", "call"), recorded(step.name, "call", 40)]
    if step.effect in ("write", "control") or (step.kind == "tool" and step.effect is None):
        pieces.append(Piece(f" {step.effect or 'effect?'}", "write"))
    if step.match_tier in ("miss", "blocked"):
        pieces.append(Piece(f" [{step.match_tier}]", "error"))
    if step.kind != "answer" and not alone:
        used = sum(len(piece.text) for piece in pieces)
        pieces.append(Piece(" " + arguments(step.arguments, max(0, room - used - 1)), ""))
    return pieces


def _match(step: StepDiff, width: int, indent: int) -> list[Line]:
    """Say how the recording answered, or why it could not."""
    return [made for said in match_lines(step) for made in wrapped(said, width, "muted", indent=indent)]


# Unified: one column.


def _unified(step: StepDiff, index: int, arms: Arms, width: int) -> list[Line]:
    sign, role = SIGNS[step.op], ROLE[step.op]
    head = f"{index + 1:>3} "
    either = step.after or step.before
    assert either is not None
    if either.kind == "answer" and step.text is not None and step.text.changed:
        sign, role = "≠", "warn"
    note = {
        "missing": f"only {arms.before} does this",
        "extra": f"only {arms.after} does this",
        "reordered": "in another place",
    }.get(step.op, "")
    room = max(8, width - 8 - (len(note) + 2 if note else 0))
    title = line(
        (head, "muted"),
        (f"{sign} ", role),
        *_title(either, room, alone=step.op in ("missing", "extra")),
        (f"  {note}" if note else "", role),
    )
    lines = [fitted(title, width)]
    inner = 6
    if either.kind == "answer":
        return lines + _answer(step, width, inner)
    lines += _paths("", _changes(step), width, inner)
    if step.op in ("missing", "extra"):
        lines += _result(either, width, inner)
    else:
        lines += _paths("result", step.result_changes, width, inner)
    lines += _documents(step, width, inner)
    lines += _match(step, width, inner)
    for one, name in ((step.before, arms.before), (step.after, arms.after)):
        if one is not None and one.fault is not None:
            lines += wrapped(
                f"{name}: {one.fault.type}: {one.fault.message}", width, "error", indent=inner, most=3
            )
    return lines


def _paths(title: str, changes: Sequence[PathChange], width: int, indent: int) -> list[Line]:
    lines: list[Line] = []
    for change in changes[:CHANGES_SHOWN]:
        name = " ".join(filter(None, (title, change.path or ("" if title else "(all)"))))
        if change.op != "add":
            lines += wrapped(
                f"{name} {compact(change.before, width * 3)}",
                width,
                "remove",
                first=Piece(" " * indent + "- ", "remove"),
                indent=indent + 2,
                most=4,
            )
        if change.op != "remove":
            lines += wrapped(
                f"{name} {compact(change.after, width * 3)}",
                width,
                "add",
                first=Piece(" " * indent + "+ ", "add"),
                indent=indent + 2,
                most=4,
            )
    if len(changes) > CHANGES_SHOWN:
        lines.append(line((f"{' ' * indent}… {len(changes) - CHANGES_SHOWN} more paths differ", "muted")))
    return lines


def _result(step: Step, width: int, indent: int) -> list[Line]:
    if step.result is None or step.documents:
        return []
    return [
        fitted(line(" " * indent, ("→ ", "muted"), compact(step.result, max(1, width - indent - 2))), width)
    ]


def _documents(step: StepDiff, width: int, indent: int) -> list[Line]:
    found = step.documents
    if found is None or not (found.added or found.removed or found.rbo < 1):
        return []
    lines = [
        line(" " * indent, ("- document ", "remove"), recorded(name, "remove", width - indent - 11))
        for name in found.removed
    ]
    lines += [
        line(" " * indent, ("+ document ", "add"), recorded(name, "add", width - indent - 11))
        for name in found.added
    ]
    told = f"documents: overlap {found.overlap:.2f}, order {found.rbo:.2f}"
    return [*lines, fitted(line((" " * indent + told, "muted")), width)]


def _answer(step: StepDiff, width: int, indent: int) -> list[Line]:
    text = step.text
    if text is None:
        either = step.after or step.before
        assert either is not None
        role = "add" if step.before is None else "remove"
        return wrapped(
            either.text,
            width,
            role,
            first=Piece(" " * indent + ("+ " if step.before is None else "- "), role),
            indent=indent + 2,
            most=20,
        )
    return [line(" " * indent, *made.pieces) for made in flow(_hunks(text), width - indent)]


def _hunks(text: TextDiff, *, before: bool = True, after: bool = True) -> list[Piece]:
    pieces: list[Piece] = []
    for hunk in text.hunks:
        old, new = (safe_text(part, newlines=True) for part in (hunk.before, hunk.after))
        if hunk.op == "equal":
            pieces.append(Piece(old))
            continue
        if before and old:
            pieces += _marked("[-", old, "-]", "remove-word")
        if after and new:
            pieces += _marked("{+", new, "+}", "add-word")
    return pieces


def _marked(opening: str, text: str, closing: str, role: str) -> list[Piece]:
    """Put signs around a change; its outer spaces stay outside, so that lines break at them."""
    body = text.strip(" ")
    if not body:
        return [Piece(opening + text + closing, role)]
    lead, tail = text[: len(text) - len(text.lstrip(" "))], text[len(text.rstrip(" ")) :]
    return [
        Piece(part, kind) for part, kind in ((lead, ""), (opening + body + closing, role), (tail, "")) if part
    ]


# Side by side: two columns.


def _side(step: StepDiff, index: int, width: int) -> list[Line]:
    half = (width - 4 - 3) // 2
    sign, role = SIGNS[step.op], ROLE[step.op]
    if step.text is not None and step.text.changed:
        sign, role = "≠", "warn"
    left = _column(step, step.before, half, before=True)
    right = _column(step, step.after, half, before=False)
    lines: list[Line] = []
    for row in range(max(len(left), len(right), 1)):
        one = left[row] if row < len(left) else BLANK
        other = right[row] if row < len(right) else BLANK
        number = f"{index + 1:>3} " if row == 0 else "    "
        middle = Piece(f" {sign} " if row == 0 else " │ ", role if row == 0 else "rule")
        one = fitted(one, half)
        filling = " " * (half - one.width)
        lines.append(
            Line((Piece(number, "muted"), *one.pieces, Piece(filling), middle, *fitted(other, half).pieces))
        )
    return lines


def _column(step: StepDiff, one: Step | None, half: int, *, before: bool) -> list[Line]:
    if one is None:
        return [line(("(no such step)", "muted"))]
    role = "remove" if before else "add"
    sign = "- " if before else "+ "
    lines = [fitted(line(*_title(one, half, alone=step.op in ("missing", "extra"))), half)]
    if one.kind == "answer":
        if step.text is None:
            return lines + wrapped(one.text, half, role, indent=2, most=20)
        return lines + [
            line("  ", *made.pieces)
            for made in flow(_hunks(step.text, before=before, after=not before), half - 2)
        ]
    for title, changes in (("", _changes(step)), ("result", step.result_changes)):
        for change in changes[:CHANGES_SHOWN]:
            absent = change.op == ("add" if before else "remove")
            name = " ".join(filter(None, (title, change.path or ("" if title else "(all)"))))
            value = "(absent)" if absent else compact(change.before if before else change.after, half)
            lines.append(
                fitted(
                    line(
                        ("  " + sign, role), recorded(f"{name} ", role), (value, "muted" if absent else role)
                    ),
                    half,
                )
            )
    if step.op in ("missing", "extra"):
        lines += _result(one, half, 2)
    if step.documents is not None:
        for name in step.documents.removed if before else step.documents.added:
            lines.append(line(("  " + sign + "document ", role), recorded(name, role, half - 13)))
    if not before:
        lines += _match(step, half, 2)
    if one.fault is not None:
        lines += wrapped(f"{one.fault.type}: {one.fault.message}", half, "error", indent=2, most=3)
    return lines
