"""Runs the cases again that seem to violate a hard invariant, through `replay` itself.

The rules:

1. A follow-up run has the same configuration, and both arms: what the baseline does as well is not the candidate's fault.
2. Complete follow-ups that are there already are used, all of them together, so that judging again runs no case again: it goes
   on with those that none of them holds, as long as nothing is decided.
3. Where the targets cannot be reached (another directory, code that changed, a model's host that is away) nothing is run, and
   why is said.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from auditlog.errors import AuditlogError
from replay.gate.facts import CaseFacts, facts_of
from replay.gate.hard import AGAIN, NONE, Confirmation, suspects
from replay.gate.scoring import scores_of
from replay.gate.wording import number
from replay.matching.rules import rules_from_json
from replay.results.trials import case_trials
from replay.running.follow_ups import follow_ups, plan_again
from replay.running.runs import load_manifest

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.gate.policy import Policy
    from replay.running.progress import Progress
    from replay.scorers.subjects import Expectations


def confirmed(
    store: Store,
    manifest: Mapping[str, Any],
    cases: Sequence[CaseFacts],
    policy: Policy,
    *,
    runs: bool,
    hosts: Sequence[str] = (),
    env: Sequence[str] = (),
    path: str | None = None,
    expectations: Expectations | None = None,
    progress: Callable[[Progress], None] | None = None,
    narrate: Callable[[str], None] = lambda _: None,
) -> Confirmation:
    """Give what running cases again gave, running them where that is still to do.

    Args:
        store: where the run is, and where the follow-up goes.
        manifest: the run's.
        cases: every case of the run.
        policy: whose hard metrics say which of them, and whose scorers judge the follow-up, too.
        runs: whether anything may be run.
        hosts: hosts that scorers may reach.
        env: variables that scorers with hosts get.
        path: the directory that the run was begun in.
        expectations: what is expected of the cases.
        progress: called after each execution.
        narrate: is told what is about to run.
    """

    def facts(found: Mapping[str, Any]) -> Sequence[CaseFacts]:
        scores = scores_of(
            store, str(found["run_id"]), policy, score=runs, hosts=hosts, env=env, path=path, expectations=expectations,
        )  # fmt: skip
        rules = rules_from_json(found.get("matching"))
        return tuple(facts_of(case_trials(store, found), scores.by_execution, rules))

    if not suspects(cases, policy):
        return NONE
    before = follow_ups(store, manifest, AGAIN)
    again = _merged([(str(found["run_id"]), facts(found)) for found in before])
    wanted = suspects(cases, policy, again)
    if not wanted:
        return again
    if not runs:
        return replace(again, why_not=_how(manifest, "nothing was to be run"))
    try:
        found = _run(store, manifest, [case.span_id for case in wanted], path, progress, narrate)
    except AuditlogError as error:
        return replace(again, why_not=_how(manifest, str(error).rstrip(".")))
    if found is None:
        return replace(again, why_not=_how(manifest, "the follow-up was interrupted"))
    return _merged([(str(other["run_id"]), facts(other)) for other in (found, *before)])


def _merged(followed: Sequence[tuple[str, Sequence[CaseFacts]]]) -> Confirmation:
    """Put what several follow-ups gave together, by case."""
    by_span: dict[str, CaseFacts] = {}
    for _, cases in followed:
        for case in cases:
            known = by_span.get(case.span_id)
            by_span[case.span_id] = case if known is None else replace(known, runs=(*known.runs, *case.runs))
    return Confirmation(", ".join(name for name, _ in followed) or None, by_span)


def _run(
    store: Store,
    manifest: Mapping[str, Any],
    spans: Sequence[str],
    path: str | None,
    progress: Callable[[Progress], None] | None,
    narrate: Callable[[str], None],
) -> Mapping[str, Any] | None:
    from replay.running.runner import run

    plan = plan_again(store, manifest, spans, AGAIN, path=path)
    for note in plan.notes:
        narrate(note)
    granted = [f"reach {', '.join(plan.hosts)}"] * bool(plan.hosts) + [f"have {', '.join(plan.env)}"] * bool(
        plan.env
    )
    narrate(
        f"Run {plan.run_id}: {number(len(plan.cases), 'case')} that may violate a hard invariant, {AGAIN} times in each arm, "
        f"{plan.mode}"
    )
    if granted:
        narrate(f"As when run {manifest['run_id']} was begun, the agent may {' and '.join(granted)}.")
    if run(store, plan, progress=progress).status != "complete":
        return None
    return load_manifest(store, plan.run_id)


def _how(manifest: Mapping[str, Any], why: str) -> str:
    run_id, directory = str(manifest["run_id"]), str((manifest.get("paths") or ["."])[0])
    return (
        f"they were not run again, since {why[:1].lower()}{why[1:]}. Go to {shlex.quote(directory)} with the code as it was, "
        f"and run `auditlog gate {run_id} --policy …` there; it runs them {AGAIN} times."
    )
