"""A verdict as one HTML page that needs nothing else.

The rules:

1. No script, no link, no image, no font: a policy in the page forbids them, and the page prints as it looks. Plots are inline
   SVG.
2. Every text is passed through `safe_text` and escaped.
3. Colour never says anything alone.
"""

from __future__ import annotations

import html as escaping
from collections.abc import Iterator

from auditlog.safe_text import safe_text
from replay.gate.check import GROUPS, SHOWN_EXAMPLES, Check, Verdict
from replay.gate.outputs import plots
from replay.gate.outputs.terminal import headline
from replay.gate.wording import moment, number

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { --ink: #1c2127; --soft: #5a6472; --line: #d5dae1; --shade: #f5f7f9; --bad: #a12622; --warn: #8a5a00;
  --good: #2c6b3f }
* { box-sizing: border-box }
body { margin: 0; background: var(--shade); color: var(--ink);
  font: 15px/1.5 "Helvetica Neue", Arial, "Liberation Sans", sans-serif }
main { max-width: 58rem; margin: 2rem auto; padding: 2rem 2.5rem; background: #fff; border: 1px solid var(--line) }
h1 { font-size: 1.5rem; margin: 0 0 .6rem }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; border-bottom: 2px solid var(--ink) }
.verdict { display: inline-block; padding: .15rem .7rem; color: #fff; border-radius: .2rem }
.FAIL { background: var(--bad) } .PASS { background: var(--good) } .INCONCLUSIVE { background: var(--warn) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
.check { margin: .7rem 0; padding-left: .9rem; border-left: 4px solid var(--line); break-inside: avoid-page }
.check.fail { border-color: var(--bad) }
.check.inconclusive { border-color: var(--warn) } .check.pass { border-color: var(--good) }
.check b { overflow-wrap: anywhere }
.word { color: var(--soft); font-size: .85rem } p { margin: .2rem 0; overflow-wrap: anywhere }
ul { margin: .3rem 0; padding-left: 1.2rem; color: var(--soft); font-size: .9rem }
li { overflow-wrap: anywhere; unicode-bidi: isolate }
code { font: .85rem "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere }
@media print { body { background: none } main { margin: 0; padding: 0; border: 0; max-width: none } @page { margin: 18mm } }
@media (max-width: 40rem) { main { margin: 0; padding: 1rem; border: 0 } dl { grid-template-columns: 1fr } }
"""


def html(verdict: Verdict) -> str:
    """Write a verdict as a whole page."""
    title = f"{verdict.outcome}: {verdict.candidate} against {verdict.baseline}"
    body = "\n".join(_body(verdict))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_line(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _body(verdict: Verdict) -> Iterator[str]:
    yield f'<h1><span class="verdict {verdict.outcome}">{verdict.outcome}</span> {_line(headline(verdict))}</h1>'
    rows = (
        ("Candidate", verdict.candidate),
        ("Baseline", verdict.baseline),
        (
            "Run",
            f"{verdict.run_id}, {number(verdict.cases, 'case')} in {number(verdict.conversations, 'conversation')}",
        ),
        ("Cases chosen by", str(verdict.facts.get("chosen_by") or "") or "no filter"),
        ("Exposure", f"level {verdict.level}, {verdict.level_name}"),
        ("Owner", verdict.owner or "nobody"),
        ("Policy", f"{verdict.policy_path or '–'}, SHA-256 {verdict.policy_digest}"),
        ("Case list", f"SHA-256 {verdict.cases_digest}"),
        ("Judged", moment(verdict.judged)),
        ("Record", verdict.record or "none"),
    )
    yield "<dl>" + "".join(f"<dt>{label}</dt><dd>{_line(value)}</dd>" for label, value in rows) + "</dl>"
    yield from _plots(verdict)
    for group, title in GROUPS.items():
        checks = [check for check in verdict.checks if check.group == group]
        if checks:
            yield f"<h2>{title}</h2>"
            yield from map(_check, checks)
    if verdict.diffs:
        yield "<h2>What behaves differently</h2>\n<ol>"
        for diff in verdict.diffs:
            found = f" · {_line(', '.join(diff.findings))}" if diff.findings else ""
            yield (
                f"<li><b>{_line(diff.name)}</b> · {number(diff.count, 'case')}{found}"
                f"<p>{_line(f'{diff.example.where}: {diff.example.what}')}</p></li>"
            )
        yield "</ol>"
    for title, lines in (
        ("Warnings", verdict.warnings),
        (
            "Waivers in force",
            tuple(f"{w.check}: {w.owner} until {w.expires}: {w.reason}" for w in verdict.waivers),
        ),
    ):
        if lines:
            yield f"<h2>{title}</h2>\n<ul>" + "".join(f"<li>{_line(line)}</li>" for line in lines) + "</ul>"
    yield (
        '<p class="word">Evidence for a decision on what was run; what was not run is not known, and the decision is '
        "the owner's.</p>"
    )


def _plots(verdict: Verdict) -> Iterator[str]:
    rows = [
        plots.Row(
            check.title,
            float(figures["delta"]),
            float(figures["low"]),
            float(figures["high"]),
            figures.get("margin"),
            check.outcome,
        )
        for check in verdict.checks
        if check.group in ("primary", "secondary")
        and (figures := dict(check.figures)).get("delta") is not None
    ]
    if rows:
        yield "<h2>Candidate against baseline</h2>"
        yield "<p>Difference of the means in percentage points, its interval, and the margin (dashed).</p>"
        yield plots.intervals(rows, "Differences between candidate and baseline, with their intervals")
    bounded = next((check for check in verdict.checks if check.id == "hard_bound"), None)
    if bounded is not None and not bounded.figures.get("violating"):
        n, asked = int(str(bounded.figures["conversations"])), float(str(bounded.figures["asked"]))
        alpha = float(str(bounded.figures.get("alpha", 0.05)))
        yield "<h2>What no violation shows</h2>"
        yield "<p>The highest share of conversations with a violation that as many conversations without one leave possible.</p>"
        yield plots.bound_curve(
            n, asked, alpha, "Upper bound on hard violations by the number of conversations"
        )


def _check(check: Check) -> str:
    word = check.outcome if check.gates else "informs"
    lines = [
        f'<p><b>{_line(check.title)}</b> <span class="word">{word} · <code>{_line(check.id)}</code></span></p>'
    ]
    lines.append(f"<p>{_line(check.sentence)}</p>")
    if check.waiver is not None:
        waiver = check.waiver
        lines.append(f"<p>Waived by {_line(waiver.owner)} until {waiver.expires}: {_line(waiver.reason)}</p>")
    if check.examples:
        items = "".join(
            f"<li><code>{_line(example.case_id)}</code> {_line(f'{example.where}: {example.what}')}</li>"
            for example in check.examples[:SHOWN_EXAMPLES]
        )
        lines.append(f"<ul>{items}</ul>")
    return f'<div class="check {check.outcome.lower() if check.gates else ""}">{"".join(lines)}</div>'


def _line(text: str) -> str:
    return escaping.escape(safe_text(text))
