"""The gate itself: a run and a policy in, a verdict out.

The rules:

1. What is looked at first is whether the run can carry a verdict at all; whatever comes of that, everything else is looked at
   too, so that one run tells all that is wrong.
2. Nothing is counted in the candidate's favour that was not run, not scored or not recorded.
3. The candidate is compared with the baseline that was run again, never with the recording.
4. What was not pinned in the run is told as a warning.
5. A run of one version's noise, or one whose turns were served up to a point, is none that a release is judged by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from auditlog.values import Json
from replay.errors import RunError
from replay.gate.check import Check, DiffGroup, Example, Verdict, concluded, with_waivers
from replay.gate.clock import clock_checks
from replay.gate.confirm import confirmed
from replay.gate.earlier import earlier_checks, earlier_of
from replay.gate.evidence import evidence_checks
from replay.gate.facts import CaseFacts, facts_of, with_answers_compared, with_known_tools
from replay.gate.governance import exposure_checks
from replay.gate.hard import Confirmation, hard_checks
from replay.gate.integrity import chosen_by, run_checks
from replay.gate.manifests import planned_checks
from replay.gate.policy import Policy
from replay.gate.quality import primary_checks
from replay.gate.record import all_verdicts
from replay.gate.regressions import expectations_of, regression_checks, regression_set
from replay.gate.scoring import allowed, demoted_checks, scores_of
from replay.gate.searched import secondary_checks
from replay.gate.unpinned import unpinned
from replay.matching.rules import rules_from_json
from replay.render.grouping import differs, rank, worst_first
from replay.results.loading import case_results, summary_of
from replay.results.report import CaseResult
from replay.results.sides import label_of, unreached
from replay.results.trials import case_trials
from replay.running.cases import cases_digest
from replay.running.runs import load_manifest, manifests_of

if TYPE_CHECKING:
    from auditlog.store import Store

_MOST_GROUPS = 20
_NOT_JUDGED = {
    "compare": "compares recordings: nothing was run again, so there is nothing to judge a release by. Replay the candidate",
    "verify": "is a verify: it tests the harness and has no candidate. Replay one",
    "control": "is a control: it runs one version against itself to show its noise, and has no candidate. Replay one",
    "fork": "is a fork: the beginnings of its turns were served, so nobody knows what the candidate makes of them. "
    "Replay whole turns",
}
"""Why there is no verdict of a run, by its kind."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what it was made of."""

    verdict: Verdict
    cases: tuple[CaseFacts, ...]
    again: Confirmation


def judge(
    store: Store,
    run_id: str,
    policy: Policy,
    *,
    today: date | None = None,
    runs: bool = True,
    hosts: Sequence[str] = (),
    env: Sequence[str] = (),
    path: str | None = None,
    narrate: Callable[[str], None] = lambda _: None,
    progress: Callable[[str], Any] | None = None,
) -> Judged:
    """Judge a run.

    Args:
        store: where it is.
        run_id: its id, an unambiguous beginning of it, or `last`.
        policy: what has to hold.
        today: for expiries and rehearsals; by default the present day, UTC.
        runs: whether scorers may score and suspicious cases be run again.
        hosts: hosts that scorers may reach.
        env: variables that scorers with hosts get, such as a judge's key.
        path: the directory that the run was begun in.
        narrate: is told what is done.
        progress: given a label, gives what is called with each step's progress.

    Raises:
        NotFoundError: there is no such run.
        RunError: the run is none that a gate can judge.
    """
    now = datetime.now(UTC)
    today = today or now.date()
    manifest = load_manifest(store, run_id)
    _refuse(manifest)
    run_id = str(manifest["run_id"])
    label = progress or (lambda _: None)
    known_set = regression_set(store)
    expectations = expectations_of(known_set, manifest)
    scores = scores_of(
        store, run_id, policy, score=runs, hosts=hosts, env=env, path=path, expectations=expectations,
        progress=label("Scoring"),
    )  # fmt: skip
    asked, policy = policy, allowed(policy, scores.demoted)
    rules = rules_from_json(manifest.get("matching"))
    facts = tuple(facts_of(case_trials(store, manifest), scores.by_execution, rules))
    cases = with_answers_compared(with_known_tools(facts))
    again = confirmed(
        store, manifest, cases, policy, runs=runs, hosts=hosts, env=env, path=path,
        expectations=expectations, progress=label("Running again"), narrate=narrate,
    )  # fmt: skip
    status = summary_of(store, run_id).status
    evidence = list(evidence_checks(store, run_id, policy, today))
    checks = [
        *all_checks(
            manifest,
            status,
            cases,
            again,
            policy,
            unreached=unreached(store, manifest),
            missing=scores.missing,
        ),
        *demoted_checks(asked, scores.demoted),
        *planned_checks(manifests_of(store, run_id)),
        *regression_checks(store, manifest, known_set),
    ]
    checks += [
        *exposure_checks(store, manifest, cases, policy, [*checks, *evidence], today),
        *evidence,
    ]
    before = earlier_of(all_verdicts(store), _digest(manifest["candidate"]))
    checks += earlier_checks(before, run_id, policy, checks)
    checks += clock_checks(store, now)
    final = with_waivers(checks, policy.waivers, run_id, today)
    verdict = Verdict(
        run_id=run_id,
        outcome=concluded(final),
        checks=final,
        level=policy.level.number,
        level_name=policy.level.name,
        policy_digest=policy.digest,
        policy_path=policy.path,
        policy_text=policy.text,
        cases_digest=cases_digest(manifest["cases"]),
        candidate=label_of(manifest["candidate"]),
        baseline=label_of(manifest.get("baseline") or "the recording"),
        judged=now,
        cases=len(cases),
        conversations=len({case.conversation_id for case in cases}),
        owner=policy.owner,
        facts={
            **_facts_of_run(store, manifest),
            "scored_by": sorted({name for case in cases for run in case.runs for name in run.scores}),
            "follow_up": again.run_id,
        },
        warnings=(*scores.notes, *unpinned(cases), *_expired(policy, run_id, today)),
        waivers=tuple(waiver for waiver in policy.waivers if waiver.expires >= today),
        diffs=_diffs(case_results(store, manifest)),
    )
    return Judged(verdict, cases, again)


def all_checks(
    manifest: Mapping[str, Any],
    status: str,
    cases: Sequence[CaseFacts],
    again: Confirmation,
    policy: Policy,
    *,
    unreached: Sequence[str] = (),
    missing: Mapping[str, str] | None = None,
) -> list[Check]:
    """Make the checks that rest on what became of the cases; pure.

    Args:
        manifest: the run's.
        status: `complete`, `running` or `interrupted`.
        cases: what became of them.
        again: what running some of them again gave.
        policy: what is asked.
        unreached: overrides that reached nothing, in a sentence each.
        missing: scorers that judged nothing, and why.
    """
    return [
        *run_checks(manifest, status, cases, policy, unreached),
        *hard_checks(cases, again, policy),
        *primary_checks(cases, policy, missing, complete=status == "complete"),
        *secondary_checks(cases, policy),
    ]


def _refuse(manifest: Mapping[str, Any]) -> None:
    if (why := _NOT_JUDGED.get(manifest["kind"])) is not None:
        msg = f"Run {manifest['run_id']} {why} with `auditlog replay run --agent … --baseline …`."
        raise RunError(msg)


def _facts_of_run(store: Store, manifest: Mapping[str, Any]) -> dict[str, Json]:
    """Give what ran, and on which cases."""
    return {
        "candidate_digest": _digest(manifest["candidate"]),
        "baseline_digest": _digest(manifest.get("baseline")),
        "config_digest": manifest.get("config_digest"),
        "where": manifest.get("where") or "",
        "since": manifest.get("since"),
        "until": manifest.get("until"),
        "limit": manifest.get("limit"),
        "chosen_by": chosen_by(manifest),
        "mode": _mode(store, str(manifest["run_id"])),
        "repeats": int(manifest.get("repeats") or 1),
    }


def _diffs(results: Any) -> tuple[DiffGroup, ...]:
    """Give what behaves differently, grouped, the worst first; one case of each group is kept."""
    best: dict[str, CaseResult] = {}
    counts: Counter[str] = Counter()
    findings: dict[str, Counter[str]] = {}
    for result in results:
        if differs(result):
            name = result.diff.group
            counts[name] += 1
            findings.setdefault(name, Counter()).update(finding.kind for finding in result.diff.findings)
            best[name] = worst_first((best[name], result))[0] if name in best else result
    found = []
    order = sorted(best, key=lambda name: (rank(best[name].diff), -counts[name], name))
    for name in order[:_MOST_GROUPS]:
        first, kinds = best[name], findings[name]
        turn = "" if first.turn_index is None else f" turn {first.turn_index + 1}"
        what = first.diff.findings[0].detail if first.diff.findings else first.diff.summary
        found.append(
            DiffGroup(
                name=name,
                count=counts[name],
                case_class=first.diff.case_class,
                findings=tuple(kinds),
                example=Example(first.case_id, f"{first.conversation_id}{turn}", what),
                summary=first.diff.summary,
            )
        )
    return tuple(found)


def _mode(store: Store, run_id: str) -> str | None:
    found = store.query(
        "SELECT any_value(replay_mode) AS mode FROM all_spans WHERE replay_run_id = ? AND kind = 'agent'",
        [run_id],
    ).to_pylist()
    return found[0]["mode"] if found else None


def _digest(target: Any) -> str | None:
    return str(target["digest"]) if isinstance(target, dict) and target.get("digest") else None


def _expired(policy: Policy, run_id: str, today: date) -> list[str]:
    return [
        f"The waiver of {waiver.check} by {waiver.owner} expired on {waiver.expires} and waives nothing."
        for waiver in policy.waivers
        if waiver.expires < today and waiver.run in (None, run_id)
    ]
