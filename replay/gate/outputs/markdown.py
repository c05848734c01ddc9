"""A verdict as one Markdown comment that a pull request keeps and updates.

The rules:

1. The first line is a mark by which the next run finds its comment; the verdict comes next.
2. At most ten of what behaves differently, the worst.
3. It is posted where more people read than may read recordings: it names cases and kinds of difference, and no word of a
   customer's or an agent's, and no amount.
4. Names from recordings stand in code spans only, where no link, mention, image or markup lives; none stands in a table.
5. Words of the policy (owners, reasons) are escaped likewise.
"""

from __future__ import annotations

from collections.abc import Iterator

from replay.gate.check import GROUPS, Check, Verdict
from replay.gate.outputs.terminal import headline
from replay.gate.wording import moment, number
from replay.render.markdown import code

MARK = "<!-- auditlog-gate -->"
MOST_DIFFS = 10
_SIGNS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔"}
_LONGEST = 65_000
"""Characters; GitHub takes 65,536."""


def markdown(verdict: Verdict) -> str:
    """Write a verdict as one Markdown comment that ends in a newline."""
    lines, size = [], 0
    for line in _lines(verdict):
        size += len(line) + 1
        if size > _LONGEST:
            lines.append("… the rest is in the report.")
            break
        lines.append(line)
    return "\n".join(lines) + "\n"


def _lines(verdict: Verdict) -> Iterator[str]:
    yield MARK
    yield f"## {_SIGNS[verdict.outcome]} {verdict.outcome}: {headline(verdict)}"
    yield ""
    yield (
        f"Run {code(verdict.run_id, 60)}: {code(verdict.candidate, 80)} against {code(verdict.baseline, 80)}, "
        f"{number(verdict.cases, 'case')} in {number(verdict.conversations, 'conversation')}, level {verdict.level} "
        f"({verdict.level_name}), {moment(verdict.judged)}."
    )
    if chosen := str(verdict.facts.get("chosen_by") or ""):
        yield ""
        yield f"⚠️ The cases were chosen by {code(chosen, 200)}: nothing is said of the traffic besides."
    asked = [check for check in verdict.checks if check.gates and check.counts != "PASS"]
    if asked:
        yield ""
        for check in sorted(asked, key=lambda check: check.counts != "FAIL"):
            yield from _check(check)
    if verdict.diffs:
        shown = verdict.diffs[:MOST_DIFFS]
        total = len(verdict.diffs)
        yield ""
        yield f"### What behaves differently{f', the worst {len(shown)} of {total}' if total > len(shown) else ''}"
        yield ""
        for diff in shown:
            found = f": {', '.join(diff.findings)}" if diff.findings else ""
            yield f"- {number(diff.count, 'case')}{found}<br>such as {code(diff.example.where)}"
        yield ""
        yield f"{code(f'auditlog replay diff {verdict.run_id}', 120)} shows what was said."
    yield ""
    yield "<details><summary>All checks</summary>"
    yield ""
    for group, title in GROUPS.items():
        checks = [check for check in verdict.checks if check.group == group]
        if checks:
            yield f"**{title}**"
            yield ""
            yield from (
                f"- {_sign(check)} {code(check.title, 100)}: {code(check.sentence, 300)}" for check in checks
            )
            yield ""
    for waiver in verdict.waivers:
        yield f"- Waiver of {code(waiver.check, 80)} by {code(waiver.owner, 80)} until {waiver.expires}: {code(waiver.reason)}"
    yield from (f"- ⚠️ {code(warning, 300)}" for warning in verdict.warnings)
    yield "</details>"
    yield ""
    yield f"Policy {code(verdict.policy_digest[:12], 20)}, case list {code(verdict.cases_digest[:12], 20)}."
    if verdict.record:
        yield f"The verdict is {code(verdict.record, 300)}."
    yield "This is evidence for a decision on what was run; what was not run is not known."


def _check(check: Check) -> Iterator[str]:
    yield f"- {_sign(check)} **{check.outcome}** {code(check.title, 100)}: {code(check.sentence, 400)}"
    yield from (f"  - {code(example.where)}" for example in check.examples[:3])


def _sign(check: Check) -> str:
    if check.waiver is not None:
        return "🖊️"
    if not check.gates or (check.warning and check.outcome == "PASS"):
        return "ℹ️" if check.outcome == "PASS" and not check.warning else "⚠️"
    return _SIGNS[check.outcome]
