"""A verdict for a terminal: the verdict first, then what decides, then what informs.

The rules:

1. The verdict is the first line. What failed comes before what is not known, and that before what passed.
2. Text from recordings and policies goes through `safe_text`; lines are folded to the width.
3. Colour never says anything alone: each check has its sign and its word.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import click

from auditlog.safe_text import safe_text
from replay.gate.check import GROUPS, Check, DiffGroup, Verdict
from replay.gate.wording import moment, number

SIGNS = {"PASS": "✓", "FAIL": "✗", "INCONCLUSIVE": "?"}
_COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}
_MOST_DIFFS = 10


def text(verdict: Verdict, *, width: int, colour: bool) -> str:
    """Write a verdict as text that ends in a newline."""
    return "\n".join(_lines(verdict, _Painter(width, colour=colour))) + "\n"


class _Painter:
    def __init__(self, width: int, *, colour: bool) -> None:
        self.width = max(40, width)
        self._colour = colour

    def styled(self, said: str, **style: object) -> str:
        return click.style(said, **style) if self._colour else said  # type: ignore[arg-type]

    def folded(self, said: str, indent: str) -> list[str]:
        return textwrap.wrap(
            safe_text(said),
            self.width,
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ) or [indent.rstrip()]


def headline(verdict: Verdict) -> str:
    """Say in one line how it stands."""
    failed, unknown, waived = verdict.of("FAIL"), verdict.of("INCONCLUSIVE"), _waived(verdict)
    parts = []
    if failed:
        parts.append(f"{number(len(failed), 'check')} failed")
    if unknown:
        parts.append(f"{number(len(unknown), 'check')} without an answer")
    if waived:
        parts.append(f"{len(waived):,} waived")
    if failed or unknown:
        return ", ".join(parts)
    # What was waived was not shown.
    held = sum(1 for check in verdict.checks if check.gates) - len(waived)
    return ", ".join([f"{held:,} checks hold" if waived else f"all {held:,} checks hold", *parts])


def _waived(verdict: Verdict) -> list[Check]:
    return [check for check in verdict.checks if check.gates and check.waiver is not None]


def _lines(verdict: Verdict, paint: _Painter) -> Iterator[str]:
    banner = paint.styled(f" {verdict.outcome} ", fg="black", bg=_COLOURS[verdict.outcome], bold=True)
    yield f"{banner if paint.styled('x', bold=True) != 'x' else verdict.outcome}  {headline(verdict)}"
    yield ""
    yield from paint.folded(
        f"run {verdict.run_id} · {number(verdict.cases, 'case')} in {number(verdict.conversations, 'conversation')} · "
        f"level {verdict.level} ({verdict.level_name}) · {moment(verdict.judged)}",
        "",
    )
    yield from paint.folded(f"candidate {verdict.candidate}", "")
    yield from paint.folded(f"baseline  {verdict.baseline}", "")
    yield from paint.folded(
        f"policy    {verdict.policy_path or '–'} ({verdict.policy_digest[:12]}…), owner {verdict.owner or 'nobody'}",
        "",
    )
    for group, title in GROUPS.items():
        checks = [check for check in verdict.checks if check.group == group]
        if not checks:
            continue
        yield ""
        yield paint.styled(title, bold=True)
        for check in sorted(checks, key=_order):
            yield from _check(check, paint)
    if verdict.diffs:
        yield ""
        yield paint.styled("What behaves differently", bold=True)
        for position, diff in enumerate(verdict.diffs[:_MOST_DIFFS], 1):
            yield from _diff(position, diff, paint)
        if len(verdict.diffs) > _MOST_DIFFS:
            yield f"  and {number(len(verdict.diffs) - _MOST_DIFFS, 'group')} more: `auditlog replay diff {verdict.run_id}`"
    for title, lines in (
        ("Warnings", verdict.warnings),
        ("Waivers in force", tuple(_waiver(verdict))),
    ):
        if lines:
            yield ""
            yield paint.styled(title, bold=True)
            for line in lines:
                yield from paint.folded(line, "  ")
    yield ""
    if verdict.record:
        yield from paint.folded(f"This verdict is {verdict.record}.", "")
    yield from paint.folded(
        "It is evidence for a decision on what was run; what was not run is not known, and the decision is the owner's.",
        "",
    )


def _order(check: Check) -> tuple[bool, int]:
    return not check.gates, ("FAIL", "INCONCLUSIVE", "PASS").index(check.counts)


def _check(check: Check, paint: _Painter) -> Iterator[str]:
    sign, word = SIGNS[check.outcome], check.outcome
    if check.waiver is not None:
        sign, word = "~", f"{check.outcome}, waived"
    elif check.warning and check.outcome == "PASS":
        sign, word = "!", "PASS, with a warning"
    if not check.gates:
        word = "informs" if check.outcome == "PASS" else "warns"
        sign = "·" if check.outcome == "PASS" else "!"
    colour = _COLOURS["INCONCLUSIVE" if sign in "!~" else check.outcome] if check.gates else None
    said = f"{sign} {safe_text(check.title)}"
    yield f"  {paint.styled(said, fg=colour) if colour else said}  {paint.styled(word, dim=True)}"
    yield from paint.folded(check.sentence, "      ")
    if check.waiver is not None:
        waiver = check.waiver
        yield from paint.folded(f"Waived by {waiver.owner} until {waiver.expires}: {waiver.reason}", "      ")
    if check.outcome != "PASS" or check.warning:
        for example in check.examples[:3]:
            yield from paint.folded(f"– {example.where}: {example.what}", "        ")
        if len(check.examples) > 3:
            yield f"        … {number(len(check.examples) - 3, 'case')} more"


def _diff(position: int, diff: DiffGroup, paint: _Painter) -> Iterator[str]:
    found = f" · {', '.join(diff.findings)}" if diff.findings else ""
    yield from paint.folded(f"{position}. {diff.name} · {number(diff.count, 'case')}{found}", "  ")
    yield from paint.folded(f"{diff.example.where}: {diff.example.what}", "      ")


def _waiver(verdict: Verdict) -> Iterator[str]:
    for waiver in verdict.waivers:
        run = f" of run {waiver.run}" if waiver.run else ""
        yield f"{waiver.check}{run}: {waiver.owner} until {waiver.expires}: {waiver.reason}"
