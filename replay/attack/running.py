"""Runs a campaign on a store from its plan to its records.

The rules:

1. The plan is that of a replay: the same targets, environments, locks, hosts and limits, and a filter that chooses the turns.
2. The campaign's record is written before anything runs, and its end after everything has. One that a budget stopped writes what
   it found so far; one that was interrupted, or killed, writes nothing more.
3. Such a campaign goes on as it was begun, on the same code and turns: it comes to the same attacks in the same order, and
   takes from the store what of them was run. Only what it may take may change on the way.
4. Only one process at a time runs a campaign.
5. Whose words are sent to a model is said before the first of them is.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from auditlog.errors import NotFoundError
from auditlog.values import Turn
from replay.attack.arena import Arena
from replay.attack.bouts import done_bouts
from replay.attack.campaign import CampaignProgress, CampaignResult, Search
from replay.attack.crew import Crew
from replay.attack.hosts import hosts_of
from replay.attack.keeping import manifest_of, records_of
from replay.attack.llm import ModelAttacker
from replay.attack.model import Attacker, Context
from replay.attack.notebook import Notebook, earlier
from replay.attack.settings import Settings, settings_from_json
from replay.errors import RunError
from replay.results.trials import recorded_turns
from replay.risks.tried import CAMPAIGN, CAMPAIGN_END, contents
from replay.running.appending import Appender, appending
from replay.running.interrupts import interruptible
from replay.running.limits import NOTHING_SPENT, Limits, Spend
from replay.running.pool import sweep
from replay.running.records import run_span
from replay.running.resuming import begun_again
from replay.running.run_lock import forget, held
from replay.running.run_plan import RunPlan
from replay.running.runs import active, spent
from replay.targets.environments import Say

if TYPE_CHECKING:
    from auditlog.store import Store


_GOES_ON = "What was written is kept; `auditlog attack run --resume last` goes on from there."


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process of a campaign ended."""

    result: CampaignResult | None
    """None where it was interrupted."""
    ran: int
    """Executions of this process."""
    asked: int = 0
    """How often a model was asked for attacks."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Why it gave none, how often each."""


def run_campaign(
    store: Store,
    plan: RunPlan,
    settings: Settings,
    *,
    attackers: Sequence[Attacker] = (),
    told: Callable[[CampaignProgress], None] = lambda _: None,
    sends: Callable[[Sequence[str]], None] = lambda _: None,
) -> Ended:
    """Attack a candidate in the replay sandbox, and keep what was found.

    Args:
        store: where the recorded turns are, and where the results go.
        plan: what `replay.plan` gave, with simulated misses, or `resume_campaign`; its cases are the turns that attacks are laid
            into.
        settings: what is tried.
        attackers: who proposes attacks; those of the settings where there are none.
        told: called after each round.
        sends: called with the conversations whose words may be sent to a model, before any is.

    Raises:
        NotFoundError: no chosen turn holds a customer's words in its arguments.
        TargetError: a target does not import.
        RunError: another process runs this campaign, it cannot go on, or the candidate is the current version.
        StoreError: the results cannot be written.
    """
    if plan.baseline is not None and plan.candidate.digest and plan.baseline.digest == plan.candidate.digest:
        msg = (
            f"{plan.candidate.path} is attacked beside itself ({plan.baseline.path} is the same version), which shows "
            "nothing of a release. Name the version in production with --baseline, or none: then what is wrong by itself counts."
        )
        raise RunError(msg)
    with held(store.layout, plan.run_id):
        active.add(plan.run_id)
        try:
            return _Campaign(store, plan, settings, attackers, told, sends).go()
        finally:
            active.discard(plan.run_id)
            forget(store.layout, plan.run_id)


def resume_campaign(
    store: Store,
    wanted: str,
    *,
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    limits: Limits | None = None,
    allow_builds: bool = False,
    say: Say | None = None,
) -> tuple[RunPlan, Settings]:
    """Plan to go on with a campaign.

    Args:
        store: where it is.
        wanted: its id, an unambiguous beginning of it, or `last`.
        path: the directory that it was begun in, by default the current one.
        workers: processes for each version; by default as before.
        limits: what it may take from here on, where that changes.
        allow_builds: as of `replay.plan`.
        say: as of `replay.plan`.

    Raises:
        NotFoundError: there is no such campaign.
        RunError: it is complete, or under way, or its code changed.
        TargetError: a target cannot be imported any more.
    """
    manifest = manifest_of(store, wanted)
    run_id = str(manifest["plan"]["run_id"])
    if run_id in dict(contents(store, CAMPAIGN_END)):
        msg = f"Campaign {run_id} is complete: there is nothing to resume. `auditlog attack show {run_id}` shows it."
        raise RunError(msg)
    plan = begun_again(
        store, manifest["plan"], path=path, workers=workers, limits=limits, allow_builds=allow_builds, say=say
    )
    return plan, settings_from_json(manifest["settings"])


class _Campaign:
    """One process's part of a campaign."""

    def __init__(
        self,
        store: Store,
        plan: RunPlan,
        settings: Settings,
        attackers: Sequence[Attacker],
        told: Callable[[CampaignProgress], None],
        sends: Callable[[Sequence[str]], None],
    ) -> None:
        self._store, self._plan, self._settings, self._told = store, plan, settings, told
        turns = _turns(store, plan)
        hosts = list(hosts_of(turns.values()))
        if not hosts:
            raise NotFoundError(
                f"None of the {len(plan.cases)} chosen turns holds the customer's words in its arguments, so there is "
                "nothing that an attack could be laid into."
            )
        self._turns = turns
        tools = sorted({span.name for turn in turns.values() for span in turn.of_kind("tool")})
        self._context = Context(hosts, settings.seed, settings.about, tuple(tools))
        notebook = Notebook(earlier(store, plan.run_id) if plan.resumed else ())
        self._attackers = attackers or settings.attackers(store.layout, notebook)
        self._models = [found for found in self._attackers if isinstance(found, ModelAttacker)]
        for model in self._models:
            if model.sends_words:
                sends(list(dict.fromkeys(host.conversation_id for host in model.hosts(self._context))))

    def go(self) -> Ended:
        sweep()
        store, plan = self._store, self._plan
        with appending(store, "The campaign", _GOES_ON) as appender:
            appender.append([run_span(CAMPAIGN, plan.run_id, self._manifest())])
            appender.flush()
            crew = Crew(plan, appender, self._turns, spent=self._spent())
            result = asyncio.run(self._search(crew, appender))
            if result is not None:
                appender.append(list(records_of(plan, result)))
        store.refresh()
        failures = sum((model.failures for model in self._models), Counter[str]())
        return Ended(
            result, crew.ran, sum(model.asked for model in self._models), dict(failures.most_common())
        )

    async def _search(self, crew: Crew, appender: Appender) -> CampaignResult | None:
        """Search; None where a signal ended it."""
        plan, settings = self._plan, self._settings
        done = done_bouts(self._store, plan.run_id) if plan.resumed else {}

        def round_over() -> None:
            for model in self._models:
                for payload, tokens in model.notebook.records(plan.run_id):
                    appender.append([payload])
                    crew.charge(Spend(0.0, tokens, 1, 1))
            appender.flush()

        search = Search(
            Arena(self._store, plan, crew, done=done),
            self._attackers,
            settings.cells,
            self._context,
            settings.bounds,
            told=self._told,
            round_over=round_over,
        )
        try:
            return await interruptible(search.go())
        except asyncio.CancelledError:
            return None
        finally:
            await crew.go_home()

    def _spent(self) -> Spend:
        plan = self._plan
        if not plan.resumed:
            return NOTHING_SPENT
        asked = sum(found.tokens for found in earlier(self._store, plan.run_id))
        return spent(self._store, plan.run_id).plus(Spend(0.0, asked, 0, 0))

    def _manifest(self) -> dict[str, object]:
        plan, settings = self._plan, self._settings
        return {
            "created": plan.created.isoformat(),
            "candidate": plan.candidate.path,
            "candidate_digest": plan.candidate.digest,
            "baseline": None if plan.baseline is None else plan.baseline.path,
            "lists": list(settings.lists),
            "seed": settings.seed,
            "mode": plan.mode,
            "hosts": len(self._context.hosts),
            "attackers": [attacker.name for attacker in self._attackers],
            "settings": asdict(settings),
            "plan": plan.manifest(),
        }


def _turns(store: Store, plan: RunPlan) -> Mapping[str, Turn]:
    wanted = {case.span_id for case in plan.cases}
    found = recorded_turns(store, {case.conversation_id for case in plan.cases})
    return {turn.turn_id: turn for turns in found.values() for turn in turns if turn.turn_id in wanted}
