"""One attack on one version: its number, its job for a worker, and whether the store has it already.

The rules:

1. Bouts are numbered in the order in which a campaign comes to them, and both versions' bouts of an attack have one number. The
   same campaign numbers them the same, so a campaign that goes on finds what it has done by number.
2. Everything is held still that a replay holds still: recorded values are given, recorded HTTP is served, and randomness is drawn
   by the number, so that both versions throw the same dice and a repetition throws others.
3. A bout is a conversation of its own, `RUN/ARM/NUMBER`, of the customer of the turn that it was laid into: it is erased with it.
4. A stored bout of another attack under the same number is no bout of this campaign, which then cannot go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from auditlog.values import Turn
from replay.attack.model import AttackCase
from replay.attack.substitute import answers_of, arguments_of
from replay.errors import RunError
from replay.matching.recorded import recorded_calls, to_json, types_of
from replay.pinned.case import given_for
from replay.running.protocol import Job
from replay.running.records import ARM, CANDIDATE_DIGEST, MODE, REPEAT, RUN, SOURCE_SPAN, SOURCE_TRACE
from replay.running.run_plan import RunPlan
from replay.targets.planned import PlannedTarget

if TYPE_CHECKING:
    from auditlog.store import Store

ATTACK_ID = "auditlog.attack.id"
"""On every span of a bout: the attack's."""


class BoutKey(NamedTuple):
    """What tells a bout from the others of a campaign."""

    number: int
    arm: str


class Bout(NamedTuple):
    """One attack on one version."""

    number: int
    attack: AttackCase
    arm: str
    target: PlannedTarget

    @property
    def key(self) -> BoutKey:
        """What tells it from the others."""
        return BoutKey(self.number, self.arm)


def bouts_of(plan: RunPlan, attacks: Iterable[AttackCase], first: int) -> list[Bout]:
    """Give the bouts of attacks, on the candidate and on the current version where there is one.

    Args:
        plan: the campaign's.
        attacks: in their order.
        first: the number of the first one.
    """
    arms = [("candidate", plan.candidate)]
    if plan.baseline is not None:
        arms.append(("baseline", plan.baseline))
    return [
        Bout(number, attack, arm, target)
        for number, attack in enumerate(attacks, first)
        for arm, target in arms
    ]


def conversation_of(plan: RunPlan, bout: Bout) -> str:
    """Give the conversation that a bout is."""
    return f"{plan.run_id}/{bout.arm}/{bout.number}"


def job_of(plan: RunPlan, bout: Bout, turn: Turn) -> Job:
    """Say what a worker has to do for a bout.

    Args:
        plan: the campaign's.
        bout: the attack and the version.
        turn: the recorded turn that the attack is laid into.
    """
    host = bout.attack.host
    calls = recorded_calls(turn, models=plan.modes.model_is_served)
    return Job(
        case_id=f"{bout.number:08x}{bout.attack.attack_id[:8]}",
        arguments=arguments_of(bout.attack, turn),
        cassette=to_json(answers_of(bout.attack, calls)),
        lineage={
            RUN: plan.run_id,
            ARM: bout.arm,
            REPEAT: bout.number,
            SOURCE_TRACE: host.trace_id,
            SOURCE_SPAN: host.span_id,
            CANDIDATE_DIGEST: bout.target.digest,
            MODE: plan.mode,
            ATTACK_ID: bout.attack.attack_id,
        },
        conversation_id=conversation_of(plan, bout),
        user_id=turn.agent.user_id,
        tags=turn.agent.tags,
        agent_version=bout.target.version,
        types=types_of(turn.agent, "input"),
        pinned=given_for(turn, str(bout.number), plan.pinning),
    )


def done_bouts(store: Store, run_id: str) -> dict[BoutKey, str]:
    """Give the bouts of a campaign that are done, with the id of the attack of each."""
    spans = store.spans(
        "replay_run_id = ? AND replay_status IS NOT NULL AND kind = 'agent' AND replay_arm IN ('candidate', 'baseline')",
        [run_id],
    )
    return {
        BoutKey(span.replay.repeat or 0, span.replay.arm or ""): str(span.attributes.get(ATTACK_ID) or "")
        for span in spans
        if span.replay is not None
    }


def undone(bouts: Iterable[Bout], done: Mapping[BoutKey, str]) -> list[Bout]:
    """Leave the bouts that are not done.

    Args:
        bouts: in their order.
        done: what `done_bouts` gave.

    Raises:
        RunError: a done one is of another attack.
    """
    left = []
    for bout in bouts:
        attack_id = done.get(bout.key)
        if attack_id is None:
            left.append(bout)
        elif attack_id != bout.attack.attack_id:
            raise RunError(
                f"The campaign cannot go on: its attack number {bout.number} was another one when it was begun, so the attacks, "
                "or the recorded turns, have changed since. Start a new one."
            )
    return left
