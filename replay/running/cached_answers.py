"""What of the models' cached answers a run's cases get, where its models are cached.

The rules:

1. A store that does not verify gives no answers: a run that would take them is not begun.
2. A case gets the answers of its own recorded turn and draw, with its job.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from replay.errors import RunError
from replay.pinned import model_cache
from replay.running.run_plan import PlannedTarget, RunPlan
from replay.running.runs import manifests

if TYPE_CHECKING:
    from auditlog.store import Store


class Cache:
    """The answers that one run takes; of a run whose models are not cached, none."""

    def __init__(self, store: Store, plan: RunPlan) -> None:
        """Look for the runs that cached before."""
        self._store, self._plan = store, plan
        self._on = plan.modes.model == model_cache.CACHED
        self._runs = model_cache.caching_runs(manifests(store)) if self._on else []
        self._fits = model_cache.kept(store) if self._on else None

    def answers(self, turns: Collection[str]) -> model_cache.Answers:
        """Read the answers for some recorded turns, by their span ids."""
        return model_cache.answers_of(self._store, self._runs, turns, self._fits) if self._on else {}

    def given(
        self, answers: model_cache.Answers, span_id: str, draw: str, target: PlannedTarget
    ) -> dict[str, Any]:
        """Give what one execution's job carries.

        Args:
            answers: what `answers` gave.
            span_id: the recorded turn's.
            draw: what `draw_of` gave.
            target: what runs.
        """
        if not self._on:
            return {}
        variables = dict(self._plan.environment) | dict(target.variables)
        serves = model_cache.serves(self._plan.hosts, variables)
        return {"cache": model_cache.cache_for(answers, span_id, draw, serves=serves, code=target.digest)}


def refuse_changed(store: Store) -> None:
    """Verify a store before answers are taken from it.

    Raises:
        RunError: it was changed.
    """
    from auditlog.integrity.verdict import Outcome
    from auditlog.integrity.verify import verify

    report = verify(store.layout)
    if report.outcome in (Outcome.INVALID, Outcome.DIVERGED):
        msg = (
            f"The store is {report.outcome}, so no cached answer in it can be believed: `auditlog verify --store {store.path}` "
            "says why. Ask the models anew with --model live."
        )
        raise RunError(msg)
