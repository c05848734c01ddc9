"""Cases that were judged while their run ran: what a list shows of them at once, the rest when somebody looks.

The rules:

1. A stored case is a CaseResult like any other. Its turns, and the steps of its diffs, are read from the store when they are
   first asked for, some cases at a time; only the last ones stay in memory.
2. Who must not wait, or is on another thread than the store, asks for `opened` beforehand where it may wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from auditlog.values import Turn
from replay.diff.model import Diff, StepDiff
from replay.matching.rules import rules_from_json
from replay.results.report import CaseResult
from replay.results.trials import CaseTrials, Trial, case_trials
from replay.running.cases import Case
from replay.running.judging import Judgement, Sides, verdict_of

if TYPE_CHECKING:
    from auditlog.store import Store
    from replay.diff.compare import Forgiven

_BATCH = 32
"""Cases that are read at once."""
_REMEMBERED = 8
"""Batches that stay in memory."""


def full_results(
    store: Store, manifest: Mapping[str, Any], cases: Sequence[Case] | None = None
) -> Iterator[CaseResult]:
    """Give finished cases of a run with everything in them, reading some at a time.

    Args:
        store: where the run is.
        manifest: the run's.
        cases: of the manifest; by default all.
    """
    rules = rules_from_json(manifest.get("matching"))
    forgiven = rules.compared if rules.rules else None
    wanted = None if cases is None else {case.span_id for case in cases}
    listed = [case for case in manifest["cases"] if wanted is None or case[3] in wanted]
    for tried in case_trials(store, {**manifest, "cases": listed}):
        found = _result(tried, forgiven, rerun=manifest["baseline"] is not None)
        if found is not None:
            yield found


def _result(tried: CaseTrials, forgiven: Forgiven | None, *, rerun: bool) -> CaseResult | None:
    case, source, candidate = tried.case, tried.recorded, tried.first("candidate")
    baseline = _turn(tried.first("baseline"))
    if candidate is None or (rerun and baseline is None):
        return None
    sides = Sides(source, candidate.turn, baseline, _turn(tried.first("baseline_2")))
    diff, noise = verdict_of(sides, rerun=rerun, forgiven=forgiven)
    before = baseline if rerun else source
    return CaseResult(
        case_id=case.case_id,
        conversation_id=case.conversation_id,
        turn_index=case.turn_index,
        user_text=(source or candidate.turn).user_text,
        recorded=() if source is None else (source,),
        baseline=() if before is None else (before,),
        candidate=(candidate.turn,),
        status=candidate.status,
        why=candidate.why,
        diff=diff,
        noise=noise,
    )


def _turn(trial: Trial | None) -> Turn | None:
    return None if trial is None else trial.turn


class Opener:
    """Reads cases of one run in full, and remembers the last ones."""

    def __init__(self, store: Store, manifest: Mapping[str, Any]) -> None:
        """Begin with nothing read.

        Args:
            store: where the run is; it has to be open when a case is.
            manifest: the run's.
        """
        self._store = store
        self._manifest = manifest
        self._places: dict[str, int] = {}
        self._read: OrderedDict[int, dict[str, CaseResult]] = OrderedDict()

    def open(self, case_id: str) -> CaseResult:
        """Give a case in full, and have those beside it ready."""
        if not self._places:
            self._places = {case[0]: place for place, case in enumerate(self._manifest["cases"])}
        number = self._places[case_id] // _BATCH
        if number not in self._read:
            first = number * _BATCH
            cases = [Case(*case) for case in self._manifest["cases"][first : first + _BATCH]]
            found = full_results(self._store, self._manifest, cases)
            self._read[number] = {result.case_id: result for result in found}
            while len(self._read) > _REMEMBERED:
                self._read.popitem(last=False)
        self._read.move_to_end(number)
        return self._read[number][case_id]


class StoredDiff(Diff):
    """A diff whose steps are compared when somebody looks at them."""

    _case: StoredCase
    _is_noise: bool

    def __init__(self, known: Diff, case: StoredCase, *, is_noise: bool = False) -> None:
        """Take what is known of a diff, and the case that it is of."""
        put = object.__setattr__
        for name in ("case_class", "first_divergence", "summary", "group", "findings", "measures"):
            put(self, name, getattr(known, name))
        put(self, "_case", case)
        put(self, "_is_noise", is_noise)

    @property
    def steps(self) -> tuple[StepDiff, ...]:  # type: ignore[override]
        """Every aligned step."""
        opened = self._case.opened()
        diff = opened.noise if self._is_noise else opened.diff
        return () if diff is None else diff.steps

    def __eq__(self, other: object) -> bool:
        """Whether it is the same diff of the same case."""
        return self is other

    __hash__ = object.__hash__


class StoredCase(CaseResult):
    """A case whose turns are read when somebody looks at them."""

    _opener: Opener

    def __init__(self, case: Case, judgement: Judgement, opener: Opener) -> None:
        """Take what was judged of a case."""
        put = object.__setattr__
        put(self, "case_id", case.case_id)
        put(self, "conversation_id", case.conversation_id)
        put(self, "turn_index", case.turn_index)
        put(self, "user_text", judgement.user_text)
        put(self, "status", judgement.status)
        put(self, "why", judgement.why)
        put(self, "diff", StoredDiff(judgement.diff, self))
        noise = None if judgement.noise is None else StoredDiff(judgement.noise, self, is_noise=True)
        put(self, "noise", noise)
        put(self, "outcomes", {})
        put(self, "_opener", opener)

    def opened(self) -> CaseResult:
        """Give it with everything in it."""
        return self._opener.open(self.case_id)

    @property
    def recorded(self) -> tuple[Turn, ...]:  # type: ignore[override]
        """What was recorded."""
        return self.opened().recorded

    @property
    def baseline(self) -> tuple[Turn, ...]:  # type: ignore[override]
        """What the candidate is compared with."""
        return self.opened().baseline

    @property
    def candidate(self) -> tuple[Turn, ...]:  # type: ignore[override]
        """What the candidate did."""
        return self.opened().candidate

    def __eq__(self, other: object) -> bool:
        """Whether it is the same."""
        return self is other

    __hash__ = object.__hash__
