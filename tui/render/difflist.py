"""A run's differences: the verdict first, then the cases by what they first did differently.

The rules:

1. The noise stands beside the candidate's change, each with the number of cases that it is a share of.
2. Groups that behave differently stand first, the larger ones before the smaller; what stayed the same is hidden.
3. A finding is a flag with its words.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial

from auditlog.safe_text import safe_text
from auditlog.wording import many
from replay.render import grouping, wording
from replay.results.report import CaseResult, Report
from tui.render import formats, outcomes
from tui.render.block import Block
from tui.render.flow import flow
from tui.render.line import BLANK, Line, Piece, fitted, line, recorded, wrapped
from tui.render.outcomes import ROLES, WORDS

FLAG = "⚑"
_ORDER = ("behaved", "errored", "unmatched", "unstable", "worded", "same")
ONE_LINE_FROM = 110


@dataclass(frozen=True, slots=True)
class Group:
    """The cases that share a first divergence."""

    name: str
    cases: tuple[CaseResult, ...]


def groups(cases: Iterable[CaseResult], *, unchanged: bool) -> list[Group]:
    """Group cases by their first divergence, the gravest and largest first; leave the same ones out unless asked."""
    found: dict[str, list[CaseResult]] = {}
    for case in cases:
        if unchanged or outcomes.outcome_of(case.diff) != "same":
            found.setdefault(case.diff.group or case.diff.case_class, []).append(case)
    made = [Group(name, tuple(grouping.worst_first(members))) for name, members in found.items()]

    def weight(group: Group) -> tuple[int, int, int, str]:
        worst = group.cases[0].diff
        outcome = min(_ORDER.index(outcomes.outcome_of(case.diff)) for case in group.cases)
        return outcome, grouping.rank(worst), -len(group.cases), group.name

    return sorted(made, key=weight)


def head(report: Report, width: int) -> list[Line]:
    """Write the verdict, the counts, the noise and, of a comparison, the judgements."""
    run, diffs = report.run, [case.diff for case in report.cases]
    found = outcomes.counts(diffs)
    told = wording.headline(report)
    if run.status != "complete":
        verdict = (f"◌ {run.status}: {told}", "warn")
    elif found["behaved"] or found["errored"]:
        verdict = (f"✗ {told}", "error")
    elif found["unmatched"] or not diffs:
        verdict = (f"? {told}", "warn")
    else:
        verdict = (f"✓ {told}", "ok")
    arms = (
        recorded(f"  {run.candidate}", "strong", 40),
        Piece(" against ", "muted"),
        recorded(run.baseline, "", 40),
    )
    counted: list[tuple[str, str]] = []
    for name, number in found.items():
        counted += [
            (" · " if counted else "", "muted"),
            (f"{WORDS[name]} ", "muted"),
            (str(number), ROLES[name] if number else "muted"),
        ]
    lines = [*_flowed([Piece(*verdict), *arms], width), *_flowed([Piece(*part) for part in counted], width)]
    for side in run.sides:
        lines += (
            wrapped(f" {side.arm}: {' · '.join(side.lines)}", width, "muted", most=2) if side.lines else []
        )
    for said in report.unreached:
        lines += wrapped(f" {said}", width, "warn", most=2)
    if said := wording.repeats_line(run):
        lines += _flowed([Piece(said, "muted")], width)
    if noise := _noise(report):
        lines += _flowed([Piece(noise, "muted")], width)
    for judged in report.evaluations:
        old, new = (
            formats.UNKNOWN if v is None else f"{v:.3g}"
            for v in (judged.baseline_mean, judged.candidate_mean)
        )
        lines.append(
            fitted(
                line(
                    " ",
                    recorded(judged.name, "strong", 30),
                    f" {old} → {new} ",
                    (f"improved {judged.improved}", "ok" if judged.improved else "muted"),
                    " · ",
                    (f"regressed {judged.regressed}", "error" if judged.regressed else "muted"),
                    (f" · unchanged {judged.unchanged} · {judged.pairs} pairs", "muted"),
                ),
                width,
            )
        )
    if report.totals is not None:
        totals = " · ".join(f"{name} {took}" for name, took in wording.total_lines(report.totals))
        lines += wrapped(f" {totals}", width, "muted", most=2)
    return lines


def _flowed(pieces: list[Piece], width: int) -> list[Line]:
    """Break a line of the head in two where the window is narrow."""
    return [line(" ", *made.pieces) for made in flow(pieces, width - 1)[:2]]


def _noise(report: Report) -> str:
    said = wording.noise_line(report)
    table = grouping.noise_of(report)
    if not said or not table.sampled:
        return said
    changed = wording.percent(table.candidate_differently, table.cases)
    return f"{said} The candidate: {table.candidate_differently} of {many(table.cases, 'case')} ({changed})."


def blocks(
    made: Iterable[Group], accepted: AbstractSet[str], folded: AbstractSet[str] = frozenset(), *, wide: bool
) -> list[Block]:
    """Lay out groups and their cases; a case takes one line where there is room or nobody asked anything, else two."""
    laid: list[Block] = []
    for number, group in enumerate(made):
        taken = sum(case.case_id in accepted for case in group.cases)
        closed = group.name in folded
        draw_group = partial(_group, group, number, taken, closed)
        laid.append(Block(f"group/{group.name}", draw_group, group.name, group, 1 + bool(number)))
        for case in () if closed else group.cases:
            text = "\n".join(
                (
                    case.conversation_id,
                    case.user_text,
                    case.diff.summary,
                    *(f.detail for f in case.diff.findings),
                )
            )
            one_line = wide or not case.user_text
            draw = partial(_case, case, case.case_id in accepted, one_line)
            laid.append(Block(f"case/{case.case_id}", draw, text, case, 1 if one_line else 2))
    return laid


def _group(group: Group, number: int, accepted: int, closed: bool, width: int) -> list[Line]:
    role = ROLES[outcomes.outcome_of(group.cases[0].diff)]
    made = line(
        ("▸ " if closed else "▾ ", "muted"),
        recorded(group.name, f"strong {role}", max(10, width - 24)),
        (f"  {many(len(group.cases), 'case')}", "muted"),
        (f" · {accepted} accepted" if accepted else "", "ok"),
    )
    return [*([BLANK] if number else []), fitted(made, width)]


def _case(case: CaseResult, accepted: bool, one_line: bool, width: int) -> list[Line]:
    state = outcomes.state_of(case.diff)
    turn = "" if case.turn_index is None else f" turn {case.turn_index + 1}"
    name = Piece(safe_text(case.conversation_id, width=20) + turn, "muted")
    flags = tuple(dict.fromkeys(finding.kind for finding in case.diff.findings))
    flag = Piece(f" {FLAG} {', '.join(flags)}" if flags else "", "error")
    mark = Piece("  ✓ accepted " if accepted else "  ", "ok")
    said = case.diff.summary or case.why or ""
    front = line(mark, (state.text, state.role), " ", name, "  ")
    if one_line:
        room = max(0, width - front.width - len(flag.text) - 2)
        told = recorded(said, "", room * 2 // 3 if case.user_text else room)
        user = recorded(case.user_text, "muted", max(0, room - len(told.text) - 2))
        return [fitted(line(*front.pieces, told, flag, "  ", user), width)]
    room = max(8, width - front.width - len(flag.text))
    first = line(*front.pieces, recorded(said, "", room), flag)
    return [
        fitted(first, width),
        fitted(line("      ", recorded(case.user_text, "muted", max(0, width - 6))), width),
    ]
