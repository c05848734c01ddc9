"""Runs a campaign on a store from its plan to its records.

The rules:

1. The plan is that of a replay: the same targets, environments, locks and hosts, and a filter that chooses the turns.
2. The campaign's record is written before anything runs, and its end after everything has; what was interrupted has none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from auditlog.errors import NotFoundError, StoreError
from auditlog.recorder import Sink
from auditlog.redaction.writer import redacting
from auditlog.values import Turn
from replay.attack.arena import UNWRITABLE, Arena
from replay.attack.campaign import Bounds, CampaignProgress, CampaignResult, search
from replay.attack.hosts import hosts_of
from replay.attack.keeping import records_of
from replay.attack.model import Attacker, Context
from replay.attack.templates import Templates
from replay.results.trials import recorded_turns
from replay.risks.taxonomy import Cell
from replay.risks.tried import CAMPAIGN
from replay.running.pool import sweep
from replay.running.records import run_span
from replay.running.run_plan import RunPlan

if TYPE_CHECKING:
    from auditlog.store import Store


def run_campaign(
    store: Store,
    plan: RunPlan,
    cells: Sequence[Cell],
    *,
    lists: Sequence[str],
    attackers: Sequence[Attacker] = (Templates(),),
    bounds: Bounds | None = None,
    seed: int = 0,
    about: str = "",
    progress: Callable[[CampaignProgress], None] | None = None,
) -> CampaignResult:
    """Attack a candidate in the replay sandbox, and keep what was found.

    Args:
        store: where the recorded turns are, and where the results go.
        plan: what `replay.plan` gave, with simulated misses; its cases are the turns that attacks are laid into.
        cells: what is to be covered.
        lists: the names of the lists that the cells are of.
        attackers: who proposes attacks.
        bounds: when to stop.
        seed: what attackers choose by.
        about: what the agent is for, for an attacker that is a model.
        progress: called after each round.

    Raises:
        NotFoundError: no chosen turn holds a customer's words in its arguments.
        TargetError: a target does not import.
        StoreError: the results cannot be written.
    """
    turns = _turns(store, plan)
    hosts = list(hosts_of(turns.values()))
    if not hosts:
        raise NotFoundError(
            f"None of the {len(plan.cases)} chosen turns holds the customer's words in its arguments, so there is "
            "nothing that an attack could be laid into."
        )
    tools = sorted({span.name for turn in turns.values() for span in turn.of_kind("tool")})
    context = Context(hosts, seed, about, tuple(tools))
    sweep()
    writer = redacting(store.layout, store.writer())
    manifest = {
        "created": plan.created.isoformat(),
        "candidate": plan.candidate.path,
        "candidate_digest": plan.candidate.digest,
        "baseline": None if plan.baseline is None else plan.baseline.path,
        "lists": list(lists),
        "seed": seed,
        "mode": plan.mode,
        "hosts": len(hosts),
        "attackers": [attacker.name for attacker in attackers],
    }

    async def go() -> CampaignResult:
        async with Arena(store, plan, writer, turns) as arena:
            return await search(arena, attackers, cells, context, bounds or Bounds(), progress)

    try:
        _append(writer, [run_span(CAMPAIGN, plan.run_id, manifest)])
        result = asyncio.run(go())
        _append(writer, list(records_of(plan.run_id, plan.candidate.digest, result)))
    finally:
        writer.close()
    store.refresh()
    return result


def _turns(store: Store, plan: RunPlan) -> Mapping[str, Turn]:
    wanted = {case.span_id for case in plan.cases}
    found = recorded_turns(store, {case.conversation_id for case in plan.cases})
    return {turn.turn_id: turn for turns in found.values() for turn in turns if turn.turn_id in wanted}


def _append(writer: Sink, payloads: Sequence[bytes]) -> None:
    kept = sum(writer.append(payload) for payload in payloads)
    if not (writer.flush() and kept == len(payloads)):
        raise StoreError(UNWRITABLE)
