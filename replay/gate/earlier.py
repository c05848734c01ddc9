"""What was said of the same candidate before: a run that is repeated until it passes shows nothing.

The rules:

1. Verdicts of the very same candidate are looked at, whichever run, baseline and policy they are of: what changed since is for a
   person to say.
2. Where one of them failed by what was measured, this one is INCONCLUSIVE from level 2 on, until a person signs for this run with
   a waiver of `earlier`. What is asked of the store anew each time (regression set, attacks, evidence) speaks for itself.
3. Where another run left open what was measured, that is told, as a warning: of several tries, one passes by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from replay.gate.check import Check
from replay.gate.policy import Policy
from replay.gate.wording import number

_MEASURED = ("hard_bound", "grounded", "escalation", "disclosure")
_MEASURED_GROUPS = ("hard.", "primary.", "slice.")
_TITLE = "not tried until it passes"
_MOST_NAMED = 3


class Earlier(NamedTuple):
    """One verdict of the candidate."""

    run_id: str
    judged: str
    failed: tuple[str, ...]
    """The ids of the checks that failed by what was measured."""
    open: tuple[str, ...]
    """Those that were left open."""


def earlier_of(verdicts: Sequence[Mapping[str, Any]], candidate_digest: str | None) -> list[Earlier]:
    """Read what verdicts said of a candidate.

    Args:
        verdicts: as the store keeps them, oldest first.
        candidate_digest: the candidate's.
    """
    return [
        Earlier(
            str(verdict.get("run_id")),
            str(verdict["judged"])[:10],
            tuple(_measured(verdict, "FAIL")),
            tuple(_measured(verdict, "INCONCLUSIVE")),
        )
        for verdict in verdicts
        if candidate_digest and (verdict.get("facts") or {}).get("candidate_digest") == candidate_digest
    ]


def earlier_checks(
    found: Sequence[Earlier], run_id: str, policy: Policy, checks: Sequence[Check] = ()
) -> Iterator[Check]:
    """Judge what was said before; nothing where nothing was.

    Args:
        found: what `earlier_of` gave.
        run_id: the judged run's whole id.
        policy: what is asked.
        checks: what was said of the run this time; what fails again is not undone.
    """
    fails = {check.id for check in checks if check.gates and check.outcome == "FAIL"}
    failed = [one for one in found if not fails.issuperset(one.failed)]
    unshown = [one for one in found if one.open and one.run_id != run_id]
    figures = {"verdicts": len(found), "failed": len(failed), "open": len(unshown)}
    if failed:
        last = failed[-1]
        which = "this run" if last.run_id == run_id else f"run {last.run_id}"
        yield Check(
            "earlier", "run", _TITLE, "INCONCLUSIVE",
            f"This very candidate failed before, {number(len(failed), 'time')}: the last time on {last.judged}, in {which}, by "
            f"{_named(last.failed)}. Another run, or another policy, does not undo that. A person who knows what does signs a "
            '[[waiver]] of check = "earlier" for this run.',
            gates=policy.level.number > 1, warning=True, figures=figures,
        )  # fmt: skip
    elif unshown:
        last = unshown[-1]
        yield Check(
            "earlier", "run", _TITLE, "PASS",
            f"This candidate was judged in {number(len({one.run_id for one in unshown}), 'other run')} that left something open "
            f"(run {last.run_id}: {_named(last.open)}). Of several tries, one passes by chance.",
            warning=True, figures=figures,
        )  # fmt: skip


def _measured(verdict: Mapping[str, Any], outcome: str) -> Iterator[str]:
    for check in verdict["checks"]:
        said = str(check.get("id"))
        decided = check.get("gates") and check.get("outcome") == outcome and not check.get("waived_by")
        if decided and (said in _MEASURED or said.startswith(_MEASURED_GROUPS)):
            yield said


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else ""
    return ", ".join(ids[:_MOST_NAMED]) + more
