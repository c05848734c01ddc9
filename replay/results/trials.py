"""What became of each case of a run, execution by execution: what reports compare, scorers judge and the gate counts.

The rules:

1. Read from the store alone, some cases at a time, so that memory stays flat however long the run is.
2. Of two executions of the same case, arm and repeat the earlier counts.
3. A case of the manifest is given even when nothing of it has run: the denominator never shrinks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditlog.values import Turn
from replay.diff.model import CaseStatus
from replay.running.cases import Case
from replay.running.records import WHY
from replay.sandbox.modes import SIMULATED

if TYPE_CHECKING:
    from auditlog.store import Store

_BATCH = 256
"""Cases that are read at once."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One execution of a case."""

    arm: str
    """`baseline`, `baseline_2` or `candidate`."""
    repeat: int
    """From 0."""
    turn: Turn

    @property
    def status(self) -> CaseStatus:
        """How it ended."""
        status: Any = self.turn.agent.replay.status if self.turn.agent.replay is not None else None
        return status or "complete"

    @property
    def simulated(self) -> bool:
        """Whether an answer was made up on its way: such a trial is no evidence, and never counts for the gate."""
        return any(
            span.replay is not None and span.replay.match_tier == SIMULATED for span in self.turn.spans
        )

    @property
    def why(self) -> str:
        """Why it did not complete; empty where it did."""
        return str(self.turn.agent.attributes.get(WHY) or "")


@dataclass(frozen=True, slots=True)
class CaseTrials:
    """One case: what was recorded, and every execution of it."""

    case: Case
    recorded: Turn | None
    """None where the store does not hold it any more."""
    trials: tuple[Trial, ...]
    """By arm and repeat."""
    history: tuple[Turn, ...] = ()
    """The recorded turns of the conversation before this one, oldest first."""

    @property
    def simulated(self) -> bool:
        """Whether any of its trials is no evidence."""
        return any(trial.simulated for trial in self.trials)

    def of(self, arm: str) -> tuple[Trial, ...]:
        """Give an arm's executions, by repeat."""
        return tuple(trial for trial in self.trials if trial.arm == arm)

    def first(self, arm: str) -> Trial | None:
        """Give an arm's first execution; None where there is none yet."""
        return next((trial for trial in self.trials if trial.arm == arm), None)


def case_trials(store: Store, manifest: Mapping[str, Any]) -> Iterator[CaseTrials]:
    """Give a run's cases in the order of its manifest.

    Args:
        store: where the run is.
        manifest: as `load_manifest` gives it; of a replay or a verify.
    """
    cases = [Case(*case) for case in manifest["cases"]]
    for first in range(0, len(cases), _BATCH):
        batch = cases[first : first + _BATCH]
        recorded = recorded_turns(store, {case.conversation_id for case in batch})
        replayed = _replayed(store, manifest["run_id"], [case.span_id for case in batch])
        for case in batch:
            trials = sorted(replayed.get(case.span_id, ()), key=lambda trial: (trial.arm, trial.repeat))
            turns = recorded.get(case.conversation_id, ())
            at = next((i for i, turn in enumerate(turns) if turn.turn_id == case.span_id), None)
            turn = None if at is None else turns[at]
            yield CaseTrials(case, turn, tuple(trials), () if at is None else turns[:at])


def recorded_turns(store: Store, conversations: Iterable[str]) -> dict[str, tuple[Turn, ...]]:
    """Give the recorded turns of conversations, by conversation; those of replays left out.

    Args:
        store: where they are.
        conversations: their ids.
    """
    from auditlog.store.build import conversations_of

    names = sorted(conversations)
    spans = store.spans(f"conversation_id IN ({_marks(names)}) AND replay_run_id IS NULL", names)
    return {name: found.turns for name, found in conversations_of(spans).items()}


def _replayed(store: Store, run_id: str, sources: list[str]) -> dict[str, list[Trial]]:
    """Give the finished executions by recorded span."""
    from auditlog.store.build import turns_of

    condition = f"replay_run_id = ? AND source <> 'import' AND replay_source_span_id IN ({_marks(sources)})"
    by_conversation: dict[str, list[Any]] = defaultdict(list)
    for span in store.spans(condition, [run_id, *sources]):
        by_conversation[span.conversation_id or ""].append(span)
    earliest: dict[tuple[str, str, int], Trial] = {}
    for spans in by_conversation.values():
        for turn in turns_of(spans):
            lineage = turn.agent.replay
            if turn.agent.kind != "agent" or lineage is None or lineage.status is None:
                continue
            key = lineage.source_span_id or "", lineage.arm, lineage.repeat
            if key not in earliest or turn.agent.start_ns < earliest[key].turn.agent.start_ns:
                earliest[key] = Trial(lineage.arm, lineage.repeat, turn)
    found: dict[str, list[Trial]] = defaultdict(list)
    for (source, _, _), trial in earliest.items():
        found[source].append(trial)
    return found


def _marks(values: Iterable[str]) -> str:
    return ", ".join("?" for _ in values)
