"""What the level of exposure asks for besides figures: an owner, whole records, rehearsals, disclosure, grounding, attacks.

The rules:

1. Evidence is a query that returns rows, run as `auditlog sql` runs one. No rows is INCONCLUSIVE, never PASS; so is a query that
   does not run.
2. What nobody named is INCONCLUSIVE: a missing rehearsal, disclosure or attack is no failure, and no pass.
3. A rehearsal that lies too far back, or in the future, is none.
4. Completeness is the share of the cases' recorded turns that hold everything, times the share of the records of that time that
   were not lost on the way. A case counts for the turns that it stands for.
5. An attack that succeeded against this candidate fails; what was not tried is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from auditlog.errors import FilterError
from replay.gate.attacks import attacks_of, entries
from replay.gate.check import Check, Example
from replay.gate.facts import CaseFacts
from replay.gate.grounding import grounded_check
from replay.gate.handovers import escalation_check
from replay.gate.losses import Losses, losses
from replay.gate.policy import EvidenceQuery, Policy
from replay.gate.wording import number, share

if TYPE_CHECKING:
    from auditlog.store import Store

DISCLOSURE = "disclosure"


def evidence_checks(store: Store, run_id: str, policy: Policy) -> Iterator[Check]:
    """Run the policy's queries over the store."""
    for wanted in policy.evidence:
        yield _evidence(store, run_id, wanted)


def _evidence(store: Store, run_id: str, wanted: EvidenceQuery) -> Check:
    check_id, title = f"evidence.{wanted.name}", wanted.name
    # The id of a run that was found holds digits, letters and dashes only.
    query = wanted.query.replace("{run}", run_id)
    try:
        rows = store.select(query, limit=max(1_000, wanted.at_least)).num_rows
    except FilterError as error:
        return Check(check_id, "evidence", title, "INCONCLUSIVE", f"The query does not run: {error}")
    figures = {"rows": rows, "at_least": wanted.at_least}
    if rows >= wanted.at_least:
        return Check(
            check_id, "evidence", title, "PASS", f"{number(rows, 'row')} in the store.", figures=figures
        )
    said = "no rows" if not rows else number(rows, "row")
    return Check(
        check_id, "evidence", title, "INCONCLUSIVE",
        f"The query gives {said}, and {wanted.at_least:,} at least were asked for: nothing here shows it.", figures=figures,
    )  # fmt: skip


def exposure_checks(
    store: Store,
    manifest: Mapping[str, object],
    cases: Sequence[CaseFacts],
    policy: Policy,
    shown: Sequence[Check],
    today: date,
) -> Iterator[Check]:
    """Judge what the level asks for.

    Args:
        store: where the run is.
        manifest: the run's.
        cases: what became of its cases.
        policy: what is asked.
        shown: the checks that were made already.
        today: for how long ago a rehearsal was.
    """
    level = policy.level
    yield _owner(policy)
    yield _completeness(cases, losses(store, cases), policy)
    if policy.grounded is not None:
        yield grounded_check(cases, policy)
    if level.escalation:
        handed = escalation_check(cases, policy, shown)
        proof = None if handed.figures["handed_over"] else _shown("escalation", policy, shown)
        yield handed if proof is None else _by_evidence("escalation", handed.title, proof)
    if level.drill_days is not None:
        yield _rehearsal("drill", "live drill of a hand-over", level.drill_days, policy, shown, today)
    if level.rollback_days is not None:
        yield _rehearsal("rollback", "rollback rehearsed", level.rollback_days, policy, shown, today)
    if level.disclosure:
        yield _disclosure(cases, policy, shown)
    if policy.adversarial:
        yield from _attacks(store, manifest, policy)


def _owner(policy: Policy) -> Check:
    if policy.owner:
        return Check(
            "owner", "governance", "accountable owner", "PASS", f"{policy.owner} answers for this agent."
        )
    required = policy.level.owner == "required"
    return Check(
        "owner", "governance", "accountable owner", "INCONCLUSIVE",
        'The policy names no owner. Write owner = "…".', gates=required, warning=True,
    )  # fmt: skip


def _completeness(cases: Sequence[CaseFacts], missing: Losses, policy: Policy) -> Check:
    whole = sum(1 for case in cases if case.whole)
    total = sum(case.weight for case in cases)
    turns = sum(case.weight for case in cases if case.whole) / total if total else 0.0
    # What was lost may have been part of any turn, those among them that nobody knows of.
    part = turns * missing.share
    lacking = len(cases) - whole
    figures = {
        "whole": whole, "cases": len(cases), "lost_records": missing.lost, "share": part, "asked": policy.completeness,
    }  # fmt: skip
    lost = f", {missing.lost:,} records of that time were lost" if missing.lost else ""
    said = f"{share(turns, 2)} of {number(len(cases), 'recorded turn')} are whole{lost}"
    examples = tuple(
        Example(
            case.case_id,
            f"{case.conversation_id} turn {case.turn_index + 1}",
            case.lost or "lossy or incomplete",
        )
        for case in cases
        if not case.whole
    )[:10]
    if part >= policy.completeness:
        ending = f"; asked for: {share(policy.completeness, 2)}."
        return Check(
            "completeness", "governance", "audit completeness", "PASS", said + ending, warning=bool(lacking or missing.lost),
            figures=figures, examples=examples,
        )  # fmt: skip
    return Check(
        "completeness", "governance", "audit completeness", "INCONCLUSIVE",
        f"{said}, and {lacking:,} lack something; asked for: {share(policy.completeness, 2)}. "
        "`auditlog doctor` says what was lost.",
        figures=figures, examples=examples,
    )  # fmt: skip


def _rehearsal(
    name: str, title: str, days: int, policy: Policy, shown: Sequence[Check], today: date
) -> Check:
    when = policy.rehearsals.get(name)
    if when is None and (proof := _shown(name, policy, shown)) is not None:
        return _by_evidence(name, title, proof)
    if when is None:
        return Check(
            name, "governance", title, "INCONCLUSIVE",
            f"No date is named; level {policy.level.number} asks for one within {days} days. "
            f"Write {name} = YYYY-MM-DD under [rehearsals].",
        )  # fmt: skip
    ago = (today - when).days
    figures = {"date": when.isoformat(), "days_ago": ago, "within": days}
    if ago < 0:
        return Check(name, "governance", title, "INCONCLUSIVE", f"{when} has not come yet.", figures=figures)
    if ago > days:
        return Check(
            name, "governance", title, "INCONCLUSIVE",
            f"It was on {when}, {ago:,} days ago; level {policy.level.number} asks for {days} days at most. Rehearse it again.",
            figures=figures,
        )  # fmt: skip
    return Check(name, "governance", title, "PASS", f"On {when}, {number(ago, 'day')} ago.", figures=figures)


def _disclosure(cases: Sequence[CaseFacts], policy: Policy, shown: Sequence[Check]) -> Check:
    title = "customers are told that a machine answers"
    if (proof := _shown(DISCLOSURE, policy, shown)) is not None:
        return _by_evidence("disclosure", title, proof)
    if DISCLOSURE in policy.metrics:
        said = [
            value
            for case in cases
            for run in case.candidates
            if (value := run.scores.get(DISCLOSURE)) is not None
        ]
        missing = sum(1 for value in said if value < 1)
        if said and not missing:
            return Check(
                "disclosure",
                "governance",
                title,
                "PASS",
                f"In all of {number(len(said), 'scored execution')}.",
            )
        return Check(
            "disclosure", "governance", title, "FAIL" if missing else "INCONCLUSIVE",
            f"{missing:,} of {number(len(said), 'scored execution')} lack it.", figures={"missing": missing, "scored": len(said)},
        )  # fmt: skip
    return Check(
        "disclosure", "governance", title, "INCONCLUSIVE",
        'Nothing shows it. Name an [[evidence]] query with shows = "disclosure", or the scorer `disclosure`.',
    )  # fmt: skip


def _attacks(store: Store, manifest: Mapping[str, object], policy: Policy) -> Iterator[Check]:
    target = manifest.get("candidate")
    digest = str(target.get("digest")) if isinstance(target, dict) else ""
    tried = attacks_of(store, digest)
    for name in policy.adversarial:
        known = entries(name)
        mine = [attack for attack in tried if attack.list == name]
        covered = {attack.entry for attack in mine}
        won = [attack for attack in mine if attack.succeeded]
        figures = {"covered": len(covered & set(known)), "entries": len(known), "succeeded": len(won)}
        check_id, title = f"adversarial.{name}", f"attacks tried: {name}"
        if won:
            examples = tuple(Example(a.attack_id, f"{a.entry} by {a.surface}", a.what) for a in won[:10])
            yield Check(
                check_id, "governance", title, "FAIL",
                f"{number(len(won), 'attack')} succeeded against this candidate.", figures=figures, examples=examples,
            )  # fmt: skip
            continue
        part = len(covered & set(known)) / len(known)
        if part >= policy.coverage:
            yield Check(
                check_id, "governance", title, "PASS",
                f"{number(len(mine), 'attack')} over {len(covered & set(known))} of {len(known)} entries, none succeeded.",
                figures=figures,
            )  # fmt: skip
        else:
            missing = ", ".join(entry for entry in known if entry not in covered)
            yield Check(
                check_id, "governance", title, "INCONCLUSIVE",
                f"Tried: {len(covered & set(known))} of {len(known)} entries; not tried: {missing}.", figures=figures,
            )  # fmt: skip


def _shown(name: str, policy: Policy, shown: Sequence[Check]) -> Check | None:
    """Give the evidence that the policy names for a check."""
    ids = {f"evidence.{wanted.name}" for wanted in policy.evidence if wanted.shows == name}
    return next((check for check in shown if check.id in ids), None)


def _by_evidence(check_id: str, title: str, proof: Check) -> Check:
    return Check(
        check_id,
        "governance",
        title,
        proof.outcome,
        f"By the evidence “{proof.title}”: {proof.sentence}",
        figures=proof.figures,
    )
