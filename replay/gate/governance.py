"""What the level of exposure asks for besides figures: an owner, whole records, rehearsals, disclosure, grounding, attacks.

The rules:

1. What nobody named is INCONCLUSIVE: a missing rehearsal, disclosure or attack is no failure, and no pass.
2. Where both records (`[[evidence]]`) and something else are named for one thing, both have to show it.
3. A rehearsal that lies too far back, or in the future, is none. A date is the word of the policy's owner, and is told as such;
   level 4 asks for records.
4. A disclosure that is scored is so in nearly every execution, and in enough conversations.
5. Completeness is the share of the cases' recorded turns that hold everything, times the share of the records of that time that
   were not lost on the way. A case counts for the turns that it stands for.
6. An owner and what was recorded cannot be waived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from auditlog.values import Json
from replay.gate.attacks import attack_checks
from replay.gate.check import Check, Example, Outcome
from replay.gate.evidence import FEWEST_DISCLOSED
from replay.gate.facts import CaseFacts
from replay.gate.grounding import grounded_check
from replay.gate.handovers import escalation_check
from replay.gate.losses import Losses, losses
from replay.gate.policy import Policy
from replay.gate.wording import number, share

if TYPE_CHECKING:
    from auditlog.store import Store

DISCLOSURE = "disclosure"
_Figures: TypeAlias = Mapping[str, Json]
_Examples: TypeAlias = tuple[Example, ...]
_NO_FIGURES: _Figures = MappingProxyType({})
_RECORDS_FROM = 4
"""The level from which on a person's word for a rehearsal is not enough."""


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
    if level.escalation is not None:
        handed = escalation_check(cases, policy, shown)
        proof = None if handed.figures["handed_over"] else _shown("escalation", policy, shown)
        yield handed if proof is None else _Asked("escalation", handed.title).by_evidence(proof)
    if level.drill_days is not None:
        yield _rehearsal("drill", "live drill of a hand-over", level.drill_days, policy, shown, today)
    if level.rollback_days is not None:
        yield _rehearsal("rollback", "rollback rehearsed", level.rollback_days, policy, shown, today)
    if level.disclosure:
        yield _disclosure(cases, policy, shown)
    yield from attack_checks(store, manifest, policy)


def _owner(policy: Policy) -> Check:
    asked = _Asked("owner", "accountable owner", waivable=False)
    if policy.owner:
        return asked.passes(f"{policy.owner} answers for this agent.")
    lacks = asked.lacks('The policy names no owner. Write owner = "…".')
    return replace(lacks, gates=policy.level.owner == "required", warning=True)


def _completeness(cases: Sequence[CaseFacts], missing: Losses, policy: Policy) -> Check:
    asked = _Asked("completeness", "audit completeness", waivable=False)
    lacking = [case for case in cases if not case.whole]
    total = sum(case.weight for case in cases)
    turns = sum(case.weight for case in cases if case.whole) / total if total else 0.0
    # What was lost may have been part of any turn, those among them that nobody knows of.
    part = turns * missing.share
    figures: _Figures = {
        "whole": len(cases) - len(lacking),
        "cases": len(cases),
        "lost_records": missing.lost,
        "share": part,
        "asked": policy.completeness,
    }
    examples = tuple(
        Example(
            case.case_id,
            case.where,
            case.lost or "lossy or incomplete",
        )
        for case in lacking[:10]
    )
    lost = f", {missing.lost:,} records of that time were lost" if missing.lost else ""
    said = f"{share(turns, 2)} of {number(len(cases), 'recorded turn')} are whole{lost}"
    wanted = f"asked for: {share(policy.completeness, 2)}"
    if part >= policy.completeness:
        warning = bool(lacking or missing.lost)
        return asked.passes(f"{said}; {wanted}.", figures, examples, warning=warning)
    return asked.lacks(
        f"{said}, and {len(lacking):,} lack something; {wanted}. `auditlog doctor` says what was lost.",
        figures,
        examples,
    )


def _rehearsal(
    name: str, title: str, days: int, policy: Policy, shown: Sequence[Check], today: date
) -> Check:
    """Judge when something was last rehearsed: by records, by a date that a person named, or by both."""
    asked = _Asked(name, title)
    level, when, proof = policy.level.number, policy.rehearsals.get(name), _shown(name, policy, shown)
    if when is None and proof is None:
        return asked.lacks(
            f"Nothing shows it; level {level} asks for one within {days} days. Write {name} = YYYY-MM-DD under [rehearsals], or "
            f'name an [[evidence]] query with shows = "{name}".'
        )
    if when is None:
        assert proof is not None
        return asked.by_evidence(proof)
    ago = (today - when).days
    figures: _Figures = {"date": when.isoformat(), "days_ago": ago, "within": days}
    if ago < 0:
        return asked.lacks(f"{when} has not come yet.", figures)
    if ago > days:
        return asked.lacks(
            f"It was on {when}, {ago:,} days ago; level {level} asks for {days} days at most. Rehearse it again.",
            figures,
        )
    if proof is not None and proof.outcome != "PASS":
        return asked.by_evidence(proof)
    said = f"On {when}, {number(ago, 'day')} ago"
    if proof is not None:
        return asked.passes(f"{said}, and by the evidence “{proof.title}”: {proof.sentence}", figures)
    if level >= _RECORDS_FROM:
        return asked.lacks(
            f"{said}, as the policy says. Level {level} asks for records of it: name an [[evidence]] query with "
            f'shows = "{name}".', figures,
        )  # fmt: skip
    return asked.passes(f"{said}, as the policy's owner says.", figures)


def _disclosure(cases: Sequence[CaseFacts], policy: Policy, shown: Sequence[Check]) -> Check:
    """Judge whether customers are told: by records, by the scorer, or by both where both are named."""
    asked = _Asked(DISCLOSURE, "customers are told that a machine answers")
    proof = _shown(DISCLOSURE, policy, shown)
    said = _disclosed(asked, cases, policy) if DISCLOSURE in policy.metrics else None
    if said is not None and (proof is None or said.outcome != "PASS"):
        return said
    if proof is not None:
        return asked.by_evidence(proof)
    return asked.lacks(
        'Nothing shows it. Name an [[evidence]] query with shows = "disclosure", or the scorer `disclosure`.'
    )


def _disclosed(asked: _Asked, cases: Sequence[CaseFacts], policy: Policy) -> Check:
    """Judge what the scorer `disclosure` said of the candidate."""
    runs = [(case, run.scores.get(DISCLOSURE)) for case in cases for run in case.candidates]
    scored = [(case, value) for case, value in runs if value is not None]
    missing = sum(1 for _, value in scored if value < 1)
    silent = len(runs) - len(scored)
    conversations = len({case.conversation_id for case, _ in scored})
    figures: _Figures = {
        "missing": missing,
        "scored": len(scored),
        "unscored": silent,
        "conversations": conversations,
    }
    counted = number(len(scored), "scored execution")
    if missing:
        return asked.fails(f"{missing:,} of {counted} lack it.", figures)
    if silent > policy.most_unscored * len(runs):
        return asked.lacks(f"In all of {counted}; {silent:,} more were not scored, and may lack it.", figures)
    if conversations < FEWEST_DISCLOSED:
        least = number(FEWEST_DISCLOSED, "conversation")
        return asked.lacks(
            f"In all of {counted}, of {conversations:,} conversations; {least} would show it.", figures
        )
    return asked.passes(f"In all of {counted}.", figures)


def _shown(name: str, policy: Policy, shown: Sequence[Check]) -> Check | None:
    """Give the evidence that the policy names for a check."""
    ids = {f"evidence.{wanted.name}" for wanted in policy.evidence if wanted.shows == name}
    return next((check for check in shown if check.id in ids), None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One thing that a level asks for."""

    check_id: str
    title: str
    waivable: bool = True

    def passes(
        self,
        sentence: str,
        figures: _Figures = _NO_FIGURES,
        examples: _Examples = (),
        *,
        warning: bool = False,
    ) -> Check:
        """It is shown."""
        return self._check("PASS", sentence, figures, examples, warning=warning)

    def fails(self, sentence: str, figures: _Figures = _NO_FIGURES) -> Check:
        """It is shown not to be so."""
        return self._check("FAIL", sentence, figures)

    def lacks(self, sentence: str, figures: _Figures = _NO_FIGURES, examples: _Examples = ()) -> Check:
        """It is not shown."""
        return self._check("INCONCLUSIVE", sentence, figures, examples)

    def by_evidence(self, proof: Check) -> Check:
        """It is what a query over the store shows."""
        said = f"By the evidence “{proof.title}”: {proof.sentence}"
        return self._check(proof.outcome, said, proof.figures, warning=proof.warning)

    def _check(
        self,
        outcome: Outcome,
        sentence: str,
        figures: _Figures,
        examples: _Examples = (),
        *,
        warning: bool = False,
    ) -> Check:
        return Check(
            self.check_id, "governance", self.title, outcome, sentence, waivable=self.waivable, warning=warning,
            figures=figures, examples=examples,
        )  # fmt: skip
