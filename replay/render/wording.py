"""The words that every format has in common.

The rules:

1. A summary counts every case, says how many that is of, and gives no verdict.
2. Noise stands beside the candidate's change, with the number of cases that it is measured on.
3. A sign says what a step is, so that colour never says anything alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditlog.wording import many
from replay.diff import StepDiff
from replay.diff.findings import describe
from replay.diff.values import clip, show
from replay.render.grouping import counts_of, noise_of
from replay.results.compare import Total, Totals
from replay.results.report import CaseResult, Report, RunSummary

FILE_WIDTH = 100
"""Columns of text that goes to a file."""
SIGNS = {"same": " ", "arguments": "~", "missing": "-", "extra": "+", "reordered": "↕"}


def headline(report: Report) -> str:
    """Say in one line how many cases differ, of how many."""
    counts = counts_of(report)
    noun = "pair" if report.run.kind == "compare" else "case"
    verb = "behaves" if 1 in (counts.different, counts.cases) else "behave"
    parts = [f"{counts.different} of {many(counts.cases, noun)} {verb} differently"]
    parts += [
        f"{count} {said}"
        for count, said in (
            (counts.unstable, "unstable"),
            (counts.not_compared, "not comparable"),
            (counts.not_done, "not run"),
        )
        if count
    ]
    return ", ".join(parts)


def noise_line(report: Report) -> str:
    """Say how much the baseline differs from itself; empty for a comparison of recordings."""
    if report.run.kind == "compare":
        return ""
    noise = noise_of(report)
    if not noise.sampled:
        return "Noise: no case has a second baseline, so nothing is known of it."
    return (
        f"Noise: the baseline, run again, differs from itself in {noise.noise_differently} of "
        f"{many(noise.sampled, 'sampled case')} ({percent(noise.noise_differently, noise.sampled)})."
    )


def repeats_line(run: RunSummary) -> str:
    """Say how often each case ran; empty where it ran once."""
    if run.repeats == 1:
        return ""
    return f"Each case runs {run.repeats} times in each arm; shown is the first."


def where_line(case: CaseResult) -> str:
    """Say which turn of which conversation a case is."""
    turn = "" if case.turn_index is None else f" turn {case.turn_index + 1}"
    return f"{case.conversation_id}{turn}"


def step_text(step: StepDiff) -> str:
    """Say one step in a few words."""
    subject = step.after or step.before
    assert subject is not None
    name = clip(subject.name, 60)
    if subject.kind == "answer":
        if step.op != "same":
            return f"{name} {show(subject.text, 60)}"
        changed = sum(1 for hunk in step.text.hunks if hunk.op != "equal") if step.text else 0
        return f"{name} ({many(changed, 'place')} worded differently)" if changed else name
    if step.changes:
        return f"{name} {'; '.join(describe(change) for change in step.changes[:3])}{_more(step.changes, 3)}"
    if step.op == "same":
        return name
    return f"{name} {show(subject.arguments, 60)}" if subject.arguments else name


def match_lines(step: StepDiff) -> Iterator[str]:
    """Say how a replay matched a call where that takes saying: the rules that made it match, or why it missed."""
    after = step.after
    if after is None or (found := after.match) is None:
        return
    if found.rules:
        yield f"served under {', '.join(clip(rule, 60) for rule in found.rules)}"
    if not found.miss:
        return
    nearest = (
        f"; nearest is the recorded call {clip(found.nearest_span_id, 16)}" if found.nearest_span_id else ""
    )
    yield f"{after.match_tier}: {clip(found.miss)}{nearest}"
    for operation in found.patch:
        value = f" {show(operation['value'], 60)}" if "value" in operation else ""
        yield f"· {clip(str(operation.get('op')), 10)} {clip(str(operation.get('path')) or '/', 60)}{value}"
    if found.patch_size > len(found.patch):
        yield f"· … and {found.patch_size - len(found.patch):,} more"
    if found.hint:
        yield clip(found.hint, 200)


def consequence_text(steps: Sequence[StepDiff]) -> str:
    """Fold the steps behind the first divergence into one line that still names calls that came and went."""
    named = [
        f"{SIGNS[step.op]}{clip(subject.name, 40)}"
        for step in steps
        if step.op in ("missing", "extra")
        and (subject := step.after or step.before)
        and subject.kind != "answer"
    ]
    calls = f": {', '.join(named[:6])}{_more(named, 6)}" if named else ""
    return f"{many(len(steps), 'step')} in consequence{calls}"


def total_lines(totals: Totals) -> Iterator[tuple[str, str]]:
    """Give each total as a name and what both sides took, leaving out what nobody reported."""
    named: tuple[tuple[str, Total, str], ...] = (
        ("tool calls", totals.tool_calls, ",.0f"),
        ("tool errors", totals.tool_errors, ",.0f"),
        ("turns", totals.turns, ",.0f"),
        ("input tokens", totals.input_tokens, ",.0f"),
        ("output tokens", totals.output_tokens, ",.0f"),
        ("cost in USD", totals.cost_usd, ",.4f"),
    )
    most = max(total.pairs for _, total, _ in named)
    for name, total, form in named:
        if total.pairs:
            of = f" (in {many(total.pairs, 'pair')})" if total.pairs < most else ""
            yield name, f"{total.baseline:{form}} → {total.candidate:{form}}{of}"


def measure_lines(case: CaseResult) -> Iterator[tuple[str, str]]:
    """Give each measure of a case that both sides report and that differs."""
    for name, measure in case.diff.measures.items():
        if measure.before is not None and measure.after is not None and measure.before != measure.after:
            yield name, f"{_number(measure.before)} → {_number(measure.after)}"


def percent(part: int, whole: int) -> str:
    """Give a share of a whole; a dash for none of nothing."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def mean(value: float | None) -> str:
    """Give a mean to three decimals; a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def _more(items: Sequence[object], shown: int) -> str:
    return f" (+{len(items) - shown} more)" if len(items) > shown else ""
