"""How one case of a run comes out: what its executions and its recording are compared for, and what is kept of that.

The rules:

1. Without a baseline target the recorded turns are the baseline. A baseline that could not be served makes its case
   `no-recording`; one that behaves as unlike itself as the candidate does, `unstable`.
2. A case whose agent fails as it did in the baseline is compared like any other.
3. What a list of cases shows of a case (its class, summary, group, findings and measures) is kept in a record beside the
   candidate's turn, and goes when that goes. What only a case in full shows is not kept: it is compared again when somebody
   opens it.
4. A kept judgement counts where it is of this version of the comparison and of those very executions that count; else the
   case is compared anew. Of several the first counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from auditlog.values import Json, Turn
from replay.diff import CLASSES, CaseStatus, Diff, compare
from replay.diff.measures import MEASURES
from replay.diff.model import CUT, Finding, Measure
from replay.diff.noise import with_noise
from replay.running.records import SOURCE_TRACE, run_span

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.diff.compare import Forgiven
    from replay.running.cases import Case

JUDGEMENT_VERSION = 2
"""Of what `replay.diff` finds; another one makes what was kept before worthless."""

JUDGED = "replay_case"
"""The name of a case's judgement; its input is the judgement."""

_LONGEST_TEXT = 400
"""Characters of what the user said that are kept: a list shows a line."""


class Sides(NamedTuple):
    """What a case is judged by."""

    recorded: Turn | None
    candidate: Turn
    baseline: Turn | None
    """None where there is no baseline target."""
    again: Turn | None = None
    """The second baseline's; None where the case was not sampled."""


class Verdict(NamedTuple):
    """How a case comes out."""

    diff: Diff
    noise: Diff | None


def verdict_of(sides: Sides, *, rerun: bool, forgiven: Forgiven | None) -> Verdict:
    """Compare what a case is judged by.

    Args:
        sides: its turns.
        rerun: whether the run has a baseline target.
        forgiven: declared differences that are none.
    """
    baseline = sides.baseline if rerun else sides.recorded
    diff, noise = _compared(baseline, sides.candidate, status_of(sides.candidate), forgiven), None
    if sides.baseline is not None and sides.again is not None:
        noise = _compared(sides.baseline, sides.again, status_of(sides.again), forgiven)
        diff = with_noise(diff, noise)
    return Verdict(diff, noise)


def status_of(turn: Turn) -> CaseStatus:
    """Give how a replayed turn ended."""
    status: Any = turn.agent.replay.status if turn.agent.replay is not None else None
    return status or "complete"


def _compared(before: Turn | None, after: Turn, status: CaseStatus, forgiven: Forgiven | None) -> Diff:
    if before is None:
        return compare((), (after,), "unreplayable")
    if before.agent.replay is not None and status_of(before) in CUT:
        # What the baseline could not do either says nothing about the candidate.
        return replace(compare((before,), (after,), status, forgiven), case_class="no-recording")
    if status == "errored" and _same_fault(before, after):
        status = "complete"
    return compare((before,), (after,), status, forgiven)


def _same_fault(before: Turn, after: Turn) -> bool:
    old, new = before.agent.fault, after.agent.fault
    return old is not None and new is not None and (old.type, old.message) == (new.type, new.message)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is kept of how a case comes out."""

    source: str
    """The recorded agent span's id."""
    executions: tuple[str, ...]
    """The agent spans' ids: candidate, baseline, second baseline; empty for one that there is not."""
    user_text: str
    status: CaseStatus
    why: str
    diff: Diff
    """Without its steps."""
    noise: Diff | None


def payload_of(run_id: str, case: Case, judgement: Judgement, attributes: Mapping[str, Json]) -> bytes:
    """Make the record that keeps a judgement.

    Args:
        run_id: the run.
        case: the case.
        judgement: how it comes out.
        attributes: whose conversation it was.
    """
    content: dict[str, Json] = {
        "version": JUDGEMENT_VERSION,
        "source": judgement.source,
        "executions": list(judgement.executions),
        "user_text": judgement.user_text[:_LONGEST_TEXT],
        "status": judgement.status,
        "why": judgement.why,
        "diff": _brief(judgement.diff),
        "noise": None if judgement.noise is None else _brief(judgement.noise),
    }
    # With the recorded turn's trace it is erased with the turn.
    attributes = {SOURCE_TRACE: case.trace_id, **attributes}
    return run_span(JUDGED, run_id, content, attributes, f"{run_id}/candidate/{case.conversation_id}")


def judgements(store: Store, run_id: str) -> dict[str, Judgement]:
    """Give what is kept of a run's cases, by the recorded agent span's id; what does not count is left out.

    Args:
        store: where the run is.
        run_id: the run.
    """
    import orjson

    counting = executions_of(store, run_id)
    rows = store.query(
        "SELECT input FROM all_spans WHERE kind = 'other' AND source = 'decorator' AND name = ? AND replay_run_id = ? "
        "ORDER BY start_ns, span_id",
        [JUDGED, run_id],
    )
    found: dict[str, Judgement] = {}
    for text in rows.column("input"):
        try:
            read = _read(orjson.loads(text.as_py() or b"null"))
        except ValueError:
            continue
        if read is not None and read.source not in found and counting.get(read.source) == read.executions:
            found[read.source] = read
    return found


def executions_of(store: Store, run_id: str) -> dict[str, tuple[str, ...]]:
    """Give the agent spans that count of each case: candidate, baseline, second baseline; by the recorded span's id.

    Args:
        store: where the run is.
        run_id: the run.
    """
    rows = store.query(
        "SELECT replay_source_span_id AS source, "
        + ", ".join(
            f"coalesce(arg_min(span_id, (start_ns, span_id)) FILTER (replay_arm = '{arm}'), '') AS {arm}"
            for arm in ("candidate", "baseline", "baseline_2")
        )
        + " FROM all_spans WHERE replay_run_id = ? AND replay_status IS NOT NULL AND kind = 'agent' "
        "AND coalesce(replay_repeat, 0) = 0 GROUP BY 1",
        [run_id],
    )
    columns = [rows.column(name).to_pylist() for name in ("source", "candidate", "baseline", "baseline_2")]
    return {source: tuple(spans) for source, *spans in zip(*columns, strict=True) if source is not None}


def _brief(diff: Diff) -> list[Json]:
    return [
        diff.case_class,
        diff.summary,
        diff.group,
        [[finding.kind, finding.detail, finding.step] for finding in diff.findings],
        [_pair(diff.measures.get(name)) for name in MEASURES],
        diff.first_divergence,
    ]


def _pair(measure: Measure | None) -> list[Json]:
    return [None, None] if measure is None else [measure.before, measure.after]


def _read(content: Any) -> Judgement | None:
    match content:
        case {
            "version": version,
            "source": str(source),
            "executions": [str(), str(), str()] as executions,
            "user_text": str(user_text),
            "status": str() as status,
            "why": str(why),
            "diff": list(diff),
            "noise": list() | None as noise,
        } if version == JUDGEMENT_VERSION:
            known: Any = status
            candidate, itself = _diff(diff), None if noise is None else _diff(noise)
            if candidate is None or (noise is not None and itself is None):
                return None
            return Judgement(source, tuple(executions), user_text, known, why, candidate, itself)
        case _:
            return None


def _diff(brief: Sequence[Any]) -> Diff | None:
    match brief:
        case [str() as name, str(summary), str(group), list(findings), list(measures), int() | None as first]:
            pass
        case _:
            return None
    if name not in CLASSES or len(measures) != len(MEASURES):
        return None
    try:
        return Diff(
            case_class=name,
            first_divergence=first,
            summary=summary,
            group=group,
            findings=tuple(Finding(kind, detail, step) for kind, detail, step in findings),
            measures={key: Measure(*pair) for key, pair in zip(MEASURES, measures, strict=True)},
        )
    except (TypeError, ValueError):
        return None
